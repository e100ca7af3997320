"""Take the money that a bank has promised: an effect like any other, whose receiver is the gateway.

The order is looked at once more before the call: what has become true since the effect was written (another payment
has paid it, a person holds its money) lets the promise lapse. The answer is applied like any other word of the gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from db import orders
from db.effects import Effect
from db.history import Cause
from db.pool import Pool
from gateways.client import BACKGROUND, Captured, Client, Gone, Refused, Unknown
from payments.money import Money
from payments.order import wants_capture
from workers.apply import Book, apply
from workers.delivery.sender import SENT, NeverAgain, NotNow, Settled


@dataclass(frozen=True, slots=True)
class Captures:
    """The channel ``gateway.*``. Its capture is safe to repeat: what is captured already is answered as captured."""

    pool: Pool
    clients: Mapping[str, Client]
    book: Book

    async def send(self, effect: Effect) -> Settled:
        detail = effect.detail
        client = self.clients.get(detail["gateway"])
        if client is None:
            return Settled(f"nothing was captured: {detail['gateway']} has no key here")
        amount = Money(detail["amount"], detail["currency"])
        if not await self._is_wanted(UUID(detail["orderId"]), amount):
            return Settled("nothing was captured: the order no longer waits for this payment")
        match await client.capture_payment(detail["paymentId"], amount, BACKGROUND):
            case Captured(observed=observed):
                async with self.pool.acquire() as connection, connection.transaction():
                    await apply(connection, observed, Cause("effect", str(effect.id)), self.book)
                return SENT
            case Unknown(reason=reason):
                raise NotNow(f"the gateway's answer is unknown: {reason}")
            case Gone():
                raise NeverAgain("the gateway does not know this payment: another account or mode?")
            case Refused(code=code, reason=reason):
                raise NeverAgain(f"the gateway refused: {code}: {reason}")

    async def _is_wanted(self, order_id: UUID, amount: Money) -> bool:
        async with self.pool.acquire() as connection, connection.transaction():
            order = (await orders.lock(connection, order_id)).order
        return wants_capture(order, amount, self.book.late_success)
