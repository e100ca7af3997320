"""The order's rules as tables: one line a case, the outcome last."""

from __future__ import annotations

import itertools

import pytest

from payments.events import (
    CheckoutEnded,
    OrderEvent,
    PaymentAuthorised,
    PaymentCancelled,
    PaymentFailed,
    PaymentPending,
    PaymentSucceeded,
)
from payments.failure import Failure, FailureCode
from payments.money import Money
from payments.order import (
    MOVES,
    SETTLED,
    Capture,
    Early,
    Held,
    LateSuccess,
    Mismatch,
    Move,
    Order,
    OrderStatus,
    Outcome,
    Record,
    Stale,
    Surplus,
    decide,
)
from payments.payment import Payment, PaymentStatus, Standing

PENDING, PAID, FAILED = OrderStatus.PENDING, OrderStatus.PAID, OrderStatus.FAILED
CANCELLED, REFUNDED, DISPUTED = OrderStatus.CANCELLED, OrderStatus.REFUNDED, OrderStatus.DISPUTED

TEN = Money(1000, "usd")
NINE = Money(900, "usd")
TEN_EUROS = Money(1000, "eur")
NOTHING = Money(0, "usd")

DECLINED = Failure(FailureCode.CARD_DECLINED, "generic_decline")


def order(status: OrderStatus, *payments: Payment, expected: Money = TEN, **more: object) -> Order:
    return Order("order-1", status, expected, payments, **more)  # type: ignore[arg-type]


def taken(name: str, standing: Standing = Standing.ACCEPTED, amount: Money = TEN) -> Payment:
    return Payment(name, amount, PaymentStatus.SUCCEEDED, standing)


def known(name: str, status: PaymentStatus) -> Payment:
    return Payment(name, TEN, status)


def paid(name: str | None = "pi_1", amount: Money = TEN) -> PaymentSucceeded:
    return PaymentSucceeded(name, amount)


def declined(name: str | None = "pi_1", *, final: bool = False) -> PaymentFailed:
    return PaymentFailed(name, TEN, DECLINED, final)


