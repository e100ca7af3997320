"""The order's rules as tables: one line a case, the outcome last."""

from __future__ import annotations

import itertools
from dataclasses import replace

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
    Returned,
    Settled,
    Stale,
    Surplus,
    decide,
    settle,
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
        (LateSuccess.REFUND, False, Returned(TEN)),
        (LateSuccess.REFUND, True, Returned(TEN)),
    ],
)
@pytest.mark.parametrize("status", [FAILED, CANCELLED])
def test_f71_success_after_we_gave_up_follows_the_policy(
    policy: LateSuccess, replaced: bool, outcome: Outcome, status: OrderStatus
) -> None:
    assert decide(order(status, replaced=replaced), paid(), policy) == outcome


@pytest.mark.parametrize("policy", [LateSuccess.HOLD, LateSuccess.REFUND])
def test_a_promise_that_comes_late_lapses_unless_it_may_pay(policy: LateSuccess) -> None:
    assert decide(order(FAILED), PaymentAuthorised("pay_1", TEN), policy) == Record()


@pytest.mark.parametrize("policy", list(LateSuccess))
@pytest.mark.parametrize("status", [FAILED, CANCELLED])
def test_money_through_a_new_page_of_a_failed_order_is_not_late(status: OrderStatus, policy: LateSuccess) -> None:
    assert decide(order(status, page_is_open=True, replaced=True), paid(), policy) == Move(PAID)


@pytest.mark.parametrize("status", [FAILED, CANCELLED])
@pytest.mark.parametrize("policy", [LateSuccess.HOLD, LateSuccess.REFUND])
def test_f71_a_subscription_that_is_paid_late_is_held_and_never_sent_back_by_itself(
    status: OrderStatus, policy: LateSuccess
) -> None:
    assert decide(order(status, begins_subscription=True), paid(None), policy) == Held(TEN)


def test_f71_where_nothing_was_due_there_is_nothing_to_send_back() -> None:
    late = order(CANCELLED, expected=NOTHING)

    assert decide(late, paid(None, NOTHING), LateSuccess.REFUND) == Held(NOTHING)


def test_f71_late_money_of_another_amount_is_for_a_person_under_every_policy() -> None:
    for policy in LateSuccess:
        assert decide(order(CANCELLED), paid("pi_1", NINE), policy) == Mismatch(TEN, NINE)


def test_f71_more_late_money_goes_back_also_after_the_first_has_gone() -> None:
    returned = replace(taken("pi_1", Standing.RETURNED), refunded=TEN.minor)
    late = order(OrderStatus.REFUNDED, returned)

    assert decide(late, paid("pi_2"), LateSuccess.REFUND) == Returned(TEN)
    assert decide(late, paid("pi_2", NINE), LateSuccess.REFUND) == Mismatch(TEN, NINE)
    assert decide(late, paid("pi_2"), LateSuccess.FULFIL) == Surplus(TEN)


def test_f71_more_late_money_goes_back_like_the_first() -> None:
    late = order(FAILED, taken("pi_1", Standing.RETURNED))

    assert decide(late, paid("pi_2"), LateSuccess.REFUND) == Returned(TEN)


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


# --- money that goes back ---


def went(name: str, back: int = 0, standing: Standing = Standing.ACCEPTED, *, disputed: bool = False) -> Payment:
    return Payment(name, TEN, PaymentStatus.SUCCEEDED, standing, refunded=back, is_disputed=disputed)


