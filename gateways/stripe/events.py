"""Stripe's words in ours: one line for each event type, in every API shape. Hosted pages and their payments are read
here; subscriptions, invoices and money that goes back in modules of their own.

Where the object and the event's type contradict each other, the object is believed and nothing is granted or closed.

Amounts: a session's ``amount_total`` and ``currency`` are in the currency that we asked for, with Adaptive Pricing too
(what the customer saw is in ``presentment_details``). Sessions made before 2025-03-31 held the customer's currency
there and ours in ``currency_conversion``: their figures are passed on as they are, differ from what was expected, and
so move nothing. Source: docs.stripe.com/changelog/basil/2025-03-31/add_presentment_details.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from gateways.gateway import Elsewhere, Json, TranslationError, Unhandled
from gateways.reading import as_id, as_money, as_object, as_text, as_time, texts
from gateways.stripe import disputes, invoices, payouts, refunds, subscriptions
from gateways.stripe.envelope import THIN_PREFIX, is_thin
from gateways.stripe.failures import read_failure
from gateways.translating import Unreadable, confirm, needed, observe
from payments.events import (
    CheckoutEnded,
    Event,
    Observed,
    OrderEvent,
    PaymentCancelled,
    PaymentFailed,
    PaymentPending,
    PaymentSucceeded,
    References,
)
from payments.failure import Failure, FailureCode
from payments.money import Money


def translate(event: Json) -> Observed | Unhandled | Elsewhere:
    """The fact in our words. Raises nothing but ``TranslationError``."""
    return _find_elsewhere(event) if is_thin(event) else translate_snapshot(event)


def translate_snapshot(event: Json) -> Observed | Unhandled:
    """Of an event that holds its object."""
    event_type = as_text(event.get("type")) or ""
    chapter = _CHAPTER_OF.get(event_type)
    if chapter is None:
        return Unhandled("unhandled_type")
    told = as_object(as_object(event.get("data")).get("object"))
    if not told:
        raise TranslationError(f"{event_type}: data.object is missing")
    if refusal := chapter.refuse(told):
        return refusal
    read = partial(chapter.facts[event_type], told)
    return observe("stripe", event_type, chapter.references(told), read, as_time(event.get("created")))


def _find_elsewhere(event: Json) -> Unhandled | Elsewhere:
    """A thin event about an object of the first API has the type of the snapshot event that was made beside it."""
    event_id, event_type = as_text(event.get("id")), as_text(event.get("type")) or ""
    is_handled = event_type.startswith(THIN_PREFIX) and event_type.removeprefix(THIN_PREFIX) in EVENT_TYPES
    return Elsewhere(event_id) if is_handled and event_id is not None else Unhandled("unhandled_type")


def _take_all(_told: Json) -> None:
    """There is nothing of this kind that is not ours to read."""


# --- checkout sessions ---


def _refuse_session(session: Json) -> Unhandled | None:
    """A page that only keeps a card sells nothing. The first sessions had no mode; what they lead to tells it."""
    mode = as_text(session.get("mode"))
    is_sale = mode in {"payment", "subscription"} or (mode is None and as_id(session.get("setup_intent")) is None)
    return None if is_sale else Unhandled("not_a_sale")


def _session_references(session: Json) -> References:
    metadata = as_object(session.get("metadata"))
    session_id = as_text(session.get("id"))
    return References(
        order_ids=texts(session.get("client_reference_id"), metadata.get("order_id")),
        objects=texts(
            session_id, *(as_id(session.get(name)) for name in ("payment_intent", "subscription", "invoice"))
        ),
        instance=as_text(metadata.get("counterfoil")),
        session_id=session_id,
    )


def _session_completed(session: Json) -> OrderEvent:
    """``payment_status`` decides, and not the type: a delayed method completes the session before any money comes."""
    payment_id = _session_payment_id(session)
    match as_text(session.get("payment_status")):
        case "paid":
            return PaymentSucceeded(payment_id, _session_total(session))
        case "unpaid":
            return PaymentPending(payment_id, _session_total(session))
        case "no_payment_required":
            return PaymentSucceeded(None, _nothing_due(session))
        case _:
            raise Unreadable("payment_status is missing or unknown")


def _session_failed(session: Json) -> OrderEvent:
    """A delayed method failed after checkout was completed: that session can take no other payment.

    The reason is in the intent's own event; here only if somebody asked Stripe to expand it.
    """
    confirm(session, "payment_status", "unpaid")
    intent = session.get("payment_intent")
    error = as_object(as_object(intent).get("last_payment_error"))
    failure = read_failure(error) if error else Failure(FailureCode.CARD_DECLINED, "async_payment_failed")
    amount = as_money(session.get("amount_total"), session.get("currency"))
    return PaymentFailed(_session_payment_id(session), amount, failure, final=True)


def _session_expired(session: Json) -> OrderEvent:
    confirm(session, "status", "expired")
    confirm(session, "payment_status", "unpaid", "no_payment_required")
    return CheckoutEnded(needed(as_text(session.get("id")), "id"))


def _session_payment_id(session: Json) -> str | None:
    """A session that began a subscription names no payment of its own: what was paid, its first invoice tells."""
    began_subscription = session.get("mode") == "subscription" or as_id(session.get("subscription")) is not None
    return None if began_subscription else as_id(session.get("payment_intent"))


def _session_total(session: Json) -> Money:
    return needed(as_money(session.get("amount_total"), session.get("currency")), "amount_total with currency")


def _nothing_due(session: Json) -> Money:
    """``no_payment_required`` also means that payment is put off; then the total is not 0, and was not taken."""
    told = session.get("amount_total")
    total = needed(as_money(0 if told is None else told, session.get("currency")), "amount_total with currency")
    if total.minor:
        raise Unreadable("amount_total contradicts payment_status")
    return total


# --- payment intents ---


def _refuse_intent(intent: Json) -> Unhandled | None:
    """Intents named their invoice until Basil; since then only the order reference that Stripe sends to card networks
    does (seen in recorded 2025-11-17 events). One that names none is told by its references: no order has them."""
    order_reference = as_text(as_object(intent.get("payment_details")).get("order_reference")) or ""
    is_invoices = as_id(intent.get("invoice")) is not None or order_reference.startswith("in_")
    return Unhandled("told_by_its_invoice") if is_invoices else None


def _intent_references(intent: Json) -> References:
    metadata = as_object(intent.get("metadata"))
    return References(
        order_ids=texts(metadata.get("order_id")),
        objects=texts(intent.get("id"), _latest_charge(intent)),
        instance=as_text(metadata.get("counterfoil")),
    )


def _latest_charge(intent: Json) -> str | None:
    """``latest_charge`` since 2022-11-15, the first of the list ``charges`` before. Some disputes name only it."""
    charges = as_object(intent.get("charges")).get("data")
    first = charges[0] if isinstance(charges, list) and charges else None
    return as_id(intent.get("latest_charge")) or as_id(first)


def _intent_succeeded(intent: Json) -> OrderEvent:
    """What was received, which a partial capture makes less than ``amount``."""
    confirm(intent, "status", "succeeded")
    received = intent.get("amount_received")
    told = intent.get("amount") if received is None else received
    paid = needed(as_money(told, intent.get("currency")), "amount_received with currency")
    return PaymentSucceeded(_intent_id(intent), paid)


def _intent_processing(intent: Json) -> OrderEvent:
    confirm(intent, "status", "processing")
    return PaymentPending(_intent_id(intent), _intent_amount(intent))


def _intent_failed(intent: Json) -> OrderEvent:
    """One attempt was declined, and the intent asks for another method: in words that changed over the years."""
    if as_text(intent.get("status")) in {"succeeded", "processing", "requires_capture"}:
        raise Unreadable("status contradicts the event's type")
    amount = as_money(intent.get("amount"), intent.get("currency"))
    return PaymentFailed(_intent_id(intent), amount, read_failure(intent.get("last_payment_error")))


def _intent_cancelled(intent: Json) -> OrderEvent:
    confirm(intent, "status", "canceled")
    return PaymentCancelled(_intent_id(intent), _intent_amount(intent))


def _intent_id(intent: Json) -> str:
    return needed(as_text(intent.get("id")), "id")


def _intent_amount(intent: Json) -> Money:
    return needed(as_money(intent.get("amount"), intent.get("currency")), "amount with currency")


# --- the table ---


@dataclass(frozen=True, slots=True)
class _Chapter:
    """One kind of object: what of it is not ours to read, whose it is, and what each event type says of it."""

    refuse: Callable[[Json], Unhandled | None]
    references: Callable[[Json], References]
    facts: Mapping[str, Callable[[Json], Event]]


_CHAPTERS = (
    _Chapter(
        _refuse_session,
        _session_references,
        {
            "checkout.session.completed": _session_completed,
            "checkout.session.async_payment_succeeded": _session_completed,
            "checkout.session.async_payment_failed": _session_failed,
            "checkout.session.expired": _session_expired,
        },
    ),
    _Chapter(
        _refuse_intent,
        _intent_references,
        {
            "payment_intent.succeeded": _intent_succeeded,
            "payment_intent.processing": _intent_processing,
            "payment_intent.payment_failed": _intent_failed,
            "payment_intent.canceled": _intent_cancelled,
        },
    ),
    _Chapter(
        _take_all,
        subscriptions.read_references,
        {
            "customer.subscription.created": subscriptions.subscription_told,
            "customer.subscription.updated": subscriptions.subscription_told,
            "customer.subscription.deleted": subscriptions.subscription_deleted,
            "customer.subscription.paused": subscriptions.subscription_paused,
            "customer.subscription.resumed": subscriptions.subscription_resumed,
            "customer.subscription.trial_will_end": subscriptions.trial_will_end,
            "customer.subscription.pending_update_applied": subscriptions.subscription_told,
            "customer.subscription.pending_update_expired": subscriptions.subscription_told,
        },
    ),
    _Chapter(
        invoices.refuse,
        invoices.read_references,
        {
            "invoice.created": invoices.invoice_told,
            "invoice.finalized": invoices.invoice_told,
            "invoice.finalization_failed": invoices.invoice_not_finalised,
            "invoice.upcoming": invoices.invoice_upcoming,
            "invoice.paid": invoices.invoice_paid,
            "invoice.payment_failed": invoices.invoice_failed,
            "invoice.payment_action_required": invoices.invoice_unconfirmed,
            "invoice.voided": invoices.invoice_voided,
            "invoice.marked_uncollectible": invoices.invoice_given_up,
        },
    ),
    _Chapter(
        _take_all,
        invoices.payment_references,
        {"invoice_payment.paid": invoices.invoice_payment_paid},
    ),
    _Chapter(
        refunds.refuse_charge,
        refunds.read_references,
        {"charge.refunded": refunds.charge_refunded},
    ),
    _Chapter(
        refunds.refuse_refund,
        refunds.read_references,
        {
            "refund.created": refunds.refund_told,
            "refund.updated": refunds.refund_told,
            "refund.failed": refunds.refund_told,
            "charge.refund.updated": refunds.refund_told,
        },
    ),
    _Chapter(
        _take_all,
        refunds.read_references,
        {
            "charge.dispute.created": disputes.dispute_told,
            "charge.dispute.updated": disputes.dispute_told,
            "charge.dispute.funds_withdrawn": disputes.funds_withdrawn,
            "charge.dispute.funds_reinstated": disputes.funds_reinstated,
            "charge.dispute.closed": disputes.dispute_told,
            "radar.early_fraud_warning.created": disputes.fraud_warned,
        },
    ),
    _Chapter(
        _take_all,
        payouts.read_references,
        {
            "payout.paid": payouts.payout_told,
            "payout.failed": payouts.payout_told,
        },
    ),
)

_CHAPTER_OF = {event_type: chapter for chapter in _CHAPTERS for event_type in chapter.facts}

#: Every type that says something of an order, a subscription, or money.
EVENT_TYPES = frozenset(_CHAPTER_OF)
