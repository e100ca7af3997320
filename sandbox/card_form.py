"""The card form as it comes back: the card that was typed, or what is wrong with which field. No digit is repeated."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from sandbox import card_numbers
from sandbox.cards import Card, CardRefused, read_card

EMAIL_MAX = 200

#: As the form writes it, as people type it, and as browsers fill it in from what they keep.
_EXPIRY = re.compile(r"\s*(0?[1-9]|1[0-2])\s*/\s*(?:20)?(\d\d)\s*|\s*(0[1-9]|1[0-2])(\d\d)\s*", re.ASCII)
_CENTURY = 2000
#: No more than a slip of the finger is looked for: no mail is sent from here.
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


class FormRefused(Exception):
    """What is wrong, for the customer, by the name of its field and in the form's order. No card was made of it."""

    def __init__(self, mistakes: Mapping[str, str]) -> None:
        super().__init__("; ".join(mistakes.values()))
        self.mistakes = mistakes


def read_card_form(form: Mapping[str, str], *, now: int) -> Card:
    """The test card in a form's number, expiry and csc, all of it looked at. Raises ``FormRefused``."""
    mistakes: dict[str, str] = {}
    for name, check in _CHECKS.items():
        try:
            check(form.get(name, ""), now)
        except CardRefused as refused:
            mistakes[name] = str(refused)
    if mistakes:
        raise FormRefused(mistakes)
    return replace(read_card(form["number"]), expires=_read_expiry(form["expiry"]))


def _check_email(text: str, _: int) -> None:
    """It may be left out."""
    if card_numbers.are_in(text):
        raise CardRefused(
            "This holds a card number, which belongs in its own field. Write an address, or leave it out."
        )
    if text.strip() and (len(text) > EMAIL_MAX or not _EMAIL.fullmatch(text.strip())):
        raise CardRefused("Write the address like name@example.com, or leave it out.")


def _check_number(text: str, _: int) -> None:
    read_card(text)


def _check_expiry(text: str, now: int) -> None:
    month, year = _read_expiry(text)
    today = datetime.fromtimestamp(now, UTC)
    if (year, month) < (today.year, today.month):
        raise CardRefused("The card's expiry date is in the past.")


def _check_csc(text: str, _: int) -> None:
    if not re.fullmatch(r"[0-9]{3}", text.strip()):
        raise CardRefused("The security code must be three digits.")


def _read_expiry(text: str) -> tuple[int, int]:
    match = _EXPIRY.fullmatch(text)
    if match is None:
        raise CardRefused("The expiry date must look like MM/YY.")
    month, year = match[1] or match[3], match[2] or match[4]
    return int(month), _CENTURY + int(year)


_CHECKS: dict[str, Callable[[str, int], None]] = {
    "email": _check_email,
    "number": _check_number,
    "expiry": _check_expiry,
    "csc": _check_csc,
}
