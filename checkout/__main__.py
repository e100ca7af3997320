"""The checkout process: ``python -m checkout``."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

import logs
import settings
from checkout.app import Values, build
from checkout.jwks import RemoteKeys
from checkout.limiting import rule
from checkout.page_tokens import PageTokens
from checkout.settings import CheckoutSettings
from checkout.tokens import Keys, SharedSecret, Tokens
from checkout.wrong_setting import WrongSetting
from gateways.clients import build_clients
from web.serving import serve
from workers.apply import Book
from workers.clock import business_clock


def values_from(environment: settings.Settings, own: CheckoutSettings) -> Values:
    """What the checkout needs of the settings, as plain values. Raises ``WrongSetting``."""
    auth_secret = environment.auth_jwt_secret.get_secret_value() if environment.auth_jwt_secret else None
    page_secret = own.page_secret.get_secret_value() if own.page_secret else None
    return Values(
        database_url=environment.database_url.get_secret_value(),
        redis_url=environment.redis_url.get_secret_value(),
        make_clients=lambda: build_clients(environment.gateways),
        tokens=Tokens(_keys(environment, auth_secret), own.audience, own.issuer),
        page_tokens=PageTokens.of(page_secret, auth_secret),
        rate_limit=rule(environment.rate_limit),
        book=Book(
            environment.instance_id,
            environment.late_success,
            business_clock(environment.development_clock),
            dunning=environment.dunning,
        ),
        app_url=environment.app_url,
        production=environment.is_production,
        return_url=_web_address(own.return_url),
        cors_origins=_origins(environment.cors_origins),
    )


def _keys(environment: settings.Settings, auth_secret: str | None) -> Keys:
    if auth_secret is not None:
        return SharedSecret(auth_secret.encode())
    if environment.auth_jwks_url is not None:
        return RemoteKeys(str(environment.auth_jwks_url), production=environment.is_production)
    raise WrongSetting("AUTH_JWT_SECRET or AUTH_JWKS_URL is needed: without one of them no caller can be believed")


def _origins(text: str) -> tuple[str, ...]:
    """Exact ones: a pattern would let in whoever can register a name that fits it."""
    origins = tuple(part.strip() for part in text.split(",") if part.strip())
    for origin in origins:
        parts = urlsplit(origin)
        if f"{parts.scheme}://{parts.netloc}" != origin or parts.scheme not in ("https", "http") or "*" in origin:
            raise WrongSetting("CORS_ORIGINS takes origins such as https://shop.example, separated by commas")
    return origins


def _web_address(url: str | None) -> str | None:
    if url is not None and urlsplit(url).scheme not in ("https", "http"):
        raise WrongSetting("RETURN_URL must begin with https://")
    return url


def main() -> int:
    try:
        environment = settings.load()
        values = values_from(environment, CheckoutSettings())
    except (settings.SettingsError, WrongSetting) as error:
        print(f"checkout: {error}", file=sys.stderr)  # noqa: T201 - the sentence that the start owes its caller
        return 2
    logs.configure(production=environment.is_production)
    serve(build(values), host=environment.host, port=environment.port, trusted_proxies=environment.trusted_proxies)
    return 0


if __name__ == "__main__":
    sys.exit(main())
