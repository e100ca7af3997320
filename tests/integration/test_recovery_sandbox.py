"""Webhooks are lost, and both gateways' own truth brings every order to its end: over real HTTP, by real clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest

from db import orders, plans, users
from db.plans import Plan
from db.pool import Pool
from gateways.calling import Line
from gateways.client import BACKGROUND, Client, Patience
from gateways.pacing import Bucket
from gateways.registry import GATEWAYS
from payments.order import LateSuccess
from tests.calendar import Calendar
from tests.contract.accounts import ACCOUNTS, RAZORPAY, STRIPE, Account
from tests.sandboxes import DECLINED, PAYS, Sandbox, running_receiver, running_sandbox
from workers.apply import Book
from workers.attempts import Counter, Lost, Opened, Opening, intend_first, open_page
from workers.backfill import backfill_events
from workers.clock import business_clock
from workers.listed import Backfilled
from workers.queues import WORK_WEBHOOK_EVENT
from workers.recovery import Recovered, recover_orphans
from workers.webhook_events import Desk, work_webhook_event

# The SDK hands httpx a text where httpx would rather have it named.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

MINUTE, HOUR, DAY = 60, 3600, 24 * 3600


@dataclass
class Shop:
    """Our side of one gateway, on the sandbox's own time."""

    pool: Pool
    account: Account
    client: Client
    sandbox: Sandbox
    book: Book
    calendar: Calendar = field(default_factory=Calendar)
    placed: int = 0

    @property
    def clients(self) -> dict[str, Client]:
        return {self.account.name: self.client}

    async def place(self) -> UUID:
        """Another user's order each time, so that none replaces another."""
        self.placed += 1
        counter = Counter(self.book, lambda order_id: f"https://shop.example/{order_id}", "https://shop.example/no")
        price = self.account.price
        async with self.pool.acquire() as tx, tx.transaction():
            await users.know(tx, f"user-{self.placed}", "ada@example.com")
            await plans.upsert(tx, Plan("lifetime", "Lifetime", "", price.minor, price.currency))
            order_id = await orders.place(
                tx, user_id=f"user-{self.placed}", plan_id="lifetime", expected=price, at=self.book.clock()
            )
            await intend_first(tx, self.client, counter, order_id, "api")
        return order_id

    async def ask_for_page(self, order_id: UUID) -> Opening:
        counter = Counter(self.book, lambda order_id: f"https://shop.example/{order_id}", "https://shop.example/no")
        return await open_page(self.pool, self.client, counter, order_id, "api")

    async def open(self) -> tuple[UUID, str]:
        order_id = await self.place()
        opening = await self.ask_for_page(order_id)
        assert isinstance(opening, Opened), opening
        return order_id, opening.session_id

    def advance(self, seconds: float) -> None:
        self.sandbox.control("clock", {"advance": seconds})

    async def recover(self) -> Recovered:
        await self.pool.execute("UPDATE payment_attempts SET updated_at = now() - interval '10 minutes'")
        return await recover_orphans(self.pool, self.clients, self.calendar.hints, self.book, "run-1")

    async def backfill(self, patience: Patience = BACKGROUND) -> Backfilled:
        """And work what it has kept."""
        done = await backfill_events(
            self.pool, self.clients, self.calendar.hints, self.book, "run-1", patience=patience
        )
        desk = Desk(GATEWAYS, {}, self.book)
        for actor, row in self.calendar.offered():
            if actor == WORK_WEBHOOK_EVENT.actor:
                await work_webhook_event(self.pool, desk, row)
        return done

    async def status(self, order_id: UUID) -> str:
        return str(await self.pool.fetchval("SELECT status FROM orders WHERE id = $1", order_id))

    async def followed(self, order_id: UUID) -> list[str]:
        rows = await self.pool.fetch("SELECT kind FROM effects WHERE order_id = $1 ORDER BY kind", order_id)
        return [row["kind"] for row in rows]

    async def story(self) -> list[tuple[str, int]]:
        """How much has been written: what a run that finds nothing new leaves as it is."""
        tables = ("history", "effects", "payments", "entitlements", "discrepancies", "webhook_events")
        return [(table, await self.pool.fetchval(f"SELECT count(*) FROM {table}")) for table in tables]