SETTLES: list[tuple[str, Order, OrderStatus, int]] = [
    ("as it was", order(PAID, went("a")), PAID, 0),
    ("in part", order(PAID, went("a", 400)), PAID, 400),
    ("all of it", order(PAID, went("a", 1000)), REFUNDED, 1000),
    ("the bank has it", order(PAID, went("a", disputed=True)), DISPUTED, 0),
    ("part of it, and the bank has the rest", order(PAID, went("a", 400, disputed=True)), DISPUTED, 400),
    ("all of it, and the bank has it too", order(REFUNDED, went("a", 1000, disputed=True)), DISPUTED, 1000),
    ("all of it, and the dispute was won", order(DISPUTED, went("a", 1000)), REFUNDED, 1000),
    ("the dispute was won", order(DISPUTED, went("a")), PAID, 0),
    ("it came back to us", order(REFUNDED, went("a")), PAID, 0),
    ("what was paid twice went back", order(PAID, went("a"), went("b", 1000, Standing.SURPLUS)), PAID, 0),
    ("the first of two went back", order(PAID, went("a", 1000), went("b", 0, Standing.SURPLUS)), PAID, 0),
    ("more than was paid twice went back", order(PAID, went("a", 400), went("b", 1000, Standing.SURPLUS)), PAID, 400),
    ("less than was paid twice went back", order(PAID, went("a", 400), went("b", 300, Standing.SURPLUS)), PAID, 0),
    ("both went back", order(PAID, went("a", 1000), went("b", 1000, Standing.SURPLUS)), REFUNDED, 1000),
    ("one of two is disputed", order(PAID, went("a", disputed=True), went("b", 0, Standing.SURPLUS)), PAID, 0),
    (
        "one went back and one is disputed",
        order(PAID, went("a", 1000), went("b", 0, Standing.SURPLUS, disputed=True)),
        DISPUTED,
        0,
    ),
    ("money that does not count", order(PAID, went("a", 1000), went("b", 0, Standing.HELD)), REFUNDED, 1000),
    ("nothing was due", order(PAID, expected=NOTHING), PAID, 0),
    ("nothing has a name yet", order(PAID, went("b", 1000, Standing.SURPLUS)), PAID, 1000),
    (
        "late, and back, and paid twice after that",
        order(PAID, went("a"), went("b", 1000, Standing.SURPLUS), went("c", 1000, Standing.RETURNED)),
        PAID,
        1000,
    ),
    ("late, and on its way back", order(FAILED, went("a", 0, Standing.RETURNED)), FAILED, 0),
    ("late, and back", order(FAILED, went("a", 1000, Standing.RETURNED)), REFUNDED, 1000),
    ("late, and back, of a cancelled one", order(CANCELLED, went("a", 1000, Standing.RETURNED)), REFUNDED, 1000),
    ("late, and returned by the bank", order(REFUNDED, went("a", 0, Standing.RETURNED)), REFUNDED, 0),
    ("held, and back", order(FAILED, went("a", 1000, Standing.HELD)), FAILED, 0),
    ("nobody knows yet", order(PENDING, known("a", PaymentStatus.PENDING)), PENDING, 0),
]


@pytest.mark.parametrize(("given", "status", "refunded"), [c[1:] for c in SETTLES], ids=[c[0] for c in SETTLES])
def test_how_an_order_stands_by_what_went_back(given: Order, status: OrderStatus, refunded: int) -> None:
    assert settle(given) == Settled(status, Money(refunded, "usd"))


@pytest.mark.parametrize("given", [case[1] for case in SETTLES], ids=[case[0] for case in SETTLES])
def test_what_is_settled_is_a_legal_move_and_settles_no_further(given: Order) -> None:
    to = settle(given).status

    assert to is given.status or (given.status, to) in MOVES
    assert settle(replace(given, status=to)).status is to


def test_a_status_never_depends_on_the_one_before() -> None:
    for back, disputed in itertools.product((0, 400, 1000), (False, True)):
        found = {settle(order(status, went("a", back, disputed=disputed))).status for status in SETTLED}

        assert len(found) == 1


def test_refunded_money_of_another_currency_is_not_added_up() -> None:
    euros = Payment("b", TEN_EUROS, PaymentStatus.SUCCEEDED, Standing.SURPLUS, refunded=1000)

    assert settle(order(PAID, went("a", 100), euros)).refunded == Money(100, "usd")


def test_what_a_person_must_accept_waits_no_more_once_it_went_back() -> None:
    assert order(FAILED, went("a", 0, Standing.HELD)).has_unreviewed_money
    assert not order(FAILED, went("a", 1000, Standing.HELD)).has_unreviewed_money
