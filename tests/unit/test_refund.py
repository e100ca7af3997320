"""What a gateway's word of a refund means, as tables; and that the order of its news is of no matter."""

from __future__ import annotations

import itertools

import pytest

from payments.events import PaymentNamed, RefundTold
from payments.money import Money
from payments.order import Early, Stale
from payments.refund import MOVES, RefundStatus
from payments.refunding import Advance, Begin, Differs, Exceeds, Outcome, Refund, follow, may_move, told_in_all

REQUESTED, SENT, PENDING = RefundStatus.REQUESTED, RefundStatus.SENT, RefundStatus.PENDING
SUCCEEDED, FAILED, CANCELLED = RefundStatus.SUCCEEDED, RefundStatus.FAILED, RefundStatus.CANCELLED

TEN = Money(1000, "usd")
PAYMENT = PaymentNamed("pi_1")


def usd(minor: int) -> Money:
    return Money(minor, "usd")


def telling(name: str, minor: int, status: RefundStatus, ours: str | None = None) -> RefundTold:
    return RefundTold(name, PAYMENT, usd(minor), status, refund_id=ours)


def held(ours: str, minor: int, status: RefundStatus, name: str | None = None) -> Refund:
    return Refund(ours, usd(minor), status, name)


ASKED = held("a", 300, REQUESTED)
NAMELESS = held("a", 300, SENT)
WAITING = held("a", 300, PENDING, "re_1")
GONE = held("a", 300, SUCCEEDED, "re_1")
REFUSED = held("a", 300, FAILED)
CAME_BACK = held("a", 300, FAILED, "re_1")

CASES: list[tuple[str, tuple[Refund, ...], RefundTold, Outcome]] = [
    ("from the dashboard", (), telling("re_1", 300, SUCCEEDED), Begin(SUCCEEDED)),
    ("first told as failed", (), telling("re_1", 300, FAILED), Begin(FAILED)),
    ("ours, before its call was answered", (NAMELESS,), telling("re_1", 300, PENDING, "a"), Advance(NAMELESS, PENDING)),
    ("ours, before it was called at all", (ASKED,), telling("re_1", 300, SUCCEEDED, "a"), Advance(ASKED, SUCCEEDED)),
    ("on its way, then gone", (WAITING,), telling("re_1", 300, SUCCEEDED), Advance(WAITING, SUCCEEDED)),
    ("gone, then back", (GONE,), telling("re_1", 300, FAILED), Advance(GONE, FAILED)),
    ("told again", (GONE,), telling("re_1", 300, SUCCEEDED), Stale("the refund is succeeded")),
    ("told late", (GONE,), telling("re_1", 300, PENDING), Stale("the refund is succeeded")),
    ("told late of one that came back", (CAME_BACK,), telling("re_1", 300, SUCCEEDED), Stale("the refund is failed")),
    ("refused, as we thought", (REFUSED,), telling("re_1", 300, SUCCEEDED, "a"), Advance(REFUSED, SUCCEEDED)),
    ("refused, and now named", (REFUSED,), telling("re_1", 300, FAILED, "a"), Advance(REFUSED, FAILED)),
    ("another amount", (GONE,), telling("re_1", 301, SUCCEEDED), Differs(usd(300), usd(301))),
    ("our id on another amount", (GONE,), telling("re_2", 200, SUCCEEDED, "a"), Begin(SUCCEEDED)),
    ("our id on a second refund", (GONE,), telling("re_2", 300, SUCCEEDED, "a"), Begin(SUCCEEDED)),
    ("a foreign id", (), telling("re_1", 300, SUCCEEDED, "no uuid at all"), Begin(SUCCEEDED)),
    ("all that is left", (GONE,), telling("re_2", 700, SUCCEEDED), Begin(SUCCEEDED)),
    ("more than is left", (GONE,), telling("re_2", 701, SUCCEEDED), Exceeds(usd(700), usd(701))),
    ("more than is left, and came to nothing", (GONE,), telling("re_2", 701, FAILED), Begin(FAILED)),
    ("where ours was asked of nobody", (ASKED,), telling("re_2", 800, SUCCEEDED), Begin(SUCCEEDED, (ASKED,))),
    (
        "where ours may be the same",
        (NAMELESS,),
        telling("re_2", 800, SUCCEEDED),
        Early("a refund of ours is on its way, and may be this one"),
    ),
]


@pytest.mark.parametrize(("refunds", "told", "outcome"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_a_telling_means(refunds: tuple[Refund, ...], told: RefundTold, outcome: Outcome) -> None:
    assert follow(told, TEN, refunds) == outcome


def test_another_currency_is_refused() -> None:
    told = RefundTold("re_1", PAYMENT, Money(300, "eur"), SUCCEEDED)

    assert follow(told, TEN, ()) == Differs(TEN, Money(300, "eur"))


def test_only_so_many_give_way_as_must_and_the_newest_first() -> None:
    first, second, third = (held(name, 300, REQUESTED) for name in "abc")

    assert follow(telling("re_1", 500, SUCCEEDED), TEN, (first, second, third)) == Begin(SUCCEEDED, (third, second))


def test_nothing_gives_way_in_vain() -> None:
    asked, nameless = held("a", 100, REQUESTED), held("b", 900, SENT)

    assert isinstance(follow(telling("re_1", 1000, SUCCEEDED), TEN, (asked, nameless)), Early)


@pytest.mark.parametrize("status", RefundStatus)
@pytest.mark.parametrize("to", RefundStatus)
@pytest.mark.parametrize("name", [None, "re_1"])
def test_no_move_is_answered_that_is_not_legal(status: RefundStatus, to: RefundStatus, name: str | None) -> None:
    if may_move(held("a", 300, status, name), to):
        assert (status, to) in MOVES


def test_what_the_gateway_adds_up_leaves_out_what_it_has_not_heard_of() -> None:
    refunds = (ASKED, NAMELESS, held("b", 200, PENDING, "re_2"), GONE, CAME_BACK)

    assert told_in_all(refunds, "usd") == usd(500)


# --- every order of the news ---

#: Two that stay and one that comes back, each told as far as it goes, and all of it twice.
NEWS = (
    telling("re_1", 200, PENDING),
    telling("re_1", 200, SUCCEEDED),
    telling("re_2", 300, SUCCEEDED),
    telling("re_3", 400, SUCCEEDED),
    telling("re_3", 400, FAILED),
)


def test_f92_f93_every_order_of_the_same_news_ends_in_the_same_refunds() -> None:
    once = {_after(order) for order in itertools.permutations(NEWS)}
    twice = {_after((*order, *order[::-1])) for order in itertools.permutations(NEWS)}

    assert once == twice == {(("re_1", SUCCEEDED), ("re_2", SUCCEEDED), ("re_3", FAILED))}


def _after(news: tuple[RefundTold, ...]) -> tuple[tuple[str, RefundStatus], ...]:
    """The refunds of a payment of ten dollars after all of these, as the record would hold them."""
    refunds: dict[str, Refund] = {}
    for told in news:
        match follow(told, TEN, tuple(refunds.values())):
            case Begin(status=status) | Advance(status=status):
                refunds[told.gateway_refund_id] = Refund(
                    told.gateway_refund_id, told.amount, status, told.gateway_refund_id
                )
            case Stale():
                pass
            case other:
                raise AssertionError(other)
    return tuple(sorted((name, refund.status) for name, refund in refunds.items()))
