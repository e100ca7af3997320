"""What gateways tell of money that goes back, in our words, and how the record stands by it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from db.history import Cause
from db.pool import Pool
from payments.dispute import DisputeStatus
from payments.events import (
    CheckoutEnded,
    DisputeTold,
    Event,
    FraudWarned,
    Observed,
    PaymentNamed,
    PaymentSucceeded,
    References,
    RefundTold,
)
from payments.money import Money
from payments.order import Early
from payments.refund import RefundStatus
from tests.builders import BOOK, NOON, TEN, place_order
from workers.apply import Applied, Book, Contradiction, Foreign, Unmatched, apply

Answer = Applied | Foreign | Unmatched | Contradiction

CAUSE = Cause("webhook_event", "event-1")


@dataclass
class Sale:
    """One order of ten dollars and the payment that pays it, under names of its own."""

    pool: Pool
    order_id: UUID
    gateway: str = "stripe"
    name: str = "1"
    book: Book = BOOK
    #: What came too early, or to nobody: told again by the queue, as soon as anything else was applied.
    waiting: list[Event] = field(default_factory=list)

    @property
    def payment(self) -> str:
        return f"pi_{self.name}"

    def paid(self, fee: int | None = None) -> PaymentSucceeded:
        return PaymentSucceeded(self.payment, TEN, None if fee is None else Money(fee, "usd"))

    def refund(self, number: int, minor: int, status: RefundStatus = RefundStatus.SUCCEEDED, **more: Any) -> RefundTold:
        return RefundTold(f"re_{self.name}_{number}", PaymentNamed(self.payment), usd(minor), status, **more)

    def dispute(
        self,
        status: DisputeStatus,
        second: int | None = 0,
        *,
        number: int = 1,
        took: int | None = None,
        gave: int | None = None,
        kept: int | None = None,
        **more: Any,
    ) -> DisputeTold:
        return DisputeTold(
            f"dp_{self.name}_{number}",
            PaymentNamed(self.payment),
            TEN,
            status,
            gateway_status=more.pop("gateway_status", status.value),
            told_at=None if second is None else NOON + timedelta(seconds=second),
            withdrawn=None if took is None else usd(took),
            reinstated=None if gave is None else usd(gave),
            kept=None if kept is None else usd(kept),
            **more,
        )

    def warning(self, name: str = "issfr_1") -> FraudWarned:
        return FraudWarned(name, PaymentNamed(self.payment), "made_with_stolen_card")

    async def tell(self, event: Event, *, is_read: bool = False) -> Answer:
        """One fact, in a transaction of its own."""
        names = References(
            order_ids=(str(self.order_id),) if isinstance(event, PaymentSucceeded | CheckoutEnded) else (),
            objects=(self.payment,),
        )
        async with self.pool.acquire() as connection, connection.transaction():
            return await apply(connection, Observed(self.gateway, names, event), CAUSE, self.book, is_read=is_read)

    async def work(self, events: Iterable[Event]) -> None:
        """As the queue works them: what is too early, or nobody's yet, comes back."""
        for event in events:
            self.waiting.append(event)
            again = True
            while again and self.waiting:
                told = [(each, await self.tell(each)) for each in self.waiting]
                kept = [each for each, answer in told if _comes_back(answer)]
                again, self.waiting = len(kept) < len(self.waiting), kept
        assert not self.waiting

    async def row(self, statement: str) -> asyncpg.Record:
        found = await self.pool.fetchrow(statement, self.order_id)
        assert found is not None
        return found

    async def status(self) -> str:
        found: str = (await self.row("SELECT status FROM orders WHERE id = $1"))["status"]
        return found

    async def access(self) -> tuple[bool, str]:
        row = await self.row("SELECT active, reason FROM entitlements WHERE order_id = $1")
        return row["active"], row["reason"]

    async def refunds(self) -> list[tuple[int, str]]:
        rows = await self.pool.fetch(
            "SELECT amount, status FROM refunds WHERE order_id = $1 ORDER BY gateway_refund_id", self.order_id
        )
        return [(row["amount"], row["status"]) for row in rows]

    async def movements(self) -> list[tuple[str, int]]:
        rows = await self.pool.fetch(
            "SELECT kind, amount FROM movements WHERE order_id = $1 ORDER BY kind, amount", self.order_id
        )
        return [(row["kind"], row["amount"]) for row in rows]

    async def stands(self) -> dict[str, object]:
        """All that must be the same in the end, whichever of the news came first."""
        order = await self.row("SELECT status, amount_refunded, refund_id FROM orders WHERE id = $1")
        payment = await self.row("SELECT amount_refunded, amount_refunding FROM payments WHERE order_id = $1")
        disputes = await self.pool.fetch(
            "SELECT status, gateway_status, withdrawn, reinstated, closed_at FROM disputes WHERE order_id = $1",
            self.order_id,
        )
        net = await self.row(
            "SELECT coalesce(sum(amount), 0) AS net FROM movements WHERE order_id = $1 AND kind NOT LIKE '%fee'"
        )
        return {
            "order": (
                order["status"],
                order["amount_refunded"],
                (order["refund_id"] or "").removeprefix(f"re_{self.name}"),
            ),
            "payment": tuple(payment),
            "refunds": await self.refunds(),
            "disputes": [tuple(row) for row in disputes],
            "access": await self.access(),
            "net": int(net["net"]),
        }


def _comes_back(answer: Answer) -> bool:
    return isinstance(answer, Unmatched) or (isinstance(answer, Applied) and isinstance(answer.outcome, Early))


def usd(minor: int) -> Money:
    return Money(minor, "usd")


async def sell(pool: Pool, name: str = "1", *, gateway: str = "stripe", **more: Any) -> Sale:
    """A pending order, which nobody has paid yet."""
    return Sale(pool, await place_order(pool, user=f"user-{name}"), gateway, name, **more)


async def sold(pool: Pool, name: str = "1", **more: Any) -> Sale:
    """A paid order."""
    sale = await sell(pool, name, **more)
    await sale.tell(sale.paid())
    return sale


async def kinds(pool: Pool, table: str, where: str = "true") -> list[str]:
    rows = await pool.fetch(f"SELECT kind FROM {table} WHERE {where} ORDER BY created_at, kind")
    return [row["kind"] for row in rows]
