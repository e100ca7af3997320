"""Every gateway's envelope, over every recorded event and over arbitrary JSON: what the ingress needs, or nothing."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.gateway import Gateway
from gateways.registry import GATEWAYS
from tests.contract.recorded import event_files, load, needs_fixtures

RECORDED = [(name, path) for name in GATEWAYS for path in event_files(name)]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)
ENVELOPE_FIELDS = ("id", "type", "event", "object", "account", "account_id", "context", "livemode", "created")
EVENTS = st.dictionaries(st.sampled_from((*ENVELOPE_FIELDS, "created_at", "api_version")), JSON)


@needs_fixtures
@pytest.mark.parametrize(("name", "path"), RECORDED, ids=[path.name for _, path in RECORDED])
def test_the_envelope_of_every_recorded_event_is_read(name: str, path: Path) -> None:
    event = load(path)
    headers = {b"x-razorpay-event-id": b"evt_header_1"}

    envelope = GATEWAYS[name].envelope(headers, event)

    assert envelope.event_type == path.name.split("__")[0]
    assert envelope.event_id is not None
    assert envelope.livemode in (True, False) if name == "stripe" else envelope.livemode is None
    assert envelope.account == event.get("account_id", event.get("account", ""))
    assert (envelope.created_at is None) == ("created_at" not in event and "created" not in event)


@pytest.mark.parametrize("gateway", GATEWAYS.values(), ids=GATEWAYS.keys())
@given(event=EVENTS, header=st.binary(max_size=300))
@settings(deadline=None)
def test_an_envelope_of_any_json_is_read_and_fits_postgres(
    gateway: Gateway, event: dict[str, Any], header: bytes
) -> None:
    envelope = gateway.envelope({b"x-razorpay-event-id": header}, event)

    texts = [value for value in astuple(envelope) if isinstance(value, str)]
    assert all(len(text) <= 255 and "\0" not in text and text.encode("utf-8") for text in texts if text)
    assert envelope.event_type


@pytest.mark.parametrize("gateway", GATEWAYS.values(), ids=GATEWAYS.keys())
@given(first=EVENTS, second=EVENTS)
@settings(deadline=None)
def test_any_two_events_can_be_compared(gateway: Gateway, first: dict[str, Any], second: dict[str, Any]) -> None:
    answer = gateway.is_redelivery(first, second)

    assert isinstance(answer, bool)
