"""Whole minor units with their currency; nothing here ever rounds, and nothing mixes two currencies."""

from __future__ import annotations

from dataclasses import dataclass

#: ISO 4217.
CURRENCY_LETTERS = 3


class MoneyError(ValueError):
    """An amount or a currency that cannot be money; the caller refuses the input it came from."""


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in minor units (cents, paise, yen) of a lowercase ISO 4217 currency.

    The exponent is the gateway's own (``exponent``): Stripe counts ISK in hundredths, Razorpay in whole krónur.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if isinstance(self.minor, bool) or not isinstance(self.minor, int):
            raise MoneyError(f"an amount is a whole number of minor units, not {type(self.minor).__name__}")
        if not 0 <= self.minor < 2**63:
            raise MoneyError("an amount lies between 0 and what a bigint holds")
        if len(self.currency) != CURRENCY_LETTERS or not (self.currency.isascii() and self.currency.isalpha()):
            raise MoneyError("a currency is three lowercase letters")
        if not self.currency.islower():
            raise MoneyError("a currency is three lowercase letters")

    def __add__(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise MoneyError(f"cannot add {other.currency} to {self.currency}")
        return Money(self.minor + other.minor, self.currency)

    def __str__(self) -> str:
        return f"{self.minor} {self.currency}"


@dataclass(frozen=True, slots=True, order=False)
class Flow:
    """Money with its direction: above 0 it comes to us, below 0 it leaves us. Sums of it may end on either side."""

    minor: int
    currency: str

    @classmethod
    def to_us(cls, money: Money) -> Flow:
        return cls(money.minor, money.currency)

    @classmethod
    def from_us(cls, money: Money) -> Flow:
        return cls(-money.minor, money.currency)

    def __add__(self, other: Flow) -> Flow:
        if other.currency != self.currency:
            raise MoneyError(f"cannot add {other.currency} to {self.currency}")
        return Flow(self.minor + other.minor, self.currency)

    def __str__(self) -> str:
        return f"{self.minor:+} {self.currency}"


def written(minor: int, currency: str, *, exponent: int) -> str:
    """The amount as people write it, ``19.90 USD``; exact, by integer arithmetic alone."""
    if exponent == 0:
        return f"{minor} {currency.upper()}"
    whole, part = divmod(minor, 10**exponent)
    return f"{whole}.{part:0{exponent}d} {currency.upper()}"


#: Currencies whose minor unit is not a hundredth, per gateway. The gateways disagree on ISK and UGX.
#: Sources: docs.stripe.com/currencies (zero-decimal; ISK and UGX kept at two), Razorpay docs, international payments.
EXPONENTS: dict[str, dict[str, int]] = {
    "stripe": {
        **dict.fromkeys("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split(), 0),
        **dict.fromkeys("bhd jod kwd omr tnd".split(), 3),
    },
    "razorpay": {
        **dict.fromkeys("bif clp djf gnf isk jpy kmf krw pyg rwf ugx vnd vuv xaf xof xpf".split(), 0),
        **dict.fromkeys("bhd iqd jod kwd omr tnd".split(), 3),
    },
}


def exponent(gateway: str | None, currency: str) -> int:
    """How many decimals this gateway's minor unit stands for; 2 where it lists no exception."""
    return EXPONENTS.get(gateway or "", {}).get(currency, 2)
