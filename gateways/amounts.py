"""Amounts that cannot be charged: known before the call, so refused before the call (F65)."""

from __future__ import annotations

from payments.money import Money, exponent

#: Currencies counted in thousandths. Card networks carry hundredths, so that both gateways want the last digit to be 0.
THREE_DECIMALS = 3


def has_odd_thousandths(gateway: str, amount: Money) -> bool:
    return exponent(gateway, amount.currency) == THREE_DECIMALS and amount.minor % 10 != 0
