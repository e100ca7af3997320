"""``python -m sandbox``: the stand-in gateways as one process. When it serves, it prints ``ready`` and its address."""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox import server
from sandbox.faults import OLD_SECRETS, SEED_MAX
from sandbox.world import Options, World


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Serves until it is told to stop; the exit code says whether it could begin."""
    asked = _parse(arguments, environment)
    # What it writes is for its owner alone.
    os.umask(0o077)
    try:
        listening = server.bind(asked.port)
    except (OSError, OverflowError) as error:
        return _refuse(f"cannot listen on port {asked.port}: {error}")
    url = server.address(listening)
    options = Options(
        data_dir=asked.data_dir,
        url=url,
        stripe_webhook_url=asked.stripe_webhook_url,
        stripe_webhook_secret=environment.get("SANDBOX_STRIPE_WEBHOOK_SECRET") or None,
        razorpay_webhook_url=asked.razorpay_webhook_url,
        razorpay_webhook_secret=environment.get("SANDBOX_RAZORPAY_WEBHOOK_SECRET") or None,
        razorpay_key_secret=environment.get("SANDBOX_RAZORPAY_KEY_SECRET") or None,
        stripe_old_webhook_secret=environment.get(OLD_SECRETS["stripe"]) or None,
        razorpay_old_webhook_secret=environment.get(OLD_SECRETS["razorpay"]) or None,
        seed=asked.seed,
    )
    for gateway, address, secret in (
        ("stripe", options.stripe_webhook_url, options.stripe_webhook_secret),
        ("razorpay", options.razorpay_webhook_url, options.razorpay_webhook_secret),
    ):
        if address is not None and secret is None:
            return _refuse(f"--{gateway}-webhook-url needs SANDBOX_{gateway.upper()}_WEBHOOK_SECRET in the environment")
    try:
        world = World(options)
    except (OSError, sqlite3.Error) as error:
        return _refuse(f"cannot use {asked.data_dir}, or another sandbox does: {error}")
    server.Server(world, lambda: print(f"ready {url}", flush=True)).run(sockets=[listening])  # noqa: T201 - the one line it owes
    return 0


def _parse(arguments: list[str], environment: Mapping[str, str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sandbox", description="Stripe and Razorpay as servers on loopback.")
    # The parser reads these two as it reads the command line, and names what it cannot read.
    port, seed = environment.get("SANDBOX_PORT") or "0", environment.get("SANDBOX_SEED") or None
    parser.add_argument("--port", type=int, default=port, help="0 takes a free one (SANDBOX_PORT)")
    parser.add_argument(
        "--seed",
        type=_seed,
        default=seed,
        help="on a fresh data directory, the same seed and the same calls give the same ids, secrets and faults"
        " (SANDBOX_SEED)",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path(environment.get("SANDBOX_DATA_DIR", ".counterfoil/sandbox")),
        help="where everything is remembered (SANDBOX_DATA_DIR)",
    )
    for gateway in ("stripe", "razorpay"):
        variable = f"SANDBOX_{gateway.upper()}_WEBHOOK_URL"
        parser.add_argument(
            f"--{gateway}-webhook-url",
            default=environment.get(variable) or None,
            help=f"where events go ({variable}); the secret comes from SANDBOX_{gateway.upper()}_WEBHOOK_SECRET alone",
        )
    return parser.parse_args(arguments)


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(SEED_MAX)) or int(text) > SEED_MAX:
        raise argparse.ArgumentTypeError(f"the seed must be a whole number from 0 to {SEED_MAX}")
    return int(text)


def _refuse(sentence: str) -> int:
    print(f"sandbox: {sentence}", file=sys.stderr)  # noqa: T201 - there is nobody else to tell
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
