"""Which gateways can be called, one line each, and how each client is made from its gateway's own settings.

Not for the ingress: the SDKs live behind this table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateways.client import Client
from gateways.razorpay import client as razorpay
from gateways.stripe import client as stripe

#: From the gateway's settings, and a line other than its usual one; None where there is no key.
BUILDERS: dict[str, Callable[..., Client | None]] = {"stripe": stripe.build, "razorpay": razorpay.build}


def build_clients(settings: Mapping[str, object]) -> dict[str, Client]:
    """A client for each gateway with a key, by name. To be called, used and closed in one event loop."""
    built = {name: build(settings[name]) for name, build in BUILDERS.items()}
    return {name: client for name, client in built.items() if client is not None}