# fmt: off
CASES: list[tuple[str, Order, OrderEvent, Outcome | type[Outcome]]] = [
    # Money arrives.
    ("what was owed pays",                   order(PENDING),                                  paid(),                    Move(PAID)),
    ("a failed order may still be paid",     order(FAILED),                                   paid(),                    Move(PAID)),
    ("a cancelled order may still be paid",  order(CANCELLED),                                paid(),                    Move(PAID)),
    ("nothing due, nothing taken",           order(PENDING, expected=NOTHING),                paid(None, NOTHING),       Move(PAID)),
    ("a decline before does not matter",     order(PENDING, known("pi_1", PaymentStatus.FAILED), attempt_failed=True), paid(), Move(PAID)),
    ("an authorised payment is taken",       order(PENDING, known("pay_1", PaymentStatus.AUTHORISED)), paid("pay_1"),    Move(PAID)),
    # Told again.
    ("the same payment again",               order(PAID, taken("pi_1")),                      paid(),                    Stale),
    ("the same payment after a refund",      order(REFUNDED, taken("pi_1")),                  paid(),                    Stale),
    ("the same payment in a dispute",        order(DISPUTED, taken("pi_1")),                  paid(),                    Stale),
    ("the same free order again",            order(PAID, expected=NOTHING),                   paid(None, NOTHING),       Stale),
    ("paid before payments were rows",       order(PAID, payment_intent_id="pi_1"),           paid(),                    Stale),
    ("unnamed money on a paid order",        order(PAID, taken("pi_1")),                      paid(None),                Stale),
    ("a mismatched payment again",           order(PENDING, taken("pi_1", Standing.MISMATCHED, NINE)), paid("pi_1", NINE), Stale),
    ("a held payment again",                 order(FAILED, taken("pi_1", Standing.HELD)),     paid(),                    Stale),
    # The same payment with other figures.
    ("the same payment, another amount",     order(PAID, taken("pi_1")),                      paid("pi_1", NINE),        Mismatch(TEN, NINE)),
    # Not what was owed.
    ("too little",                           order(PENDING),                                  paid("pi_1", NINE),        Mismatch(TEN, NINE)),
    ("another currency",                     order(PENDING),                                  paid("pi_1", TEN_EUROS),   Mismatch(TEN, TEN_EUROS)),
    ("nothing, where something is owed",     order(PENDING),                                  paid(None, NOTHING),       Mismatch(TEN, NOTHING)),
    ("something, where nothing is owed",     order(PENDING, expected=NOTHING),                paid(),                    Mismatch(NOTHING, TEN)),
    ("too little, too late",                 order(FAILED),                                   paid("pi_1", NINE),        Mismatch(TEN, NINE)),
    # Too much.
    ("a second payment",                     order(PAID, taken("pi_1")),                      paid("pi_2"),              Surplus(TEN)),
    ("a second payment of another amount",   order(PAID, taken("pi_1")),                      paid("pi_2", NINE),        Surplus(NINE)),
    ("a second payment after a refund",      order(REFUNDED, taken("pi_1")),                  paid("pi_2"),              Surplus(TEN)),
    ("money for a free order",               order(PAID, expected=NOTHING),                   paid("pi_1"),              Surplus(TEN)),
    # Too early.
    ("money that has no name yet",           order(PENDING),                                  paid(None),                Early),
    # It begins a subscription: the session's word pays it, and the first invoice names the payment.
    ("paid by the session's word",           order(PENDING, begins_subscription=True),        paid(None),                Move(PAID)),
    ("a trial begins",                       order(PENDING, expected=NOTHING, begins_subscription=True), paid(None, NOTHING), Move(PAID)),
    ("its session says too little",          order(PENDING, begins_subscription=True),        paid(None, NINE),          Mismatch(TEN, NINE)),
    ("its payment is named",                 order(PAID, begins_subscription=True),           paid(),                    Stale),
    ("its payment is named first",           order(PENDING, begins_subscription=True),        paid(),                    Move(PAID)),
    ("its session follows",                  order(PAID, taken("pi_1"), begins_subscription=True), paid(None),           Stale),
    ("its payment differs from its session", order(PAID, begins_subscription=True),           paid("pi_1", NINE),        Mismatch(TEN, NINE)),
    ("a second payment of it",               order(PAID, taken("pi_1"), begins_subscription=True), paid("pi_2"),         Surplus(TEN)),
    ("money where a trial was sold",         order(PAID, expected=NOTHING, begins_subscription=True), paid(),            Mismatch(NOTHING, TEN)),
    ("a mandate's token is not taken",       order(PENDING, begins_subscription=True),        PaymentAuthorised("pay_1", TEN), Record()),
    # On its way.
    ("a bank debit has begun",               order(PENDING),                                  PaymentPending("pi_1", TEN), Record()),
    ("a session done, its payment unnamed",  order(PENDING),                                  PaymentPending(None, TEN), Record()),
    ("promised exactly what is owed",        order(PENDING),                                  PaymentAuthorised("pay_1", TEN), Capture("pay_1", TEN)),
    ("promised too little",                  order(PENDING),                                  PaymentAuthorised("pay_1", NINE), Record()),
    ("promised in another currency",         order(PENDING),                                  PaymentAuthorised("pay_1", TEN_EUROS), Record()),
    ("promised after we gave up",            order(CANCELLED),                                PaymentAuthorised("pay_1", TEN), Capture("pay_1", TEN)),
    ("promised, and the plan bought anew",   order(CANCELLED, replaced=True),                 PaymentAuthorised("pay_1", TEN), Record()),
    ("promised for a paid order",            order(PAID, taken("pay_0")),                     PaymentAuthorised("pay_1", TEN), Record()),
    ("promised twice, one is being taken",   order(PENDING, is_being_captured=True),          PaymentAuthorised("pay_2", TEN), Record()),
    ("promised while money is under review", order(PENDING, taken("pay_0", Standing.MISMATCHED, NINE)), PaymentAuthorised("pay_1", TEN), Record()),
    ("late authorisation of a failed one",   order(FAILED, known("pay_1", PaymentStatus.FAILED)), PaymentAuthorised("pay_1", TEN), Capture("pay_1", TEN)),
    ("the snapshot is older than the money", order(PAID, taken("pay_1")),                     PaymentAuthorised("pay_1", TEN), Stale),
    ("processing told after success",        order(PAID, taken("pi_1")),                      PaymentPending("pi_1", TEN), Stale),
    ("given up at the gateway",              order(PENDING),                                  PaymentCancelled("pi_1", TEN), Record()),
    ("cancelled told after success",         order(PAID, taken("pi_1")),                      PaymentCancelled("pi_1", TEN), Stale),
    # Declined.
    ("declined, the session is open",        order(PENDING),                                  declined(),                Record(DECLINED)),
    ("declined, and the session is over",    order(PENDING),                                  declined(final=True),      Move(FAILED, DECLINED)),
    ("declined, and the payment is unnamed", order(PENDING),                                  declined(None, final=True), Move(FAILED, DECLINED)),
    ("a late decline of a paid payment",     order(PAID, taken("pi_1")),                      declined(),                Stale),
    ("a late decline of another attempt",    order(PAID, taken("pi_1")),                      declined("pi_0", final=True), Stale),
    ("declined while money is under review", order(PENDING, taken("pi_1", Standing.MISMATCHED, NINE)), declined("pi_2", final=True), Record(DECLINED)),
    ("declined, told after the end",         order(CANCELLED),                                declined(),                Record(DECLINED)),
    ("declined, told after held money",      order(CANCELLED, taken("pi_1", Standing.HELD)),  declined(),                Record(DECLINED)),
    ("declined, told after a wrong amount",  order(PENDING, taken("pi_1", Standing.MISMATCHED, NINE)), declined(),       Record(DECLINED)),
    ("declined for good, told after the end", order(CANCELLED),                               declined(final=True),      Record(DECLINED)),
    ("declined once more after it failed",   order(FAILED),                                   declined(),                Stale),
    # The session ends.
    ("abandoned",                            order(PENDING),                                  CheckoutEnded("cs_1"),     Move(CANCELLED)),
    ("abandoned after a decline",            order(PENDING, attempt_failed=True),             CheckoutEnded("cs_1"),     Move(FAILED)),
    ("its own session ends",                 order(PENDING, session_id="cs_1"),               CheckoutEnded("cs_1"),     Move(CANCELLED)),
    ("an older session ends",                order(PENDING, session_id="cs_2"),               CheckoutEnded("cs_1"),     Stale),
    ("a late end does not un-pay",           order(PAID, taken("pi_1")),                      CheckoutEnded("cs_1"),     Stale),
    ("ended twice",                          order(CANCELLED),                                CheckoutEnded("cs_1"),     Stale),
    ("ended with money under review",        order(PENDING, taken("pi_1", Standing.MISMATCHED, NINE)), CheckoutEnded("cs_1"), Stale),
]
# fmt: on


