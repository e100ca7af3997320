"""Refunds, disputes and lines of payouts, as Stripe's API gives them, in our words: what their events would tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from gateways.client import DisputeState, MoneyState, PayoutPart, PayoutState, RefundRequest, RefundState
from gateways.gateway import Json
from gateways.reading import as_id, as_object, as_signed, as_text
from gateways.stripe.events import translate_snapshot
from gateways.stripe.refunds import OUR_REFUND, REASONS, read_references
from gateways.translating import Unreadable, gather, needed
from payments.events import DisputeTold, Observed, PayoutTold, RefundTold

#: What a line of a payout has to be asked with, for it to say of which payment it is.
EXPAND_PARTS = ["data.source"]

#: Payments made without a payment intent are known by their charge, or by what Stripe calls a payment.
_CHARGES = ("ch_", "py_")


def write_refund(request: RefundRequest) -> Json:
    """The whole request, the same for every repeat."""
    reason = REASONS.get(request.reason)
    return {
        "charge" if is_charge(request.gateway_payment_id) else "payment_intent": request.gateway_payment_id,
        "amount": request.amount.minor,
        "metadata": {
            OUR_REFUND: request.refund_id,
            **({"order_id": request.order_id} if request.order_id else {}),
            "counterfoil": request.instance_id,
        },
        **({"reason": reason} if reason else {}),
    }


def is_charge(payment_id: str) -> bool:
    return payment_id.startswith(_CHARGES)


def was_made_by(request: RefundRequest, refund: Json) -> bool:
    metadata = as_object(refund.get("metadata"))
    return metadata.get(OUR_REFUND) == request.refund_id and metadata.get("counterfoil") == request.instance_id


def read_refund(refund: Json) -> RefundState:
    """Raises ``Unreadable`` and ``TranslationError``."""
    match translate_snapshot(_event("refund.updated", refund)):
        case Observed(event=RefundTold() as told) as observed:
            return RefundState(told.gateway_refund_id, observed)
        case _:
            raise Unreadable("no refund")


def read_dispute(dispute: Json) -> DisputeState:
    """Raises ``Unreadable`` and ``TranslationError``."""
    match translate_snapshot(_event("charge.dispute.updated", dispute)):
        case Observed(event=DisputeTold() as told) as observed:
            return DisputeState(told.gateway_dispute_id, observed)
        case _:
            raise Unreadable("no dispute")


def read_payout(payout: Json) -> PayoutState:
    """Raises ``Unreadable`` and ``TranslationError``."""
    match translate_snapshot(_event("payout.paid", payout)):
        case Observed(event=PayoutTold() as told) as observed:
            return PayoutState(told.gateway_payout_id, observed)
        case _:
            raise Unreadable("no payout")


def read_money_back(charge: Json, refunds: Iterable[Json], disputes: Iterable[Json]) -> MoneyState:
    """The oldest first. A refund that somebody made by hand bears no marks: it is as much ours as its charge is.
    Raises ``TranslationError``."""
    story = chain(_story("refund.updated", refunds), _story("charge.dispute.updated", disputes))
    total = _event("charge.refunded", charge)
    return MoneyState(gather(read_references(charge), map(translate_snapshot, (*story, total))))


def read_part(transaction: Json) -> PayoutPart:
    """One balance transaction. Stripe's category says more than its type: disputes are ``adjustment`` there. Raises
    ``Unreadable``."""
    minor, currency = _signed(transaction, "amount")
    source = transaction.get("source")
    return PayoutPart(
        id=needed(as_text(transaction.get("id")), "id"),
        kind=needed(as_text(transaction.get("reporting_category")) or as_text(transaction.get("type")), "type"),
        names=_names(source),
        minor=minor,
        fee_minor=_signed(transaction, "fee")[0],
        currency=currency,
    )


def is_payout_itself(transaction: Json, payout_id: str) -> bool:
    """The line that takes the others' sum away, to the bank."""
    return as_id(transaction.get("source")) == payout_id


def _names(source: object) -> tuple[str, ...]:
    """A charge is a payment, which we know by its intent. A refund and a dispute are themselves, and not their payment:
    that is another line."""
    own = as_id(source)
    intent = as_id(as_object(source).get("payment_intent")) if as_object(source).get("object") == "charge" else None
    return tuple(name for name in (intent, own) if name is not None)


def _signed(transaction: Json, name: str) -> tuple[int, str]:
    return needed(as_signed(transaction.get(name), transaction.get("currency")), f"{name} with currency")


def _story(event_type: str, objects: Iterable[Json]) -> Iterator[Json]:
    for each in reversed(list(objects)):
        yield _event(event_type, each)


def _event(event_type: str, about: Json) -> Json:
    return {"object": "event", "type": event_type, "data": {"object": about}}
