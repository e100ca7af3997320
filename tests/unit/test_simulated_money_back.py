"""The simulation's promises about money that goes back: kept by books that agree, and each broken by one that does not."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.simulation import given_back, promises, subscribed
from tests.simulation.billing import Begun, Billed, Billing
from tests.simulation.books import Books
from tests.simulation.customers import Visit
from tests.simulation.money_back import Contested, GivenBack, MoneyBack, PaidOut
from tests.simulation.truth import Taken, Truth

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MONTH = timedelta(days=30)

PAYMENT = ("stripe", "pi_1")
REFUND = GivenBack("stripe", "re_1", "pi_1", 300, "usd", "succeeded", "refund-1")
DISPUTE = Contested("stripe", "du_1", "pi_1", 700, "usd", "lost", gone=700)
TAKEN = Taken("stripe", "pi_1", "order-1", 1000, "usd")
PAYOUT = PaidOut("stripe", "po_1", 500, "usd", "paid")

Row = dict[str, Any]


class World:
    """One order, refunded in part and disputed as to the rest: both sides' books, which agree until they are spoilt."""

    def __init__(self) -> None:
        self.order: Row = {
            "id": "order-1", "order_id": "order-1", "status": "disputed", "amount": 1000, "currency": "usd",
            "amount_refunded": 300, "user_id": "user", "plan_id": "plan",
        }  # fmt: skip
        self.payment: Row = {
            "id": "payment-1", "gateway": "stripe", "gateway_payment_id": "pi_1", "status": "succeeded",
            "standing": "accepted", "amount": 1000, "currency": "usd", "amount_refunded": 300, "amount_refunding": 0,
            "order_id": "order-1", "of_order": "order-1",
        }  # fmt: skip
        self.refund: Row = {
            "id": "refund-1", "gateway": "stripe", "gateway_refund_id": "re_1", "gateway_payment_id": "pi_1",
            "payment_id": "payment-1", "amount": 300, "currency": "usd", "status": "succeeded",
            "failure_reason": None, "of_order": "order-1",
        }  # fmt: skip
        self.dispute: Row = {
            "id": "dispute-1", "gateway": "stripe", "gateway_dispute_id": "du_1", "gateway_payment_id": "pi_1",
            "payment_id": "payment-1", "amount": 700, "currency": "usd", "status": "lost", "withdrawn": 700,
            "reinstated": 0, "of_order": "order-1",
        }  # fmt: skip
        self.payout: Row = {
            "id": "payout-1", "gateway": "stripe", "gateway_payout_id": "po_1", "amount": 500, "currency": "usd",
            "status": "paid",
        }  # fmt: skip
        self.refunds, self.disputes, self.payouts = [self.refund], [self.dispute], [self.payout]
        self.movements = [
            movement("payment", 1000),
            movement("fee", -59),
            movement("refund", -300, refund_id="refund-1"),
            movement("dispute", -700, dispute_id="dispute-1"),
            movement("dispute_fee", -1500, dispute_id="dispute-1"),
            movement("payout", -500, payment_id=None, payout_id="payout-1"),
        ]
        self.lives: dict[str, list[tuple[str | None, str]]] = defaultdict(list)
        self.lives["refund-1"] = [(None, "requested"), ("requested", "sent"), ("sent", "succeeded")]
        self.lives["dispute-1"] = [(None, "needs_response"), (None, "needs_response"), ("needs_response", "lost")]
        self.discrepancies: list[Row] = []
        self.told = [
            "mail.refund_succeeded:refund-1",
            "notify.refund.succeeded:refund-1",
            "notify.dispute.opened:dispute-1",
            "notify.dispute.closed:dispute-1:lost:1.0",
        ]
        self.visit = Visit(1, "user", "plan", "stripe", "asks_for_parts", orders={"order-1"})
        self.visit.asked_back.append({"refund-1"})
        self.back = MoneyBack((REFUND,), (DISPUTE,), frozenset(), (PAYOUT,), Counter(usd=0))

    def books(self) -> Books:
        rows: dict[str, Any] = {
            "orders": {"order-1": self.order},
            "payments": {PAYMENT: self.payment},
            "effects": {"order-1": [{"idempotency_key": key} for key in self.told]},
            "refunds": self.refunds,
            "disputes": self.disputes,
            "movements": self.movements,
            "payouts": self.payouts,
            "money_lives": self.lives,
            "discrepancies": self.discrepancies,
        }
        return books(**rows)

    def truth(self) -> Truth:
        return Truth((TAKEN,), (), Billing(NOW, (), {}), self.back)

    def broken(self) -> set[str]:
        return {each.promise for each in given_back.check_all(self.books(), self.truth(), [self.visit])}

    def differ(self, kind: str, state: str = "open") -> None:
        self.discrepancies.append(
            {"kind": kind, "state": state, "payment_id": "payment-1", "of_order": "order-1", "evidence": {}}
        )


