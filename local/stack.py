"""A stack's directory: who owns it, what is decided in it, and what it tells the outside while it runs.

``settings.env`` holds what ``up`` decided, for the command line; ``secrets.env`` what it once made up, for the next
``up``; ``running.json`` where everything is, while it is. All three are their owner's alone.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from console import development
from local import lock, private
from local.command import CannotStart
from local.programs import CHECKOUT_OFFSET, SANDBOX_OFFSET, STOREFRONT_OFFSET

#: What the gateways sign with, and the ingress believes.
WEBHOOK_SECRETS = ("STRIPE_WEBHOOK_SECRET", "RAZORPAY_WEBHOOK_SECRET")

#: How long we wait for what a killed ``up`` left behind; its watchdog ends that within 8 seconds.
PATIENCE_SECONDS = 12.0


class Stack:
    """A data directory in our hands. ``remains`` is the lock for the watchdog, which holds it longer than we live."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        try:
            _make(self.data_dir)
            self._lock = lock.hold(self.data_dir / "lock", patience_seconds=0)
            self.remains = lock.hold(self.data_dir / "remains", patience_seconds=PATIENCE_SECONDS)
            self.withdraw()
        except OSError as error:
            raise CannotStart(f"{self.data_dir} cannot hold the stack's data: {error.strerror}.") from error

    @property
    def _running(self) -> Path:
        return self.data_dir / "running.json"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.withdraw()
        os.close(self.remains)
        os.close(self._lock)

    def decide(self, environment: Mapping[str, str], *, port_base: int, with_sandbox: bool) -> dict[str, str]:
        """What every process of the stack is told; the environment's own word goes first, save about the sandbox."""
        made_up = self._made_up()
        storefront = f"http://127.0.0.1:{port_base + STOREFRONT_OFFSET}"
        decided = {
            "APP_URL": f"http://127.0.0.1:{port_base + CHECKOUT_OFFSET}",
            "CORS_ORIGINS": storefront,
            "RETURN_URL": f"{storefront}/account",
            "OUTBOX_DIR": str(self.data_dir / "outbox"),
            "RATE_LIMIT": "10000/15minutes",
            **{name: made_up[name] for name in WEBHOOK_SECRETS},
        }
        if not environment.get("AUTH_JWKS_URL"):
            decided["AUTH_JWT_SECRET"] = made_up["AUTH_JWT_SECRET"]
        if with_sandbox:
            decided |= self._sandboxed(environment, made_up, port_base)
        said = {name: environment.get(name) or value for name, value in decided.items()}
        # An origin of one's own comes beside the shop's, and does not shut it out.
        said["CORS_ORIGINS"] = ",".join(dict.fromkeys((storefront, *said["CORS_ORIGINS"].split(","))))
        if with_sandbox:
            said |= self._places(port_base) | _signing(said)
        return {**said, "APP_ENV": "development", "COUNTERFOIL_DATA_DIR": str(self.data_dir)}

    def _sandboxed(self, environment: Mapping[str, str], made_up: Mapping[str, str], port_base: int) -> dict[str, str]:
        """The stand-in gateways, and keys for them. A gateway whose key is set is the real one, and is left alone."""
        url = f"http://127.0.0.1:{port_base + SANDBOX_OFFSET}"
        decided = {name: f"{made_up[name]},{made_up[_old(name)]}" for name in WEBHOOK_SECRETS}
        if not environment.get("STRIPE_SECRET_KEY"):
            decided |= {"STRIPE_SECRET_KEY": made_up["STRIPE_SECRET_KEY"], "STRIPE_API_BASE": f"{url}/stripe"}
        if not environment.get("RAZORPAY_KEY_ID"):
            decided |= {name: made_up[name] for name in ("RAZORPAY_KEY_ID", "RAZORPAY_KEY_SECRET")}
            decided |= {"RAZORPAY_API_BASE": f"{url}/razorpay"}
            decided |= {"SANDBOX_RAZORPAY_KEY_SECRET": made_up["RAZORPAY_KEY_SECRET"]}
        return decided

    def _places(self, port_base: int) -> dict[str, str]:
        """Where the sandbox is, and whom it tells. We wait for it there: the environment may mean another one."""
        ingress, data_dir = f"http://127.0.0.1:{port_base}", self.data_dir / "sandbox"
        return {
            "SANDBOX_DATA_DIR": str(data_dir),
            "SANDBOX_PORT": str(port_base + SANDBOX_OFFSET),
            "SANDBOX_STRIPE_WEBHOOK_URL": f"{ingress}/webhooks/stripe",
            "SANDBOX_RAZORPAY_WEBHOOK_URL": f"{ingress}/webhooks/razorpay",
            "DEVELOPMENT_CLOCK": str(data_dir / "clock"),
        }

    def keep(self, settings: Mapping[str, str]) -> None:
        """Let the command line know what was decided."""
        private.write(self.data_dir / development.FILE, development.written(settings))

    def tell(self, settings: Mapping[str, str], urls: Mapping[str, str], pids: Mapping[str, int]) -> None:
        """Let the outside know where everything is."""
        running = {
            **urls,
            "database_url": settings["DATABASE_URL"],
            "redis_url": settings["REDIS_URL"],
            "data_dir": str(self.data_dir),
            "outbox": settings["OUTBOX_DIR"],
            "processes": dict(pids),
            "secrets": {
                "stripe_webhook": _newest(settings["STRIPE_WEBHOOK_SECRET"]),
                "razorpay_webhook": _newest(settings["RAZORPAY_WEBHOOK_SECRET"]),
            },
        }
        private.write(self._running, json.dumps(running, indent=2) + "\n")

    def withdraw(self) -> None:
        """Nothing that ``tell`` told is so any longer."""
        self._running.unlink(missing_ok=True)

    def _made_up(self) -> dict[str, str]:
        """Secrets of no account, made once."""
        path = self.data_dir / "secrets.env"
        known = development.read(path)
        fresh = {
            "STRIPE_WEBHOOK_SECRET": f"whsec_{secrets.token_urlsafe(24)}",
            "RAZORPAY_WEBHOOK_SECRET": secrets.token_urlsafe(24),
            "STRIPE_OLD_WEBHOOK_SECRET": f"whsec_{secrets.token_urlsafe(24)}",
            "RAZORPAY_OLD_WEBHOOK_SECRET": secrets.token_urlsafe(24),
            "AUTH_JWT_SECRET": secrets.token_urlsafe(48),
            "STRIPE_SECRET_KEY": f"sk_test_{secrets.token_hex(16)}",
            "RAZORPAY_KEY_ID": f"rzp_test_{secrets.token_hex(7)}",
            "RAZORPAY_KEY_SECRET": secrets.token_hex(12),
        }
        if not fresh.keys() <= known.keys():
            known = {**fresh, **known}
            private.write(path, development.written(known))
        return {name: known[name] for name in fresh}


def _make(data_dir: Path) -> None:
    """Ours alone; but root's PostgreSQL runs as another user, who must be able to pass through."""
    if not data_dir.exists():
        data_dir.mkdir(parents=True)
        data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)


def _signing(said: Mapping[str, str]) -> dict[str, str]:
    """The stand-ins sign with what the ingress believes: the newest secret, and on demand one on its way out."""
    signing = {}
    for name in WEBHOOK_SECRETS:
        signing[f"SANDBOX_{name}"] = _newest(said[name])
        if older := said[name].partition(",")[2]:
            signing[f"SANDBOX_{_old(name)}"] = _newest(older)
    return signing


def _old(name: str) -> str:
    return name.replace("_WEBHOOK_", "_OLD_WEBHOOK_")


def _newest(secrets_in_rotation: str) -> str:
    return secrets_in_rotation.partition(",")[0].strip()
