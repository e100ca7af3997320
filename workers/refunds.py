"""Send a refund to its gateway: an effect like any other, whose receiver is the gateway.

1. Its row, ``requested``, was written with this errand (``workers.refund_requests``).
2. It is looked at once more under the lock of its payment. A dispute that holds the money meanwhile cancels it; else it
   becomes ``sent``, and that is committed before the call.
3. Whoever finds it ``sent`` does not know whether the call was ever made, or answered: the gateway is searched for what
   it has made of it, and asked again only where there is nothing, in the same words and under the same key.
4. The answer goes through the same rules as a webhook, which may come before it, twice, or at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NoReturn
from uuid import UUID

import structlog

from db import discrepancies, history, money_back, refunds
from db.effects import Effect
from db.history import Cause
from db.money_back import Taken
from db.pool import Pool, Tx
from db.refunds import Refund
from gateways.client import (
    BACKGROUND,
    Absent,
    Client,
    Gone,
    RefundRequest,
    RefundState,
    Refusal,
    Refused,
    Unknown,
)
from payments.events import Observed
from payments.refund import RefundStatus, is_still_wanted
from workers.apply import Book, apply
from workers.delivery.sender import SENT, NeverAgain, NotNow, Settled
from workers.money_back import lock_owner
from workers.money_back_effects import Owner
from workers.refunds_told import end_unmade
from workers.subscription_effects import Line

log = structlog.get_logger(__name__)

#: These speak of the payment and of what was asked back of it; the gateway will say the same tomorrow.
ABOUT_THE_PAYMENT = frozenset({Refusal.STATE, Refusal.INVALID, Refusal.AMOUNT})

DISPUTED = "a dispute holds the money of this payment"
GONE = "the gateway does not know this payment: another account or mode?"


@dataclass(frozen=True, slots=True)
class Ready:
    """A refund that is to be sent. ``was_sent``: somebody has set out to, before."""

    refund: Refund
    was_sent: bool


@dataclass(frozen=True, slots=True)
class Held:
    """A refund under the locks of its order and its payment. ``is_wanted``: nothing forbids it by now."""

    refund: Refund
    owner: Owner | None
    taken: Taken
    is_wanted: bool


@dataclass(frozen=True, slots=True)
class Refunds:
    """The errand ``gateway.refund_payment``."""

    pool: Pool
    clients: Mapping[str, Client]
    book: Book

    async def send(self, effect: Effect) -> Settled:
        client = self.clients.get(effect.detail["gateway"])
        if client is None:
            raise NotNow(f"{effect.detail['gateway']} has no key here", needs_person=True)
        ready = await self._take(effect)
        if isinstance(ready, Settled):
            return ready
        request = as_request(ready.refund, self.book.instance_id)
        if ready.was_sent and (settled := await self._look(client, effect, request)) is not None:
            return settled
        return await self._call(client, effect, request, ready)

    # --- before the call ---

    async def _take(self, effect: Effect) -> Ready | Settled:
        """The refund as it is to be sent, or why it is not."""
        async with self.pool.acquire() as connection, connection.transaction():
            held = await lock_refund(connection, _id(effect))
            match held.refund.status:
                case RefundStatus.REQUESTED if held.is_wanted:
                    await self._mark_sent(connection, held.refund, effect)
                    return Ready(held.refund, was_sent=False)
                case RefundStatus.REQUESTED:
                    return await self._end(connection, held, RefundStatus.CANCELLED, DISPUTED, effect)
                case RefundStatus.SENT:
                    return Ready(held.refund, was_sent=True)
                case status:
                    return Settled(f"nothing was sent: the refund is {status}")

    async def _mark_sent(self, tx: Tx, refund: Refund, effect: Effect) -> None:
        at = self.book.clock()
        await refunds.mark_sent(tx, refund.id, by=self.book.instance_id, at=at)
        await history.write(
            tx,
            subject="refund",
            subject_id=refund.id,
            from_status=RefundStatus.REQUESTED.value,
            to_status=RefundStatus.SENT.value,
            cause=_cause(effect),
            at=at,
            detail={"idempotencyKey": refund.idempotency_key},
        )

    async def _look(self, client: Client, effect: Effect, request: RefundRequest) -> Settled | None:
        """What the gateway has made of it, written down; None where it has made nothing, and is to be asked."""
        match await client.find_refund(request, BACKGROUND):
            case RefundState() as state:
                return await self._keep(effect, state)
            case Absent():
                return await self._stop_if_disputed(effect)
            case Unknown(reason=reason):
                raise NotNow(f"nobody can say yet whether it was made: {reason}")
            case Gone():
                return await self._wait_for_a_person(effect)
            case Refused(code=code, reason=reason):
                raise NotNow(f"the gateway shows no refunds: {code}: {reason}", needs_person=True)

    async def _wait_for_a_person(self, effect: Effect) -> NoReturn:
        """An earlier call may have made it, while another key was set: nobody who does not know the payment can say."""
        async with self.pool.acquire() as connection, connection.transaction():
            held = await lock_refund(connection, _id(effect))
            if held.refund.status is RefundStatus.SENT:
                await raise_unknown_payment(connection, held.refund)
        raise NotNow(GONE, needs_person=True)

    async def _stop_if_disputed(self, effect: Effect) -> Settled | None:
        async with self.pool.acquire() as connection, connection.transaction():
            held = await lock_refund(connection, _id(effect))
            if held.refund.status is not RefundStatus.SENT:
                return Settled(f"nothing was sent: the refund is {held.refund.status}")
            if not held.is_wanted:
                return await self._end(connection, held, RefundStatus.CANCELLED, DISPUTED, effect)
        return None

    # --- the call ---

    async def _call(self, client: Client, effect: Effect, request: RefundRequest, ready: Ready) -> Settled:
        match await client.create_refund(request, _key(ready.refund), BACKGROUND):
            case RefundState() as state:
                return await self._keep(effect, state)
            case Unknown(reason=reason):
                raise NotNow(f"the gateway's answer is unknown: {reason}")
            case Gone() if ready.was_sent:
                return await self._wait_for_a_person(effect)
            case Gone():
                return await self._give_up(effect, GONE)
            case Refused(code=code, reason=reason) if code in ABOUT_THE_PAYMENT:
                # It may be refused because it was made: by a call whose answer was lost.
                return await self._look(client, effect, request) or await self._give_up(effect, reason, code)
            case Refused(code=Refusal.KEY_REUSED, reason=reason):
                raise NeverAgain(f"the gateway knows another request under this key: {reason}")
            case Refused(code=code, reason=reason):
                raise NotNow(f"the gateway refused: {code}: {reason}", needs_person=True)

    # --- after the call ---

    async def _keep(self, effect: Effect, state: RefundState) -> Settled:
        async with self.pool.acquire() as connection, connection.transaction():
            await apply(connection, as_ours(state.observed, self.book), _cause(effect), self.book)
            await discrepancies.cure(connection, unknown_payment(_id(effect)))
            refund = await refunds.find(connection, _id(effect))
        if refund is not None and refund.status in (RefundStatus.REQUESTED, RefundStatus.SENT):
            # Another amount than was asked, or something that has to be told first.
            raise NotNow("the gateway's answer could not be written yet", needs_person=True)
        return SENT

    async def _give_up(self, effect: Effect, reason: str, code: Refusal | None = None) -> Settled:
        """The gateway will not make it, whenever it is asked: shown, and not tried again (F104)."""
        async with self.pool.acquire() as connection, connection.transaction():
            held = await lock_refund(connection, _id(effect))
            if held.refund.status is not RefundStatus.SENT:
                return Settled(f"refused, but the refund is {held.refund.status}")
            if code is None:
                await raise_unknown_payment(connection, held.refund)
            return await self._end(connection, held, RefundStatus.FAILED, reason, effect)

    async def _end(self, tx: Tx, held: Held, became: RefundStatus, why: str, effect: Effect) -> Settled:
        await end(tx, held, became, why, Line(held.refund.gateway, _cause(effect), self.book.clock()))
        return Settled(f"the refund is {became}: {why}")


def as_request(refund: Refund, instance_id: str) -> RefundRequest:
    """The same words each time that it is asked for, or looked for: those of its first call, where there was one."""
    order_id = refund.sent_for if refund.sent_by else refund.order_id
    return RefundRequest(
        refund_id=str(refund.id),
        order_id=str(order_id) if order_id else None,
        gateway_payment_id=refund.gateway_payment_id,
        amount=refund.money,
        reason=refund.reason_code,
        instance_id=refund.sent_by or instance_id,
    )


def as_ours(observed: Observed, book: Book) -> Observed:
    """What answers our own call is ours, also where it was asked while this instance went by another name."""
    return replace(observed, references=replace(observed.references, instance=book.instance_id))


async def end(tx: Tx, held: Held, became: RefundStatus, why: str, line: Line) -> tuple[UUID, ...]:
    """No money has moved for it, and none will. Returns the effects that are owed for that."""
    known = next(each for each in held.taken.refunds if each.id == str(held.refund.id))
    log.warning("refund.not_made", refund_id=str(held.refund.id), status=became.value, reason=why)
    reason = held.refund.reason_code
    return await end_unmade(tx, held.owner, held.taken, known, became, why, line, reason=reason)


async def lock_refund(tx: Tx, refund_id: UUID) -> Held:
    """The order first, then its subscription, then the payment, as everybody takes them."""
    known = await _find(tx, refund_id)
    whose = await money_back.find_payment(tx, known.gateway, known.gateway_payment_id)
    assert whose is not None, "a refund is a payment's"
    owner = await lock_owner(tx, whose.order_id) if whose.order_id else None
    payment = await refunds.lock_payment(tx, known.payment_id)
    taken = await money_back.read(tx, known.payment_id)
    return Held(await _find(tx, refund_id), owner, taken, is_still_wanted(payment.money))


async def _find(tx: Tx, refund_id: UUID) -> Refund:
    refund = await refunds.find(tx, refund_id)
    assert refund is not None, "its row was written before anything was asked, and is never deleted"
    return refund


def _id(effect: Effect) -> UUID:
    return UUID(effect.detail["refundId"])


def _key(refund: Refund) -> str:
    assert refund.idempotency_key is not None, "only what began here is sent from here"
    return refund.idempotency_key


def _cause(effect: Effect) -> Cause:
    return Cause("effect", str(effect.id))


def unknown_payment(refund_id: UUID) -> str:
    """The fingerprint of that discrepancy."""
    return f"refund_of_unknown_payment:{refund_id}"


async def raise_unknown_payment(tx: Tx, refund: Refund) -> None:
    """It took the money, and now knows nothing of it: a key of another account or mode."""
    if await discrepancies.reopen(tx, unknown_payment(refund.id)):
        return
    await discrepancies.open_discrepancy(
        tx,
        kind="refund_of_unknown_payment",
        gateway=refund.gateway,
        order_id=refund.order_id,
        payment_id=refund.payment_id,
        amount_at_risk=refund.amount,
        currency=refund.currency,
        evidence={
            "ours": {"refund": str(refund.id), "payment": refund.gateway_payment_id},
            "theirs": {"payment": None},
        },
        proposed_action="check_account",
        fingerprint=unknown_payment(refund.id),
    )
