"""The same fact in every shape is the same fact, and no shape whatever breaks the translation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.gateway import Elsewhere, TranslationError, Unhandled
from gateways.registry import GATEWAYS
from payments.events import (
    DisputeTold,
    Event,
    Observed,
    PaymentAuthorised,
    PaymentSucceeded,
    PayoutTold,
    RefundsTotalled,
    RefundTold,
    SubscriptionTold,
)
from payments.invoice import InvoicePayment, InvoiceStatus
from payments.money import Money
from payments.payment import payment_told
from tests.contract import billing_shapes, money_shapes, shapes
from tests.contract.recorded import event_files, load

STRIPE, RAZORPAY = GATEWAYS["stripe"], GATEWAYS["razorpay"]

SESSION_PAID = PaymentSucceeded(shapes.INTENT_ID, Money(4900, "usd"))
CAPTURED = PaymentSucceeded(shapes.PAYMENT_ID, Money(490_000, "inr"))


def observed(told: Observed | Unhandled | Elsewhere) -> Observed:
    assert isinstance(told, Observed)
    return told


@pytest.mark.parametrize("version", shapes.PAID_SESSIONS)
def test_f22_a_paid_session_is_the_same_fact_in_every_shape(version: str) -> None:
    event = shapes.stripe_event("checkout.session.completed", shapes.PAID_SESSIONS[version], version)

    told = observed(STRIPE.translate(event))

    assert told.event == SESSION_PAID
    assert told.references.order_ids == (shapes.ORDER_ID,)
    assert told.references.objects == (shapes.SESSION_ID, shapes.INTENT_ID)
    assert told.references.instance == "counterfoil"
    assert told.references.session_id == shapes.SESSION_ID


@pytest.mark.parametrize("version", shapes.SUCCEEDED_INTENTS)
def test_f22_a_succeeded_intent_is_the_same_fact_in_every_shape(version: str) -> None:
    event = shapes.stripe_event("payment_intent.succeeded", shapes.SUCCEEDED_INTENTS[version], version)

    told = observed(STRIPE.translate(event))

    assert told.event == SESSION_PAID
    assert told.references.order_ids == (shapes.ORDER_ID,)
    assert told.references.objects == (shapes.INTENT_ID, shapes.CHARGE_ID)
    assert told.references.session_id is None


@pytest.mark.parametrize("version", shapes.INVOICE_INTENTS)
def test_f22_an_invoices_intent_is_no_one_time_payment_in_any_shape(version: str) -> None:
    event = shapes.stripe_event("payment_intent.succeeded", shapes.INVOICE_INTENTS[version], version)

    told = STRIPE.translate(event)

    assert told == Unhandled("told_by_its_invoice")


@pytest.mark.parametrize("version", billing_shapes.SUBSCRIPTIONS)
def test_f22_a_subscription_is_the_same_fact_in_every_shape(version: str) -> None:
    event = shapes.stripe_event("customer.subscription.updated", billing_shapes.SUBSCRIPTIONS[version], version)

    told = observed(STRIPE.translate(event))

    newest = shapes.stripe_event("customer.subscription.updated", billing_shapes.subscription())
    assert told == observed(STRIPE.translate(newest))
    assert told.references.order_ids == (shapes.ORDER_ID,)
    assert isinstance(told.event, SubscriptionTold)
    assert told.event.snapshot is not None
    assert told.event.snapshot.period_end is not None


@pytest.mark.parametrize("version", billing_shapes.PAID_INVOICES)
def test_f22_a_paid_invoice_is_the_same_fact_in_every_shape(version: str) -> None:
    event = shapes.stripe_event("invoice.paid", billing_shapes.PAID_INVOICES[version], version)

    told = observed(STRIPE.translate(event))

    newest = billing_shapes.invoice(payments=billing_shapes.payments(billing_shapes.paying()))
    assert told.event == observed(STRIPE.translate(shapes.stripe_event("invoice.paid", newest))).event
    assert told.references.order_ids == (shapes.ORDER_ID,)
    assert told.references.instance == "counterfoil"
    assert {billing_shapes.SUB_ID, billing_shapes.INVOICE_ID, billing_shapes.PAID_BY} <= set(told.references.objects)
    assert isinstance(told.event, SubscriptionTold)
    assert told.event.invoice is not None
    assert told.event.invoice.payment == InvoicePayment(billing_shapes.PAID_BY, Money(1900, "usd"))


@pytest.mark.parametrize("version", billing_shapes.FAILED_INVOICES)
def test_f22_a_failed_invoice_is_the_same_fact_in_every_shape(version: str) -> None:
    event = shapes.stripe_event("invoice.payment_failed", billing_shapes.FAILED_INVOICES[version], version)

    told = observed(STRIPE.translate(event))

    newest = shapes.stripe_event("invoice.payment_failed", billing_shapes.invoice(**billing_shapes.OPEN))
    assert told.event == observed(STRIPE.translate(newest)).event


@pytest.mark.parametrize("name", billing_shapes.CHARGES)
def test_f22_a_charge_is_the_same_fact_in_every_shape(name: str) -> None:
    told = observed(RAZORPAY.translate(billing_shapes.CHARGES[name]))

    assert isinstance(told.event, SubscriptionTold)
    assert told.event.invoice is not None
    assert told.event.invoice.status is InvoiceStatus.PAID
    assert told.event.invoice.payment == InvoicePayment(billing_shapes.RZP_PAYMENT_ID, Money(99_900, "inr"))
    assert told == observed(RAZORPAY.translate(billing_shapes.CHARGES["captured as text"]))


@pytest.mark.parametrize("name", shapes.CAPTURES)
def test_f45_one_captured_payment_is_the_same_fact_in_each_of_its_events(name: str) -> None:
    told = observed(RAZORPAY.translate(shapes.CAPTURES[name]))

    assert told.event == CAPTURED
    assert told.references.order_ids == (shapes.ORDER_ID,)
    assert told.references.instance == "counterfoil"
    assert {shapes.GATEWAY_ORDER_ID, shapes.PAYMENT_ID} <= set(told.references.objects)


def test_f45_a_session_and_its_intent_name_the_same_payment_and_the_same_money() -> None:
    session = shapes.stripe_event("checkout.session.completed", shapes.session())
    intent = shapes.stripe_event("payment_intent.succeeded", shapes.intent())

    told = [observed(STRIPE.translate(event)).event for event in (session, intent)]

    assert told == [SESSION_PAID, SESSION_PAID]


def test_f46_an_authorisation_and_the_capture_of_one_payment_are_two_facts() -> None:
    authorised = shapes.payment(status="authorized", captured=False)
    events = [
        shapes.razorpay_event("payment.authorized", payment=authorised),
        shapes.razorpay_event("payment.captured", payment=shapes.payment()),
    ]

    told = [observed(RAZORPAY.translate(event)).event for event in events]

    assert told == [PaymentAuthorised(shapes.PAYMENT_ID, Money(490_000, "inr")), CAPTURED]


@pytest.mark.parametrize("event_type", ["v1.payment_intent.succeeded", "v1.invoice.paid"])
def test_f17_what_a_thin_event_is_about_its_gateway_tells(event_type: str) -> None:
    told = STRIPE.translate(shapes.thin_event(event_type))

    assert told == Elsewhere("evt_2")


@pytest.mark.parametrize(
    "event_type", ["v1.customer.created", "checkout.session.completed", "v2.core.account.closed", ""]
)
def test_f17_a_thin_event_of_a_type_that_nobody_handles_is_not_asked_about(event_type: str) -> None:
    told = STRIPE.translate(shapes.thin_event(event_type))

    assert told == Unhandled("unhandled_type")


# --- amounts ---

STRIPE_AMOUNT_FIELDS = [
    ("checkout.session.completed", shapes.session, "amount_total"),
    ("payment_intent.succeeded", shapes.intent, "amount_received"),
]


@given(minor=st.integers(0, 2**63 - 1))
@settings(deadline=None)
def test_f64_amounts_pass_through_as_the_exact_integers_they_are(minor: int) -> None:
    events = [
        (STRIPE, shapes.stripe_event("checkout.session.completed", shapes.session(amount_total=minor))),
        (STRIPE, shapes.stripe_event("payment_intent.succeeded", shapes.intent(amount_received=minor))),
        (RAZORPAY, shapes.razorpay_event("payment.captured", payment=shapes.payment(amount=minor))),
        (STRIPE, shapes.stripe_event("invoice.paid", billing_shapes.old_invoice(amount_paid=minor))),
        (RAZORPAY, _charged(amount=minor)),
        (STRIPE, shapes.stripe_event("refund.updated", money_shapes.refund(amount=minor))),
        (STRIPE, shapes.stripe_event("charge.refunded", money_shapes.charge(amount_refunded=minor))),
        (STRIPE, shapes.stripe_event("charge.dispute.created", money_shapes.dispute(amount=minor))),
        (STRIPE, shapes.stripe_event("payout.paid", money_shapes.payout(amount=minor))),
        (RAZORPAY, money_shapes.refund_event(amount=minor)),
        (RAZORPAY, money_shapes.dispute_event(amount=minor)),
        (RAZORPAY, shapes.razorpay_event("settlement.processed", settlement=money_shapes.settlement(amount=minor))),
    ]

    told = [_amount_of(observed(gateway.translate(event)).event) for gateway, event in events]

    # What was paid by nothing was paid by no payment: 0 at Stripe.
    assert [amount for amount in told if amount is not None] == [minor] * (12 if minor else 11)


def _charged(**changes: Any) -> dict[str, Any]:
    payment = billing_shapes.rzp_payment(**changes)
    return shapes.razorpay_event(
        "subscription.charged", subscription=billing_shapes.rzp_subscription(), payment=payment
    )


def _amount_of(event: Event) -> int | None:
    match event:
        case SubscriptionTold(invoice=invoice):
            paid = None if invoice is None else invoice.payment
            return None if paid is None else paid.paid.minor
        case RefundTold(amount=amount) | DisputeTold(amount=amount) | RefundsTotalled(refunded_in_all=amount):
            return amount.minor
        case PayoutTold(minor=minor):
            return minor
        case _:
            seen = payment_told(event)
            return None if seen is None else seen.amount.minor


NOT_AN_AMOUNT = st.one_of(
    st.floats(allow_nan=False), st.text(), st.booleans(), st.integers(max_value=-1), st.integers(min_value=2**63)
)


@given(amount=NOT_AN_AMOUNT)
@settings(deadline=None)
def test_f64_what_is_no_whole_amount_is_refused_in_every_place(amount: Any) -> None:
    events = [
        (STRIPE, shapes.stripe_event("checkout.session.completed", shapes.session(amount_total=amount))),
        (STRIPE, shapes.stripe_event("payment_intent.succeeded", shapes.intent(amount_received=amount))),
        (RAZORPAY, shapes.razorpay_event("payment.captured", payment=shapes.payment(amount=amount))),
        (STRIPE, shapes.stripe_event("invoice.paid", {**billing_shapes.invoice(), "amount_paid": amount})),
        (STRIPE, shapes.stripe_event("invoice.upcoming", {**billing_shapes.invoice(), "amount_due": amount})),
        (RAZORPAY, _charged(amount=amount)),
        (STRIPE, shapes.stripe_event("refund.updated", money_shapes.refund(amount=amount))),
        (STRIPE, shapes.stripe_event("charge.refunded", money_shapes.charge(amount_refunded=amount))),
        (RAZORPAY, money_shapes.refund_event(amount=amount)),
        (RAZORPAY, money_shapes.dispute_event(amount=amount)),
    ]

    for gateway, event in events:
        with pytest.raises(TranslationError, match="amount"):
            gateway.translate(event)


@pytest.mark.parametrize("currency", ["usd", "USD", "jpy", "KWD"])
def test_currencies_are_lowercase_whatever_the_gateway_writes(currency: str) -> None:
    event = shapes.razorpay_event("payment.captured", payment=shapes.payment(currency=currency))

    told = observed(RAZORPAY.translate(event)).event

    assert told == PaymentSucceeded(shapes.PAYMENT_ID, Money(490_000, currency.lower()))


# --- hostile shapes ---


HAND_MADE: list[tuple[str, dict[str, Any]]] = [
    *(("stripe", shapes.stripe_event("checkout.session.completed", s)) for s in shapes.PAID_SESSIONS.values()),
    (
        "stripe",
        shapes.stripe_event("checkout.session.expired", shapes.session(status="expired", payment_status="unpaid")),
    ),
    ("stripe", shapes.stripe_event("checkout.session.async_payment_failed", shapes.session(payment_status="unpaid"))),
    *(("stripe", shapes.stripe_event("payment_intent.succeeded", i)) for i in shapes.SUCCEEDED_INTENTS.values()),
    ("stripe", shapes.stripe_event("payment_intent.payment_failed", shapes.intent(status="requires_payment_method"))),
    *(("stripe", shapes.stripe_event("invoice.paid", i)) for i in billing_shapes.PAID_INVOICES.values()),
    *(("stripe", shapes.stripe_event("invoice.payment_failed", i)) for i in billing_shapes.FAILED_INVOICES.values()),
    *(
        ("stripe", shapes.stripe_event("customer.subscription.updated", s))
        for s in billing_shapes.SUBSCRIPTIONS.values()
    ),
    ("stripe", shapes.stripe_event("invoice_payment.paid", billing_shapes.paying())),
    *(("razorpay", event) for event in billing_shapes.CHARGES.values()),
    ("razorpay", shapes.razorpay_event("invoice.paid", invoice=billing_shapes.rzp_invoice())),
    *(("razorpay", event) for event in shapes.CAPTURES.values()),
    ("razorpay", shapes.razorpay_event("payment.failed", payment=shapes.payment(status="failed", captured=False))),
    ("razorpay", shapes.razorpay_event("payment_link.expired", payment_link=shapes.payment_link(status="expired"))),
    *(("stripe", shapes.stripe_event("refund.updated", r)) for r in money_shapes.REFUNDS.values()),
    *(("stripe", shapes.stripe_event("charge.refunded", c)) for c in money_shapes.REFUNDED_CHARGES.values()),
    *(
        ("stripe", shapes.stripe_event(f"charge.dispute.{what}", money_shapes.dispute(*moved, status=status)))
        for what, status, moved in (
            ("created", "warning_needs_response", ()),
            ("funds_withdrawn", "needs_response", (money_shapes.TAKEN,)),
            ("funds_reinstated", "won", (money_shapes.TAKEN, money_shapes.GIVEN_BACK)),
            ("closed", "lost", (money_shapes.moved(-4512, fee=1500, currency="eur"),)),
        )
    ),
    ("stripe", shapes.stripe_event("radar.early_fraud_warning.created", money_shapes.warning())),
    ("stripe", shapes.stripe_event("payout.paid", money_shapes.payout())),
    ("razorpay", money_shapes.refund_event()),
    ("razorpay", money_shapes.refund_event(beside=money_shapes.LAPSED)),
    ("razorpay", money_shapes.dispute_event("payment.dispute.won", status="won", amount_deducted=490_000)),
    ("razorpay", shapes.razorpay_event("settlement.processed", settlement=money_shapes.settlement())),
]
SAMPLES = HAND_MADE + [(name, load(path)) for name in GATEWAYS for path in event_files(name)]

#: As JSON text, so that each use is a value of its own.
STRANGE_VALUES = (
    *("null", "true", "false", "0", "-1", "1.5", "1e400", str(2**70), "[]", "{}", "[null]", "[" * 300 + "]" * 300),
    *('""', '"\\u0000"', '"\\ud800"', '"é"', '"NaN"', '"2026-10-01"', f'"{"x" * 300}"'),
    *('{"id": null}', '{"id": {}}', '{"entity": []}', '{"entity": {"status": []}}'),
)


def _places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path to everything inside."""
    inside: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    return [p for name, child in inside for p in ((*path, name), *_places(child, (*path, name)))]


