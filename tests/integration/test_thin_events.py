"""A webhook that says only that something happened: what did is asked for, kept once, and worked like any other (F17)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from db import webhook_events
from db.plans import Plan
from db.pool import Pool
from gateways.client import BACKGROUND, Doubt, Gone, Patience, Refusal, Refused, Unknown
from gateways.gateway import Json
from gateways.registry import GATEWAYS
from tests.builders import BOOK, NOON, keep, place_order, session
from tests.contract.accounts import STRIPE
from tests.fake_gateway import FakeGateway
from tests.lifetime import a_life
from tests.waiting import until
from workers.delivery.senders import DeliverySettings, build
from workers.effects import Outcome, send_effect
from workers.errands import Errands
from workers.webhook_events import Desk, Result, Worked, work_webhook_event

DESK = Desk(GATEWAYS, {}, BOOK)


@dataclass
class Keeping(FakeGateway):
    """Tells what it made beside each thin event."""

    beside: dict[str, Json | Gone | Refused | Unknown] = field(default_factory=dict)

    async def fetch_snapshot(self, event_id: str, patience: Patience = BACKGROUND) -> Json | Gone | Refused | Unknown:
        del patience
        self.asked.append(f"event {event_id}")
        return self.beside.get(event_id, Gone())


def thin(snapshot: dict[str, Any]) -> dict[str, Any]:
    about = snapshot["data"]["object"]
    return {
        "id": f"{snapshot['id']}_thin",
        "object": "v2.core.event",
        "type": f"v1.{snapshot['type']}",
        "livemode": False,
        "created": NOON.isoformat(),
        "related_object": {"id": about["id"], "type": about["object"], "url": f"/v1/checkout/sessions/{about['id']}"},
    }


async def told(pool: Pool, event: dict[str, Any]) -> UUID:
    """Delivered, and kept by the ingress."""
    return await keep(pool, event, event_id=event["id"], event_key=event["id"], event_type=event["type"])


async def work(pool: Pool, event: UUID) -> Result:
    return await work_webhook_event(pool, DESK, event)


async def send(pool: Pool, gateway: Keeping | FakeGateway, effect: UUID) -> Outcome:
    errands = Errands.of(pool, {"stripe": gateway}, BOOK)
    return await send_effect(pool, build(DeliverySettings(production=False), further={"gateway": errands}), effect)


async def fetched(pool: Pool, gateway: Keeping, snapshot: dict[str, Any]) -> UUID:
    """The thin event is worked, and what it stands for is kept."""
    (effect,) = (await work(pool, await told(pool, thin(snapshot)))).effects
    assert await send(pool, gateway, effect) is Outcome.SENT
    found: UUID = await pool.fetchval("SELECT id FROM webhook_events WHERE event_id = $1", snapshot["id"])
    return found


async def rows(pool: Pool) -> list[tuple[object, ...]]:
    found = await pool.fetch("SELECT event_type, status, reason, source FROM webhook_events ORDER BY event_type")
    return [tuple(row) for row in found]


async def test_f17_a_thin_event_pays_its_order_by_the_event_that_was_made_beside_it(pool: Pool) -> None:
    order = await place_order(pool)
    snapshot = session(order)
    gateway = Keeping(beside={f"{snapshot['id']}_thin": snapshot})

    worked = await work(pool, await fetched(pool, gateway, snapshot))

    assert worked.reason == "moved_to_paid"
    assert await rows(pool) == [
        ("checkout.session.completed", "done", "moved_to_paid", "backfill"),
        ("v1.checkout.session.completed", "done", "fetching", "webhook"),
    ]
    assert await pool.fetchval("SELECT status FROM orders") == "paid"


@pytest.mark.parametrize("first", ["the snapshot", "the thin one"])
async def test_f17_of_a_pair_that_is_delivered_one_is_worked(pool: Pool, first: str) -> None:
    snapshot = session(await place_order(pool))
    gateway = Keeping(beside={f"{snapshot['id']}_thin": snapshot})
    if first == "the snapshot":
        await work(pool, await told(pool, snapshot))

    found = await fetched(pool, gateway, snapshot)
    await work(pool, found)
    held = await pool.fetchval("SELECT count(*) FROM webhook_keys WHERE event_key = $1", snapshot["id"])

    assert held == 1
    assert await pool.fetchval("SELECT count(*) FROM webhook_events") == 2
    assert await pool.fetchval("SELECT count(*) FROM history WHERE to_status = 'paid'") == 1
    assert (await work(pool, found)).worked is Worked.NOT_OWED


async def test_f17_a_thin_event_that_is_worked_again_asks_once(pool: Pool) -> None:
    event = await told(pool, thin(session(await place_order(pool))))
    first = await work(pool, event)
    await pool.execute("UPDATE webhook_events SET status = 'retry', processed_at = NULL, next_attempt_at = now()")

    again = await work(pool, event)

    assert len(first.effects) == 1
    assert (again.worked, again.effects) == (Worked.DONE, ())
    assert await pool.fetchval("SELECT count(*) FROM effects") == 1


@pytest.mark.parametrize(
    ("answer", "outcome", "status"),
    [
        (Unknown(Doubt.TIMED_OUT), Outcome.RETRY, "pending"),
        (Gone(), Outcome.DEAD, "dead"),
        (Refused(Refusal.CREDENTIALS, "no"), Outcome.DEAD, "dead"),
    ],
)
async def test_f17_what_cannot_be_fetched_is_asked_for_again_or_waits_for_a_person(
    pool: Pool, answer: Gone | Refused | Unknown, outcome: Outcome, status: str
) -> None:
    snapshot = session(await place_order(pool))
    (effect,) = (await work(pool, await told(pool, thin(snapshot)))).effects

    sent = await send(pool, Keeping(beside={f"{snapshot['id']}_thin": answer}), effect)

    assert sent is outcome
    assert await pool.fetchval("SELECT status FROM effects") == status
    assert await pool.fetchval("SELECT count(*) FROM dead_letters") == (status == "dead")


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
@pytest.mark.parametrize("payload", ["thin", "both"])
async def test_f17_a_subscription_lives_by_whichever_kind_its_endpoint_is_sent(
    pool: Pool, database_url: str, tmp_path: Path, payload: str
) -> None:
    async with a_life(pool, database_url, STRIPE, tmp_path, Plan("solo", "Solo", "", 1900, "usd", "month")) as life:
        await life.order("settings", stripeEventPayload=payload)

        async def is_worked() -> bool:
            await life.works.work_all()
            return not await pool.fetchval("SELECT count(*) FROM webhook_events WHERE next_attempt_at IS NOT NULL")

        await life.subscribe("solo", "stripe")
        await until(is_worked)
        await life.pass_to(life.works.book.clock() + timedelta(days=32))
        await until(is_worked)

        assert [each["reason"] for each in await life.access() if each["active"]] == ["paid"]
        assert await pool.fetchval("SELECT count(*) FROM invoices WHERE status = 'paid'") == 2
        assert await pool.fetchval("SELECT count(*) FROM payments WHERE standing = 'accepted'") == 2
        assert await pool.fetchval("SELECT count(*) FROM effects WHERE kind = 'mail.subscription_renewed'") == 1
        pairs = await pool.fetchval("SELECT count(*) FROM webhook_events WHERE reason = 'fetching'")
        fetched = await pool.fetchval("SELECT count(*) FROM webhook_events WHERE source = 'backfill'")
        assert pairs > 10
        assert fetched == (pairs if payload == "thin" else 0)


async def test_f17_what_is_not_fetched_for_want_of_a_key_is_said_and_stays_owed(pool: Pool) -> None:
    (effect,) = (await work(pool, await told(pool, thin(session(await place_order(pool)))))).effects

    sent = await send(pool, FakeGateway(), effect)

    assert sent is Outcome.RETRY
    row = await pool.fetchrow("SELECT status, last_error FROM effects")
    assert row is not None
    assert row["status"] == "pending"
    assert "nothing was fetched: stripe has no key here" in row["last_error"]


async def test_f17_what_could_not_be_fetched_is_asked_for_again_when_its_event_is_replayed(pool: Pool) -> None:
    snapshot = session(await place_order(pool))
    event = await told(pool, thin(snapshot))
    (effect,) = (await work(pool, event)).effects
    dead = await send(pool, Keeping(beside={f"{snapshot['id']}_thin": Gone()}), effect)
    async with pool.acquire() as connection, connection.transaction():
        await webhook_events.replay(connection, [event], [0.0], queue="bulk")

    again = await work(pool, event)
    sent = await send(pool, Keeping(beside={f"{snapshot['id']}_thin": snapshot}), effect)

    assert (dead, again.effects, sent) == (Outcome.DEAD, (effect,), Outcome.SENT)
    assert await pool.fetchval("SELECT count(*) FROM dead_letters WHERE state = 'open'") == 0
    assert await pool.fetchval("SELECT count(*) FROM webhook_events WHERE event_id = $1", snapshot["id"]) == 1
