"""POST /refunds and GET /refunds/{id}: money that goes back, asked for by the application's backend.

A refund is written down here and sent by a worker, so that nothing of a gateway is waited for: 202. What came of it,
``GET /refunds/{id}`` and the notification say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from checkout import idempotency
from checkout.access import SUPPORT
from checkout.callers import Callers
from checkout.idempotency import HEADER
from checkout.opening import BODY_BYTES, BODY_SECONDS
from checkout.record import Record
from checkout.standing import order_id_of
from checkout.tokens import Caller
from db import refunds, users
from db.history import Cause
from db.idempotency_keys import Claimed
from db.pool import Tx
from db.refunds import Refund
from gateways.gateway import Json
from gateways.reading import NotAnEvent, as_text, parse_request
from payments.refund import DisputeOpen, NothingToRefund, OverRefund, RefundReason
from web import bodies
from web.problems import Problem
from workers.apply import Clock
from workers.refund_requests import Answer, Asked, Elsewhere, KeyReused, Wish, ask_for_order, ask_for_payment

SCOPE = "refunds"

AMOUNT_MAX = 2**63 - 1

MEMBERS = frozenset({"orderId", "paymentId", "amount", "reason"})


@dataclass(frozen=True, slots=True)
class Named:
    """Whose money it is: one of the two, as the caller wrote it."""

    order: str | None
    payment: str | None


@dataclass(frozen=True, slots=True)
class Refunds:
    """``clock`` is business time."""

    record: Record
    callers: Callers
    clock: Clock

    async def create_refund(self, request: Request) -> Response:
        caller = await self.callers.identify(request, scope=SCOPE)
        body = await bodies.read(request, limit_bytes=BODY_BYTES, limit_seconds=BODY_SECONDS)
        asked = idempotency.question(request, body, caller.user_id)
        named, wish = _read(body, caller, asked.key if asked else None)
        async with self.record.transaction() as tx:
            if asked is None:
                return _told(await self._ask(tx, named, wish, caller))
            await users.know(tx, caller.user_id, caller.email)
            claimed = await idempotency.claim(tx, asked)
            if not isinstance(claimed, Claimed):
                return claimed
            # A refusal is no answer: it takes the key's claim back with it, and the next request is looked at anew.
            response = _told(await self._ask(tx, named, wish, caller))
            await idempotency.keep_answer(tx, asked, response)
        return response

    async def show_refund(self, request: Request) -> Response:
        await self.callers.identify(request, scope=SCOPE, or_scope=SUPPORT)
        refund_id = order_id_of(request.path_params["refund_id"])
        async with self.record.transaction() as tx:
            refund = await refunds.find(tx, refund_id) if refund_id else None
        if refund is None:
            raise Problem(404, "refund_not_found", "There is no such refund.")
        return JSONResponse(describe(refund))

    async def _ask(self, tx: Tx, named: Named, wish: Wish, caller: Caller) -> Answer:
        cause, at = Cause("api", caller.user_id), self.clock()
        if named.payment is not None:
            payment_id = await _find_payment(tx, named.payment)
            return await ask_for_payment(tx, payment_id, wish, cause, at)
        order_id = order_id_of(named.order or "")
        if order_id is None or not await refunds.is_an_order(tx, order_id):
            raise Problem(404, "order_not_found", "There is no such order.")
        return await ask_for_order(tx, order_id, wish, cause, at)


async def _find_payment(tx: Tx, name: str) -> UUID:
    match await refunds.find_payments(tx, name, order_id_of(name)):
        case [payment_id]:
            return payment_id
        case _:
            raise Problem(404, "payment_not_found", "There is no such payment, or more than one.")


def _read(body: bytes, caller: Caller, key: str | None) -> tuple[Named, Wish]:
    try:
        said = parse_request(body)
    except NotAnEvent as error:
        raise Problem(400, "malformed_body", str(error)) from None
    if unknown := sorted(set(said) - MEMBERS):
        # A mistyped amount, overlooked, would give all of it back.
        raise Problem(400, "invalid_refund", f"{unknown[0][:64]!r} is no member of a refund.")
    named, amount = _read_names(said), _read_amount(said)
    if amount is not None and key is None:
        detail = f"A refund of a part needs {HEADER}: without it, a repeat could not be told from a second wish."
        raise Problem(400, "idempotency_key_required", detail)
    return named, Wish(amount, _read_reason(said), f"api:{caller.user_id}", key)


def _read_names(said: Json) -> Named:
    named = Named(as_text(said.get("orderId")), as_text(said.get("paymentId")))
    if len({"orderId", "paymentId"} & set(said)) != 1 or (named.order is None) == (named.payment is None):
        raise Problem(400, "invalid_refund", "Name one of the two whose money goes back: orderId or paymentId.")
    return named


def _read_amount(said: Json) -> int | None:
    if "amount" not in said:
        return None
    amount = said["amount"]
    if isinstance(amount, bool) or not isinstance(amount, int) or not 0 < amount <= AMOUNT_MAX:
        raise Problem(400, "invalid_amount", "amount is a whole number of minor units, above 0; left out, it is all.")
    return amount


def _read_reason(said: Json) -> RefundReason:
    try:
        return RefundReason(as_text(said.get("reason")) or "")
    except ValueError:
        words = ", ".join(reason.value for reason in RefundReason)
        raise Problem(400, "invalid_reason", f"reason is one of {words}.") from None


def _told(answer: Answer) -> Response:
    """Raises ``Problem`` where there will be no refund."""
    match answer:
        case Asked(refund=refund):
            return JSONResponse({"refundId": str(refund.id), "status": refund.status.value}, 202)
        case OverRefund(remaining=remaining):
            detail = f"Of this payment {remaining} can still be refunded."
            raise Problem(409, "over_refund", detail, members={"remaining": remaining.minor})
        case DisputeOpen():
            raise Problem(409, "dispute_open", "A dispute holds this money: the bank gives it back, or we keep it.")
        case NothingToRefund():
            raise Problem(409, "nothing_to_refund", "No money was taken, or all of it has gone back.")
        case Elsewhere(payments=payments):
            names = ", ".join(payments)
            detail = (
                f"Nothing is left of what paid this order. Of other money of it there is: name its paymentId, {names}."
            )
            raise Problem(409, "nothing_to_refund", detail)
        case KeyReused():
            raise Problem(409, "key_reused", "This key was used for another request. A new request needs a new key.")


def describe(refund: Refund) -> dict[str, Any]:
    """As the API gives it; what is not known is null."""
    return {
        "refundId": str(refund.id),
        "orderId": str(refund.order_id) if refund.order_id else None,
        "paymentId": str(refund.payment_id),
        "gateway": refund.gateway,
        "gatewayPaymentId": refund.gateway_payment_id,
        "gatewayRefundId": refund.gateway_refund_id,
        "amount": refund.amount,
        "currency": refund.currency,
        "status": refund.status.value,
        "reason": refund.reason_code.value,
        "askedBy": refund.asked_by,
        "failure": refund.failure_reason,
        "createdAt": refund.created_at.isoformat(),
        "sentAt": _written(refund.sent_at),
        "settledAt": _written(refund.settled_at),
    }


def _written(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
