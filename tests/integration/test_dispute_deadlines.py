"""A bank's deadline for evidence is alarmed in time, with the way to where it is given, and cured by the answer."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import CollectorRegistry

from db.pool import Pool
from schedules.deadlines import alarm
from schedules.figures import RecordFigures
from tests.builders import NOON
from tests.desk import Desk
from tests.stories import dispute, paid_order

SOON, LATER = NOON + timedelta(days=2), NOON + timedelta(days=4)


async def opened(pool: Pool) -> list[dict[str, Any]]:
    return [dict(row) for row in await pool.fetch("SELECT * FROM discrepancies WHERE state = 'open'")]


async def run(pool: Pool, now: datetime = NOON) -> dict[str, int | str]:
    return dict((await alarm(pool, now)).counts)


async def test_evidence_that_is_due_within_three_days_is_alarmed_once_with_the_way_to_give_it(pool: Pool) -> None:
    order = await paid_order(pool)
    await dispute(pool, order, "dp_soon", due=SOON)
    await dispute(pool, order, "dp_later", due=LATER)
    await dispute(pool, order, "dp_whenever")

    first, second = await run(pool), await run(pool)

    assert first == {"due": 1, "news": 1, "cured": 0}
    assert second == {"due": 1, "news": 0, "cured": 0}
    [told] = await opened(pool)
    assert (told["kind"], told["order_id"], told["amount_at_risk"]) == ("dispute_evidence_due", order, 1000)
    assert told["evidence"]["dashboard"] == "https://dashboard.stripe.com/disputes/dp_soon"
    assert told["evidence"]["evidenceDueAt"] == SOON.isoformat()


async def test_an_answer_cures_it_and_another_question_brings_it_back(pool: Pool) -> None:
    asked = await dispute(pool, await paid_order(pool), due=SOON)
    await run(pool)
    await pool.execute("UPDATE disputes SET status = 'under_review' WHERE id = $1", asked)

    cured = await run(pool)
    nothing_left = await opened(pool)
    await pool.execute("UPDATE disputes SET status = 'needs_response' WHERE id = $1", asked)
    again = await run(pool)

    assert (cured["cured"], nothing_left) == (1, [])
    assert again["news"] == 1
    assert len(await opened(pool)) == 1


async def test_more_time_cures_it_too_and_a_day_that_has_passed_does_not(pool: Pool) -> None:
    order = await paid_order(pool)
    asked = await dispute(pool, order, due=SOON)
    await run(pool)
    passed = await run(pool, LATER)
    await pool.execute("UPDATE disputes SET evidence_due_at = $2 WHERE id = $1", asked, LATER + timedelta(days=9))

    cured = await run(pool, LATER)

    assert passed == {"due": 1, "news": 0, "cured": 0}
    assert cured["cured"] == 1


async def test_what_a_person_has_closed_stays_closed(pool: Pool) -> None:
    await dispute(pool, await paid_order(pool), due=SOON)
    await run(pool)
    await pool.execute("UPDATE discrepancies SET state = 'dismissed', closed_at = now(), closed_by = 'ada'")

    again = await run(pool)

    assert again["news"] == 0
    assert await opened(pool) == []


async def test_another_day_is_alarmed_though_a_person_has_closed_the_first(pool: Pool) -> None:
    asked = await dispute(pool, await paid_order(pool), due=SOON)
    await run(pool)
    await pool.execute("UPDATE discrepancies SET state = 'resolved', closed_at = now(), closed_by = 'ada'")
    appeal = SOON + timedelta(days=30)
    await pool.execute("UPDATE disputes SET evidence_due_at = $2 WHERE id = $1", asked, appeal)

    appealed = await run(pool, appeal - timedelta(days=1))

    assert appealed["news"] == 1
    assert [told["evidence"]["evidenceDueAt"] for told in await opened(pool)] == [appeal.isoformat()]


async def test_a_day_that_moves_is_shown_as_it_is_now(pool: Pool) -> None:
    asked = await dispute(pool, await paid_order(pool), due=SOON)
    await run(pool)
    moved = SOON - timedelta(days=1)
    await pool.execute("UPDATE disputes SET evidence_due_at = $2 WHERE id = $1", asked, moved)

    counts = await run(pool)

    assert counts == {"due": 1, "news": 1, "cured": 1}
    assert [told["evidence"]["evidenceDueAt"] for told in await opened(pool)] == [moved.isoformat()]


@pytest.mark.parametrize(
    ("gateway", "word", "is_due"),
    [
        ("stripe", "warning_needs_response", True),
        ("stripe", "warning_under_review", False),
        ("razorpay", "open", True),
        ("razorpay", "under_review", False),
    ],
)
async def test_f100_an_inquiry_that_waits_for_an_answer_is_alarmed_too(
    pool: Pool, gateway: str, word: str, is_due: bool
) -> None:
    asked = await dispute(pool, await paid_order(pool), due=SOON, gateway=gateway, status="inquiry")
    await pool.execute("UPDATE disputes SET gateway_status = $2 WHERE id = $1", asked, word)

    counts = await run(pool)

    assert counts["due"] == counts["news"] == is_due


@pytest.mark.parametrize("status", ["under_review", "won", "lost", "closed"])
async def test_only_what_waits_for_our_answer_is_alarmed(pool: Pool, status: str) -> None:
    asked = await dispute(pool, await paid_order(pool), due=SOON)
    await pool.execute(
        """
        UPDATE disputes SET status = $2, closed_at = CASE WHEN $2 IN ('won', 'lost', 'closed') THEN now() END
         WHERE id = $1
        """,
        asked,
        status,
    )

    assert await run(pool) == {"due": 0, "news": 0, "cured": 0}


async def test_the_next_deadline_is_a_metric(pool: Pool) -> None:
    await dispute(pool, await paid_order(pool), due=datetime.fromisoformat("2020-01-01T00:00:00+00:00"))
    figures, registry = RecordFigures(pool), CollectorRegistry()
    await figures.gather()
    registry.register(figures)

    exposed = generate_latest(registry).decode()

    [line] = [line for line in exposed.splitlines() if line.startswith("counterfoil_evidence_due_seconds{")]
    assert line.startswith('counterfoil_evidence_due_seconds{gateway="stripe"} -')


async def test_the_alarm_is_in_the_story_of_its_order(pool: Pool, database_url: str, redis_url: str) -> None:
    order = await paid_order(pool)
    await dispute(pool, order, due=SOON)
    await run(pool)

    said = Desk(database_url, redis_url)("explain", "order", order, "--json")

    assert "dispute_evidence_due: open, 10.00 USD at risk, proposed answer_in_dashboard" in json.dumps(said.json)
