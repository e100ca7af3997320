"""Razorpay's own rules of a signature: one hex digest of the body, of exactly one length."""

from __future__ import annotations

import pytest

from gateways.gateway import Rejected, Secret, Verified
from gateways.razorpay.signature import verify
from tests.signed import razorpay_headers

BODY = b'{"event": "payment.captured"}'
SECRET = "chosen by the merchant"
SECRETS = (Secret(SECRET.encode()),)
SIGNATURE = razorpay_headers(BODY, SECRET, None)["X-Razorpay-Signature"]


@pytest.mark.parametrize(
    ("signature", "verdict"),
    [
        (SIGNATURE, Verified(SECRETS[0].id)),
        (SIGNATURE.upper(), Rejected("signature_mismatch")),
        ("0" * 64, Rejected("signature_mismatch")),
        ("é" * 64, Rejected("signature_mismatch")),
        (SIGNATURE[:-1], Rejected("malformed_signature")),
        (SIGNATURE + "0", Rejected("malformed_signature")),
        (f"{SIGNATURE},{SIGNATURE}", Rejected("malformed_signature")),
        ("0" * 1_000_000, Rejected("malformed_signature")),
        ("", Rejected("missing_signature")),
    ],
)
def test_the_signature_is_one_lowercase_hex_digest(signature: str, verdict: Verified | Rejected) -> None:
    headers = {b"x-razorpay-signature": signature.encode("latin-1")}

    assert verify(headers, BODY, SECRETS, 0.0) == verdict


def test_no_time_is_signed_so_an_old_retry_verifies_for_ever() -> None:
    headers = {b"x-razorpay-signature": SIGNATURE.encode()}

    verdicts = [verify(headers, BODY, SECRETS, now) for now in (0.0, 1e9, 1e12)]

    assert verdicts == [Verified(SECRETS[0].id)] * 3