ALL_EFFECTS = ["analytics.payment_completed", "mail.payment_confirmed", "notify.payment.completed"]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """All its webhooks are lost."""
    with running_receiver() as receiver, running_sandbox(tmp_path / "sandbox", webhooks=receiver.url) as running:
        running.control("faults", {"drop": 1})
        yield running
        assert receiver.deliveries == []


@pytest.fixture(params=ACCOUNTS, ids=str)
def account(request: pytest.FixtureRequest) -> Account:
    chosen = request.param
    assert isinstance(chosen, Account)
    return chosen


def brisk(account: Account) -> Line:
    """A line on which nobody queues: what is asked of a stand-in in a second would take days of real ones."""
    return Line(account.name, Bucket(1000), retry_seconds=0.01)


@pytest.fixture
async def shop(pool: Pool, account: Account, sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Shop]:
    client = account.build_for(sandbox, line=brisk(account))
    book = Book("counterfoil", LateSuccess.FULFIL, business_clock(tmp_path / "sandbox" / "clock"))
    yield Shop(pool, account, client, sandbox, book)
    await client.aclose()


async def test_scenario_9_an_orphan_is_recovered_without_its_webhook(shop: Shop) -> None:
    order_id, session_id = await shop.open()
    shop.sandbox.pay(session_id)
    shop.advance(HOUR)

    recovered = await shop.recover()
    before = await shop.story()
    shop.advance(DAY)
    again = await shop.recover()

    assert (recovered.paid, recovered.complete) == (1, True)
    assert await shop.status(order_id) == "paid"
    assert await shop.followed(order_id) == ALL_EFFECTS
    assert await shop.pool.fetchval("SELECT count(*) FROM entitlements WHERE active") == 1
    assert (again.asked, await shop.story()) == (0, before)


@pytest.mark.parametrize("missed", [30 * MINUTE, 4 * DAY, 31 * DAY], ids=["30-minutes", "4-days", "31-days"])
async def test_f108_f118_whatever_was_lost_ends_as_it_should_and_a_second_run_does_nothing(
    shop: Shop, missed: int
) -> None:
    await shop.backfill()
    paid, paid_page = await shop.open()
    declined, declined_page = await shop.open()
    tried_twice, second_page = await shop.open()
    left, _ = await shop.open()
    shop.sandbox.pay(paid_page)
    shop.sandbox.pay(declined_page, DECLINED)
    shop.sandbox.pay(second_page, DECLINED)
    shop.sandbox.pay(second_page, PAYS)
    shop.advance(missed)

    await shop.backfill()
    early = {order: await shop.status(order) for order in (paid, tried_twice)}
    shop.advance(HOUR)
    await shop.backfill()
    await shop.recover()
    before = await shop.story()
    shop.advance(DAY)
    filled, recovered = await shop.backfill(), await shop.recover()

    if missed < 30 * DAY:
        assert early == {paid: "paid", tried_twice: "paid"}
    assert [await shop.status(order) for order in (paid, declined, tried_twice, left)] == [
        "paid",
        "failed",
        "paid",
        "cancelled",
    ]
    assert [await shop.followed(order) for order in (paid, declined, tried_twice, left)] == [
        ALL_EFFECTS,
        [],
        ALL_EFFECTS,
        [],
    ]
    assert (filled.kept, recovered.paid, recovered.closed, await shop.story()) == (0, 0, 0, before)


async def test_f119_the_order_is_the_same_whether_webhook_backfill_or_recovery_told_of_it(shop: Shop) -> None:
    standings = []
    for tells in ("backfill", "recovery"):
        order_id, session_id = await shop.open()
        shop.sandbox.pay(session_id, DECLINED)
        shop.sandbox.pay(session_id)
        shop.advance(HOUR)
        await (shop.backfill() if tells == "backfill" else shop.recover())
        # A payment alone does not say of its page that it is over; by now recovery asks.
        shop.advance(HOUR)
        await shop.recover()
        row = await shop.pool.fetchrow(
            """
            SELECT o.status, o.failure_reason, o.gateway, a.status AS attempt, p.status AS payment, p.standing, p.amount
              FROM orders o JOIN payment_attempts a ON a.order_id = o.id
              JOIN payments p ON p.order_id = o.id AND p.standing IS NOT NULL WHERE o.id = $1
            """,
            order_id,
        )
        standings.append((tuple(row or ()), await shop.followed(order_id)))

    assert standings[0] == standings[1]


