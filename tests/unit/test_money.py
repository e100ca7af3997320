"""Money is whole, in one currency, and written exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.money import EXPONENTS, Flow, Money, MoneyError, exponent, written


@pytest.mark.parametrize("minor", [1.0, "1", True, None, -1, 2**63])
def test_f64_only_a_whole_number_of_minor_units_is_an_amount(minor: object) -> None:
    with pytest.raises(MoneyError):
        Money(minor, "usd")  # type: ignore[arg-type]


@pytest.mark.parametrize("currency", ["USD", "us", "usdd", "u$d", "", "üsd"])
def test_only_three_lowercase_letters_are_a_currency(currency: str) -> None:
    with pytest.raises(MoneyError):
        Money(1, currency)


def test_currencies_do_not_mix() -> None:
    with pytest.raises(MoneyError, match="cannot add eur to usd"):
        Money(1, "usd") + Money(1, "eur")


@pytest.mark.parametrize(
    ("gateway", "currency", "digits"),
    [
        ("stripe", "usd", 2),
        ("stripe", "jpy", 0),
        ("stripe", "kwd", 3),
        ("stripe", "isk", 2),
        ("stripe", "ugx", 2),
        ("stripe", "mga", 0),
        ("razorpay", "inr", 2),
        ("razorpay", "isk", 0),
        ("razorpay", "ugx", 0),
        ("razorpay", "iqd", 3),
        (None, "usd", 2),
    ],
)
def test_f63_the_exponent_is_the_gateways_own(gateway: str | None, currency: str, digits: int) -> None:
    assert exponent(gateway, currency) == digits


@pytest.mark.parametrize(
    ("minor", "currency", "digits", "text"),
    [
        (1990, "usd", 2, "19.90 USD"),
        (5, "usd", 2, "0.05 USD"),
        (0, "usd", 2, "0.00 USD"),
        (500, "jpy", 0, "500 JPY"),
        (295990, "kwd", 3, "295.990 KWD"),
    ],
)
def test_amounts_are_written_as_people_write_them(minor: int, currency: str, digits: int, text: str) -> None:
    assert written(minor, currency, exponent=digits) == text


@given(st.integers(min_value=0, max_value=2**63 - 1), st.sampled_from([0, 2, 3]))
def test_f64_what_is_written_reads_back_to_the_same_amount(minor: int, digits: int) -> None:
    number = written(minor, "usd", exponent=digits).removesuffix(" USD")

    assert int(number.replace(".", "")) == minor


def test_every_exception_to_two_decimals_is_a_currency() -> None:
    for currencies in EXPONENTS.values():
        for currency in currencies:
            Money(1, currency)


def test_money_that_flows_adds_up_across_nought_and_never_across_currencies() -> None:
    took, gave = Flow.to_us(Money(300, "usd")), Flow.from_us(Money(500, "usd"))

    assert took + gave == Flow(-200, "usd")
    assert str(took + gave) == "-200 usd"
    with pytest.raises(MoneyError, match="cannot add eur to usd"):
        took + Flow(1, "eur")
