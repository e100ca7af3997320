"""Amounts at Stripe: lowercase currencies, integers in the smallest unit, smallest charges, and the special cases.

Source: docs.stripe.com/currencies.
"""

from __future__ import annotations

import re

from sandbox.stripe.errors import StripeError

ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
#: Written with two decimals that must be 00, although the currency has none.
WHOLE_UNITS_ONLY = frozenset({"isk", "ugx"})

AMOUNT_MAX = 99_999_999

#: The smallest charge, where it is not 50. Stripe judges it in the currency of settlement; here it is the charge's own.
_SMALLEST = {"gbp": 30, "hkd": 400, "mxn": 1000, "aed": 200, "huf": 17500, "pln": 200, "czk": 1500, "dkk": 250}
_SMALLEST_ELSE = 50


def check_currency(currency: str, param: str) -> str:
    """The currency in lowercase; Stripe reads either case."""
    if not re.fullmatch(r"[a-zA-Z]{3}", currency):
        raise StripeError(f"Invalid currency: {currency[:20]}.", param=param)
    return currency.lower()


def check_amount(amount: int, currency: str, param: str) -> None:
    """Refuses what cannot be charged in this currency at all."""
    if amount < 0:
        raise StripeError(
            "This value must be greater than or equal to 0.", code="parameter_invalid_integer", param=param
        )
    if amount > AMOUNT_MAX:
        raise StripeError("Amount must be no more than $999,999.99", code="amount_too_large", param=param)
    step = 10 if currency in THREE_DECIMAL else 100 if currency in WHOLE_UNITS_ONLY else 1
    if amount % step:
        message = f"Invalid amount: in {currency.upper()} it must be divisible by {step}."
        raise StripeError(message, code="parameter_invalid_integer", param=param)


def check_charge(amount: int, currency: str, param: str) -> None:
    """Refuses what cannot be one charge: nothing, too little, too much."""
    if amount < 1:
        message = "This value must be greater than or equal to 1."
        raise StripeError(message, code="parameter_invalid_integer", param=param)
    check_amount(amount, currency, param)
    smallest = _SMALLEST.get(currency, _SMALLEST_ELSE)
    if amount < smallest:
        raise StripeError(f"Amount must be at least {show(smallest, currency)}.", code="amount_too_small", param=param)


def check_total(total: int, currency: str) -> None:
    """Refuses a total under the smallest charge; nothing at all is allowed, and costs nothing."""
    smallest = _SMALLEST.get(currency, _SMALLEST_ELSE)
    if total > AMOUNT_MAX:
        raise StripeError(
            "The Checkout Session's total amount due must be no more than $999,999.99", code="amount_too_large"
        )
    if 0 < total < smallest:
        message = f"The Checkout Session's total amount due must add up to at least {show(smallest, currency)}"
        raise StripeError(message, code="amount_too_small")


def show(amount: int, currency: str) -> str:
    """The amount for the eye: ``49.00 USD``."""
    places = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    whole, part = divmod(amount, 10**places)
    decimals = f".{part:0{places}}" if places else ""
    return f"{whole:,}{decimals} {currency.upper()}"
