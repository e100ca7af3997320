"""Orders that were paid, and what is asked back of them: a few lines for the tests of refunds."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from db.history import Cause
from db.pool import Pool
from payments.events import Observed, PaymentSucceeded, References
from payments.money import Money
from payments.refund import RefundReason
from tests.builders import BOOK, NOON, TEN, place_order
from workers.apply import apply
from workers.delivery.senders import DeliverySettings, build
from workers.effects import Outcome, send_effect
from workers.errands import Errands
from workers.refund_requests import Answer, Asked, Wish, ask_for_order, ask_for_payment

ADA = Cause("operator", "ada")


async def paid_order(
    pool: Pool, amount: Money = TEN, *, payment: str | None = None, gateway: str = "stripe", **more: Any
) -> UUID:
    """An order, paid by ``payment``; two of them are never paid by the same one."""
    order_id = await place_order(pool, expected=amount, **more)
    await pay(pool, order_id, payment or f"pi_{order_id}", amount, gateway)
    return order_id


async def pay(pool: Pool, order_id: UUID, payment: str, amount: Money = TEN, gateway: str = "stripe") -> None:
    names = References(order_ids=(str(order_id),), objects=(payment,))
    await tell(pool, Observed(gateway, names, PaymentSucceeded(payment, amount)))


async def tell(pool: Pool, observed: Observed, book: Any = BOOK) -> Any:
    """As a webhook brings it."""
    async with pool.acquire() as tx, tx.transaction():
        return await apply(tx, observed, Cause("webhook_event", "event-1"), book)


async def ask(
    pool: Pool,
    order_id: UUID,
    amount: int | None = None,
    *,
    key: str | None = None,
    by: str = "operator:ada",
    reason: RefundReason = RefundReason.REQUESTED_BY_CUSTOMER,
) -> Answer:
    async with pool.acquire() as tx, tx.transaction():
        return await ask_for_order(tx, order_id, Wish(amount, reason, by, key), ADA, NOON)


async def ask_of(pool: Pool, payment: str, amount: int | None = None, *, key: str | None = None) -> Answer:
    """By the gateway's name of the payment."""
    async with pool.acquire() as tx, tx.transaction():
        payment_id = await tx.fetchval("SELECT id FROM payments WHERE gateway_payment_id = $1", payment)
        wish = Wish(amount, RefundReason.OTHER, "operator:ada", key)
        return await ask_for_payment(tx, payment_id, wish, ADA, NOON)


async def asked(pool: Pool, order_id: UUID, amount: int | None = None, **more: Any) -> tuple[UUID, UUID]:
    """The refund that was written, and the errand that sends it."""
    answer = await ask(pool, order_id, amount, **more)
    assert isinstance(answer, Asked), answer
    assert answer.effect is not None
    return answer.refund.id, answer.effect


async def send(pool: Pool, effect: UUID, **gateways: Any) -> Outcome:
    """Once, however long it still has to wait."""
    await pool.execute("UPDATE effects SET next_attempt_at = now() WHERE id = $1 AND status = 'pending'", effect)
    errands = Errands.of(pool, gateways, BOOK)
    return await send_effect(pool, build(DeliverySettings(production=False), further={"gateway": errands}), effect)


async def refunds(pool: Pool) -> list[tuple[str, int]]:
    """Status and amount of every refund, oldest first."""
    rows = await pool.fetch("SELECT status, amount FROM refunds ORDER BY created_at, id")
    return [(row["status"], row["amount"]) for row in rows]


async def note(pool: Pool, effect: UUID) -> str:
    return str(await pool.fetchval("SELECT last_error FROM effects WHERE id = $1", effect))


async def dispute(pool: Pool, payment: str, *, withdrawn: int = 1000, status: str = "needs_response") -> None:
    """A dispute that took so much of the payment."""
    await pool.execute(
        """
        INSERT INTO disputes (order_id, payment_id, gateway, gateway_dispute_id, amount, currency, status,
                              gateway_status, withdrawn, opened_at, closed_at)
        SELECT order_id, id, gateway, $2, amount, currency, $3::text, $3, $4, $5::timestamptz,
               CASE WHEN $3::text IN ('won', 'lost', 'closed') THEN $5::timestamptz END
          FROM payments WHERE gateway_payment_id = $1
        """,
        payment,
        f"dp_{uuid4().hex}",
        status,
        withdrawn,
        NOON,
    )
