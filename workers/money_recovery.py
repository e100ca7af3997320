"""Money that goes back, of whose end nobody has told us: a look at each, by the same rules as a webhook.

| it                                   | what is asked                                                                |
|--------------------------------------|------------------------------------------------------------------------------|
| a refund that is ``sent``, and whose | whether it was made. Where nothing was, and a person has discarded its       |
| errand nobody runs any more          | errand, it is cancelled: its amount is free again. Else it waits for a       |
|                                      | person; a timer never decides                                                |
| one that is ``requested``, and whose | nothing: it was asked of nobody. It is cancelled                             |
| errand a person has discarded        |                                                                              |
| one that is ``pending``              | all that went back of its payment                                            |
| a dispute that is not over           | the dispute                                                                  |
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import UUID

import structlog

from db import discrepancies, money_back, overdue_money, refunds
from db.history import Cause
from db.overdue_money import DueDispute, DueRefund
from db.pool import Pool, Tx
from gateways.client import (
    BACKGROUND,
    Absent,
    Client,
    DisputeState,
    Doubt,
    Gone,
    MoneyState,
    RefundState,
    Refused,
    Unknown,
)
from payments.disputing import ask_at
from payments.events import Observed
from payments.order import Early
from payments.refund import RefundStatus
from workers.answering import Answering
from workers.apply import Applied, Book, apply
from workers.call_record import calls_kept
from workers.delivery.sender import NotNow
from workers.money_reads import keep_read
from workers.refunds import as_ours, as_request, end, lock_refund, raise_unknown_payment, unknown_payment
from workers.subscription_effects import Line
from workers.two_clocks import set_right

log = structlog.get_logger(__name__)

Due = TypeVar("Due", DueRefund, DueDispute)

#: How long one run may go on; what it leaves is still due.
RUN_SECONDS = 8 * 60.0

#: Asked about at once.
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of one look. ``is_in_vain``: no answer could be had, or it could not be written; ``doubt`` says why."""

    effects: tuple[UUID, ...] = ()
    is_in_vain: bool = False
    doubt: Doubt | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """How many were asked about, and of how many in vain. ``effects`` were committed, and want a hint."""

    refunds: int = 0
    disputes: int = 0
    in_vain: int = 0
    effects: tuple[UUID, ...] = ()
    is_in_time: bool = True

    def __add__(self, other: Looked) -> Looked:
        return Looked(
            self.refunds + other.refunds,
            self.disputes + other.disputes,
            self.in_vain + other.in_vain,
            self.effects + other.effects,
        )


async def recover_money(
    pool: Pool, answering: Answering, book: Book, cause: Cause, *, seconds: float = RUN_SECONDS
) -> Looked:
    """Ask about everything that is due. Any number of runs at once: each is taken by one of them."""
    looking = _Looking(pool, answering.clients, book, cause)
    until = time.monotonic() + seconds
    looked = Looked()
    while is_in_time := time.monotonic() < until:
        due_refunds, due_disputes = await looking.claim(list(answering.askable()))
        if not due_refunds and not due_disputes:
            break
        seen = await _look_at_all(looking.look_at_refund, due_refunds, answering)
        seen += await _look_at_all(looking.look_at_dispute, due_disputes, answering)
        looked += Looked(
            refunds=len(due_refunds),
            disputes=len(due_disputes),
            in_vain=sum(each.is_in_vain for each in seen),
            effects=tuple(effect for each in seen for effect in each.effects),
        )
    return replace(looked, is_in_time=is_in_time)


async def _look_at_all(look: Callable[[Due], Awaitable[Seen]], due: Sequence[Due], answering: Answering) -> list[Seen]:
    async with asyncio.TaskGroup() as group:
        looks = [group.create_task(_look_safely(look, each)) for each in due]
    seen = [each.result() for each in looks]
    for each, what in zip(due, seen, strict=True):
        answering.hear(each.gateway, what.doubt)
    return seen


async def _look_safely(look: Callable[[Due], Awaitable[Seen]], due: Due) -> Seen:
    try:
        return await look(due)
    except NotNow as later:
        log.info("money.not_read_yet", id=str(due.id), reason=str(later))
        return Seen(is_in_vain=True)
    except Exception as error:  # noqa: BLE001 - one of them must not end the look at the others; its turn comes again
        log.error("money.look_failed", id=str(due.id), error_class=type(error).__name__)  # noqa: TRY400
        return Seen(is_in_vain=True)


