"""Give an order up before it is paid: close its page, at the gateway first, and end what it was to begin."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from db import attempts, orders, subscriptions
from db.attempts import Attempt
from db.history import Cause
from db.orders import Locked
from db.pool import Pool, Tx
from gateways.client import LIVE, Client, Closed, Paid, Patience, Session, SessionState
from payments.order import SETTLED, Order, OrderStatus
from payments.subscription import ENDED
from workers import asking
from workers.apply import Book
from workers.attempts import LEASE_SECONDS, Begun, Opening, Over, end_begun
from workers.subscription_effects import Line
from workers.subscriptions import give_up_unbegun


class Closing(StrEnum):
    """What came of giving up an order before it was paid."""

    CLOSED = "closed"  # nobody can pay it any more
    PAID = "paid"  # too late
    UNKNOWN = "unknown"  # nobody could tell; recovery ends it


async def give_up(
    pool: Pool, client: Client, book: Book, order_id: UUID, caller: str, *, patience: Patience = LIVE
) -> Closing:
    """Whoever has placed the order wants it no more: its page is closed at the gateway first, then here."""
    cause = Cause("api", caller)
    async with pool.acquire() as connection, connection.transaction():
        held = await orders.lock(connection, order_id)
        attempt = await attempts.newest(connection, order_id)
        if held.order.status in SETTLED:
            return Closing.PAID
        may_be_paid = may_yet_be_paid(held.order, attempt)
        begun = None
        if not may_be_paid and (attempt is None or not attempt.is_live):
            begun = await _find_begun(connection, held)
            if begun is None:
                await end_unmade(connection, held, client.name, cause, book)
                return Closing.CLOSED
        elif attempt is None or attempt.is_being_called or attempt.session_id is None:
            return Closing.UNKNOWN
        else:
            await attempts.lease(connection, attempt.id, LEASE_SECONDS)
    if begun is not None:
        return _closing(await end_begun(pool, client, book, order_id, begun, cause, patience))
    assert attempt is not None
    assert attempt.session_id is not None
    if not attempt.is_live:
        return await _ask_for_its_end(pool, client, book, attempt, cause, patience)
    answer = await client.close_session(attempt.session_id, patience)
    async with pool.acquire() as connection, connection.transaction():
        if not isinstance(answer, Closed | Paid):
            await orders.lock(connection, order_id)
            await attempts.let_go(connection, attempt.id)
            return Closing.UNKNOWN
        page = Session(attempt.session_id, None, attempt.expires_at or book.clock())
        ended = SessionState(page, is_open=False, observed=answer.observed)
        recorded = await asking.record(connection, attempt, ended, book, cause)
        if recorded.status in SETTLED:
            return Closing.PAID
        return Closing.UNKNOWN if recorded.status is OrderStatus.PENDING else Closing.CLOSED


def may_yet_be_paid(order: Order, attempt: Attempt | None) -> bool:
    """Its page is over and it is not: money is on its way, or waits for a person. We never end such an order."""
    is_over = attempt is not None and attempt.status == "closed"
    return order.has_unreviewed_money or (is_over and order.status is OrderStatus.PENDING)


async def _find_begun(tx: Tx, held: Locked) -> Begun | None:
    """What its gateway has made already: only there can it be ended."""
    begun = await subscriptions.lock_begun_by(tx, held.id)
    if begun is None or begun.subscription.snapshot is None or begun.subscription.status in ENDED:
        return None
    return Begun(begun.id, begun.subscription.snapshot.gateway_subscription_id)


def _closing(ended: Opening) -> Closing:
    match ended:
        case Over(status=status):
            return Closing.PAID if status in SETTLED else Closing.CLOSED
        case _:
            return Closing.UNKNOWN


async def _ask_for_its_end(
    pool: Pool, client: Client, book: Book, attempt: Attempt, cause: Cause, patience: Patience
) -> Closing:
    """What has become of the money may not have been told."""
    answer = await asking.ask(client, attempt, patience)
    async with pool.acquire() as connection, connection.transaction():
        recorded = await asking.record(connection, attempt, answer, book, cause)
        if recorded.status in SETTLED:
            return Closing.PAID
        held = await orders.lock(connection, attempt.order_id)
        if may_yet_be_paid(held.order, await attempts.newest(connection, held.id)):
            return Closing.UNKNOWN
        await end_unmade(connection, held, client.name, cause, book)
        return Closing.CLOSED


async def end_unmade(tx: Tx, held: Locked, gateway: str, cause: Cause, book: Book) -> tuple[UUID, ...]:
    """No page of it exists that could be paid, and what it was to begin never will; returns the effects to hint."""
    if held.order.status is OrderStatus.PENDING:
        await asking.fail_unmade(tx, held, gateway, cause, book.clock())
    begun = await subscriptions.lock_begun_by(tx, held.id)
    if begun is None or begun.subscription.status in ENDED:
        return ()
    return (await give_up_unbegun(tx, begun, Line(gateway, cause, book.clock()), book.dunning)).effects