def books(**rows: Any) -> Books:
    """Those of which nothing is said are empty."""
    empty: dict[str, Any] = {
        "orders": {}, "subscriptions": {}, "invoices": {}, "customers": [], "lives": defaultdict(list),
        "payments": {}, "attempts": [], "access": defaultdict(list), "effects": defaultdict(list),
        "moves": defaultdict(list), "causes": {}, "discrepancies": [], "letters": [], "refunds": [], "disputes": [],
        "movements": [], "payouts": [], "money_lives": defaultdict(list),
    }  # fmt: skip
    return Books(**{**empty, **rows})


def movement(kind: str, amount: int, **of: str | None) -> Row:
    row: Row = {"kind": kind, "amount": amount, "currency": "usd", "gateway": "stripe", "payment_id": "payment-1"}
    row |= dict.fromkeys(("refund_id", "dispute_id", "payout_id")) | of
    return row | {"fact": f"{kind}:{of.get('refund_id') or of.get('dispute_id')}:{amount}"}


def test_books_that_agree_break_no_promise() -> None:
    assert World().broken() == set()


Spoil = Callable[[World], object]
LOST, AS_HELD, MADE_UP = "nothing is lost", "money that goes back is as its gateway holds it", "nothing is made up"
ONE_WISH, LIMIT, ADDS_UP = "one wish, one refund", "never more back than taken", "the movements add up"
STANDS, INVENTED, ONE_FACT = "an order stands as its money does", "no difference is invented", "one fact, one effect"
LEGAL, UNDONE, TRUTH = "only legal moves", "nothing is left undone", "customers are told the truth"


def _unmade(world: World, status: str, reason: str | None) -> None:
    world.refunds.append(
        world.refund | {"id": "refund-2", "gateway_refund_id": None, "status": status, "failure_reason": reason}
    )
    world.lives["refund-2"] = [(None, status)]


def _promised_twice(world: World) -> None:
    _unmade(world, "sent", None)
    world.visit.asked_back[0].add("refund-2")


def _hold(world: World, **there: Any) -> None:
    world.back = replace(world.back, **there)


def _held_otherwise(world: World, **there: Any) -> None:
    _hold(world, refunds=(replace(REFUND, **there),))


def _disputed_otherwise(world: World, **there: Any) -> None:
    _hold(world, disputes=(replace(DISPUTE, **there),))