@pytest.mark.parametrize(("name", "before", "event", "outcome"), CASES, ids=[case[0] for case in CASES])
def test_the_order_table(name: str, before: Order, event: OrderEvent, outcome: Outcome | type[Outcome]) -> None:
    decided = decide(before, event)

    assert decided == outcome or (isinstance(outcome, type) and isinstance(decided, outcome)), name


@pytest.mark.parametrize(
    ("policy", "replaced", "outcome"),
    [
        (LateSuccess.FULFIL, False, Move(PAID)),
        (LateSuccess.FULFIL, True, Held(TEN)),
        (LateSuccess.HOLD, False, Held(TEN)),
        (LateSuccess.HOLD, True, Held(TEN)),
    ],
)
@pytest.mark.parametrize("status", [FAILED, CANCELLED])
def test_f71_success_after_we_gave_up_follows_the_policy(
    policy: LateSuccess, replaced: bool, outcome: Outcome, status: OrderStatus
) -> None:
    assert decide(order(status, replaced=replaced), paid(), policy) == outcome


def test_a_promise_that_comes_late_lapses_under_hold() -> None:
    assert decide(order(FAILED), PaymentAuthorised("pay_1", TEN), LateSuccess.HOLD) == Record()


@pytest.mark.parametrize("policy", list(LateSuccess))
@pytest.mark.parametrize("status", [FAILED, CANCELLED])
def test_money_through_a_new_page_of_a_failed_order_is_not_late(status: OrderStatus, policy: LateSuccess) -> None:
    assert decide(order(status, page_is_open=True, replaced=True), paid(), policy) == Move(PAID)


@pytest.mark.parametrize("status", [FAILED, CANCELLED])
def test_f71_a_subscription_that_is_paid_late_is_held_too(status: OrderStatus) -> None:
    assert decide(order(status, begins_subscription=True), paid(None), LateSuccess.HOLD) == Held(TEN)


@pytest.mark.parametrize("policy", list(LateSuccess))
def test_the_late_policy_says_nothing_about_an_order_that_is_open(policy: LateSuccess) -> None:
    assert decide(order(PENDING, replaced=True), paid(), policy) == Move(PAID)


EVENTS: list[OrderEvent] = [
    *(paid(name, amount) for name in (None, "pi_1", "pi_2") for amount in (TEN, NINE, TEN_EUROS, NOTHING)),
    *(declined(name, final=final) for name in (None, "pi_1") for final in (False, True)),
    PaymentPending("pi_1", TEN),
    PaymentAuthorised("pi_1", TEN),
    PaymentCancelled("pi_1", TEN),
    CheckoutEnded("cs_1"),
    CheckoutEnded("cs_2"),
]
PAYMENTS = [
    (),
    (known("pi_1", PaymentStatus.FAILED),),
    *((taken("pi_1", standing),) for standing in Standing),
]


@pytest.mark.parametrize("policy", list(LateSuccess))
@pytest.mark.parametrize("status", list(OrderStatus))
def test_every_state_answers_every_event_and_moves_legally(status: OrderStatus, policy: LateSuccess) -> None:
    for payments, event in itertools.product(PAYMENTS, EVENTS):
        outcome = decide(order(status, *payments, session_id="cs_1"), event, policy)

        if isinstance(outcome, Move):
            assert (status, outcome.to) in MOVES


@pytest.mark.parametrize("status", list(OrderStatus))
def test_only_the_gateways_word_for_the_right_money_pays(status: OrderStatus) -> None:
    for payments, event in itertools.product(PAYMENTS, EVENTS):
        outcome = decide(order(status, *payments), event)

        if outcome == Move(PAID):
            assert isinstance(event, PaymentSucceeded)
            assert event.paid == TEN
            assert status not in SETTLED


def test_no_move_leads_from_a_state_to_itself_or_out_of_nothing() -> None:
    assert all(before is not after for before, after in MOVES)
    assert all(after is not PENDING for _, after in MOVES)
