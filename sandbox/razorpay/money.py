"""Amounts at Razorpay: uppercase currencies, integers in the smallest unit, and exponents of its own.

Source: razorpay.com/docs/payments/international-payments. ISK and UGX have no decimals here, and two at Stripe.
"""

from __future__ import annotations

import re

from sandbox.razorpay.errors import invalid

ZERO_DECIMAL = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split())
THREE_DECIMAL = frozenset("BHD IQD JOD KWD OMR TND".split())
AMOUNT_MIN = 100
AMOUNT_MAX = 50_000_000_000


def check_currency(currency: str) -> str:
    """Only uppercase is a currency here."""
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise invalid(
            "currency: wrong input field, please find the list of supported currencies on the documentation.",
            "currency",
        )
    return currency


def check_last_digit(amount: int, currency: str) -> None:
    """Currencies with three decimals take amounts that end in 0."""
    if currency in THREE_DECIMAL and amount % 10:
        raise invalid(f"amount: the last digit must be 0 for {currency}.", "amount")


def places(currency: str) -> int:
    """How many decimals its amounts have."""
    return 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2


def show(amount: int, currency: str) -> str:
    """The amount for the eye: ``INR 499.00``."""
    digits = places(currency)
    whole, part = divmod(amount, 10**digits)
    decimals = f".{part:0{digits}}" if digits else ""
    return f"{currency} {whole:,}{decimals}"
