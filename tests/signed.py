"""Signed requests as the gateways send them. Own HMAC code: nothing from ``gateways``, so that no mistake is shared."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping


def stripe_headers(body: bytes, secret: str, timestamp: int) -> dict[str, str]:
    """The header of a Stripe delivery sent at ``timestamp``; a repeat has a new one, and a new signature."""
    signature = _hex_hmac(secret, f"{timestamp}.".encode() + body)
    return {"Stripe-Signature": f"t={timestamp},v1={signature}"}


def razorpay_headers(body: bytes, secret: str, event_id: str | None) -> dict[str, str]:
    """The headers of a Razorpay delivery; the event id is outside the signature, and may be missing."""
    headers = {"X-Razorpay-Signature": _hex_hmac(secret, body)}
    return headers if event_id is None else {**headers, "X-Razorpay-Event-Id": event_id}


def as_received(headers: Mapping[str, str]) -> dict[bytes, bytes]:
    """The same headers as a server sees them: names in lowercase, everything in bytes."""
    return {name.lower().encode("latin-1"): value.encode("latin-1") for name, value in headers.items()}


def _hex_hmac(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
