"""One look at one order: ask its gateway how it stands, and tell the answer to the rules as a webhook would have.

| the order  | its newest attempt | what is asked                                                                     |
|------------|--------------------|-----------------------------------------------------------------------------------|
| pending    | open, closed       | its page. One that can be paid long after its time is closed *there* first; what  |
|            |                    | that brings to light decides                                                      |
|            | intended, unknown  | by our reference; else the same request, under the same key, once more            |
|            | refused            | nothing: its gateway has said that nothing was made                               |
|            | none               | the page that its application has stored, or its unfinished payments              |
| any other  | live               | as above                                                                          |
|            | over               | its unfinished payments: their money may come late                                |

No answer decides nothing, however long it lasts (F114).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from db import attempts, discrepancies, orders, orphans
from db.attempts import Attempt
from db.history import Cause
from db.orphans import Orphan
from db.pool import Pool, Tx
from gateways.client import (
    BACKGROUND,
    Client,
    Closed,
    Created,
    Doubt,
    GatewayPayment,
    Gone,
    Paid,
    Patience,
    Refused,
    SessionState,
    Unknown,
)
from payments.events import Observed
from payments.order import SETTLED, OrderStatus
from payments.payment import PaymentStatus
from workers import asking
from workers.apply import Book
from workers.asking import Recorded
from workers.call_record import calls_kept
from workers.two_clocks import set_right

Found = TypeVar("Found")

#: One look makes four calls at most: search, create, fetch, close. Nobody else may call for the order meanwhile.
CALLS_MAX = 4
#: And writes down what they said.
RECORD_SECONDS = 30.0

#: Between their clock and ours. A page that can be paid longer than this after its expiry does not end by itself.
CLOSE_AFTER = timedelta(minutes=5)

#: A page that its gateway does not know waits for a person, and for another key.
NOT_FOUND_PAUSE = timedelta(days=1)


class Look(StrEnum):
    """What came of one look at one order."""

    PAID = "paid"
    CLOSED = "closed"  # failed or cancelled
    UNCHANGED = "unchanged"  # it can still be paid, its money is on its way, or there is no news
    UNKNOWN = "unknown"  # nobody could tell
    NOT_FOUND = "not_found"  # the gateway does not know it; if it is a page, that is a discrepancy


@dataclass(frozen=True, slots=True)
class Seen:
    """``effects`` were committed with it, and want a hint. ``doubt``: why nobody could tell."""

    look: Look
    effects: tuple[UUID, ...] = ()
    doubt: Doubt | None = None


async def look_at(
    pool: Pool,
    clients: Mapping[str, Client],
    book: Book,
    orphan: Orphan,
    cause: Cause,
    *,
    patience: Patience = BACKGROUND,
    settles_findings: bool = True,
) -> Seen:
    """Ask about one order, and write down what its gateway says. Safe to call at any time, and again after anything.

    ``settles_findings``: a page that was not found before, and now is, settles its discrepancy; the caller may do that.
    """
    may_know = {orphan.gateway: clients[orphan.gateway]} if orphan.gateway else clients
    async with pool.acquire() as connection, connection.transaction():
        looking = _Looking(may_know, await set_right(connection, book), cause, patience, settles_findings)
        question = await looking.choose(connection, orphan.order_id)
    match question:
        case Seen() as seen:
            return seen
        case Attempt() as attempt:
            async with calls_kept(pool, "payment_attempt", attempt.id):
                answer = await looking.ask(attempt)
            async with pool.acquire() as connection, connection.transaction():
                return await looking.record(connection, attempt, answer)
        case str(session_id):
            async with calls_kept(pool, "order", orphan.order_id):
                state = await looking.fetch_session(session_id)
            async with pool.acquire() as connection, connection.transaction():
                return await looking.record_page(connection, orphan, session_id, state)
        case payment_ids:
            async with calls_kept(pool, "order", orphan.order_id):
                payments = [await looking.fetch_payment(payment_id) for payment_id in payment_ids]
            async with pool.acquire() as connection, connection.transaction():
                return await looking.record_payments(connection, orphan.order_id, payments)


@dataclass(frozen=True, slots=True)
class _Looking:
    """One look. ``clients`` are those that may know: one, unless nobody has written down which."""

    clients: Mapping[str, Client]
    book: Book
    cause: Cause
    patience: Patience
    settles_findings: bool

    async def choose(self, tx: Tx, order_id: UUID) -> Attempt | str | tuple[str, ...] | Seen:
        """What to ask about: an attempt, now under lease, a page by its id, or payments; or what there is to say."""
        held = await orders.lock(tx, order_id)
        attempt = await attempts.newest(tx, order_id)
        is_pending = held.order.status is OrderStatus.PENDING
        if attempt is not None and attempt.is_being_called:
            return Seen(Look.UNCHANGED)
        if attempt is not None and attempt.status == "refused" and is_pending:
            await asking.fail_unmade(tx, held, attempt.gateway, self.cause, self.book.clock())
            return Seen(Look.CLOSED)
        if attempt is not None and (attempt.is_live or (attempt.status == "closed" and is_pending)):
            await attempts.lease(tx, attempt.id, CALLS_MAX * self.patience.deadline_seconds + RECORD_SECONDS)
            return attempt
        if attempt is None and is_pending and held.order.session_id is not None:
            return held.order.session_id
        return tuple(
            payment.gateway_payment_id
            for payment in held.order.payments
            if payment.status is not PaymentStatus.SUCCEEDED
        )

    async def ask(self, attempt: Attempt) -> asking.Answer:
        client = self.clients[attempt.gateway]
        answer = await asking.ask(client, attempt, self.patience)
        if isinstance(answer, Created):
            # Made this moment, or long ago and told again as it was then.
            made = asking.believed(await client.fetch_session(answer.session.id, self.patience))
            answer = Unknown(Doubt.UNREADABLE) if isinstance(made, Gone) else made
        return await self._close_if_over(client, answer)

    async def _close_if_over(self, client: Client, answer: asking.Answer) -> asking.Answer:
        """Nobody waits at this page any more. If it cannot be closed now, it stays what it was seen to be: open."""
        match answer:
            case SessionState(session=session, is_open=True) if self._is_over(session.expires_at):
                match await client.close_session(session.id, self.patience):
                    case Closed(observed=observed) | Paid(observed=observed):
                        return SessionState(replace(session, url=None), is_open=False, observed=observed)
                    case Gone() | Refused() | Unknown():
                        return answer
            case _:
                return answer

    def _is_over(self, expires_at: datetime) -> bool:
        return expires_at + CLOSE_AFTER <= self.book.clock()

    async def record(self, tx: Tx, attempt: Attempt, answer: asking.Answer) -> Seen:
        recorded = await asking.record(tx, attempt, answer, self.book, self.cause, gives_up=True)
        if attempt.session_id is not None:
            await self._record_finding(tx, attempt.order_id, attempt.session_id, answer)
        return _seen(answer, recorded)

    async def fetch_session(self, session_id: str) -> SessionState | Gone | Unknown:
        async def fetch(client: Client) -> SessionState | Gone | Unknown:
            answer = asking.believed(await client.fetch_session(session_id, self.patience))
            closed = await self._close_if_over(client, answer)
            return closed if isinstance(closed, SessionState) else answer

        return await self._ask_who_knows(fetch)

    async def record_page(self, tx: Tx, orphan: Orphan, session_id: str, answer: SessionState | Gone | Unknown) -> Seen:
        held = await orders.lock(tx, orphan.order_id)
        if isinstance(answer, Gone):
            await asking.raise_not_found(tx, held, orphan.gateway or "unknown", session_id)
        await self._record_finding(tx, orphan.order_id, session_id, answer)
        observed = answer.observed if isinstance(answer, SessionState) else ()
        status, effects = await asking.apply_all(tx, held, observed, self.book, self.cause)
        return _seen(answer, Recorded(held.order.status, status, effects=effects))

    async def fetch_payment(self, payment_id: str) -> GatewayPayment | Gone | Unknown:
        async def fetch(client: Client) -> GatewayPayment | Gone | Unknown:
            answer = await client.fetch_payment(payment_id, self.patience)
            return Unknown(Doubt.UNREADABLE) if isinstance(answer, Refused) else answer

        return await self._ask_who_knows(fetch)

    async def record_payments(self, tx: Tx, order_id: UUID, answers: list[GatewayPayment | Gone | Unknown]) -> Seen:
        held = await orders.lock(tx, order_id)
        told = [answer.observed for answer in answers if isinstance(answer, GatewayPayment)]
        observed = [fact for fact in told if isinstance(fact, Observed)]
        status, effects = await asking.apply_all(tx, held, observed, self.book, self.cause)
        doubt = next((answer for answer in answers if not isinstance(answer, GatewayPayment)), None)
        return _seen(doubt, Recorded(held.order.status, status, effects=effects))

    async def _record_finding(self, tx: Tx, order_id: UUID, session_id: str, answer: asking.Answer) -> None:
        fingerprint = asking.not_found_fingerprint(session_id)
        match answer:
            case _ if not self.settles_findings:
                pass
            case Gone():
                await discrepancies.reopen(tx, fingerprint)
                await orphans.put_off(tx, order_id, self.book.clock() + NOT_FOUND_PAUSE)
            case SessionState():
                await discrepancies.cure(tx, fingerprint)
            case _:
                pass

    async def _ask_who_knows(self, fetch: Callable[[Client], Awaitable[Found | Gone]]) -> Found | Gone:
        for client in self.clients.values():
            answer = await fetch(client)
            if not isinstance(answer, Gone):
                return answer
        return Gone()


def _seen(answer: object, recorded: Recorded) -> Seen:
    if recorded.status is not recorded.was:
        return Seen(Look.PAID if recorded.status in SETTLED else Look.CLOSED, recorded.effects)
    match answer:
        case Gone():
            return Seen(Look.NOT_FOUND, recorded.effects)
        case Unknown(reason=doubt):
            return Seen(Look.UNKNOWN, recorded.effects, doubt)
        case _:
            return Seen(Look.UNCHANGED, recorded.effects)
