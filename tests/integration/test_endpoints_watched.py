"""A gateway that tells us nothing any more is noticed: by what it says of its endpoints, and by its silence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from db.history import Cause
from db.pool import Pool
from gateways.client import Doubt, Endpoint, Unknown
from gateways.registry import GATEWAYS
from payments.events import CheckoutEnded
from tests.builders import observed, place_order
from tests.calendar import Calendar
from tests.fake_gateway import FakeGateway
from tests.front_door import front_door, raw, stripe_event
from workers.apply import apply
from workers.backfill import backfill_events
from workers.endpoints import Watched, watch_gateways

URL = "https://pay.example/webhooks/stripe"
WORKED = GATEWAYS["stripe"].event_types


def endpoint(url: str = URL, *, is_enabled: bool = True, types: frozenset[str] = WORKED) -> Endpoint:
    return Endpoint("we_1", url, is_enabled, "2026-10-28.endive", types)


async def watch(pool: Pool, *endpoints: Endpoint, **more: Any) -> Watched:
    return await watch_gateways(pool, {"stripe": FakeGateway(endpoints=endpoints)}, **more)


async def open_kinds(pool: Pool) -> list[str]:
    rows = await pool.fetch("SELECT kind FROM discrepancies WHERE state = 'open' ORDER BY kind")
    return [row["kind"] for row in rows]


# --- what a gateway says of its endpoints ---


@pytest.mark.parametrize(
    ("endpoints", "disabled"),
    [
        ((endpoint(),), ()),
        ((endpoint(types=frozenset({"*"})),), ()),
        ((endpoint(types=WORKED | {"charge.succeeded"}),), ()),
        ((endpoint(is_enabled=False),), ("stripe",)),
        ((endpoint(types=WORKED - {"payment_intent.succeeded"}),), ("stripe",)),
        ((endpoint(types=frozenset()),), ("stripe",)),
        ((endpoint(is_enabled=False), endpoint("https://new.example/webhooks/stripe")), ()),
        ((endpoint("https://other.example/hooks", is_enabled=False),), ()),
        ((), ()),
    ],
    ids=["ours", "every-type", "more", "disabled", "one-missing", "none", "moved", "not-ours", "no-endpoint"],
)
async def test_an_endpoint_that_hears_not_all_that_we_work_is_a_discrepancy(
    pool: Pool, endpoints: tuple[Endpoint, ...], disabled: tuple[str, ...]
) -> None:
    watched = await watch(pool, *endpoints)

    assert watched == Watched(disabled=disabled)
    assert await open_kinds(pool) == ["endpoint_disabled"] * len(disabled)


async def test_what_is_not_heard_is_told(pool: Pool) -> None:
    await watch(pool, endpoint(types=WORKED - {"payment_intent.succeeded"}))

    evidence = await pool.fetchval("SELECT evidence FROM discrepancies")
    assert evidence["theirs"] == [{"endpoint": "we_1", "enabled": True, "unheard": ["payment_intent.succeeded"]}]


async def test_an_endpoint_that_is_enabled_again_is_cured_and_one_that_is_disabled_anew_is_raised_again(
    pool: Pool,
) -> None:
    states = []
    for is_enabled in (False, True, True, False):
        await watch(pool, endpoint(is_enabled=is_enabled))
        states.append(await pool.fetchval("SELECT state FROM discrepancies"))

    assert states == ["open", "resolved", "resolved", "open"]
    assert await pool.fetchval("SELECT count(*) FROM discrepancies") == 1


async def test_what_a_person_has_closed_stays_closed(pool: Pool) -> None:
    await watch(pool, endpoint(is_enabled=False))
    await pool.execute("UPDATE discrepancies SET state = 'dismissed', closed_at = now(), closed_by = 'ada'")

    await watch(pool, endpoint(is_enabled=False))

    assert await pool.fetchval("SELECT state FROM discrepancies") == "dismissed"


async def test_a_gateway_that_cannot_be_asked_is_not_judged(pool: Pool) -> None:
    await watch(pool, endpoint(is_enabled=False))

    watched = await watch_gateways(pool, {"stripe": FakeGateway(endpoints=Unknown(Doubt.TIMED_OUT))})

    assert watched == Watched(complete=False)
    assert await open_kinds(pool) == ["endpoint_disabled"]


async def test_a_gateway_that_tells_nothing_of_its_endpoints_is_no_complaint(pool: Pool) -> None:
    watched = await watch_gateways(pool, {"razorpay": FakeGateway("razorpay")})

    assert watched == Watched()


# --- silence ---


async def fetch_one(pool: Pool) -> dict[str, Any]:
    """An event that no webhook has brought, fetched twenty minutes ago."""
    calendar = Calendar()
    told = stripe_event(created=int(calendar.now.timestamp()))
    calendar.pass_by(minutes=5)
    await backfill_events(pool, {"stripe": FakeGateway(events=[told])}, calendar.hints, calendar.book, "run-1")
    await pool.execute("UPDATE webhook_events SET created_at = now() - interval '20 minutes'")
    return told


async def test_a_gateway_is_silent_when_what_we_fetched_was_never_told(pool: Pool) -> None:
    await fetch_one(pool)

    watched = await watch(pool)

    assert watched.silent == ("stripe",)
    assert await open_kinds(pool) == ["gateway_silent"]


async def test_it_may_still_tell_us_for_a_while(pool: Pool) -> None:
    await fetch_one(pool)

    assert (await watch(pool, silent_seconds=30 * 60)).silent == ()


async def test_a_webhook_that_has_come_since_breaks_the_silence(pool: Pool, database_url: str) -> None:
    await fetch_one(pool)
    await watch(pool)
    async with front_door(database_url) as door:
        await door.stripe(raw(stripe_event()))

    watched = await watch(pool)

    assert watched.silent == ()
    assert await open_kinds(pool) == []
    assert await pool.fetchval("SELECT closed_by FROM discrepancies") == "the clock"


async def test_the_webhook_of_what_we_fetched_breaks_it_too(pool: Pool, database_url: str) -> None:
    told = await fetch_one(pool)
    await watch(pool)
    async with front_door(database_url) as door:
        await door.stripe(json.dumps(told, indent=2).encode())

    assert (await watch(pool)).silent == ()
    assert await open_kinds(pool) == []


async def test_that_nothing_more_is_fetched_is_no_proof_of_hearing(pool: Pool) -> None:
    await fetch_one(pool)
    await watch(pool)
    await pool.execute("UPDATE webhook_events SET created_at = now() - interval '3 days'")

    watched = await watch(pool)

    assert watched.silent == ()
    assert await open_kinds(pool) == ["gateway_silent"]


@pytest.mark.parametrize(("gateway", "silent"), [("stripe", ("stripe",)), ("razorpay", ())])
async def test_an_order_whose_end_had_to_be_asked_for_shows_silence_too(
    pool: Pool, gateway: str, silent: tuple[str, ...]
) -> None:
    order_id = await place_order(pool)
    async with pool.acquire() as tx, tx.transaction():
        await tx.execute("UPDATE orders SET gateway = $1", gateway)
        fact = observed(order_id, CheckoutEnded("cs_1"), session_id="cs_1")
        await apply(tx, fact, Cause("reconciliation", "run-1"), Calendar().book)

    assert (await watch(pool, silent_seconds=0)).silent == silent


async def test_a_quiet_night_is_not_silence(pool: Pool) -> None:
    assert await watch(pool, endpoint()) == Watched()
