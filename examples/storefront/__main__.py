"""The shop's process: ``python -m examples.storefront``, on loopback and for development alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import uvicorn

from examples.storefront.app import Values, build
from examples.storefront.notifications import Notifications, WrongSecret
from examples.storefront.sessions import Sessions

#: Connections at once: one machine's browsers.
CONNECTIONS = 200
GRACE_SECONDS = 5


def values_from(environment: Mapping[str, str]) -> Values:
    """The variables that Counterfoil's own processes have, so that both are told the same. Raises ``WrongSecret``."""
    secret = environment.get("AUTH_JWT_SECRET")
    outbox = environment.get("OUTBOX_DIR")
    return Values(
        checkout_url=(environment.get("APP_URL") or "http://127.0.0.1:8001").rstrip("/"),
        sessions=Sessions(secret, environment.get("AUTH_AUDIENCE"), environment.get("AUTH_ISSUER")) if secret else None,
        outbox=Path(outbox) if outbox else None,
        notifications=Notifications.of(environment.get("NOTIFY_SECRET", "")),
    )


def main(environment: Mapping[str, str]) -> int:
    if environment.get("APP_ENV") == "production":
        return _refuse("APP_ENV is production, and here anybody may sign in as anybody.")
    try:
        values = values_from(environment)
    except WrongSecret as wrong:
        return _refuse(f"{wrong}.")
    uvicorn.run(
        build(values),
        host=environment.get("HOST") or "127.0.0.1",
        port=int(environment.get("PORT") or 8004),
        ws="none",
        server_header=False,
        access_log=False,
        log_level="warning",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return 0


def _refuse(sentence: str) -> int:
    print(f"storefront: {sentence}", file=sys.stderr)  # noqa: T201 - the sentence that the start owes its caller
    return 2


if __name__ == "__main__":
    sys.exit(main(os.environ))
