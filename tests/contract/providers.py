"""What the contract suite knows of each gateway besides its ``Gateway``: how to sign for it, and what its SDK says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import razorpay
import stripe

from gateways.gateway import Gateway
from gateways.registry import GATEWAYS
from tests.signed import as_received, razorpay_headers, stripe_headers

#: The moment at which every test request is signed and judged.
NOW = 1_760_000_000

Received = dict[bytes, bytes]


@dataclass(frozen=True)
class Provider:
    """``signature_header`` is the one whose every byte counts."""

    gateway: Gateway
    signature_header: bytes
    sign: Callable[[bytes, str], Received]
    sdk_accepts: Callable[[bytes, Received, str], bool]

    def __str__(self) -> str:
        return self.gateway.name


def _sign_as_stripe(body: bytes, secret: str) -> Received:
    return as_received(stripe_headers(body, secret, NOW))


def _sign_as_razorpay(body: bytes, secret: str) -> Received:
    return as_received(razorpay_headers(body, secret, "evt_test_1"))


def _stripe_accepts(body: bytes, headers: Received, secret: str) -> bool:
    header = headers[b"stripe-signature"].decode()
    try:
        # Without a tolerance: the SDK would compare with the clock of this machine.
        return bool(stripe.WebhookSignature.verify_header(body, header, secret))
    except stripe.SignatureVerificationError:
        return False


def _razorpay_accepts(body: bytes, headers: Received, secret: str) -> bool:
    signature = headers[b"x-razorpay-signature"].decode()
    try:
        return bool(razorpay.Utility().verify_webhook_signature(body.decode(), signature, secret))
    except razorpay.errors.SignatureVerificationError:
        return False


PROVIDERS = (
    Provider(GATEWAYS["stripe"], b"stripe-signature", _sign_as_stripe, _stripe_accepts),
    Provider(GATEWAYS["razorpay"], b"x-razorpay-signature", _sign_as_razorpay, _razorpay_accepts),
)
