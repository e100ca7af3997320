"""The ingress process: ``python -m ingress``."""

from __future__ import annotations

import sys

import logs
import settings
from gateways.registry import GATEWAYS
from ingress.app import build
from web.serving import serve
from workers.hints import Hints


def main() -> int:
    try:
        values = settings.load()
    except settings.SettingsError as error:
        print(f"ingress: {error}", file=sys.stderr)  # noqa: T201 - the sentence that the start owes its caller
        return 2
    logs.configure(production=values.is_production)
    app = build(
        database_url=values.database_url.get_secret_value(),
        hints=Hints(values.redis_url.get_secret_value()),
        gateways=GATEWAYS,
        secrets=values.webhook_secrets,
        production=values.is_production,
    )
    serve(app, host=values.host, port=values.port, trusted_proxies=values.trusted_proxies)
    return 0


if __name__ == "__main__":
    sys.exit(main())