REFUNDS: dict[str, tuple[str, Spoil]] = {
    "a refund that nobody knows": (LOST, lambda w: w.refunds.clear()),
    "a refund in two rows": (LOST, lambda w: w.refunds.append(w.refund | {"id": "refund-2"})),
    "a refund that its gateway has not made": (MADE_UP, lambda w: w.refund.update(gateway_refund_id="re_2")),
    "another amount": (AS_HELD, lambda w: w.refund.update(amount=299)),
    "another currency": (AS_HELD, lambda w: w.refund.update(currency="eur")),
    "another payment's": (AS_HELD, lambda w: w.refund.update(gateway_payment_id="pi_2")),
    "another end": (AS_HELD, lambda w: w.refund.update(status="pending")),
    "done here and failed there": (AS_HELD, lambda w: _held_otherwise(w, status="failed")),
    "one that was never sent": (UNDONE, lambda w: _unmade(w, "requested", None)),
    "one without an answer": (UNDONE, lambda w: _unmade(w, "sent", None)),
    "one that succeeded without a name": (UNDONE, lambda w: _unmade(w, "succeeded", None)),
    "one refused for no reason": (TRUTH, lambda w: _unmade(w, "failed", None)),
    "one row sent twice": (ONE_WISH, lambda w: _hold(w, refunds=(REFUND, replace(REFUND, name="re_2")))),
    "a refund of ours that is taken for another's": (ONE_WISH, lambda w: _held_otherwise(w, ours="refund-2")),
    "a wish that went back twice": (ONE_WISH, _promised_twice),
    "a promise that nobody knows": (LOST, lambda w: w.visit.asked_back.append({"refund-9"})),
    "more back than taken, there": (LIMIT, lambda w: _held_otherwise(w, amount=1001)),
    "more asked back than taken, here": (LIMIT, lambda w: w.refund.update(amount=1001)),
    "a refund of no money": (LIMIT, lambda w: _held_otherwise(w, payment="pi_2")),
    "a payment with another sum": (AS_HELD, lambda w: w.payment.update(amount_refunded=0)),
    "a payment with money on its way": (AS_HELD, lambda w: w.payment.update(amount_refunding=1)),
}  # fmt: skip

DISPUTES: dict[str, tuple[str, Spoil]] = {
    "a dispute that nobody knows": (LOST, lambda w: w.disputes.clear()),
    "a dispute in two rows": (LOST, lambda w: w.disputes.append(w.dispute)),
    "a dispute that is not there": (MADE_UP, lambda w: w.dispute.update(gateway_dispute_id="du_2")),
    "another state": (AS_HELD, lambda w: w.dispute.update(status="won")),
    "other money gone": (AS_HELD, lambda w: w.dispute.update(reinstated=1)),
    "another payment disputed": (AS_HELD, lambda w: w.dispute.update(gateway_payment_id="pi_2")),
}

ORDERS: dict[str, tuple[str, Spoil]] = {
    "an order paid with money that is held": (STANDS, lambda w: w.order.update(status="paid")),
    "an order refunded whose money is held": (STANDS, lambda w: w.order.update(status="refunded")),
    "an order disputed whose dispute was won": (STANDS, lambda w: _disputed_otherwise(w, status="won", gone=0)),
    "an order disputed by a question": (STANDS, lambda w: _disputed_otherwise(w, status="inquiry", gone=0)),
    "an order with another sum": (AS_HELD, lambda w: w.order.update(amount_refunded=0)),
}

MOVEMENTS: dict[str, tuple[str, Spoil]] = {
    "a payment that is not booked": (ADDS_UP, lambda w: w.movements.pop(0)),
    "a refund that is not booked": (ADDS_UP, lambda w: w.movements.pop(2)),
    "a refund booked twice": (ADDS_UP, lambda w: w.movements.append(w.movements[2])),
    "a fee booked twice": (ADDS_UP, lambda w: w.movements.append(w.movements[1])),
    "a dispute that is not booked": (ADDS_UP, lambda w: w.movements.pop(3)),
    "a dispute booked as a refund": (ADDS_UP, lambda w: w.movements[3].update(kind="refund")),
    "another currency's": (ADDS_UP, lambda w: w.movements[0].update(currency="eur")),
    "what Stripe's balance does not hold": (ADDS_UP, lambda w: w.back.balance.update(usd=1)),
    "a payout that nobody knows": (LOST, lambda w: w.payouts.clear()),
    "a payout in another state": (AS_HELD, lambda w: w.payout.update(status="failed")),
    "a payout that is not booked": (ADDS_UP, lambda w: w.movements.pop()),
    "a payout that is not there": (MADE_UP, lambda w: w.payout.update(gateway_payout_id="po_2")),
    "a payout booked that came back": (ADDS_UP, lambda w: _hold(w, payouts=(replace(PAYOUT, status="failed"),))),
}  # fmt: skip

