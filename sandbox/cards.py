"""The test cards and what each of them does. Any other number is refused, neither kept nor written anywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Decline(StrEnum):
    """Why the bank says no."""

    GENERIC = "generic_decline"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    EXPIRED = "expired_card"
    # The following are reached through the names of Stripe's test methods alone (sandbox/stripe/means.py).
    INCORRECT_CVC = "incorrect_cvc"
    PROCESSING_ERROR = "processing_error"
    LOST = "lost_card"
    STOLEN = "stolen_card"
    TOO_OFTEN = "card_velocity_exceeded"
    DEBIT_FAILED = "debit_failed"


class Authenticate(StrEnum):
    """What the customer does when the bank asks for 3-D Secure."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Card:
    """What may be known of a card: never its number. One that ``fails_later`` can be kept, and is then declined."""

    last4: str
    decline: Decline | None = None
    asks_for_authentication: bool = False
    brand: str = "visa"
    expires: tuple[int, int] = (12, 2034)
    fails_later: bool = False


class CardRefused(ValueError):
    """The input is not a test card that can be used; the message is for the customer and repeats no digit of it."""


_CARDS = {
    "4242424242424242": Card("4242"),
    "4000000000000002": Card("0002", Decline.GENERIC),
    "4000000000009995": Card("9995", Decline.INSUFFICIENT_FUNDS),
    "4000000000000069": Card("0069", Decline.EXPIRED),
    "4000002500003155": Card("3155", asks_for_authentication=True),
    "4000002760003184": Card("3184", asks_for_authentication=True),
    "4000000000000341": Card("0341", Decline.GENERIC, fails_later=True),
    # These pay; what comes afterwards, at Stripe alone, is told in sandbox/stripe/refunding.py and disputing.py.
    "4000000000007726": Card("7726"),
    "4000000000005126": Card("5126"),
    "4000000000000259": Card("0259"),
    "4000000000002685": Card("2685"),
    "4000000000001976": Card("1976"),
    "4000000000005423": Card("5423"),
}

#: For pages and documents: the number in groups of four, and what it does.
TEST_CARDS = (
    ("4242 4242 4242 4242", "pays"),
    ("4000 0000 0000 0002", "is declined"),
    ("4000 0000 0000 9995", "has insufficient funds"),
    ("4000 0000 0000 0069", "has expired"),
    ("4000 0025 0000 3155", "asks for 3-D Secure"),
)

#: What makes a difference only where a card is kept and charged again.
RENEWAL_CARDS = (
    ("4000 0000 0000 0341", "is declined later"),
    ("4000 0027 6000 3184", "asks each time"),
)


def read_card(number: str) -> Card:
    """The test card with this number; spaces and dashes are ignored. Raises ``CardRefused``."""
    card = _CARDS.get(re.sub(r"[\s-]", "", number))
    if card is None:
        raise CardRefused("Only test cards work here: use one of the numbers shown on this page.")
    return card
