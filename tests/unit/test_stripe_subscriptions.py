"""Stripe's subscription and invoice events, a line each: what the object says, and what we make of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateways.gateway import TranslationError, Unhandled
from gateways.stripe.events import translate
from gateways.stripe.failures import read_advice
from gateways.stripe.subscription_objects import read_subscription, unexplained
from payments.events import (
    CheckoutEnded,
    Event,
    Observed,
    PaymentFailed,
    PaymentPending,
    PaymentSucceeded,
    SubscriptionTold,
    UpcomingInvoice,
)
from payments.failure import Failure, FailureCode
from payments.invoice import Advice, InvoicePayment, InvoiceReason, InvoiceSighting, InvoiceStatus
from payments.money import Money
from payments.snapshot import Snapshot, SubscriptionStatus
from tests.contract.billing_shapes import (
    CUSTOMER_ID,
    DAY,
    END,
    HOSTED,
    INVOICE_ID,
    MARKS,
    OPEN,
    PAID_BY,
    PERIOD,
    PRICE_ID,
    SCHEDULE_ID,
    START,
    SUB_ID,
    TOLD_AT,
    invoice,
    item,
    items,
    line,
    lines,
    old_invoice,
    old_line,
    paying,
    payments,
    subscription,
)
from tests.contract.shapes import ORDER_ID, SESSION_ID, intent, session, stripe_event


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


PRICE, NOTHING = Money(1900, "usd"), Money(0, "usd")
TOLD = at(TOLD_AT)
ACTIVE = Snapshot(SUB_ID, SubscriptionStatus.ACTIVE, CUSTOMER_ID, PRICE_ID, at(START), at(END))
PAID = InvoiceSighting(
    INVOICE_ID,
    InvoiceStatus.PAID,
    InvoiceReason.FIRST,
    PRICE,
    PRICE,
    at(START),
    at(END),
    number="A-0001",
    hosted_url=HOSTED,
    attempts=1,
    price_id=PRICE_ID,
)
UNEXPLAINED = Failure(FailureCode.UNKNOWN)
FAILING = replace(
    PAID,
    status=InvoiceStatus.OPEN,
    reason=InvoiceReason.RENEWAL,
    paid=NOTHING,
    next_attempt_at=at(END + DAY),
    failure=UNEXPLAINED,
)
NO_FUNDS = {"code": "card_declined", "decline_code": "insufficient_funds", "advice_code": "try_again_later"}
WITHOUT_FUNDS = Failure(FailureCode.INSUFFICIENT_FUNDS, "insufficient_funds")


def fact(event_type: str, told: dict[str, Any]) -> Event:
    translated = translate(stripe_event(event_type, told))
    assert isinstance(translated, Observed), translated
    return translated.event


def snapshot(told: dict[str, Any]) -> Snapshot:
    event = fact("customer.subscription.updated", told)
    assert isinstance(event, SubscriptionTold)
    assert event.snapshot is not None
    return event.snapshot


def sighting(event_type: str, told: dict[str, Any]) -> InvoiceSighting:
    event = fact(event_type, told)
    assert isinstance(event, SubscriptionTold)
    assert event.invoice is not None
    return event.invoice


# --- subscriptions ---

ENDS_LATER = subscription(cancel_at_period_end=True, cancel_at=END)
CANCELLED = subscription(status="canceled", ended_at=END, canceled_at=START)
TRIALING = subscription(status="trialing", trial_end=END)


@pytest.mark.parametrize(
    ("event_type", "told", "snapshot"),
    [
        ("customer.subscription.created", subscription(), ACTIVE),
        ("customer.subscription.created", subscription(status="incomplete"), {"status": SubscriptionStatus.INCOMPLETE}),
        ("customer.subscription.created", TRIALING, {"status": SubscriptionStatus.TRIALING, "trial_end": at(END)}),
        ("customer.subscription.updated", subscription(), ACTIVE),
        ("customer.subscription.updated", subscription(status="past_due"), {"status": SubscriptionStatus.PAST_DUE}),
        ("customer.subscription.updated", subscription(status="unpaid"), {"status": SubscriptionStatus.UNPAID}),
        ("customer.subscription.updated", ENDS_LATER, {"cancel_at_period_end": True, "ends_at": at(END)}),
        (
            "customer.subscription.updated",
            subscription(cancel_at_period_end=True),
            {"cancel_at_period_end": True, "ends_at": at(END)},
        ),
        (
            "customer.subscription.updated",
            subscription(cancel_at=END),
            {"cancel_at_period_end": True, "ends_at": at(END)},
        ),
        ("customer.subscription.updated", subscription(cancel_at=END + DAY), {"ends_at": at(END + DAY)}),
        ("customer.subscription.updated", subscription(schedule=SCHEDULE_ID), {"has_pending_change": True}),
        (
            "customer.subscription.updated",
            subscription(status="incomplete_expired", canceled_at=END),
            {"status": SubscriptionStatus.EXPIRED, "ended_at": at(END)},
        ),
        ("customer.subscription.deleted", CANCELLED, {"status": SubscriptionStatus.CANCELLED, "ended_at": at(END)}),
        ("customer.subscription.paused", subscription(status="paused"), {"status": SubscriptionStatus.PAUSED}),
        ("customer.subscription.resumed", subscription(), ACTIVE),
        (
            "customer.subscription.pending_update_applied",
            subscription(items=items(item(price={"id": "price_2"}))),
            {"price_id": "price_2"},
        ),
        (
            "customer.subscription.updated",
            subscription(pending_update={"expires_at": END, "subscription_items": []}),
            {"has_pending_change": True},
        ),
        ("customer.subscription.pending_update_expired", subscription(), ACTIVE),
    ],
)
def test_what_a_subscriptions_event_means(event_type: str, told: dict[str, Any], snapshot: Any) -> None:
    expected = snapshot if isinstance(snapshot, Snapshot) else replace(ACTIVE, **snapshot)

    assert fact(event_type, told) == SubscriptionTold(TOLD, snapshot=expected)


@pytest.mark.parametrize("status", ["trialing", "active", "past_due"])
def test_f79_paused_collection_pauses_although_the_status_stays_as_it_is(status: str) -> None:
    told = subscription(status=status, pause_collection={"behavior": "void", "resumes_at": None})

    assert snapshot(told).status is SubscriptionStatus.PAUSED


@pytest.mark.parametrize("status", ["incomplete", "unpaid", "canceled", "incomplete_expired"])
def test_f79_paused_collection_hides_no_end_and_no_debt(status: str) -> None:
    told = subscription(status=status, pause_collection={"behavior": "void"})

    assert snapshot(told).status is snapshot({**told, "pause_collection": None}).status


def test_f78_a_trial_that_will_end_says_so_beside_how_the_subscription_is() -> None:
    told = fact("customer.subscription.trial_will_end", TRIALING)

    trialing = replace(ACTIVE, status=SubscriptionStatus.TRIALING, trial_end=at(END))
    assert told == SubscriptionTold(TOLD, snapshot=trialing, trial_ends=True)


def test_f78_a_trial_that_was_cut_short_says_that_it_is_over() -> None:
    told = fact("customer.subscription.trial_will_end", subscription(trial_end=START))

    assert told == SubscriptionTold(TOLD, snapshot=replace(ACTIVE, trial_end=at(START)), trial_ends=True)


def test_f80_of_items_with_periods_of_their_own_the_latest_start_and_the_earliest_end_count() -> None:
    told = subscription(items=items(item(START, END + 31 * DAY), item(START + DAY, END)))

    assert (snapshot(told).period_start, snapshot(told).period_end) == (at(START + DAY), at(END))


def test_a_subscription_gives_every_name_that_leads_to_it() -> None:
    translated = translate(stripe_event("customer.subscription.created", subscription()))

    assert isinstance(translated, Observed)
    assert translated.references.order_ids == (ORDER_ID,)
    assert translated.references.objects == (SUB_ID, INVOICE_ID)
    assert translated.references.instance == "counterfoil"
    assert translated.references.session_id is None


def test_an_event_without_a_time_is_ordered_by_nobody() -> None:
    event = {**stripe_event("customer.subscription.updated", subscription()), "created": None}

    translated = translate(event)

    assert isinstance(translated, Observed)
    assert translated.event == SubscriptionTold(None, snapshot=ACTIVE)


# --- invoices ---


@pytest.mark.parametrize(
    ("event_type", "told", "sighting"),
    [
        ("invoice.paid", invoice(), PAID),
        ("invoice.paid", old_invoice(), {"payment": InvoicePayment(PAID_BY, PRICE)}),
        ("invoice.paid", old_invoice(payment_intent=None), {"payment": InvoicePayment("ch_1", PRICE)}),
        (
            "invoice.paid",
            invoice(billing_reason="subscription_cycle", payments=payments(paying(payment_intent=PAID_BY))),
            {"reason": InvoiceReason.RENEWAL, "payment": InvoicePayment(PAID_BY, PRICE)},
        ),
        # Two payments made it up: its own is the one that is told.
        (
            "invoice.paid",
            invoice(payments=payments(paying("pi_2", amount_paid=900, is_default=False), paying(amount_paid=1000))),
            {"payment": InvoicePayment(PAID_BY, Money(1000, "usd"))},
        ),
        ("invoice.created", invoice(status="draft", attempt_count=0, amount_paid=0), {"status": InvoiceStatus.DRAFT}),
        (
            "invoice.finalized",
            invoice(status="open", attempt_count=0, amount_paid=0, next_payment_attempt=END),
            {"status": InvoiceStatus.OPEN, "next_attempt_at": at(END)},
        ),
        ("invoice.payment_failed", invoice(**OPEN), FAILING),
        ("invoice.payment_failed", invoice(**OPEN, attempt_count=0), FAILING),
        ("invoice.payment_failed", old_invoice(**OPEN, paid=False, attempt_count=3), replace(FAILING, attempts=3)),
        (
            "invoice.payment_failed",
            old_invoice(**OPEN, paid=False, payment_intent={"id": PAID_BY, "last_payment_error": NO_FUNDS}),
            replace(FAILING, failure=WITHOUT_FUNDS, advice=Advice.TRY_AGAIN_LATER),
        ),
        (
            "invoice.payment_failed",
            invoice(**OPEN, payments=payments(paying({"id": PAID_BY, "last_payment_error": NO_FUNDS}, status="open"))),
            replace(FAILING, failure=WITHOUT_FUNDS, advice=Advice.TRY_AGAIN_LATER),
        ),
        (
            "invoice.payment_action_required",
            invoice(**OPEN),
            replace(FAILING, failure=Failure(FailureCode.AUTHENTICATION_REQUIRED, "authentication_required")),
        ),
        (
            "invoice.finalization_failed",
            invoice(
                status="draft",
                attempt_count=0,
                amount_paid=0,
                last_finalization_error={"code": "customer_tax_location_invalid", "type": "invalid_request_error"},
            ),
            {
                "status": InvoiceStatus.DRAFT,
                "failure": Failure(FailureCode.GATEWAY_ERROR, "customer_tax_location_invalid"),
            },
        ),
        ("invoice.voided", invoice(status="void", amount_paid=0, attempt_count=0), {"status": InvoiceStatus.VOID}),
        (
            "invoice.marked_uncollectible",
            invoice(status="uncollectible", amount_paid=0, attempt_count=0),
            {"status": InvoiceStatus.UNCOLLECTIBLE},
        ),
        (
            "invoice.paid",
            invoice(billing_reason="subscription_update", lines=lines(line(proration=True))),
            {"reason": InvoiceReason.CHANGE, "period_start": None, "period_end": None, "has_proration": True},
        ),
        ("invoice.paid", invoice(billing_reason="manual"), {"reason": InvoiceReason.OTHER}),
        ("invoice.paid", invoice(hosted_invoice_url="javascript:alert(1)"), {"hosted_url": None}),
        ("invoice.paid", invoice(attempt_count=2**40), {"attempts": 1000}),
    ],
)
def test_what_an_invoices_event_means(event_type: str, told: dict[str, Any], sighting: Any) -> None:
    about = fact(event_type, told)

    expected = sighting if isinstance(sighting, InvoiceSighting) else replace(PAID, **_whole(sighting))
    assert about == SubscriptionTold(TOLD, invoice=expected)


def _whole(changes: dict[str, Any]) -> dict[str, Any]:
    """What is not paid has paid nothing, and has not been tried."""
    is_paid = changes.get("status", InvoiceStatus.PAID) is InvoiceStatus.PAID
    return changes if is_paid else {"paid": NOTHING, "attempts": 0, **changes}


def test_f83_an_invoice_that_was_paid_elsewhere_is_paid_by_no_payment_of_ours() -> None:
    recorded = paying(payment={"type": "payment_record", "payment_record": "pr_1"})

    told = [
        sighting("invoice.paid", old_invoice(payment_intent=None, charge=None, paid_out_of_band=True)),
        sighting("invoice.paid", invoice(payments=payments(recorded))),
    ]

    assert told == [PAID, PAID]


def test_f83_an_invoice_over_nothing_is_paid_without_a_payment() -> None:
    told = sighting("invoice.paid", old_invoice(amount_due=0, amount_paid=0, payment_intent=None, charge=None))

    assert told == replace(PAID, due=NOTHING, paid=NOTHING)


@pytest.mark.parametrize("shape", [line, old_line])
def test_the_period_is_that_of_the_latest_line_that_is_no_proration(shape: Any) -> None:
    left = shape(START - DAY, END + 90 * DAY, proration=True)
    told = sighting("invoice.paid", invoice(lines=lines(left, shape(START, END), shape(START - DAY, START))))

    assert (told.period_start, told.period_end) == (at(START), at(END))
    assert told.has_proration


def test_f16_an_upcoming_invoice_has_no_id_and_is_due_when_the_period_ends() -> None:
    told = invoice(id=None, status="draft", billing_reason="upcoming", period_end=END, next_payment_attempt=END + 3600)

    assert fact("invoice.upcoming", told) == SubscriptionTold(TOLD, upcoming=UpcomingInvoice(PRICE, at(END)))


def test_the_payment_of_an_invoice_is_a_reason_to_look_and_no_more() -> None:
    translated = translate(stripe_event("invoice_payment.paid", paying()))

    assert isinstance(translated, Observed)
    assert translated.event == SubscriptionTold(told_at=None)
    assert translated.references.objects == (INVOICE_ID,)


def test_an_invoice_gives_every_name_that_leads_to_it() -> None:
    told = [old_invoice(), invoice(payments=payments(paying()))]

    references = [translate(stripe_event("invoice.paid", each)) for each in told]

    assert [each.references.order_ids for each in references if isinstance(each, Observed)] == [(ORDER_ID,)] * 2
    assert [each.references.instance for each in references if isinstance(each, Observed)] == ["counterfoil"] * 2
    assert [each.references.subscription_id for each in references if isinstance(each, Observed)] == [SUB_ID] * 2
    assert [each.references.objects for each in references if isinstance(each, Observed)] == [
        (SUB_ID, INVOICE_ID, PAID_BY, "ch_1"),
        (SUB_ID, INVOICE_ID, PAID_BY),
    ]


def test_an_invoice_that_is_not_paid_names_no_payment_that_may_yet_be_told_by_itself() -> None:
    told = [old_invoice(**OPEN, paid=False), invoice(**OPEN, payments=payments(paying(status="open", amount_paid=0)))]

    references = [translate(stripe_event("invoice.payment_failed", each)) for each in told]

    assert [each.references.objects for each in references if isinstance(each, Observed)] == [(SUB_ID, INVOICE_ID)] * 2


@pytest.mark.parametrize("event_type", ["invoice.paid", "invoice.created", "invoice.upcoming"])
def test_an_invoice_that_somebody_wrote_by_hand_is_none_of_a_subscription(event_type: str) -> None:
    told = invoice(parent=None, lines=lines(line(metadata={}, parent=None)), billing_reason="manual")

    assert translate(stripe_event(event_type, told)) == Unhandled("not_of_a_subscription")


@pytest.mark.parametrize("marks", [MARKS, {"order_id": ORDER_ID}, {"counterfoil": "another shop"}])
def test_an_invoice_by_hand_disturbs_nobody_whatever_is_written_on_it(marks: dict[str, str]) -> None:
    told = invoice(parent=None, lines=lines(line(metadata={}, parent=None)), billing_reason="manual", metadata=marks)

    assert translate(stripe_event("invoice.paid", told)) == Unhandled("not_of_a_subscription")


# --- hosted pages ---


@pytest.mark.parametrize(
    ("event_type", "told", "fact"),
    [
        ("checkout.session.completed", {}, PaymentSucceeded(None, Money(4900, "usd"))),
        (
            "checkout.session.completed",
            {"payment_status": "no_payment_required", "amount_total": 0},
            PaymentSucceeded(None, NOTHING),
        ),
        # So it was told in 2022 of a trial, for which nothing was due.
        ("checkout.session.completed", {"amount_total": 0}, PaymentSucceeded(None, NOTHING)),
        ("checkout.session.completed", {"payment_status": "unpaid"}, PaymentPending(None, Money(4900, "usd"))),
        ("checkout.session.async_payment_succeeded", {}, PaymentSucceeded(None, Money(4900, "usd"))),
        (
            "checkout.session.async_payment_failed",
            {"payment_status": "unpaid"},
            PaymentFailed(
                None, Money(4900, "usd"), Failure(FailureCode.CARD_DECLINED, "async_payment_failed"), final=True
            ),
        ),
        ("checkout.session.expired", {"status": "expired", "payment_status": "unpaid"}, CheckoutEnded(SESSION_ID)),
    ],
)
def test_the_page_that_begins_a_subscription_pays_or_ends_its_order(
    event_type: str, told: dict[str, Any], fact: Event
) -> None:
    about = session(mode="subscription", payment_intent=None, subscription=SUB_ID, invoice=INVOICE_ID, **told)

    translated = translate(stripe_event(event_type, about))

    assert isinstance(translated, Observed)
    assert translated.event == fact
    assert translated.references.objects == (SESSION_ID, SUB_ID, INVOICE_ID)


def test_a_page_that_begins_a_subscription_names_no_payment_of_its_own() -> None:
    about = session(mode="subscription", payment_intent="pi_1", subscription=SUB_ID)

    assert fact("checkout.session.completed", about) == PaymentSucceeded(None, Money(4900, "usd"))


# --- what is missing, or contradicts itself ---

CONTRADICTIONS = [
    ("customer.subscription.updated", subscription(status="half"), "status"),
    ("customer.subscription.updated", subscription(status=None), "status"),
    ("customer.subscription.updated", subscription(id=None), "id"),
    ("customer.subscription.updated", subscription(items=None), "current_period_end"),
    ("customer.subscription.updated", subscription(items=items(item(None, None))), "current_period_end"),
    ("customer.subscription.updated", subscription(items=None, **PERIOD), "items.data.price"),
    ("customer.subscription.updated", subscription(object="invoice_payment"), "object"),
    ("customer.subscription.deleted", subscription(), "status"),
    ("customer.subscription.paused", subscription(), "status"),
    ("customer.subscription.resumed", subscription(status="paused"), "status"),
    ("invoice.paid", invoice(status="open"), "status"),
    ("invoice.paid", old_invoice(paid=False), "paid"),
    ("invoice.paid", invoice(amount_paid=None), "amount_paid"),
    ("invoice.paid", invoice(amount_due=19.0), "amount_due"),
    ("invoice.paid", invoice(currency=None), "amount_due"),
    ("invoice.paid", invoice(id=None), "id"),
    ("invoice.paid", invoice(parent={"type": "new", "details": {}}), "subscription"),
    ("invoice.created", invoice(status="deleted"), "status"),
    ("invoice.payment_failed", invoice(), "status"),
    ("invoice.payment_failed", old_invoice(**OPEN), "paid"),
    ("invoice.payment_action_required", invoice(), "status"),
    ("invoice.finalization_failed", invoice(), "status"),
    ("invoice.voided", invoice(), "status"),
    ("invoice.marked_uncollectible", invoice(), "status"),
    ("invoice.upcoming", invoice(id=None, amount_due=None), "amount_due"),
]


@pytest.mark.parametrize(("event_type", "told", "field"), CONTRADICTIONS)
def test_f22_what_could_be_ours_and_lacks_a_field_or_contradicts_itself_asks_for_a_person(
    event_type: str, told: dict[str, Any], field: str
) -> None:
    with pytest.raises(TranslationError, match=f"^{event_type}: {field}"):
        translate(stripe_event(event_type, told))


@pytest.mark.parametrize(("event_type", "told", "field"), CONTRADICTIONS)
def test_the_same_of_somebody_else_disturbs_nobody(event_type: str, told: dict[str, Any], field: str) -> None:
    translated = translate(stripe_event(event_type, _unmarked(told)))

    assert translated == Unhandled("not_of_a_subscription" if field == "subscription" else "unreadable")


def _unmarked(told: Any) -> Any:
    if isinstance(told, dict):
        return {name: _unmarked(value) for name, value in told.items() if value != MARKS}
    return [_unmarked(each) for each in told] if isinstance(told, list) else told


def test_f34_what_has_ended_is_told_even_where_its_period_is_not() -> None:
    told = fact("customer.subscription.deleted", {**CANCELLED, "items": None})

    assert isinstance(told, SubscriptionTold)
    assert told.snapshot == replace(
        ACTIVE,
        status=SubscriptionStatus.CANCELLED,
        price_id=None,
        period_start=None,
        period_end=None,
        ended_at=at(END),
    )


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (NO_FUNDS, Advice.TRY_AGAIN_LATER),
        ({"advice_code": "do_not_try_again"}, Advice.DO_NOT_TRY_AGAIN),
        ({"advice_code": "confirm_card_data"}, Advice.CONFIRM_CARD_DATA),
        ({"advice_code": "of next year"}, None),
        ({"advice_code": ["do_not_try_again"]}, None),
        ({}, None),
        (None, None),
    ],
)
def test_f88_what_the_bank_advises(error: object, advice: Advice | None) -> None:
    assert read_advice(error) is advice


# --- objects, as the API gives them ---

RENEWAL = {"id": "in_2", "billing_reason": "subscription_cycle"}


def test_a_subscription_that_is_read_tells_what_its_webhooks_told() -> None:
    first, second = old_invoice(), invoice(**{**OPEN, **RENEWAL})
    held = subscription(status="past_due", latest_invoice="in_2")

    told = read_subscription(held, [second, first])

    webhooks = [
        translate({**stripe_event(event_type, about), "created": None})
        for event_type, about in (
            ("invoice.payment_failed", second),
            ("invoice.paid", first),
            ("customer.subscription.updated", held),
        )
    ]
    assert [each.event for each in told] == [each.event for each in webhooks if isinstance(each, Observed)]
    assert all(each.references.order_ids == (ORDER_ID,) for each in told)


def test_an_invoice_is_ours_by_the_subscription_that_it_was_read_with() -> None:
    told = read_subscription(subscription(), [_unmarked(invoice())])

    assert [each.references.order_ids for each in told] == [(ORDER_ID,), (ORDER_ID,)]
    assert {SUB_ID, INVOICE_ID} <= set(told[0].references.objects)


def test_what_was_paid_after_the_end_is_read_after_it_and_says_when() -> None:
    late = invoice(**RENEWAL, status_transitions={"paid_at": END + 1})
    in_time = invoice(status_transitions={"paid_at": START})

    told = [each.event for each in read_subscription(CANCELLED, [late, in_time])]

    assert [isinstance(each, SubscriptionTold) and each.snapshot is not None for each in told] == [False, True, False]
    last = told[-1]
    assert isinstance(last, SubscriptionTold)
    assert last.invoice is not None
    assert (last.invoice.gateway_invoice_id, last.invoice.taken_at) == ("in_2", at(END + 1))


def test_a_subscription_read_with_its_latest_invoice_whole_needs_no_list() -> None:
    told = read_subscription(subscription(latest_invoice=invoice(payments=payments(paying()))))

    paid = replace(PAID, payment=InvoicePayment(PAID_BY, PRICE))
    assert [each.event for each in told] == [SubscriptionTold(None, invoice=paid), SubscriptionTold(None, ACTIVE)]


@pytest.mark.parametrize(
    ("status", "paid_by", "failure"),
    [
        ("past_due", None, UNEXPLAINED),
        ("past_due", {"status": "requires_payment_method", "last_payment_error": NO_FUNDS}, WITHOUT_FUNDS),
        (
            "past_due",
            {"status": "requires_action"},
            Failure(FailureCode.AUTHENTICATION_REQUIRED, "authentication_required"),
        ),
        # A direct debit is on its way.
        ("active", {"status": "processing", "last_payment_error": None}, None),
        ("active", None, None),
    ],
)
def test_why_an_open_invoice_is_open_its_payment_knows(
    status: str, paid_by: dict[str, Any] | None, failure: Failure | None
) -> None:
    open_one = invoice(**OPEN, payments=payments(paying(status="open", amount_paid=0)))
    intents = [] if paid_by is None else [intent(**paid_by)]

    told, _ = read_subscription(subscription(status=status), [open_one], intents)

    assert unexplained([open_one, old_invoice()]) == (PAID_BY,)
    assert isinstance(told.event, SubscriptionTold)
    assert told.event.invoice is not None
    assert told.event.invoice.failure == failure


def test_f34_a_subscription_that_is_gone_is_read_as_one_that_has_ended() -> None:
    [told] = read_subscription(CANCELLED)

    assert isinstance(told.event, SubscriptionTold)
    assert told.event.snapshot == replace(ACTIVE, status=SubscriptionStatus.CANCELLED, ended_at=at(END))


@pytest.mark.parametrize(
    ("held", "invoices"),
    [
        (subscription(status="half"), []),
        (subscription(), [_unmarked(invoice(amount_due=None))]),
        (subscription(), [_unmarked(invoice(currency="dollars"))]),
    ],
)
def test_f22_what_is_read_and_cannot_be_understood_asks_for_a_person(
    held: dict[str, Any], invoices: list[dict[str, Any]]
) -> None:
    with pytest.raises(TranslationError):
        read_subscription(held, invoices)
