"""Read all that went back of a payment at its gateway: the running total that it told is not the sum of ours.

The errand ``gateway.read_money_back``. Its answer goes through the same rules as a webhook; what still differs then is
for a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db import money_back, orders
from db.effects import Effect
from db.history import Cause
from db.money_back import Taken
from db.pool import Pool, Tx
from gateways.client import BACKGROUND, Client, Gone, MoneyState, Refused, Unknown
from payments.disputing import ask_at
from payments.events import Observed, RefundsTotalled, RefundTold
from payments.order import Early
from payments.refunding import CAME_TO_NOTHING
from workers.apply import Applied, Book, apply
from workers.delivery.sender import SENT, NeverAgain, NotNow, Settled

#: A payment whose refunds are told of again while it is read is read again, so often at once.
READS = 3


@dataclass(frozen=True, slots=True)
class MoneyReads:
    """Each refund and dispute that the gateway lists for the payment, and its total at last."""

    pool: Pool
    clients: Mapping[str, Client]
    book: Book

    async def send(self, effect: Effect) -> Settled:
        client = self.clients.get(effect.detail["gateway"])
        if client is None:
            # Money went back of which we have no row, and nothing else will say so.
            raise NotNow(f"nothing was read: {effect.detail['gateway']} has no key here", needs_person=True)
        for _ in range(READS):
            async with self.pool.acquire() as connection:
                before = await money_back.read(connection, _payment(effect))
            asked_at = self.book.clock()
            state = _believed(await client.fetch_money_back(effect.detail["gatewayPaymentId"], BACKGROUND))
            cause = Cause("effect", str(effect.id))
            if await keep_read(self.pool, before, state, cause, self.book, asked_at=asked_at) is not None:
                return SENT
        raise NotNow("it was told of again each time that it was read")


async def keep_read(
    pool: Pool, before: Taken, state: MoneyState, cause: Cause, book: Book, *, asked_at: datetime
) -> tuple[UUID, ...] | None:
    """Write what was read, and return the effects that are owed for it. None, and nothing is written, where something
    was told meanwhile that the answer may not know. Raises ``NotNow`` where something else has to be told first."""
    owed: tuple[UUID, ...] = ()
    async with pool.acquire() as connection, connection.transaction():
        if (await _lock(connection, before)).refunds != before.refunds:
            return None
        for fact in sorted(state.observed, key=_turn):
            applied = await apply(connection, ask_at(fact, asked_at), cause, book, is_read=True)
            if isinstance(applied, Applied) and isinstance(applied.outcome, Early):
                raise NotNow(applied.outcome.reason)
            owed += applied.effects if isinstance(applied, Applied) else ()
    return owed


def _payment(effect: Effect) -> UUID:
    return UUID(effect.detail["paymentId"])


async def _lock(tx: Tx, taken: Taken) -> Taken:
    whose = await money_back.find_payment(tx, taken.gateway, taken.gateway_payment_id)
    if whose is not None and whose.order_id is not None:
        await orders.lock(tx, whose.order_id)
    return await money_back.lock_payment(tx, taken.id)


def _turn(fact: Observed) -> int:
    """What came to nothing first, since it makes room; the total last, since all the others add up to it."""
    match fact.event:
        case RefundTold(status=status) if status in CAME_TO_NOTHING:
            return 0
        case RefundsTotalled():
            return 2
        case _:
            return 1


def _believed(answer: MoneyState | Gone | Refused | Unknown) -> MoneyState:
    match answer:
        case MoneyState():
            return answer
        case Unknown(reason=reason):
            raise NotNow(f"the gateway's answer is unknown: {reason}")
        case Gone():
            raise NeverAgain("the gateway does not know this payment: another account or mode?")
        case Refused(code=code, reason=reason):
            raise NeverAgain(f"the gateway refused: {code}: {reason}")