async def test_f115_a_page_whose_answer_was_lost_is_found_and_ends_as_it_should(shop: Shop) -> None:
    orders_lost = [await shop.place() for _ in range(2)]
    shop.sandbox.control("faults", {"drop": 1, "cutAfterCommit": 1})
    lost = [await shop.ask_for_page(order_id) for order_id in orders_lost]
    shop.sandbox.control("faults", {"drop": 1})
    made = {page["id"]: page for page in shop.account.sessions(shop.sandbox)}
    reference = "client_reference_id" if shop.account is STRIPE else "reference_id"
    (page,) = (page for page in made.values() if page[reference] == str(orders_lost[0]))
    shop.sandbox.pay(page["id"])
    shop.advance(HOUR)

    recovered = await shop.recover()

    assert {type(opening) for opening in lost} <= {Lost, Opened}
    assert len(made) == 2
    assert recovered.complete
    assert [await shop.status(order_id) for order_id in orders_lost] == ["paid", "cancelled"]


async def test_f115_a_call_that_never_arrived_is_known_to_have_made_nothing(shop: Shop) -> None:
    order_id = await shop.place()
    # Its caller took the lease, and died before it had sent anything.
    await shop.pool.execute("UPDATE payment_attempts SET calls = 1")
    shop.advance(HOUR)

    await shop.recover()

    assert await shop.status(order_id) == "failed"
    assert await shop.pool.fetchval("SELECT failure_reason FROM orders") == "gateway_error"
    assert shop.account.sessions(shop.sandbox) == []


async def test_f120_a_throttled_run_is_incomplete_and_the_next_one_finishes(shop: Shop) -> None:
    order_id, session_id = await shop.open()
    shop.sandbox.pay(session_id)
    shop.sandbox.control("faults", {"drop": 1, "apiErrors": {"429": 1}})
    shop.advance(HOUR)

    throttled = await shop.recover()
    filled = await shop.backfill(Patience(1, is_background=True))
    before = await shop.status(order_id)
    shop.sandbox.control("faults", {"drop": 1})
    shop.advance(HOUR)
    await shop.recover()

    assert (throttled.unknown, throttled.complete, filled.complete) == (1, False, False)
    assert before == "pending"
    assert await shop.status(order_id) == "paid"


async def test_f114_a_gateway_that_cannot_be_reached_for_days_decides_nothing(shop: Shop) -> None:
    order_id, session_id = await shop.open()
    there = shop.client
    shop.client = shop.account.build("http://127.0.0.1:1", line=brisk(shop.account))
    for _ in range(3):
        shop.advance(2 * DAY)
        away = await shop.recover()
        assert (away.unknown, away.complete) == (1, False)
    before = await shop.status(order_id)
    await shop.client.aclose()
    shop.client = there
    shop.advance(DAY)

    await shop.recover()

    assert before == "pending"
    assert await shop.status(order_id) == "cancelled"
    assert session_id in {page["id"] for page in shop.account.sessions(shop.sandbox)}


async def test_f113_a_page_of_another_account_is_a_discrepancy_and_its_order_stays_pending(
    shop: Shop, tmp_path: Path
) -> None:
    order_id, session_id = await shop.open()
    shop.sandbox.pay(session_id)
    shop.advance(HOUR)
    there = shop.client
    with running_sandbox(tmp_path / "another") as another:
        shop.client = shop.account.build_for(another)
        lost = await shop.recover()
        await shop.client.aclose()
    shop.client = there
    before = await shop.status(order_id)
    shop.advance(2 * DAY)

    found = await shop.recover()

    assert (lost.not_found, before) == (1, "pending")
    assert found.paid == 1
    assert await shop.pool.fetchval("SELECT kind || ' ' || state FROM discrepancies") == "session_not_found resolved"


