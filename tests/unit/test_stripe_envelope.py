"""What the wrapping of a Stripe event says, and when two of them are one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from gateways.gateway import Envelope
from gateways.stripe.envelope import is_redelivery, read_envelope
from tests.contract.shapes import session, stripe_event, thin_event

EVENT = stripe_event("checkout.session.completed", session())


def test_a_snapshot_event_is_read() -> None:
    envelope = read_envelope({}, {**EVENT, "account": "acct_1"})

    assert envelope == Envelope(
        event_id="evt_1",
        event_type="checkout.session.completed",
        account="acct_1",
        livemode=False,
        api_version="2025-11-17.clover",
        created_at=datetime.fromtimestamp(1_760_000_000, UTC),
    )


def test_f17_a_thin_event_is_read_with_its_context_as_account() -> None:
    envelope = read_envelope({}, thin_event())

    assert envelope == Envelope(
        event_id="evt_2",
        event_type="v1.payment_intent.succeeded",
        account="acct_1",
        livemode=False,
        api_version=None,
        created_at=datetime(2026, 10, 1, 9, 30, 0, 123_000, tzinfo=UTC),
    )


def test_f16_an_event_about_an_object_without_an_id_has_an_envelope() -> None:
    envelope = read_envelope({}, stripe_event("invoice.upcoming", {"object": "invoice"}))

    assert (envelope.event_id, envelope.event_type) == ("evt_1", "invoice.upcoming")


@pytest.mark.parametrize(
    "event",
    [{}, {"id": 7, "type": None, "account": [], "livemode": "true", "created": "now", "api_version": {}}],
)
def test_what_is_missing_or_strange_is_left_out(event: dict[str, Any]) -> None:
    assert read_envelope({}, event) == Envelope(event_id=None, event_type="unknown")


REPEATED = {**EVENT, "pending_webhooks": 3, "request": {"id": "req_1", "idempotency_key": "k"}}
OTHER_AMOUNT = stripe_event("checkout.session.completed", session(amount_total=1))
OTHER_VERSION = stripe_event("checkout.session.completed", session(shipping=None), "2024-09-30.acacia")


@pytest.mark.parametrize(
    ("second", "is_one"),
    [
        (EVENT, True),
        (REPEATED, True),
        (OTHER_VERSION, True),  # two endpoints of different versions
        (OTHER_AMOUNT, False),
        ({**EVENT, "type": "checkout.session.expired"}, False),
        ({**OTHER_VERSION, "type": "checkout.session.expired"}, False),
        ({**EVENT, "livemode": True}, False),
        ({}, False),
    ],
)
def test_f60_one_id_is_one_event_only_if_it_says_the_same(second: dict[str, Any], is_one: bool) -> None:
    assert is_redelivery(EVENT, second) is is_one
    assert is_redelivery(second, EVENT) is is_one


def test_events_nested_too_deep_to_compare_are_not_called_equal() -> None:
    first, second = (_nested(100_000) for _ in range(2))

    assert is_redelivery(first, second) is False


def test_events_as_deep_as_json_may_be_are_compared_or_called_different() -> None:
    text = '{"type": "x", "data": ' + "[" * 900 + "]" * 900 + "}"

    assert is_redelivery(json.loads(text), json.loads(text)) in (True, False)


def _nested(levels: int) -> dict[str, Any]:
    inside: list[Any] = []
    for _ in range(levels):
        inside = [inside]
    return {"type": "x", "data": inside}
