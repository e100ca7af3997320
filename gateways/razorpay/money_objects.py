"""Refunds, disputes and lines of settlements, as Razorpay's API gives them, in our words, as their events tell."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta, timezone

from gateways.client import DisputeState, MoneyState, PayoutPart, PayoutState, RefundRequest, RefundState
from gateways.gateway import Json
from gateways.razorpay.entities import Entities, read_references
from gateways.razorpay.events import translate
from gateways.razorpay.refunds import OUR_REASON, OUR_REFUND, read_total, was_never_captured
from gateways.reading import as_money, as_object, as_signed, as_text, as_time, texts
from gateways.translating import Unreadable, gather, needed
from payments.events import DisputeTold, Observed, PayoutTold, RefundTold

#: What Razorpay takes for an idempotency key (razorpay.com/docs/api/refunds/normal-refunds-idempotent).
KEY = re.compile(r"[A-Za-z0-9_-]{10,64}")

#: The days of settlements are India's.
INDIA = timezone(timedelta(hours=5, minutes=30))


def write_refund(request: RefundRequest) -> Json:
    """The whole body, the same for every repeat. The other speed costs a fee, and may be what an account has set."""
    ours = {"order_id": request.order_id} if request.order_id else {}
    return {
        "amount": request.amount.minor,
        "speed": "normal",
        "notes": {
            OUR_REFUND: request.refund_id,
            **ours,
            OUR_REASON: str(request.reason),
            "counterfoil": request.instance_id,
        },
    }


def write_key(key: str) -> str:
    """Ours where Razorpay takes it, else one that stands for it, and for no other."""
    return key if KEY.fullmatch(key) else hashlib.sha256(key.encode()).hexdigest()


def was_made_by(request: RefundRequest, refund: Json) -> bool:
    notes = as_object(refund.get("notes"))
    return notes.get(OUR_REFUND) == request.refund_id and notes.get("counterfoil") == request.instance_id


def read_refund(refund: Json) -> RefundState:
    """Raises ``Unreadable`` and ``TranslationError``."""
    match translate(_event("refund.created", refund=refund)):
        case Observed(event=RefundTold() as told) as observed:
            return RefundState(told.gateway_refund_id, observed)
        case _:
            raise Unreadable("no refund")


def read_dispute(dispute: Json) -> DisputeState:
    """Raises ``Unreadable`` and ``TranslationError``."""
    match translate(_event("payment.dispute.created", dispute=dispute)):
        case Observed(event=DisputeTold() as told) as observed:
            return DisputeState(told.gateway_dispute_id, observed)
        case _:
            raise Unreadable("no dispute")


def read_payout(settlement: Json) -> PayoutState:
    """Raises ``Unreadable`` and ``TranslationError``."""
    match translate(_event("settlement.processed", settlement=settlement)):
        case Observed(event=PayoutTold() as told) as observed:
            return PayoutState(told.gateway_payout_id, observed)
        case _:
            raise Unreadable("no settlement")


def read_money_back(payment: Json, refunds: Sequence[Json]) -> MoneyState:
    """The oldest first. Of disputes, Razorpay keeps no list for a payment. Raises ``Unreadable`` and
    ``TranslationError``."""
    names = read_references(Entities(payment=payment))
    told = gather(names, map(translate, _story(payment, refunds)))
    if was_never_captured(payment):
        return MoneyState(told)
    return MoneyState((*told, Observed("razorpay", names, read_total(payment))))


def days_of(settlement: Json) -> tuple[date, date]:
    """On which of India's days its lines are listed: that on which it was made, or the next, if it was made at night.
    Raises ``Unreadable``."""
    made = needed(as_time(settlement.get("created_at")), "settlement.created_at").astimezone(INDIA).date()
    return made, made + timedelta(days=1)


def is_of(settlement_id: str, line: Json) -> bool:
    return line.get("settlement_id") == settlement_id


def read_part(line: Json) -> PayoutPart:
    """One line of a settlement. What was credited or debited is after the fee, of which the tax is a part. Raises
    ``Unreadable``."""
    currency = line.get("currency")
    credit, debit, fee = (as_money(line.get(name) or 0, currency) for name in ("credit", "debit", "fee"))
    kept = needed(fee, "fee with currency")
    net = needed(credit, "credit with currency").minor - needed(debit, "debit with currency").minor
    minor, code = needed(as_signed(net + kept.minor, kept.currency), "credit")
    entity_id = needed(as_text(line.get("entity_id")), "entity_id")
    return PayoutPart(
        id=entity_id,
        kind=needed(as_text(line.get("type")), "type"),
        names=_names(line, entity_id),
        minor=minor,
        fee_minor=kept.minor,
        currency=code,
    )


def _names(line: Json, entity_id: str) -> tuple[str, ...]:
    """An adjustment for a dispute is the dispute's; a payment that was disputed names it too, and is itself."""
    is_adjustment = line.get("type") == "adjustment"
    return texts(line.get("dispute_id") if is_adjustment else None, entity_id)


def _story(payment: Json, refunds: Sequence[Json]) -> Iterator[Json]:
    for refund in reversed(refunds):
        yield _event("refund.created", refund=refund, payment=payment)


def _event(event_type: str, **entities: Json) -> Json:
    return {"event": event_type, "payload": {name: {"entity": as_object(entity)} for name, entity in entities.items()}}