TELLINGS: dict[str, tuple[str, Spoil]] = {
    "a total that differs for good": (INVENTED, lambda w: w.differ("refund_total_mismatch")),
    "a refund that differs for good": (INVENTED, lambda w: w.differ("refund_mismatch")),
    "a failure of no refund": (INVENTED, lambda w: w.differ("refund_failed")),
    "a warning of nobody": (INVENTED, lambda w: w.differ("early_fraud_warning")),
    "a warning that nobody is told": (LOST, lambda w: _hold(w, warned=frozenset({PAYMENT}))),
    "a customer who is not told": (ONE_FACT, lambda w: w.told.remove("mail.refund_succeeded:refund-1")),
    "a customer who is told twice": (ONE_FACT, lambda w: w.told.append("mail.refund_succeeded:refund-1")),
    "a failure told of what succeeded": (ONE_FACT, lambda w: w.told.append("notify.refund.failed:refund-1")),
    "a dispute that is not told": (ONE_FACT, lambda w: w.told.remove("notify.dispute.opened:dispute-1")),
    "a verdict that is not told": (ONE_FACT, lambda w: w.told.pop()),
    "a refund's illegal move": (LEGAL, lambda w: w.lives["refund-1"].extend([("succeeded", "sent"), ("sent", "succeeded")])),
    "a refund's gap": (LEGAL, lambda w: w.lives["refund-1"].pop(1)),
    "a dispute's gap": (LEGAL, lambda w: w.lives["dispute-1"].append(("won", "lost"))),
    "a dispute that is told otherwise": (LEGAL, lambda w: w.lives["dispute-1"].pop()),
}  # fmt: skip

SPOILT = {**REFUNDS, **DISPUTES, **ORDERS, **MOVEMENTS, **TELLINGS}


@pytest.mark.parametrize("what", SPOILT)
def test_what_is_wrong_breaks_its_promise(what: str) -> None:
    promise, spoil = SPOILT[what]
    world = World()

    spoil(world)

    assert promise in world.broken()


def test_a_difference_that_was_cured_is_none() -> None:
    world = World()

    world.differ("refund_total_mismatch", state="resolved")

    assert world.broken() == set()


def test_what_the_gateway_refused_with_a_reason_is_an_end() -> None:
    world = World()

    _unmade(world, "failed", "the payment is disputed")
    world.told.append("notify.refund.failed:refund-2")

    assert world.broken() == set()


def test_a_refund_that_was_sent_back_is_told_at_both_its_ends() -> None:
    world = World()
    world.back = replace(
        world.back, refunds=(replace(REFUND, status="failed"),), disputes=(), balance=Counter(usd=1000)
    )
    world.refund["status"], world.order["status"] = "failed", "paid"
    world.order["amount_refunded"] = world.payment["amount_refunded"] = 0
    world.lives["refund-1"].append(("succeeded", "failed"))
    world.disputes.clear()
    world.movements[3:5] = [movement("refund_reversal", 300, refund_id="refund-1")]

    world.told[2:] = ["notify.refund.failed:refund-1:1"]
    world.differ("refund_failed")

    assert world.broken() == set()


# --- how the other promises look at it ---


@pytest.mark.parametrize(
    ("status", "is_broken"), [("paid", False), ("refunded", False), ("disputed", False), ("failed", True)]
)
def test_what_was_shown_as_paid_may_go_back_and_nothing_else(status: str, is_broken: bool) -> None:
    visit = Visit(1, "user", "plan", "stripe", "pays", orders={"order-1"}, shown_paid={"order-1"})

    broken = list(promises.check_visits([visit], books(orders={"order-1": {"status": status}})))

    assert bool(broken) is is_broken


@pytest.mark.parametrize("status", ["refunded", "disputed"])
def test_an_order_whose_money_is_gone_was_paid_and_gives_no_access(status: str, tmp_path: Path) -> None:
    world = World()
    world.order["status"] = status
    held = books(
        orders={"order-1": world.order}, payments={PAYMENT: world.payment},
        access=defaultdict(list, {"order-1": [{"active": True}]}),
    )  # fmt: skip

    told = {each.says for each in promises.check_effects(held, tmp_path)}

    assert f"{status} with access 1 times" in told
    assert not list(promises.check_orders(held, world.truth()))


