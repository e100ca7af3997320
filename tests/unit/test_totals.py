"""Movements added up: each currency of each gateway by itself, and what stays of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from payments.totals import BALANCE, NET, Total, Totals

KINDS = ("payment", "fee", "refund", "refund_reversal", "dispute", "dispute_reversal", "payout", "payout_reversal")

MOVEMENTS = st.lists(
    st.tuples(
        st.sampled_from(("stripe", "razorpay")),
        st.sampled_from(("usd", "jpy")),
        st.sampled_from(KINDS),
        st.integers(-(2**62), 2**62),
    )
)


def added(*movements: tuple[str, str, str, int]) -> list[Total]:
    totals = Totals()
    for movement in movements:
        totals.add(*movement)
    return list(totals)


def test_what_is_paid_out_is_neither_earned_nor_lost() -> None:
    assert added(
        ("stripe", "usd", "payment", 1000), ("stripe", "usd", "payout", -970), ("stripe", "usd", "fee", -30)
    ) == [
        Total("stripe", "usd", "fee", 1, -30),
        Total("stripe", "usd", "payment", 1, 1000),
        Total("stripe", "usd", "payout", 1, -970),
        Total("stripe", "usd", NET, 2, 970),
        Total("stripe", "usd", BALANCE, 3, 0),
    ]


def test_of_nothing_there_are_no_totals() -> None:
    assert added() == []


@given(MOVEMENTS)
def test_the_balance_of_a_currency_is_the_sum_of_all_its_movements(movements: list[tuple[str, str, str, int]]) -> None:
    balances = {(t.gateway, t.currency): (t.count, t.minor) for t in added(*movements) if t.what == BALANCE}

    for gateway, currency in {(each[0], each[1]) for each in movements}:
        mine = [each[3] for each in movements if each[:2] == (gateway, currency)]
        assert balances[gateway, currency] == (len(mine), sum(mine))
