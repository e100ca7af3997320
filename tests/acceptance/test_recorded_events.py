"""Every recorded Stripe and Razorpay event, posted byte for byte to the running stack: 200, kept, worked, none dead."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from tests.acceptance.conftest import Stack
from tests.contract.recorded import event_files, needs_fixtures
from tests.waiting import until


@needs_fixtures
@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
async def test_every_recorded_event_is_answered_kept_and_ends_done_or_ignored(stack: Stack, gateway: str) -> None:
    bodies = [path.read_bytes() for path in event_files(gateway)]

    answers = await asyncio.gather(*(stack.post(gateway, body) for body in bodies))

    async def finished() -> bool:
        owed = "SELECT count(*) FROM webhook_events WHERE status IN ('received', 'retry')"
        return bool(await stack.database.fetchval(owed) == 0)

    await until(finished, seconds=60)
    assert {answer.status_code for answer in answers} == {200}
    kept = await stack.database.fetch(
        "SELECT payload_raw, payload_hash, status, reason FROM webhook_events WHERE gateway = $1", gateway
    )
    assert {row["payload_raw"] for row in kept} == set(bodies)
    assert {row["payload_hash"] for row in kept} == {hashlib.sha256(body).hexdigest() for body in bodies}
    assert {row["status"] for row in kept} <= {"done", "ignored"}
    assert all(row["reason"] for row in kept)


@needs_fixtures
def test_there_are_recorded_events_to_post() -> None:
    assert len(event_files("stripe")) > 150
    assert len(event_files("razorpay")) > 80


def test_fixtures_stay_where_they_are() -> None:
    """Their licences differ and some have none: none of them may be copied into the project."""
    assert not list((Path(__file__).parents[2]).glob("*/fixtures/**/*.json"))