@dataclass(frozen=True, slots=True)
class _Looking:
    """One run's looks."""

    pool: Pool
    clients: Mapping[str, Client]
    book: Book
    cause: Cause

    async def claim(self, gateways: Sequence[str]) -> tuple[list[DueRefund], list[DueDispute]]:
        async with self._transaction() as tx:
            now = (await set_right(tx, self.book)).clock()
            return (
                await overdue_money.claim_refunds(tx, now, gateways, limit=AT_ONCE),
                await overdue_money.claim_disputes(tx, now, gateways, limit=AT_ONCE),
            )

    # --- refunds ---

    async def look_at_refund(self, due: DueRefund) -> Seen:
        match due.status:
            case RefundStatus.REQUESTED:
                return await self._give_up(due)
            case RefundStatus.SENT:
                return await self._find(due)
            case _:
                return await self._read(due)

    async def _find(self, due: DueRefund) -> Seen:
        async with self._transaction() as tx:
            refund = await refunds.find(tx, due.id)
        assert refund is not None, "refunds are never deleted"
        async with self._calls_kept(due.order_id):
            answer = await self.clients[due.gateway].find_refund(as_request(refund, self.book.instance_id), BACKGROUND)
        match answer:
            case RefundState(observed=observed):
                return await self._apply(as_ours(observed, self.book), cured=unknown_payment(due.id))
            case Absent():
                return await self._give_up(due)
            case other:
                return await self._note(due, other)

    async def _read(self, due: DueRefund) -> Seen:
        async with self._transaction() as tx:
            before = await money_back.read(tx, due.payment_id)
        asked_at = self.book.clock()
        async with self._calls_kept(due.order_id):
            answer = await self.clients[due.gateway].fetch_money_back(due.gateway_payment_id, BACKGROUND)
        if not isinstance(answer, MoneyState):
            return await self._note(due, answer)
        effects = await keep_read(self.pool, before, answer, self.cause, self.book, asked_at=asked_at)
        async with self._transaction() as tx:
            await discrepancies.cure(tx, unknown_payment(due.id))
        # Told of meanwhile, it needs no look.
        return Seen(effects or ())

    async def _give_up(self, due: DueRefund) -> Seen:
        """Nothing was made of it. Whether anything still shall be, a person says; never the time."""
        async with self._transaction() as tx:
            held = await lock_refund(tx, due.id)
            act = await overdue_money.discarded(tx, due.id)
            if held.refund.status is not due.status or act is None:
                return Seen()
            line = Line(due.gateway, self.cause, self.book.clock())
            why = f"{act.by} has discarded its errand: {act.reason}"
            return Seen(await end(tx, held, RefundStatus.CANCELLED, why, line))

    async def _note(self, due: DueRefund, answer: Gone | Refused | Unknown) -> Seen:
        if not isinstance(answer, Gone):
            return _in_vain(answer)
        async with self._transaction() as tx:
            refund = await refunds.find(tx, due.id)
            assert refund is not None, "refunds are never deleted"
            await raise_unknown_payment(tx, refund)
        return Seen()

    # --- disputes ---

    async def look_at_dispute(self, due: DueDispute) -> Seen:
        asked_at = self.book.clock()
        async with self._calls_kept(due.order_id):
            answer = await self.clients[due.gateway].fetch_dispute(due.gateway_dispute_id, BACKGROUND)
        match answer:
            case DisputeState(observed=observed):
                return await self._apply(ask_at(observed, asked_at), cured=_not_found(due))
            case Gone():
                async with self._transaction() as tx:
                    await _raise_not_found(tx, due)
                return Seen()
            case other:
                return _in_vain(other)

    # --- what both need ---

    async def _apply(self, observed: Observed, *, cured: str) -> Seen:
        async with self._transaction() as tx:
            applied = await apply(tx, observed, self.cause, self.book, is_read=True)
            await discrepancies.cure(tx, cured)
        if not isinstance(applied, Applied) or isinstance(applied.outcome, Early):
            return Seen(is_in_vain=True)
        return Seen(applied.effects)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Tx]:
        async with self.pool.acquire() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def _calls_kept(self, order_id: UUID | None) -> AsyncIterator[None]:
        """Beside the order, where one has the money."""
        if order_id is None:
            yield
            return
        async with calls_kept(self.pool, "order", order_id):
            yield


def _in_vain(answer: Refused | Unknown) -> Seen:
    return Seen(is_in_vain=True, doubt=answer.reason if isinstance(answer, Unknown) else None)


def _not_found(due: DueDispute) -> str:
    return f"dispute_not_found:{due.gateway}:{due.gateway_dispute_id}"


async def _raise_not_found(tx: Tx, due: DueDispute) -> None:
    """Usually another account's key, or a test key for a live dispute. It says nothing of the money (F113)."""
    log.error("dispute.not_found", dispute_id=str(due.id), gateway=due.gateway)
    if await discrepancies.reopen(tx, _not_found(due)):
        return
    await discrepancies.open_discrepancy(
        tx,
        kind="dispute_not_found",
        gateway=due.gateway,
        order_id=due.order_id,
        payment_id=due.payment_id,
        amount_at_risk=due.amount,
        currency=due.currency,
        evidence={"ours": {"dispute": due.gateway_dispute_id}, "theirs": None},
        proposed_action="check_account_and_mode",
        fingerprint=_not_found(due),
    )