@pytest.mark.parametrize("account", [STRIPE], ids=str)
async def test_a_delayed_method_is_followed_to_its_end(shop: Shop) -> None:
    order_id, session_id = await shop.open()
    shop.sandbox.pay(session_id, method="delayed", settleAfter=3 * DAY)
    shop.advance(HOUR)
    waiting = await shop.recover()
    before = await shop.status(order_id)
    shop.advance(3 * DAY)

    await shop.recover()

    assert (waiting.unchanged, before) == (1, "pending")
    assert await shop.status(order_id) == "paid"


@pytest.mark.parametrize("account", [RAZORPAY], ids=str)
async def test_f31_a_late_authorisation_of_a_closed_order_pays_it_without_any_webhook(shop: Shop) -> None:
    order_id, session_id = await shop.open()
    shop.sandbox.pay(session_id, late=2 * DAY)
    shop.advance(HOUR)
    await shop.recover()
    before = await shop.status(order_id)
    shop.advance(2 * DAY)

    recovered = await shop.recover()

    assert before == "failed"
    assert recovered.paid == 1
    assert await shop.status(order_id) == "paid"
    assert await shop.followed(order_id) == ALL_EFFECTS


@pytest.mark.parametrize("account", [RAZORPAY], ids=str)
async def test_an_authorisation_that_nobody_captured_is_captured_by_us_without_any_webhook(shop: Shop) -> None:
    shop.sandbox.control("settings", {"razorpayAutoCapture": False})
    order_id, session_id = await shop.open()
    shop.sandbox.pay(session_id)
    shop.advance(HOUR)

    await shop.recover()

    assert await shop.followed(order_id) == ["gateway.capture_payment"]


async def test_what_recovery_has_told_no_backfill_tells_again(shop: Shop) -> None:
    order_id, session_id = await shop.open()
    shop.sandbox.pay(session_id)
    shop.advance(HOUR)
    await shop.recover()
    before = dict(await shop.story())

    await shop.backfill()

    after = dict(await shop.story())
    assert await shop.status(order_id) == "paid"
    assert {**after, "webhook_events": 0} == {**before, "webhook_events": 0}


# --- money that goes back ---


async def paid_for(shop: Shop) -> tuple[UUID, str]:
    """An order that is paid, as the record knows, and its payment."""
    order_id, session_id = await shop.open()
    payment = shop.sandbox.pay(session_id)["payment"]
    shop.advance(HOUR)
    await shop.backfill()
    assert await shop.status(order_id) == "paid"
    return order_id, payment


async def test_f95_f108_what_was_refunded_in_the_dashboard_is_found_by_the_next_backfill(shop: Shop) -> None:
    order_id, payment = await paid_for(shop)
    shop.sandbox.control("refund", {"payment": payment})
    shop.advance(5 * MINUTE)

    await shop.backfill()
    before = await shop.story()
    again = await shop.backfill()

    assert await shop.status(order_id) == "refunded"
    assert (again.kept, again.complete, await shop.story()) == (0, True, before)


async def test_f106_a_refund_that_ends_after_days_is_found_by_recovery_alone(shop: Shop) -> None:
    order_id, payment = await paid_for(shop)
    made = shop.sandbox.control("refund", {"payment": payment, "ending": "stays_pending"})["refund"]
    shop.advance(5 * MINUTE)
    await shop.backfill()
    shop.sandbox.control("refund", {"refund": made, "ending": "succeeds"})
    shop.advance(5 * DAY)

    recovered = await shop.recover()

    assert (recovered.refunds, recovered.complete) == (1, True)
    assert await shop.status(order_id) == "refunded"


async def test_f101_a_dispute_is_found_by_the_next_backfill_and_its_end_by_recovery_alone(shop: Shop) -> None:
    order_id, payment = await paid_for(shop)
    shop.sandbox.control("dispute", {"payment": payment, "stage": "funds_withdrawn"})
    shop.advance(5 * MINUTE)
    await shop.backfill()
    disputed = await shop.status(order_id)
    shop.sandbox.control("dispute", {"payment": payment, "stage": "won"})
    shop.advance(5 * DAY)

    recovered = await shop.recover()

    assert disputed == "disputed"
    assert (recovered.disputes, recovered.complete) == (1, True)
    assert await shop.status(order_id) == "paid"
    assert await shop.pool.fetchval("SELECT count(*) FROM entitlements WHERE active") == 1