@st.composite
def broken_events(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A sound event with one to three fields dropped, or replaced by something strange."""
    name, sound = draw(st.sampled_from(SAMPLES))
    event = json.loads(json.dumps(sound))
    for _ in range(draw(st.integers(1, 3))):
        places = _places(event)
        if not places:
            break
        *parents, last = draw(st.sampled_from(places))
        holder: Any = event
        for step in parents:
            holder = holder[step]
        if draw(st.booleans()):
            del holder[last]
        else:
            holder[last] = json.loads(draw(st.sampled_from(STRANGE_VALUES)))
    return name, event


@given(broken=broken_events())
@settings(deadline=None, max_examples=2000)
def test_a_broken_event_is_translated_ignored_or_refused_and_nothing_else(broken: tuple[str, dict[str, Any]]) -> None:
    name, event = broken

    try:
        told = GATEWAYS[name].translate(event)
    except TranslationError:
        return

    assert isinstance(told, Observed | Unhandled)
    if isinstance(told, Observed):
        names = (*told.references.order_ids, *told.references.objects)
        assert all(0 < len(text) <= 255 and "\0" not in text and text.encode() for text in names)


@given(broken=broken_events())
@settings(deadline=None, max_examples=1000)
def test_a_broken_event_of_somebody_else_is_never_a_dead_letter(broken: tuple[str, dict[str, Any]]) -> None:
    name, event = broken
    for told in _objects_of(name, event):
        _unmark(told)
    if not _objects_of(name, event):
        return

    told_as = GATEWAYS[name].translate(event)

    assert isinstance(told_as, Observed | Unhandled)


def _unmark(told: Any) -> None:
    """Nobody's, at whatever depth."""
    if isinstance(told, dict):
        for field in ("metadata", "notes", "client_reference_id", "reference_id", "receipt"):
            told.pop(field, None)
    for inside in told.values() if isinstance(told, dict) else told if isinstance(told, list) else ():
        _unmark(inside)


def _objects_of(name: str, event: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects that an event is about, those that are still objects."""
    if name == "stripe":
        data = event.get("data")
        found = [data.get("object")] if isinstance(data, dict) else []
    else:
        payload = event.get("payload")
        kinds = (
            *("payment_link", "order", "payment", "subscription", "invoice"),
            *("refund", "dispute", "settlement"),
        )
        wrapped = [payload.get(kind) for kind in kinds] if isinstance(payload, dict) else []
        found = [wrapping.get("entity") for wrapping in wrapped if isinstance(wrapping, dict)]
    return [told for told in found if isinstance(told, dict) and told]