@pytest.mark.parametrize("status", ["failed", "cancelled", "pending"])
def test_an_order_whose_money_was_accepted_is_not_given_up(status: str) -> None:
    world = World()
    world.order["status"] = status

    assert list(promises.check_orders(world.books(), world.truth()))


def _begun(**said: Any) -> Begun:
    first = Billed("stripe", "in_1", "sub_1", True, True, False, 1000, 1000, "usd", NOW + MONTH, frozenset({"pi_1"}))
    whole: dict[str, Any] = {
        "gateway": "stripe", "name": "sub_1", "order_id": "order-1", "status": "active", "has_begun": True,
        "customer": None, "period_start": NOW, "period_end": NOW + MONTH, "trial_end": None, "is_set_to_end": False,
        "invoices": (first,),
    }  # fmt: skip
    return Begun(**{**whole, **said})


WHOLE = replace(REFUND, amount=1000)
GONE = {
    "refunded": MoneyBack((WHOLE,)),
    "held": MoneyBack(disputes=(replace(DISPUTE, status="under_review"),)),
    "lost": MoneyBack(disputes=(DISPUTE,)),
}
KEPT = {
    "refunded in part": MoneyBack((REFUND,)),
    "refunded, and failed": MoneyBack((replace(WHOLE, status="failed"),)),
    "won": MoneyBack(disputes=(replace(DISPUTE, status="won", gone=0),)),
    "asked about": MoneyBack(disputes=(replace(DISPUTE, status="inquiry", gone=0),)),
}


@pytest.mark.parametrize("back", GONE.values(), ids=GONE)
def test_a_period_whose_money_is_gone_gives_nothing(back: MoneyBack) -> None:
    assert not subscribed.is_covered(_begun(), NOW, back)


@pytest.mark.parametrize("back", KEPT.values(), ids=KEPT)
def test_a_period_whose_money_is_there_is_given(back: MoneyBack) -> None:
    assert subscribed.is_covered(_begun(), NOW, back)


def test_a_renewal_that_is_paid_gives_its_period_though_the_first_went_back() -> None:
    [first] = _begun().invoices
    renewal = replace(first, name="in_2", is_first=False, is_renewal=True, period_end=NOW + 2 * MONTH, payments=frozenset({"pi_2"}))  # fmt: skip

    assert subscribed.is_covered(_begun(invoices=(first, renewal)), NOW, GONE["refunded"])


def test_where_the_newest_money_is_gone_no_renewal_is_waited_for() -> None:
    [renewal] = _begun().invoices
    earlier = replace(renewal, name="in_0", period_end=NOW, payments=frozenset({"pi_0"}))

    begun = _begun(invoices=(earlier, renewal))

    assert subscribed.is_covered(begun, NOW - timedelta(seconds=1), GONE["refunded"])
    assert not subscribed.is_covered(begun, NOW + timedelta(hours=1), GONE["refunded"])
    assert subscribed.is_covered(replace(begun, invoices=(earlier,)), NOW + timedelta(hours=1), GONE["refunded"])


@pytest.mark.parametrize(
    ("back", "status"),
    [(GONE["refunded"], "refunded"), (GONE["held"], "disputed"), (GONE["lost"], "disputed"), (MoneyBack(), "paid")],
)
def test_a_subscriptions_order_stands_as_its_first_money_does(back: MoneyBack, status: str) -> None:
    row = {
        "gateway_subscription_id": "sub_1",
        "status": "active",
        "current_period_start": NOW,
        "current_period_end": NOW + MONTH,
    }
    for said in ("paid", "refunded", "disputed", "pending"):
        held = books(orders={"order-1": {"status": said}}, subscriptions={"order-1": row})

        broken = list(subscribed.check_subscriptions(held, Billing(NOW, (_begun(),), {}), back))

        assert bool(broken) is (said != status)
