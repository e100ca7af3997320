"""Ask a gateway about an attempt at a page, and write down what it says: for the customer who waits and for recovery.

Asking is outside any transaction, and each way in which it can end is a value. Writing is one transaction, under the
order's lock. So the same answer has the same outcome, whoever has asked (F119).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from db import attempts, discrepancies, history, orders
from db.attempts import Attempt
from db.history import Cause
from db.orders import Locked
from db.pool import Tx
from gateways.client import (
    Absent,
    Client,
    Created,
    Doubt,
    Gone,
    Patience,
    Refusal,
    Refused,
    Session,
    SessionState,
    Unknown,
)
from payments.events import Observed
from payments.failure import FailureCode
from payments.order import SETTLED, OrderStatus
from workers.apply import Applied, Book, apply

log = structlog.get_logger(__name__)

Answer = Created | SessionState | Gone | Refused | Unknown

#: These say that what we asked for cannot be had. Others speak of our key, or of another's request under our name, and
#: of nothing that an earlier call of ours may have made.
NOTHING_MADE = frozenset({Refusal.AMOUNT, Refusal.OUTDATED, Refusal.INVALID})


@dataclass(frozen=True, slots=True)
class Recorded:
    """How the order stood and stands. ``page`` can be paid; ``effects`` want a hint once the transaction is over."""

    was: OrderStatus
    status: OrderStatus
    page: Session | None = None
    effects: tuple[UUID, ...] = ()


async def ask(client: Client, attempt: Attempt, patience: Patience) -> Answer:
    """Call; but where an earlier call may have made the page, look first, and believe what stands there now.

    A call whose answer was lost may have made the page. Were it forgotten for a refusal that comes later (a wrong key,
    an expiry that has passed meanwhile), there could be two pages of one order that can be paid. And a gateway that
    replays its first answer gives the page as it was made, though it may have been paid or have ended since.
    """
    if attempt.session_id is not None:
        return believed(await client.fetch_session(attempt.session_id, patience))
    if attempt.calls == 0:
        return await client.create_session(attempt.request, attempt.idempotency_key, patience)
    match await client.find_session(attempt.request, patience, since=attempt.created_at):
        case Absent():
            return await _ask_again(client, attempt, patience)
        case found:
            return believed(found)


def believed(answer: SessionState | Gone | Refused | Unknown) -> SessionState | Gone | Unknown:
    """Whoever may not look has learnt nothing."""
    return Unknown(Doubt.UNREADABLE) if isinstance(answer, Refused) else answer


async def _ask_again(client: Client, attempt: Attempt, patience: Patience) -> Created | Refused | Unknown:
    """Nothing was found. Whether anything was made, only the same request under the same key can tell.

    A key that holds a server error for a day is given up for the next attempt's.
    """
    match await client.create_session(attempt.request, attempt.idempotency_key, patience):
        case Unknown(reason=Doubt.KEY_SPENT):
            return Refused(Refusal.OUTDATED, "the key's stored answer is a server error, and nothing was made")
        case Refused(code=code) if code not in NOTHING_MADE:
            return Unknown(Doubt.UNREADABLE)
        case answer:
            return answer


async def record(
    tx: Tx, attempt: Attempt, answer: Answer, book: Book, cause: Cause, *, gives_up: bool = False
) -> Recorded:
    """Write what the gateway said of this attempt. ``gives_up``: nobody will make another if this one made nothing."""
    held = await orders.lock(tx, attempt.order_id)
    match answer:
        case Created(session=session):
            return await _record_page(tx, held, attempt, session, (), book, cause, is_open=session.url is not None)
        case SessionState(session=session, is_open=is_open, observed=observed):
            return await _record_page(tx, held, attempt, session, observed, book, cause, is_open=is_open)
        case Gone():
            await raise_not_found(tx, held, attempt.gateway, attempt.session_id or "")
        case Refused() as refusal:
            return await _record_refusal(tx, held, attempt, refusal, book, cause, gives_up=gives_up)
        case Unknown(reason=reason):
            await attempts.mark_unknown(tx, attempt.id, reason.value)
            log.warning("attempt.unknown", order_id=held.order.id, attempt=attempt.number, reason=reason.value)
    await attempts.let_go(tx, attempt.id)
    return Recorded(held.order.status, held.order.status)


async def apply_all(
    tx: Tx, held: Locked, observed: Iterable[Observed], book: Book, cause: Cause
) -> tuple[OrderStatus, tuple[UUID, ...]]:
    """What a gateway holds of this order, told as its webhooks would have; how the order stands then, what is owed."""
    effects: list[UUID] = []
    for fact in observed:
        applied = await apply(tx, fact, cause, book)
        if isinstance(applied, Applied):
            effects += applied.effects
    return (await orders.lock(tx, held.id)).order.status, tuple(effects)


async def raise_not_found(tx: Tx, held: Locked, gateway: str, session_id: str) -> None:
    """Usually another account's key, or a test key for a live page. It says nothing of the money (F113)."""
    log.error("attempt.session_not_found", order_id=held.order.id, gateway=gateway)
    await discrepancies.open_discrepancy(
        tx,
        kind="session_not_found",
        gateway=gateway,
        order_id=held.id,
        amount_at_risk=held.order.expected.minor,
        currency=held.order.expected.currency,
        evidence={"ours": {"session": session_id, "status": held.order.status.value}, "theirs": None},
        proposed_action="check_account_and_mode",
        fingerprint=not_found_fingerprint(session_id),
    )


