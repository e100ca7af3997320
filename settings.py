"""Every environment variable, read once by a process's root into one frozen value. Wrong or missing: no start.

Each gateway declares its own variables in its folder; here is the rest, and ``load``, which gathers them all.
"""

from __future__ import annotations

import tomllib
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import AliasChoices, AnyHttpUrl, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateways.gateway import Secret
from gateways.razorpay.settings import RazorpaySettings
from gateways.stripe.settings import StripeSettings
from payments.dunning import DEFAULT, Policy, PolicyError, read_policy
from payments.order import LateSuccess

#: What it says is also what holds without it.
DUNNING_FILE = Path(__file__).parent / "dunning.toml"

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

#: HS256 wants a key as long as its hash.
SHORTEST_JWT_SECRET = 32


class SettingsError(Exception):
    """A variable is missing or wrong. The message names it, says what is wrong, and shows no value."""


class Settings(BaseSettings):
    """What every process of ours may need; each takes what it uses and hands it down as values."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, env_ignore_empty=True)

    #: The record. ``postgresql://user:password@host:port/database``.
    database_url: SecretStr
    #: The hints. Losing all of it costs seconds, never events.
    redis_url: SecretStr
    app_env: Literal["development", "production"] = "development"
    #: Where the application's users reach the checkout service; links in mails and redirects begin with it.
    app_url: str = "http://127.0.0.1:8001"
    #: Marks what we make at a gateway. Another value on the same account is another application's money.
    instance_id: str = Field(default="counterfoil", min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    #: What becomes of money that arrives after we gave its order up.
    late_success: LateSuccess = LateSuccess.FULFIL
    #: The policy of access, reminders and cancellation; the project's own ``dunning.toml`` where it is unset.
    dunning_file: Path | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    #: Addresses whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed; comma-separated, none by default.
    trusted_proxies: str = ""
    #: Signs and verifies the tokens of the application's users (HS256); or the address of its public keys.
    auth_jwt_secret: SecretStr | None = None
    auth_jwks_url: AnyHttpUrl | None = None
    #: Per IP address, on the routes that make a gateway session.
    rate_limit: str = "10/15minutes"
    #: Origins whose pages may call the checkout from a browser; comma-separated, none by default.
    cors_origins: str = ""
    #: Development alone: the file in which the sandbox writes how far its clock has been moved on, in seconds.
    development_clock: Path | None = None
    #: Events worked at once by one worker process.
    worker_threads: int = Field(default=8, ge=1, le=64)

    smtp_url: SecretStr | None = None
    mail_from: str | None = None
    #: A folder whose files replace our mail templates, file by file.
    mail_templates: Path | None = None
    notify_url: SecretStr | None = None
    notify_secret: SecretStr | None = None
    #: Private hosts and networks that notifications may go to; comma-separated. An application beside us is usual.
    notify_allow: str = ""
    analytics_url: SecretStr | None = None
    #: Development without the channels above: what would have been sent is kept here, and counts as sent.
    outbox_dir: Path | None = None

    stripe: StripeSettings = Field(default_factory=StripeSettings, validation_alias=AliasChoices("stripe_settings"))
    razorpay: RazorpaySettings = Field(
        default_factory=RazorpaySettings, validation_alias=AliasChoices("razorpay_settings")
    )

    @property
    def is_production(self) -> bool:
        return self.app_env == "production"

    @cached_property
    def dunning(self) -> Policy:
        """Read once, with the environment."""
        file = self.dunning_file or DUNNING_FILE
        if self.dunning_file is None and not file.exists():
            return DEFAULT
        try:
            return read_policy(tomllib.loads(file.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ValueError(f"DUNNING_FILE cannot be read as TOML ({type(error).__name__})") from None
        except PolicyError as error:
            raise ValueError(f"DUNNING_FILE: {error}") from None

    @property
    def gateways(self) -> dict[str, BaseSettings]:
        """Each gateway's own settings, by its name."""
        return {"stripe": self.stripe, "razorpay": self.razorpay}

    @property
    def webhook_secrets(self) -> dict[str, tuple[Secret, ...]]:
        """By gateway; a gateway without any has no endpoint."""
        found = {"stripe": self.stripe.webhook_secrets, "razorpay": self.razorpay.webhook_secrets}
        return {name: secrets for name, secrets in found.items() if secrets}

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, value: SecretStr) -> SecretStr:
        address = _address(value, "postgresql", "postgres")
        for mode in parse_qs(address.query).get("sslmode", []):
            if mode not in SSL_MODES:
                raise ValueError(f"sslmode must be one of {', '.join(SSL_MODES)}")
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: SecretStr) -> SecretStr:
        address = _address(value, "redis", "rediss", "unix")
        if address.scheme != "unix" and not address.path.strip("/").isdecimal() and address.path.strip("/"):
            raise ValueError("must end with the number of a database, such as /0, or with nothing")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        for part in filter(None, (part.strip() for part in value.split(","))):
            try:
                ip_network(part, strict=False)
            except ValueError:
                raise ValueError("takes addresses and networks such as 10.0.0.0/8, separated by commas") from None
        return value

    @model_validator(mode="after")
    def _time_is_real_in_production(self) -> Settings:
        if self.is_production and self.development_clock is not None:
            raise ValueError("DEVELOPMENT_CLOCK must not be set in production: only a laptop's time can be moved")
        return self

    @model_validator(mode="after")
    def _policy_is_whole(self) -> Settings:
        _ = self.dunning
        return self

    @model_validator(mode="after")
    def _tokens_can_be_verified(self) -> Settings:
        if self.auth_jwt_secret and self.auth_jwks_url:
            raise ValueError("AUTH_JWT_SECRET and AUTH_JWKS_URL exclude each other: say which one signs")
        if self.auth_jwt_secret and len(self.auth_jwt_secret.get_secret_value().encode()) < SHORTEST_JWT_SECRET:
            raise ValueError(f"AUTH_JWT_SECRET must have at least {SHORTEST_JWT_SECRET} bytes (RFC 7518, section 3.2)")
        return self

    @model_validator(mode="after")
    def _channels_are_whole(self) -> Settings:
        if self.smtp_url and not self.mail_from:
            raise ValueError("MAIL_FROM is needed with SMTP_URL: mails must come from somebody")
        if self.notify_url and not self.notify_secret:
            raise ValueError("NOTIFY_SECRET is needed with NOTIFY_URL: every notification is signed")
        if self.is_production and not self.app_url.startswith("https://"):
            raise ValueError("APP_URL must begin with https:// in production")
        return self


def _address(value: SecretStr, *schemes: str) -> SplitResult:
    """The parts of a URL. Raises ``ValueError`` with a sentence that shows none of them."""
    try:
        address = urlsplit(value.get_secret_value())
        _ = address.port
    except ValueError:
        raise ValueError("is not a URL: see its host and its port") from None
    if address.scheme not in schemes:
        raise ValueError(f"must begin with {', '.join(f'{scheme}://' for scheme in schemes[:-1])} or {schemes[-1]}://")
    return address


def load() -> Settings:
    """Read the environment. Raises ``SettingsError``, which names every variable that is wrong and no value."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(problem) for problem in error.errors(include_input=False))) from None


def _sentence(problem: object) -> str:
    assert isinstance(problem, dict)
    name = "_".join(str(part) for part in problem["loc"]).upper()
    if problem["type"] == "missing":
        return f"{name} is not set"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{name}: {message}" if name else message
