"""Which of our secrets signed these bytes? One careful comparison for every gateway that signs with an HMAC."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from gateways.gateway import Secret


def find_signer(secrets: Sequence[Secret], signed: bytes, signatures: Sequence[bytes]) -> Secret | None:
    """The secret whose hex HMAC-SHA256 of ``signed`` is among ``signatures``, or None.

    Every secret is tried against every signature, whatever matched before, so that the time taken tells nothing.
    """
    found = None
    for secret in secrets:
        expected = hmac.new(secret.value, signed, hashlib.sha256).hexdigest().encode("ascii")
        for signature in signatures:
            # On bytes: compare_digest raises TypeError for a text that is not ASCII, which anybody could send.
            if hmac.compare_digest(expected, signature):
                found = found or secret
    return found


def split_secrets(text: str) -> tuple[Secret, ...]:
    """Several secrets, separated by commas, so that an old one can overlap a new one while they are rotated."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ValueError("must not be empty, nor have an empty part between its commas")
    return tuple(Secret(part.encode()) for part in parts)
