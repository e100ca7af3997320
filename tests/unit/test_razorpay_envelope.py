"""What the wrapping of a Razorpay event says; its id comes from an unsigned header, or not at all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateways.gateway import Envelope
from gateways.razorpay.envelope import is_redelivery, read_envelope
from tests.contract.shapes import payment, razorpay_event

EVENT = razorpay_event("payment.captured", payment=payment())


def test_an_event_is_read_with_its_id_from_the_header() -> None:
    envelope = read_envelope({b"x-razorpay-event-id": b"evt_header_1"}, EVENT)

    assert envelope == Envelope(
        event_id="evt_header_1",
        event_type="payment.captured",
        account="acc_1",
        created_at=datetime.fromtimestamp(1_760_000_000, UTC),
    )


@pytest.mark.parametrize(
    ("header", "event_id"),
    [
        (b"evt_1", "evt_1"),
        (b"x" * 255, "x" * 255),
        (b"x" * 256, None),
        (b"", None),
        (b"evt 1", None),
        (b"evt\x001", None),
        (b"evt\n1", None),
        (b"\xc3\xa9", None),
        (b"\xff", None),
    ],
)
def test_an_event_id_is_short_printable_ascii_or_none(header: bytes, event_id: str | None) -> None:
    assert read_envelope({b"x-razorpay-event-id": header}, EVENT).event_id == event_id


@pytest.mark.parametrize("event", [{}, {"event": 7, "account_id": None, "created_at": True}])
def test_what_is_missing_or_strange_is_left_out(event: dict[str, Any]) -> None:
    assert read_envelope({}, event) == Envelope(event_id=None, event_type="unknown")


def test_f12_two_bodies_under_one_unsigned_id_are_two_events() -> None:
    assert is_redelivery(EVENT, razorpay_event("payment.captured", payment=payment(amount=1))) is False
