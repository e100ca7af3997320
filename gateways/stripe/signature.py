"""Did Stripe sign this? ``Stripe-Signature: t=<unix>,v1=<hex>[,v1=<hex>]`` over ``<t>.<raw body>``.

Our own check, since the SDK's raises three kinds of wrong exception on hostile bytes, takes one secret only, and
accepts any time in the future. Source: docs.stripe.com/webhooks, "Verify webhook signatures manually".
"""

from __future__ import annotations

from collections.abc import Sequence

from gateways.gateway import Headers, Rejected, Secret, Verified
from gateways.signing import find_signer

HEADER = b"stripe-signature"

#: How far the signed time may lie from ours, on either side. Stripe signs every retry anew, so a late retry passes.
TOLERANCE_SECONDS = 300

#: Stripe sends one ``v1`` for each active secret, of which it allows few; more than this is not from Stripe.
HEADER_LIMIT = 4096

#: Digits in a time until the year 33658; ``int`` alone would accept spaces, signs and underscores.
TIME_DIGITS_LIMIT = 12


def verify(headers: Headers, body: bytes, secrets: Sequence[Secret], now: float) -> Verified | Rejected:
    """Judge raw bytes; ``now`` is real time. Never raises, whatever the sender wrote."""
    header = headers.get(HEADER)
    if not secrets:
        return Rejected("no_secret")
    if not header:
        return Rejected("missing_signature")
    read = _read(header)
    if read is None:
        return Rejected("malformed_signature")
    time, signatures = read
    signer = find_signer(secrets, time + b"." + body, signatures)
    if signer is None:
        return Rejected("signature_mismatch")
    if abs(int(now) - int(time)) > TOLERANCE_SECONDS:
        return Rejected("timestamp_outside_tolerance")
    return Verified(signer.id)


def _read(header: bytes) -> tuple[bytes, list[bytes]] | None:
    """The one signed time and every ``v1`` signature. ``v0`` is for tests, and no secret protects it: not looked at."""
    if len(header) > HEADER_LIMIT:
        return None
    pairs = [item.partition(b"=") for item in header.split(b",")]
    times = [value for name, _, value in pairs if name == b"t"]
    signatures = [value for name, _, value in pairs if name == b"v1"]
    if len(times) != 1 or not _is_time(times[0]) or not signatures:
        return None
    return times[0], signatures


def _is_time(value: bytes) -> bool:
    return value.isdigit() and len(value) <= TIME_DIGITS_LIMIT
