"""The checkout's own environment variables, all optional; what others read too is in the top level's settings."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class CheckoutSettings(BaseSettings):
    """Read by the checkout's root alone, which judges them when it builds what they are for."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, env_ignore_empty=True)

    #: With these set, a token must name them. A token for some audience is refused while none is set.
    audience: str | None = Field(default=None, validation_alias="AUTH_AUDIENCE")
    issuer: str | None = Field(default=None, validation_alias="AUTH_ISSUER")
    #: Signs the addresses of success pages; derived from AUTH_JWT_SECRET where that is set.
    page_secret: SecretStr | None = Field(default=None, validation_alias="PAGE_SECRET")
    #: Where "Back to the shop" leads on our pages.
    return_url: str | None = Field(default=None, validation_alias="RETURN_URL")
