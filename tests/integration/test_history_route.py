"""GET /orders/{orderId}/history: the whole story for the application's backend, and nothing that it need not see."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from db.pool import Pool
from tests.counter import counter, problem
from tests.stories import dispute, paid_order, refund

SUPPORT = frozenset({"support"})


async def test_an_orders_history_is_read_with_the_scope_support_alone(pool: Pool, database_url: str) -> None:
    order = await paid_order(pool, user="anna")
    async with counter(database_url) as shop:
        asked = await shop.get(f"/orders/{order}/history", user="backend", scopes=SUPPORT)
        owner = await shop.get(f"/orders/{order}/history", user="anna")
        refunder = await shop.get(f"/orders/{order}/history", user="backend", scopes=frozenset({"refunds"}))
        nobody = await shop.http.get(f"/orders/{order}/history")

    assert asked.status_code == 200
    assert problem(owner) == problem(refunder) == (403, "insufficient_scope")
    assert problem(nobody) == (401, "unauthenticated")
    told = asked.json()
    assert (told["orderId"], told["status"], told["userId"], told["hasAccess"]) == (str(order), "paid", "anna", True)
    assert [line["kind"] for line in told["data"]][:5] == ["placed", "attempt", "delivery", "payment", "move"]
    assert told["nextCursor"] is None


@pytest.mark.parametrize("name", [uuid4(), "nothing", "%00", "cs_1", "x" * 5000])
async def test_an_order_that_is_none_is_not_found(pool: Pool, database_url: str, name: object) -> None:
    await paid_order(pool)
    async with counter(database_url) as shop:
        answer = await shop.get(f"/orders/{name}/history", user="backend", scopes=SUPPORT)

    assert problem(answer) == (404, "order_not_found")


async def test_a_long_history_is_read_in_pages_that_miss_and_repeat_nothing(pool: Pool, database_url: str) -> None:
    order = await paid_order(pool)
    await refund(pool, order, 100)
    await dispute(pool, order)
    lines: list[Any] = []
    async with counter(database_url) as shop:
        whole = (await shop.get(f"/orders/{order}/history?limit=100", user="backend", scopes=SUPPORT)).json()
        cursor: str | None = ""
        while cursor is not None:
            page = await shop.get(f"/orders/{order}/history?limit=3{cursor}", user="backend", scopes=SUPPORT)
            lines += page.json()["data"]
            cursor = f"&cursor={page.json()['nextCursor']}" if page.json()["nextCursor"] else None
        bad = await shop.get(f"/orders/{order}/history?cursor=1-2-3", user="backend", scopes=SUPPORT)

    assert lines == whole["data"]
    assert problem(bad) == (400, "invalid_cursor")


async def test_a_history_shows_no_address_no_payload_and_no_link_that_can_be_paid(
    pool: Pool, database_url: str
) -> None:
    order = await paid_order(pool)
    await pool.execute("UPDATE webhook_events SET reason = 'anna.b@example.org'")
    async with counter(database_url) as shop:
        answer = await shop.get(f"/orders/{order}/history", user="backend", scopes=SUPPORT)

    assert "a***@example.org" in answer.text
    assert "anna.b@example.org" not in answer.text
    assert "https://pay.example" not in answer.text
    assert "client_reference_id" not in answer.text
