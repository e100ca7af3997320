"""Razorpay's environment variables. Each refusal names its variable and shows no value."""

from __future__ import annotations

from typing import Self

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateways.gateway import Secret
from gateways.signing import split_secrets

_LIVE, _TEST = "rzp_live_", "rzp_test_"


class RazorpaySettings(BaseSettings):
    """All optional: a gateway without a webhook secret has no endpoint, one without a key makes no call."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    #: Its prefix tells the mode that we work in; bodies do not.
    key_id: str | None = Field(default=None, validation_alias="RAZORPAY_KEY_ID")
    key_secret: SecretStr | None = Field(default=None, validation_alias="RAZORPAY_KEY_SECRET")
    #: Several, separated by commas, while one is changed; so a secret itself can hold no comma.
    webhook_secret: SecretStr | None = Field(default=None, validation_alias="RAZORPAY_WEBHOOK_SECRET")
    #: Also for a regional endpoint.
    api_base: AnyHttpUrl | None = Field(default=None, validation_alias="RAZORPAY_API_BASE")
    #: Our own account; events of any other one are not ours.
    account_id: str | None = Field(default=None, validation_alias="RAZORPAY_ACCOUNT_ID")

    @property
    def webhook_secrets(self) -> tuple[Secret, ...]:
        return split_secrets(self.webhook_secret.get_secret_value()) if self.webhook_secret else ()

    @property
    def livemode(self) -> bool | None:
        """The mode of our key, or None while there is none."""
        return self.key_id.startswith(_LIVE) if self.key_id else None

    @field_validator("key_id", "key_secret", "api_base", "account_id", mode="before")
    @classmethod
    def _blank_is_unset(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("webhook_secret")
    @classmethod
    def _has_no_empty_secret(cls, value: SecretStr | None) -> SecretStr | None:
        """Blank is not unset here: an endpoint that silently answers 404 loses events, one that verifies against
        nothing takes forged ones (F11)."""
        if value is not None:
            split_secrets(value.get_secret_value())
        return value

    @field_validator("key_id")
    @classmethod
    def _tells_its_mode(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith((_LIVE, _TEST)):
            raise ValueError("must begin with rzp_live_ or rzp_test_")
        return value

    @model_validator(mode="after")
    def _has_both_halves(self) -> Self:
        if (self.key_id is None) != (self.key_secret is None):
            raise ValueError("RAZORPAY_KEY_ID and RAZORPAY_KEY_SECRET are needed together")
        return self
