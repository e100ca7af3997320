"""Razorpay's subscription and invoice events, a line each: what the entities say, and what we make of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateways.client import Session, SessionState
from gateways.gateway import TranslationError, Unhandled
from gateways.razorpay.events import translate
from gateways.razorpay.subscription_objects import read_begun, read_page, read_subscription
from gateways.translating import Unreadable
from payments.events import CheckoutEnded, Event, Observed, References, SubscriptionTold
from payments.failure import Failure, FailureCode
from payments.invoice import InvoicePayment, InvoiceReason, InvoiceSighting, InvoiceStatus
from payments.money import Money
from payments.snapshot import Snapshot, SubscriptionStatus
from tests.contract.billing_shapes import (
    DAY,
    END,
    MARKS,
    RZP_INVOICE_ID,
    RZP_PAYMENT_ID,
    RZP_PLAN_ID,
    RZP_SUB_ID,
    START,
    TOLD_AT,
    rzp_invoice,
    rzp_payment,
    rzp_subscription,
)
from tests.contract.shapes import ORDER_ID, gateway_order, razorpay_event


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


PRICE, NOTHING = Money(99_900, "inr"), Money(0, "inr")
TOLD = at(TOLD_AT)
ACTIVE = Snapshot(RZP_SUB_ID, SubscriptionStatus.ACTIVE, "cust_1", RZP_PLAN_ID, at(START), at(END))
PAID = InvoiceSighting(
    RZP_INVOICE_ID,
    InvoiceStatus.PAID,
    InvoiceReason.FIRST,
    PRICE,
    PRICE,
    at(START),
    at(END),
    payment=InvoicePayment(RZP_PAYMENT_ID, PRICE),
    price_id=RZP_PLAN_ID,
)
READ = replace(PAID, hosted_url="https://rzp.io/i/1")
LOOK = SubscriptionTold(told_at=None)

#: A start that was asked for when the subscription was made; until then nothing is paid.
TRIAL = {"created_at": START - 14 * DAY, "expire_by": START - 14 * DAY + 1860}
IN_TRIAL = rzp_subscription(**TRIAL, status="authenticated", current_start=None, current_end=None, charge_at=START)
TRIALING = replace(ACTIVE, status=SubscriptionStatus.TRIALING, period_start=None, period_end=None, trial_end=at(START))
PENDING = rzp_subscription(status="pending", auth_attempts=2, charge_at=START + 2 * DAY, start_at=START - 31 * DAY)
HALTED = rzp_subscription(status="halted", auth_attempts=4, charge_at=END, start_at=START - 31 * DAY)
FAILED = {"status": "failed", "captured": False, "error_reason": "insufficient_funds"}
WITHOUT_FUNDS = Failure(FailureCode.INSUFFICIENT_FUNDS, "insufficient_funds")
FAILING = replace(
    PAID,
    status=InvoiceStatus.OPEN,
    reason=InvoiceReason.RENEWAL,
    paid=NOTHING,
    attempts=2,
    next_attempt_at=at(START + 2 * DAY),
    failure=WITHOUT_FUNDS,
    payment=None,
)


def fact(event_type: str, **entities: dict[str, Any]) -> Event:
    translated = translate(razorpay_event(event_type, **entities))
    assert isinstance(translated, Observed), translated
    return translated.event


def sighting(told: Event) -> InvoiceSighting:
    assert isinstance(told, SubscriptionTold)
    assert told.invoice is not None
    return told.invoice


# --- subscriptions ---


@pytest.mark.parametrize(
    ("event_type", "subscription", "changes"),
    [
        ("subscription.activated", rzp_subscription(), {}),
        ("subscription.resumed", rzp_subscription(), {}),
        ("subscription.updated", rzp_subscription(plan_id="plan_B2"), {"price_id": "plan_B2"}),
        ("subscription.updated", rzp_subscription(has_scheduled_changes=True), {"has_pending_change": True}),
        ("subscription.paused", rzp_subscription(status="paused"), {"status": SubscriptionStatus.PAUSED}),
        ("subscription.pending", PENDING, {"status": SubscriptionStatus.PAST_DUE}),
        ("subscription.halted", HALTED, {"status": SubscriptionStatus.UNPAID}),
        (
            "subscription.cancelled",
            rzp_subscription(status="cancelled", ended_at=START + DAY),
            {"status": SubscriptionStatus.CANCELLED, "ended_at": at(START + DAY)},
        ),
        # The customer has paid for the last cycle when it begins, and keeps what was paid for to its end.
        (
            "subscription.completed",
            rzp_subscription(status="completed", ended_at=START),
            {"status": SubscriptionStatus.EXPIRED, "ended_at": at(END)},
        ),
    ],
)
def test_what_a_subscriptions_event_means(
    event_type: str, subscription: dict[str, Any], changes: dict[str, Any]
) -> None:
    told = fact(event_type, subscription=subscription)

    assert told == SubscriptionTold(TOLD, snapshot=replace(ACTIVE, **changes))


def test_a_mandate_before_a_start_to_come_begins_the_trial() -> None:
    assert fact("subscription.authenticated", subscription=IN_TRIAL) == SubscriptionTold(TOLD, snapshot=TRIALING)


@pytest.mark.parametrize("start_at", [None, START])
def test_a_mandate_whose_first_charge_is_due_at_once_begins_nothing_yet(start_at: int | None) -> None:
    about = rzp_subscription(status="authenticated", start_at=start_at, current_start=None, current_end=None)

    told = fact("subscription.authenticated", subscription=about)

    waiting = replace(ACTIVE, status=SubscriptionStatus.INCOMPLETE, period_start=None, period_end=None)
    assert told == SubscriptionTold(TOLD, snapshot=waiting)


def test_a_page_without_an_end_has_a_trial_where_the_start_is_a_day_away() -> None:
    about = {**IN_TRIAL, "expire_by": None}

    assert fact("subscription.authenticated", subscription=about) == SubscriptionTold(TOLD, snapshot=TRIALING)


def test_f79_what_is_paused_before_it_has_begun_is_cancelled() -> None:
    told = fact("subscription.paused", subscription=rzp_subscription(status="cancelled", ended_at=START))

    cancelled = replace(ACTIVE, status=SubscriptionStatus.CANCELLED, ended_at=at(START))
    assert told == SubscriptionTold(TOLD, snapshot=cancelled)


@pytest.mark.parametrize("inside", [True, False])
def test_an_events_time_may_lie_in_its_payload_or_be_missing(inside: bool) -> None:
    event = razorpay_event("subscription.activated", subscription=rzp_subscription())
    del event["created_at"]
    if inside:
        event["payload"]["created_at"] = TOLD_AT

    translated = translate(event)

    assert isinstance(translated, Observed)
    assert translated.event == SubscriptionTold(TOLD if inside else None, snapshot=ACTIVE)


# --- money ---


@pytest.mark.parametrize(
    ("subscription", "payment", "changes"),
    [
        ({}, {}, {}),
        ({"start_at": START - 31 * DAY}, {}, {"reason": InvoiceReason.RENEWAL}),
        # After a trial the first money renews; nothing was owed when the subscription began.
        (TRIAL, {}, {"reason": InvoiceReason.RENEWAL}),
        # The customer went over to more in the middle of the first cycle.
        ({}, {"created_at": START + DAY}, {"reason": InvoiceReason.CHANGE}),
        ({}, {"amount": 100}, {"due": Money(100, "inr"), "paid": Money(100, "inr")}),
    ],
)
def test_a_charge_is_a_paid_invoice_for_the_cycle_that_runs(
    subscription: dict[str, Any], payment: dict[str, Any], changes: dict[str, Any]
) -> None:
    about = rzp_subscription(**subscription)

    told = fact("subscription.charged", subscription=about, payment=rzp_payment(**payment))

    paid = replace(PAID, **changes)
    assert sighting(told) == replace(paid, payment=InvoicePayment(RZP_PAYMENT_ID, paid.paid))


@pytest.mark.parametrize(
    ("subscription", "payment"),
    [
        ({}, {"invoice_id": None}),
        # Tried again, or for more from now on: only its invoice tells.
        ({"start_at": START - 31 * DAY}, {"created_at": START + DAY}),
    ],
    ids=["it names no invoice", "it may be a renewal or a change"],
)
def test_a_charge_of_which_only_its_invoice_tells_is_a_reason_to_look_and_teaches_no_name_of_its_payment(
    subscription: dict[str, Any], payment: dict[str, Any]
) -> None:
    event = razorpay_event(
        "subscription.charged", subscription=rzp_subscription(**subscription), payment=rzp_payment(**payment)
    )

    translated = translate(event)

    assert isinstance(translated, Observed)
    assert translated.event == LOOK
    assert translated.references.subscription_id == RZP_SUB_ID
    assert {RZP_PAYMENT_ID, "order_A1"}.isdisjoint(translated.references.objects)


def test_f82_a_failing_subscription_does_not_say_which_invoice_it_waits_for() -> None:
    told = [fact("subscription.pending", subscription=PENDING), fact("subscription.halted", subscription=HALTED)]

    assert told == [
        SubscriptionTold(TOLD, snapshot=replace(ACTIVE, status=SubscriptionStatus.PAST_DUE)),
        SubscriptionTold(TOLD, snapshot=replace(ACTIVE, status=SubscriptionStatus.UNPAID)),
    ]


def test_f82_with_its_payment_a_failing_subscription_tells_the_attempt_and_its_reason() -> None:
    told = fact("subscription.pending", subscription=PENDING, payment=rzp_payment(**FAILED))

    assert sighting(told) == FAILING


def test_a_halted_subscription_is_not_charged_again_for_what_it_owes() -> None:
    told = fact("subscription.halted", subscription=HALTED, payment=rzp_payment(**FAILED))

    assert sighting(told) == replace(FAILING, attempts=4, next_attempt_at=None)


@pytest.mark.parametrize("paid", [rzp_payment(), rzp_payment(**FAILED, invoice_id=None)])
def test_a_payment_of_something_else_beside_a_failing_subscription_says_nothing(paid: dict[str, Any]) -> None:
    told = fact("subscription.pending", subscription=PENDING, payment=paid)

    assert told == SubscriptionTold(TOLD, snapshot=replace(ACTIVE, status=SubscriptionStatus.PAST_DUE))


@pytest.mark.parametrize(
    ("event_type", "entities"),
    [
        ("invoice.paid", {"payment": rzp_payment(), "order": gateway_order(notes=[]), "invoice": rzp_invoice()}),
        ("invoice.expired", {"invoice": rzp_invoice(status="expired", payment_id=None)}),
        ("payment.failed", {"payment": rzp_payment(**FAILED)}),
    ],
)
def test_what_tells_too_little_of_an_invoice_is_a_reason_to_look(event_type: str, entities: dict[str, Any]) -> None:
    translated = translate(razorpay_event(event_type, **entities))

    assert isinstance(translated, Observed)
    assert translated.event == LOOK
    assert RZP_INVOICE_ID in translated.references.objects


def test_an_invoice_that_is_a_reason_to_look_teaches_no_name_of_its_payment() -> None:
    event = razorpay_event("invoice.paid", payment=rzp_payment(invoice_id=None), invoice=rzp_invoice())

    translated = translate(event)

    assert isinstance(translated, Observed)
    assert translated.references.objects == (RZP_SUB_ID, RZP_INVOICE_ID)


def test_an_invoice_that_no_subscription_made_is_none_of_ours() -> None:
    event = razorpay_event("invoice.paid", payment=rzp_payment(), invoice=rzp_invoice(subscription_id=None))

    assert translate(event) == Unhandled("not_of_a_subscription")


@pytest.mark.parametrize("marks", [MARKS, {"order_id": ORDER_ID}, {"counterfoil": "another shop"}])
@pytest.mark.parametrize("bearer", ["invoice", "payment"])
def test_an_invoice_of_a_one_time_payment_disturbs_nobody_whatever_is_written_on_it(
    bearer: str, marks: dict[str, str]
) -> None:
    one_time = rzp_invoice(subscription_id=None, billing_start=None, billing_end=None)
    entities = {"payment": rzp_payment(), "invoice": one_time}
    entities[bearer] = {**entities[bearer], "notes": marks}

    assert translate(razorpay_event("invoice.paid", **entities)) == Unhandled("not_of_a_subscription")


def test_a_charge_gives_every_name_and_the_subscription_is_its_own_page() -> None:
    translated = translate(
        razorpay_event("subscription.charged", subscription=rzp_subscription(), payment=rzp_payment())
    )

    assert isinstance(translated, Observed)
    assert translated.references == References(
        order_ids=(ORDER_ID,),
        objects=(RZP_SUB_ID, RZP_INVOICE_ID, "order_A1", RZP_PAYMENT_ID),
        instance="counterfoil",
        session_id=RZP_SUB_ID,
        subscription_id=RZP_SUB_ID,
    )


# --- what is missing, or contradicts itself ---

CONTRADICTIONS = [
    ("subscription.activated", {"subscription": rzp_subscription(status="half")}, "subscription.status"),
    ("subscription.activated", {"subscription": rzp_subscription(status=None)}, "subscription.status"),
    ("subscription.activated", {"subscription": rzp_subscription(id=None)}, "subscription.id"),
    ("subscription.activated", {"subscription": rzp_subscription(plan_id=None)}, "subscription.plan_id"),
    ("subscription.activated", {"subscription": rzp_subscription(current_end=None)}, "subscription.current_end"),
    ("subscription.cancelled", {"subscription": rzp_subscription()}, "status"),
    ("subscription.completed", {"subscription": rzp_subscription()}, "status"),
    ("subscription.charged", {"subscription": rzp_subscription()}, "payment.id"),
    ("subscription.charged", {"subscription": rzp_subscription(), "payment": rzp_payment(**FAILED)}, "status"),
    ("subscription.charged", {"subscription": rzp_subscription(), "payment": rzp_payment(captured=False)}, "captured"),
    (
        "subscription.charged",
        {"subscription": rzp_subscription(), "payment": rzp_payment(amount="1")},
        "payment.amount",
    ),
    (
        "subscription.pending",
        {"subscription": PENDING, "payment": rzp_payment(**FAILED, amount=None)},
        "payment.amount",
    ),
    ("invoice.paid", {"invoice": rzp_invoice(subscription_id=None, notes=MARKS)}, "invoice.subscription_id"),
]


@pytest.mark.parametrize(("event_type", "entities", "field"), CONTRADICTIONS)
def test_f22_what_could_be_ours_and_lacks_a_field_or_contradicts_itself_asks_for_a_person(
    event_type: str, entities: dict[str, Any], field: str
) -> None:
    with pytest.raises(TranslationError, match=f"^{event_type}: {field}"):
        translate(razorpay_event(event_type, **entities))


@pytest.mark.parametrize(("event_type", "entities", "field"), CONTRADICTIONS)
def test_the_same_of_somebody_else_disturbs_nobody(event_type: str, entities: dict[str, Any], field: str) -> None:
    somebodys = {name: {**entity, "notes": {"order_id": "1042"}} for name, entity in entities.items()}

    is_invoices = field == "invoice.subscription_id"
    expected = Unhandled("not_of_a_subscription" if is_invoices else "unreadable")
    assert translate(razorpay_event(event_type, **somebodys)) == expected


# --- objects, as the API gives them ---


@pytest.mark.parametrize(
    ("invoice", "subscription", "expected"),
    [
        (rzp_invoice(), rzp_subscription(), READ),
        (rzp_invoice(amount_paid=None), rzp_subscription(), READ),
        (rzp_invoice(), rzp_subscription(**TRIAL), replace(READ, reason=InvoiceReason.RENEWAL)),
        (
            rzp_invoice(billing_start=START, billing_end=END),
            rzp_subscription(start_at=START - 31 * DAY),
            replace(READ, reason=InvoiceReason.RENEWAL),
        ),
        # Asked for in the middle of the cycle, and to its end.
        (
            rzp_invoice(billing_start=START + DAY),
            rzp_subscription(),
            replace(READ, reason=InvoiceReason.CHANGE, period_start=at(START + DAY)),
        ),
        # The page is open, and nobody has paid.
        (
            rzp_invoice(status="issued", amount_paid=0, payment_id=None, billing_start=None, billing_end=None),
            rzp_subscription(status="created", start_at=None, current_start=None, current_end=None),
            replace(
                READ,
                status=InvoiceStatus.OPEN,
                paid=NOTHING,
                period_start=None,
                period_end=None,
                payment=None,
                price_id=None,
            ),
        ),
        (
            rzp_invoice(status="issued", amount_paid=0, payment_id=None),
            PENDING,
            replace(FAILING, hosted_url=READ.hosted_url),
        ),
        # Another cycle's: the attempts that are counted now are not at this one.
        (
            rzp_invoice(status="issued", amount_paid=0, payment_id=None, billing_start=START - DAY),
            PENDING,
            replace(
                FAILING,
                hosted_url=READ.hosted_url,
                period_start=at(START - DAY),
                attempts=0,
                next_attempt_at=None,
                failure=None,
                price_id=None,
            ),
        ),
        (
            rzp_invoice(status="expired", amount_paid=0, payment_id=None),
            rzp_subscription(),
            replace(READ, status=InvoiceStatus.UNCOLLECTIBLE, paid=NOTHING, payment=None),
        ),
        (
            rzp_invoice(status="cancelled", amount_paid=0, payment_id=None),
            rzp_subscription(),
            replace(READ, status=InvoiceStatus.VOID, paid=NOTHING, payment=None),
        ),
    ],
)
def test_an_invoice_read_with_its_subscription_says_which_cycle_it_is_for(
    invoice: dict[str, Any], subscription: dict[str, Any], expected: InvoiceSighting
) -> None:
    attempts = [
        rzp_payment(**{**FAILED, "error_reason": "card_expired"}, id="pay_A0", created_at=START),
        rzp_payment(**FAILED, created_at=START + DAY),
        rzp_payment(**{**FAILED, "error_reason": "card_expired"}, invoice_id="inv_A0", created_at=START + 2 * DAY),
    ]

    told, _ = read_subscription(subscription, [invoice], attempts)

    assert sighting(told.event) == expected


def test_an_attempt_that_nobody_looked_at_failed_for_a_reason_that_nobody_knows() -> None:
    told, _ = read_subscription(PENDING, [rzp_invoice(status="issued", amount_paid=0, payment_id=None)])

    assert sighting(told.event).failure == Failure(FailureCode.UNKNOWN)


def test_a_subscription_that_is_read_tells_what_its_webhook_told_the_newest_invoice_first() -> None:
    invoices = [rzp_invoice(id="inv_A2"), rzp_invoice(id="inv_A1")]

    told = read_subscription(rzp_subscription(), invoices)

    assert [sighting(each.event).gateway_invoice_id for each in told[:2]] == ["inv_A2", "inv_A1"]
    assert told[2].event == SubscriptionTold(None, snapshot=ACTIVE)
    assert all(each.references.order_ids == (ORDER_ID,) for each in told)


def test_what_was_paid_after_the_end_is_read_after_it_and_says_when() -> None:
    held = rzp_subscription(status="cancelled", ended_at=END)
    late, in_time = rzp_invoice(id="inv_A2", paid_at=END + 1), rzp_invoice(paid_at=START)

    told = [each.event for each in read_subscription(held, [late, in_time])]

    assert [isinstance(each, SubscriptionTold) and each.snapshot is not None for each in told] == [False, True, False]
    assert (sighting(told[-1]).gateway_invoice_id, sighting(told[-1]).taken_at) == ("inv_A2", at(END + 1))


def test_what_was_asked_for_in_the_middle_of_an_earlier_cycle_stays_a_change_of_plan() -> None:
    begun = START - 31 * DAY
    invoices = [
        rzp_invoice(id="inv_A3"),
        rzp_invoice(id="inv_A2", billing_start=begun + DAY, billing_end=START),
        rzp_invoice(id="inv_A1", billing_start=begun, billing_end=START),
    ]

    told = read_subscription(rzp_subscription(start_at=begun), invoices)

    reasons = [sighting(each.event).reason for each in told[:3]]
    assert reasons == [InvoiceReason.RENEWAL, InvoiceReason.CHANGE, InvoiceReason.FIRST]


@pytest.mark.parametrize(("why", "ended"), [({"ended_at": END}, END), ({"ended_at": None}, START + 1200)])
def test_f81_what_has_expired_no_webhook_tells_but_a_look_does(why: dict[str, Any], ended: int) -> None:
    [told] = read_subscription(rzp_subscription(**why, status="expired"))

    assert told.event == SubscriptionTold(
        None, snapshot=replace(ACTIVE, status=SubscriptionStatus.EXPIRED, ended_at=at(ended))
    )


@pytest.mark.parametrize(
    ("held", "invoices"),
    [
        (rzp_subscription(status="half"), []),
        (rzp_subscription(), [rzp_invoice(status="half")]),
        (rzp_subscription(), [rzp_invoice(amount=None)]),
        (rzp_subscription(), [rzp_invoice(amount_paid="999")]),
        (rzp_subscription(), [rzp_invoice(id=None)]),
    ],
)
def test_f22_what_is_read_and_cannot_be_understood_asks_for_a_person(
    held: dict[str, Any], invoices: list[dict[str, Any]]
) -> None:
    with pytest.raises(TranslationError):
        read_subscription(held, invoices)


# --- a subscription is its own hosted page ---

OPEN_PAGE = rzp_subscription(
    status="created",
    customer_id=None,
    start_at=None,
    current_start=None,
    current_end=None,
    short_url="https://rzp.io/i/1",
)


def test_a_page_that_waits_for_its_customer_is_open_and_tells_that_nothing_has_begun() -> None:
    state = read_begun(OPEN_PAGE)

    waiting = replace(
        ACTIVE, status=SubscriptionStatus.INCOMPLETE, customer_id=None, period_start=None, period_end=None
    )
    assert state.session == Session(RZP_SUB_ID, "https://rzp.io/i/1", at(START + 1200))
    assert state.is_open
    assert [each.event for each in state.observed] == [SubscriptionTold(None, snapshot=waiting)]


@pytest.mark.parametrize("status", ["expired", "cancelled"])
def test_a_page_that_nobody_came_to_has_ended(status: str) -> None:
    state = read_begun({**OPEN_PAGE, "status": status})

    assert isinstance(state, SessionState)
    assert not state.is_open
    assert state.session.url is None
    assert state.observed[-1].event == CheckoutEnded(RZP_SUB_ID)
    assert state.observed[-1].references.order_ids == (ORDER_ID,)


def test_a_page_that_began_a_subscription_is_over_and_ended_nothing() -> None:
    state = read_begun(rzp_subscription(status="cancelled", short_url="https://rzp.io/i/1"), [rzp_invoice()])

    assert not state.is_open
    assert not any(isinstance(each.event, CheckoutEnded) for each in state.observed)


@pytest.mark.parametrize("lacking", [{**OPEN_PAGE, "id": 7}, {**OPEN_PAGE, "expire_by": None}])
def test_a_page_that_does_not_say_when_it_ends_is_unreadable(lacking: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        read_page(lacking)
