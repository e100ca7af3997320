"""What must never be shown or logged, known by its looks: keys, tokens, passwords, card numbers. Pure."""

from __future__ import annotations

import re

REDACTED = "[redacted]"

#: What gives itself away by its looks, wherever in a text it stands.
SECRETS = re.compile(
    r"""
      \b (?: [srp]k_(?:live|test)_ | whsec_ | rzp_(?:live|test)_ ) [A-Za-z0-9+/=_-]+  # keys of the gateways
    | (?i: \b (?: bearer | basic ) \s+ [A-Za-z0-9+/=._~-]{8,} )                       # authorisation headers
    | \b eyJ [A-Za-z0-9_-]+ \. [A-Za-z0-9_-]+ \. [A-Za-z0-9_-]*                       # JSON web tokens
    | (?<= :// ) [^\s/@]* : [^\s/]* (?= @ )                                           # user:password in a URL
    """,
    re.VERBOSE,
)

CARD_LENGTHS = range(13, 20)

#: So many digits, alone or grouped as on a card. Digits inside a longer word, such as a UUID's, are none.
CARD_NUMBERS = re.compile(
    r"""
    (?<! [0-9A-Za-z] )
    (?: [0-9]{13,19} | [0-9]{4} (?: [ -] [0-9]{4} ){2} [ -] [0-9]{1,7} | [0-9]{4} [ -] [0-9]{6} [ -] [0-9]{5} )
    (?! [0-9A-Za-z] )
    """,
    re.VERBOSE,
)

#: The first letter and the host stay, so that whoever knows the customer can tell.
ADDRESSES = re.compile(r"(?<![\w.+%'-]) ([\w]) [\w.+%'-]{0,63} @ (?= [\w-]+ (?: \. [\w-]+ )+ )", re.VERBOSE)


def conceal(text: str) -> str:
    """The text without secrets and card numbers; whatever else it holds is left as it was."""
    text = SECRETS.sub(REDACTED, text)
    return CARD_NUMBERS.sub(lambda found: REDACTED if is_card_number(found[0]) else found[0], text)


def mask(text: str) -> str:
    """The text without secrets, card numbers and e-mail addresses, for whoever need not know the customer."""
    return ADDRESSES.sub(r"\1***@", conceal(text))


def is_card_number(text: str) -> bool:
    """Whether its digits are as many as a card's, and add up as a card's do."""
    digits = [int(digit) for digit in text if digit.isdigit()]
    return len(digits) in CARD_LENGTHS and _luhn(digits)


def _luhn(digits: list[int]) -> bool:
    """Each second digit from the right doubled, a two-digit double summed: a card number's total ends in 0."""
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
