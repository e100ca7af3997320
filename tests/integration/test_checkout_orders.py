"""What a user reads of their own: how an order stands, all of them in pages, and what they may use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from db import orders
from db.history import Cause
from db.pool import Pool
from payments.events import OrderEvent, PaymentFailed
from payments.failure import Failure, FailureCode
from payments.money import Money
from tests.builders import BOOK, NOON, observed, paid
from tests.counter import APP_URL, PAGES, Shop, bearer, counter, problem, put_on_sale
from workers.apply import apply

PRICE = Money(4900, "usd")
DECLINED = PaymentFailed("pi_0", PRICE, Failure(FailureCode.INSUFFICIENT_FUNDS))


async def happen(pool: Pool, order_id: str, event: OrderEvent) -> None:
    """The gateway's word about an order, as a worker applies it."""
    async with pool.acquire() as connection, connection.transaction():
        await apply(connection, observed(order_id, event), Cause("webhook_event", str(uuid4())), BOOK)


async def bought(shop: Shop, *, user: str = "anna", key: str | None = None) -> str:
    return str((await shop.buy(user=user, key=key)).json()["orderId"])


async def test_a_pending_order_says_what_is_known(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        order_id = await bought(shop)

        assert (await shop.get(f"/order-status/{order_id}")).json() == {
            "orderId": order_id,
            "status": "pending",
            "amount": 4900,
            "amountRefunded": 0,
            "currency": "usd",
        }


async def test_a_declined_attempt_is_shown_at_once_and_forgotten_when_the_order_is_paid(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        order_id = await bought(shop)
        await happen(pool, order_id, DECLINED)
        declined = (await shop.get(f"/order-status/{order_id}")).json()
        await happen(pool, order_id, paid("pi_1", PRICE))
        settled = (await shop.get(f"/order-status/{order_id}")).json()

        assert declined["status"] == "pending"
        assert declined["failure"] == {
            "code": "insufficient_funds",
            "message": "The card has insufficient funds. Please try again or use another card.",
            "action": "retry",
        }
        assert settled["status"] == "paid"
        assert settled["paidAt"] == NOON.isoformat()
        assert "failure" not in settled


async def test_another_users_order_is_as_if_it_were_not_there(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        order_id = await bought(shop)
        others = await shop.get(f"/order-status/{order_id}", user="bob")
        nobodys = await shop.get(f"/order-status/{uuid4()}", user="bob")

        assert problem(others) == problem(nobodys) == (404, "order_not_found")
        assert others.content == nobodys.content


@pytest.mark.parametrize("order_id", ["1", "x" * 5000, "%00", "..%2f..", "null", "0" * 32, "%F0%9F%92%A9", "' OR 1=1"])
async def test_what_was_never_an_order_id_is_not_found(database_url: str, order_id: str) -> None:
    async with counter(database_url) as shop:
        answer = await shop.get(f"/order-status/{order_id}")

        assert answer.status_code == 404


async def test_a_scope_opens_no_other_users_order(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        order_id = await bought(shop)
        answer = await shop.get(f"/order-status/{order_id}", user="bob", scopes=frozenset({"support", "refunds"}))

        assert problem(answer) == (404, "order_not_found")


async def test_a_pages_token_reads_the_status_of_its_one_order(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        order_id, other = await bought(shop), await bought(shop, user="bob")
        token = PAGES.make(UUID(order_id))

        own = await shop.http.get(f"/order-status/{order_id}", params={"token": token})
        stranger = await shop.http.get(f"/order-status/{other}", params={"token": token})
        forged = await shop.http.get(f"/order-status/{order_id}", params={"token": token[:-1] + "A"})
        elsewhere = await shop.http.get("/orders", params={"token": token})
        as_bearer = await shop.http.get(f"/order-status/{order_id}", headers={"Authorization": f"Bearer {token}"})

        assert own.json()["status"] == "pending"
        assert problem(stranger) == problem(forged) == (404, "order_not_found")
        assert problem(elsewhere) == (401, "unauthenticated")
        assert problem(as_bearer) == (401, "invalid_token")


async def test_a_users_own_token_counts_over_a_pages(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        order_id = await bought(shop)
        token = PAGES.make(UUID(order_id))
        answer = await shop.http.get(f"/order-status/{order_id}", params={"token": token}, headers=bearer("bob"))

        assert problem(answer) == (404, "order_not_found")


async def test_orders_are_listed_newest_first_with_what_is_needed_to_show_them(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        first = await bought(shop, key="1")
        second = await bought(shop, key="2")
        await bought(shop, user="bob")
        await happen(pool, first, paid("pi_1", PRICE))

        listed = (await shop.get("/orders")).json()

        newest, oldest = listed["data"]
        assert listed["nextCursor"] is None
        assert [newest["orderId"], oldest["orderId"]] == [second, first]
        assert (newest["planId"], newest["planName"], newest["gateway"]) == ("lifetime", "Lifetime", "stripe")
        assert datetime.fromisoformat(newest["createdAt"]).tzinfo is not None
        assert "receiptUrl" not in newest
        assert oldest["status"] == "paid"
        assert oldest["receiptUrl"] == f"{APP_URL}/payment/success?order={first}&token={PAGES.make(UUID(first))}"


async def test_pages_of_orders_follow_each_other_without_a_gap_or_a_repeat(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        await bought(shop)
        async with pool.acquire() as connection, connection.transaction():
            # One transaction, one time: only the id tells these apart.
            for _ in range(24):
                await orders.place(connection, user_id="anna", plan_id="lifetime", expected=PRICE, at=NOON)

        seen: list[str] = []
        cursor: str | None = ""
        sizes = []
        while cursor is not None:
            query = {"limit": "10", **({"cursor": cursor} if cursor else {})}
            page = (await shop.http.get("/orders", params=query, headers=bearer())).json()
            seen += [order["orderId"] for order in page["data"]]
            sizes.append(len(page["data"]))
            cursor = page["nextCursor"]

        assert sizes == [10, 10, 5]
        assert len(set(seen)) == 25


async def test_a_new_order_does_not_shift_the_pages_behind_it(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        made = [await bought(shop, key=str(n)) for n in range(4)]
        first = (await shop.get("/orders?limit=2")).json()
        await bought(shop, key="new")
        second = (await shop.get(f"/orders?limit=2&cursor={first['nextCursor']}")).json()

        assert [order["orderId"] for order in first["data"] + second["data"]] == made[::-1]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "ten", "", "1.5", "9" * 5000, "\uff11"])
async def test_a_limit_is_a_number_from_1_to_100(database_url: str, limit: str) -> None:
    async with counter(database_url) as shop:
        answer = await shop.http.get("/orders", params={"limit": limit}, headers=bearer())

        assert problem(answer) == (400, "invalid_limit")


@pytest.mark.parametrize("cursor", ["", "x", "é", "A" * 32, "_" * 32, "A" * 5000, "%00", "' OR 1=1"])
async def test_a_cursor_of_another_hand_hurts_nobody(database_url: str, cursor: str) -> None:
    async with counter(database_url) as shop:
        answer = await shop.http.get("/orders", params={"cursor": cursor}, headers=bearer())

        assert answer.status_code in (200, 400)
        if answer.status_code == 400:
            assert problem(answer) == (400, "invalid_cursor")


async def test_access_is_what_has_been_paid_and_nothing_before(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        order_id = await bought(shop)
        before = (await shop.get("/access")).json()
        await happen(pool, order_id, paid("pi_1", PRICE))
        after = (await shop.get("/access")).json()

        assert before == []
        assert after == [{"planId": "lifetime", "active": True, "until": None, "reason": "paid"}]
        assert (await shop.get("/access", user="bob")).json() == []


async def test_of_several_claims_to_a_plan_the_best_is_told(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    async with counter(database_url) as shop:
        await bought(shop)
        claims = [
            ("lifetime", True, now - timedelta(days=1), "ended"),
            ("lifetime", True, now + timedelta(days=9), "later"),
            ("lifetime", False, None, "revoked"),
            ("lifetime", True, now + timedelta(days=1), "sooner"),
            ("cheap", False, None, "refunded"),
            ("pro", True, now - timedelta(seconds=1), "over"),
        ]
        await pool.executemany(
            "INSERT INTO entitlements (user_id, plan_id, active, until, reason) VALUES ('anna', $1, $2, $3, $4)", claims
        )
    async with counter(database_url, book=BOOK) as shop:
        told = (await shop.get("/access")).json()

    assert told == [
        {"planId": "cheap", "active": False, "until": None, "reason": "refunded"},
        {"planId": "lifetime", "active": True, "until": (now + timedelta(days=9)).isoformat(), "reason": "later"},
        {"planId": "pro", "active": False, "until": (now - timedelta(seconds=1)).isoformat(), "reason": "over"},
    ]


async def test_any_users_access_is_read_with_the_scope_support_alone(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    support = frozenset({"support"})
    async with counter(database_url) as shop:
        await happen(pool, await bought(shop), paid("pi_1", PRICE))

        asked = await shop.get("/users/anna/access", user="backend", scopes=support)
        unknown = await shop.get("/users/never%20seen/access", user="backend", scopes=support)
        hostile = await shop.get("/users/%00/access", user="backend", scopes=support)
        slashed = await shop.get("/users/auth0%2F7/access", user="backend", scopes=support)
        refused = await shop.get("/users/anna/access")

        assert [one["planId"] for one in asked.json()] == ["lifetime"]
        assert unknown.json() == hostile.json() == slashed.json() == []
        assert problem(refused) == (403, "insufficient_scope")
        assert 'scope="support"' in refused.headers["www-authenticate"]


@pytest.mark.parametrize("path", ["/plans", "/orders", "/access", f"/order-status/{UUID(int=7)}", "/users/anna/access"])
async def test_nothing_is_told_to_who_does_not_say_who_they_are(database_url: str, path: str) -> None:
    async with counter(database_url) as shop:
        nobody = await shop.http.get(path)
        basic = await shop.http.get(path, headers={"Authorization": "Basic YTpi"})
        expired = await shop.get(path, lifetime_seconds=-3600)
        forged = await shop.http.get(path, headers={"Authorization": bearer()["Authorization"][:-3] + "AAA"})

        assert problem(nobody) == problem(basic) == (401, "unauthenticated")
        assert problem(expired) == problem(forged) == (401, "invalid_token")
        assert nobody.headers["www-authenticate"].startswith('Bearer realm="counterfoil"')
        assert 'error="invalid_token"' in forged.headers["www-authenticate"]


async def test_plans_on_sale_are_listed_with_where_they_can_be_paid(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        plans = {plan["id"]: plan for plan in (await shop.get("/plans")).json()}

        assert "gone" not in plans
        assert plans["lifetime"] == {
            "id": "lifetime",
            "name": "Lifetime",
            "description": "Paid once.",
            "priceCents": 4900,
            "currency": "usd",
            "interval": None,
            "trialDays": 0,
            "gateways": ["stripe", "razorpay"],
        }
        assert plans["pro"]["interval"] == "month"
        assert plans["elsewhere"]["gateways"] == []
