"""Stripe's own rules of a signature: the window of time, the schemes, and one time only."""

from __future__ import annotations

import pytest

from gateways.gateway import Rejected, Secret, Verified
from gateways.stripe.signature import HEADER_LIMIT, TOLERANCE_SECONDS, verify
from tests.signed import as_received, stripe_headers

NOW = 1_760_000_000
BODY = b'{"id": "evt_1"}'
SECRET = "whsec_test"
SECRETS = (Secret(SECRET.encode()),)
VERIFIED = Verified(SECRETS[0].id)

SIGNED = stripe_headers(BODY, SECRET, NOW)["Stripe-Signature"]
SIGNATURE = SIGNED.partition("v1=")[2]
WRONG = "0" * 64


@pytest.mark.parametrize(
    ("age", "verdict"),
    [
        (0, VERIFIED),
        (TOLERANCE_SECONDS, VERIFIED),
        (-TOLERANCE_SECONDS, VERIFIED),
        (301, Rejected("timestamp_outside_tolerance")),
        (-301, Rejected("timestamp_outside_tolerance")),
        (-3600, Rejected("timestamp_outside_tolerance")),  # the SDK accepts any time in the future
        (10**9, Rejected("timestamp_outside_tolerance")),
    ],
)
def test_f6_the_signed_time_counts_on_both_sides(age: int, verdict: Verified | Rejected) -> None:
    headers = as_received(stripe_headers(BODY, SECRET, NOW - age))

    assert verify(headers, BODY, SECRETS, NOW) == verdict


@pytest.mark.parametrize(
    ("header", "verdict"),
    [
        (f"t={NOW},v1={SIGNATURE}", VERIFIED),
        (f"v1={SIGNATURE},t={NOW}", VERIFIED),
        (f"t={NOW},v1={WRONG},v1={SIGNATURE}", VERIFIED),
        (f"t={NOW},v1={SIGNATURE},v1={WRONG},v0={WRONG}", VERIFIED),
        (f"t={NOW},v1=é,v1={SIGNATURE}", VERIFIED),
        (f"t={NOW},v1={WRONG}", Rejected("signature_mismatch")),
        (f"t={NOW},v1={SIGNATURE.upper()}", Rejected("signature_mismatch")),
        (f"t={NOW},v1= {SIGNATURE}", Rejected("signature_mismatch")),
        (f"t={NOW},v1=", Rejected("signature_mismatch")),
        (f"t={NOW + 1},v1={SIGNATURE}", Rejected("signature_mismatch")),
        (f"t={NOW},v0={SIGNATURE}", Rejected("malformed_signature")),
        (f"t={NOW}", Rejected("malformed_signature")),
        (f"v1={SIGNATURE}", Rejected("malformed_signature")),
        (f"t={NOW},t={NOW},v1={SIGNATURE}", Rejected("malformed_signature")),
        (f"t=,v1={SIGNATURE}", Rejected("malformed_signature")),
        (f"t=soon,v1={SIGNATURE}", Rejected("malformed_signature")),
        (f"t=-{NOW},v1={SIGNATURE}", Rejected("malformed_signature")),
        (f"t={NOW}.5,v1={SIGNATURE}", Rejected("malformed_signature")),
        (f"t=1_760_000_000,v1={SIGNATURE}", Rejected("malformed_signature")),
        (f"t= {NOW},v1={SIGNATURE}", Rejected("malformed_signature")),
        (f"t={'9' * 5000},v1={SIGNATURE}", Rejected("malformed_signature")),
        (f"t=²,v1={SIGNATURE}", Rejected("malformed_signature")),
        ("é", Rejected("malformed_signature")),
        (",,,===,,,", Rejected("malformed_signature")),
    ],
)
def test_f6_the_header_is_read_strictly(header: str, verdict: Verified | Rejected) -> None:
    headers = {b"stripe-signature": header.encode("latin-1")}

    assert verify(headers, BODY, SECRETS, NOW) == verdict


def test_a_huge_header_is_rejected_unread() -> None:
    header = f"t={NOW},v1={SIGNATURE}".encode().ljust(HEADER_LIMIT + 1, b",")

    assert verify({b"stripe-signature": header}, BODY, SECRETS, NOW) == Rejected("malformed_signature")


def test_as_many_signatures_as_a_rolled_secret_needs_fit_into_the_limit() -> None:
    header = f"t={NOW}" + f",v1={WRONG}" * 20 + f",v1={SIGNATURE}"

    assert verify({b"stripe-signature": header.encode()}, BODY, SECRETS, NOW) == VERIFIED
