"""Card numbers where none belongs: found in whatever is sent to us, to be hidden, or refused before it is kept."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import accumulate

#: How many digits a card number has (ISO/IEC 7812), in groups or not.
LENGTH_MIN, LENGTH_MAX = 12, 19

_RUN = re.compile(r"\d+(?:[\s-]\d+)*")
_GROUP = re.compile(r"\d+")
#: How the numbers begin that networks give out. A time in milliseconds begins otherwise, and so do most other numbers.
_ISSUED = re.compile(r"[3-6]|2[2-7]|8[12]")
#: UUIDs and hashes: names by chance, in which any digits may follow each other.
_NAME = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32,}", re.IGNORECASE)

#: What a digit counts where every second one is doubled (Luhn).
_DOUBLED = [sum(divmod(2 * digit, 10)) for digit in range(10)]


def hide(text: str, instead: str) -> str:
    """The text without whatever may be a card number: one too many costs nothing here."""
    told, end = "", 0
    for first, last in _find(text):
        if first >= end:
            told += text[end:first] + instead
        end = max(end, last)
    return told + text[end:]


def are_in(sent: object) -> bool:
    """Whether a text, a number, or anything below a tree of them, holds what a network may have given out.

    Refusing one too many would cost somebody a call, so after a plus sign comes a telephone number.
    """
    left = [sent]
    while left:
        match left.pop():
            case dict() as fields:
                left += [*fields.keys(), *fields.values()]
            case list() as values:
                left += values
            case str() as text:
                if any(_ISSUED.match(text, first) and text[first - 1 : first] != "+" for first, _ in _find(text)):
                    return True
            case int() | float() as number:
                left.append(write(number))
    return False


def write(number: float) -> str:
    """A number in digits, as which a large one is not written by itself."""
    is_whole = isinstance(number, int) or (math.isfinite(number) and number.is_integer())
    return str(int(number)) if is_whole else str(number)


def _find(text: str) -> Iterator[tuple[int, int]]:
    """Where they stand, in order; they may overlap, as an expiry date often follows a number in groups."""
    for run in _RUN.finditer(_NAME.sub(lambda name: "x" * len(name[0]), text)):
        groups = [group.span() for group in _GROUP.finditer(run[0])]
        if sum(last - first for first, last in groups) >= LENGTH_MIN:
            yield from ((run.start() + first, run.start() + last) for first, last in _find_in(run[0], groups))


def _find_in(run: str, groups: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Every row of whole groups that is as long as a card number, and right by its last digit."""
    digits = [int(character) for character in run if character.isdecimal()]
    # The sums up to each digit, with those in even places doubled, and with those in odd ones.
    sums = [
        [0, *accumulate(_DOUBLED[digit] if place % 2 == odd else digit for place, digit in enumerate(digits))]
        for odd in (0, 1)
    ]
    ends = [0, *accumulate(last - first for first, last in groups)]
    for place, (first, _) in enumerate(groups):
        for beyond in range(place + 1, len(ends)):
            begin, end = ends[place], ends[beyond]
            if end - begin > LENGTH_MAX:
                break
            if end - begin >= LENGTH_MIN and (sums[end % 2][end] - sums[end % 2][begin]) % 10 == 0:
                yield first, groups[beyond - 1][1]
