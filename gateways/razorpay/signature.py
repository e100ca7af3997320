"""Did Razorpay sign this? ``X-Razorpay-Signature`` is the hex HMAC-SHA256 of the raw body, and nothing more.

No time is signed and the event id is outside, so a body can be replayed for ever: the dedupe on the body's hash stands
against that, not this check. Source: Razorpay docs, "Validate and Test Webhooks".
"""

from __future__ import annotations

from collections.abc import Sequence

from gateways.gateway import Headers, Rejected, Secret, Verified
from gateways.signing import find_signer

HEADER = b"x-razorpay-signature"

#: The length of a hex SHA-256.
SIGNATURE_LENGTH = 64


def verify(headers: Headers, body: bytes, secrets: Sequence[Secret], _now: float) -> Verified | Rejected:
    """Judge raw bytes. Never raises, whatever the sender wrote.

    Keep an old secret for a day after a change: Razorpay signs the retries of older events with it (F21).
    """
    signature = headers.get(HEADER)
    if not secrets:
        return Rejected("no_secret")
    if not signature:
        return Rejected("missing_signature")
    if len(signature) != SIGNATURE_LENGTH:
        return Rejected("malformed_signature")
    signer = find_signer(secrets, body, [signature])
    return Verified(signer.id) if signer else Rejected("signature_mismatch")
