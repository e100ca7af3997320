"""Stripe's environment variables. Each refusal names its variable and shows no value."""

from __future__ import annotations

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateways.gateway import Secret
from gateways.signing import split_secrets

_LIVE, _TEST = ("sk_live_", "rk_live_"), ("sk_test_", "rk_test_")


class StripeSettings(BaseSettings):
    """All optional: a gateway without a webhook secret has no endpoint, one without a key makes no call."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    #: Secret or restricted key; its prefix tells the mode that we work in.
    secret_key: SecretStr | None = Field(default=None, validation_alias="STRIPE_SECRET_KEY")
    publishable_key: str | None = Field(default=None, validation_alias="STRIPE_PUBLISHABLE_KEY")
    #: Several, separated by commas, while one is rolled.
    webhook_secret: SecretStr | None = Field(default=None, validation_alias="STRIPE_WEBHOOK_SECRET")
    api_base: AnyHttpUrl | None = Field(default=None, validation_alias="STRIPE_API_BASE")
    #: Our own Connect account; events of any other one are not ours.
    account_id: str | None = Field(default=None, validation_alias="STRIPE_ACCOUNT_ID")

    @property
    def webhook_secrets(self) -> tuple[Secret, ...]:
        return split_secrets(self.webhook_secret.get_secret_value()) if self.webhook_secret else ()

    @property
    def livemode(self) -> bool | None:
        """The mode of our key, or None while there is none."""
        return self.secret_key.get_secret_value().startswith(_LIVE) if self.secret_key else None

    @field_validator("secret_key", "publishable_key", "api_base", "account_id", mode="before")
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

    @field_validator("secret_key")
    @classmethod
    def _tells_its_mode(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(_LIVE + _TEST):
            raise ValueError("must begin with sk_live_, sk_test_, rk_live_ or rk_test_")
        return value