def not_found_fingerprint(session_id: str) -> str:
    return f"session_not_found:{session_id}"


async def _record_page(
    tx: Tx,
    held: Locked,
    attempt: Attempt,
    session: Session,
    observed: Iterable[Observed],
    book: Book,
    cause: Cause,
    *,
    is_open: bool,
) -> Recorded:
    """The facts before the page's end: money that came through an open page is not late, whoever tells us of it."""
    await orders.store_session(tx, held.id, attempt.gateway, session.id)
    status, effects = await apply_all(tx, held, observed, book, cause)
    is_over = status in SETTLED or not is_open
    await attempts.mark_open(
        tx, attempt.id, session_id=session.id, url=session.url, expires_at=session.expires_at, is_over=is_over
    )
    page = None if is_over or session.url is None else session
    return Recorded(held.order.status, status, page, effects)


async def _record_refusal(
    tx: Tx, held: Locked, attempt: Attempt, refusal: Refused, book: Book, cause: Cause, *, gives_up: bool
) -> Recorded:
    """Nothing exists at the gateway, so a pending order has nothing to wait for. An expiry that came too near is our
    own lateness and not the order's end, as long as somebody may come for another attempt."""
    await attempts.mark_refused(tx, attempt.id, f"{refusal.code}: {refusal.reason}")
    log.warning("attempt.refused", order_id=held.order.id, attempt=attempt.number, code=refusal.code.value)
    if held.order.status is not OrderStatus.PENDING or (refusal.code is Refusal.OUTDATED and not gives_up):
        return Recorded(held.order.status, held.order.status)
    await fail_unmade(tx, held, attempt.gateway, cause, book.clock(), {"refusal": refusal.code.value})
    return Recorded(held.order.status, OrderStatus.FAILED)


async def fail_unmade(
    tx: Tx, held: Locked, gateway: str, cause: Cause, at: datetime, detail: dict[str, str] | None = None
) -> None:
    """Its gateway has made no page for this pending order, and said so."""
    await orders.move(
        tx,
        held.id,
        from_status=OrderStatus.PENDING,
        to_status=OrderStatus.FAILED,
        at=at,
        gateway=gateway,
        payment_id=None,
        failure_code=FailureCode.GATEWAY_ERROR.value,
    )
    await history.write(
        tx,
        subject="order",
        subject_id=held.id,
        from_status=OrderStatus.PENDING.value,
        to_status=OrderStatus.FAILED.value,
        cause=cause,
        at=at,
        detail={"failure": FailureCode.GATEWAY_ERROR.value, **(detail or {})},
    )
