"""What the page about subscriptions lists is what the code knows. A failure says what to write or to take out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

import pytest

import gateways.razorpay.invoices
import gateways.razorpay.subscriptions
import gateways.stripe.invoices
import gateways.stripe.subscriptions
from console.simulated_life import Life, play
from payments.access import AccessReason
from payments.dunning import DEFAULT, FIELDS
from payments.effects import FOLLOWS_OCCURRENCE
from payments.invoice import InvoiceStatus
from payments.occurrence import Occurrence
from payments.snapshot import SubscriptionStatus
from tests.house.pages import DOCS, quoted, rows, section
from tests.subscribed import NOON

PAGE = DOCS / "subscriptions.md"


def table(title: str) -> dict[str, list[str]]:
    """The cells of the first table below this heading, by the word that its rows begin with."""
    return {cells[0].strip("`"): cells[1:] for cells in rows(section(PAGE, title)) if cells[0].startswith("`")}


def words(title: str, column: int) -> dict[str, str]:
    """Ours by theirs."""
    return {theirs: ours for ours, cells in table(title).items() for theirs in quoted(cells[column])}


@pytest.mark.parametrize(
    ("title", "column", "known"),
    [
        ("Both gateways' words", 0, gateways.stripe.subscriptions.WORDS),
        ("Both gateways' words", 1, gateways.razorpay.subscriptions.WORDS),
        ("Invoices", 0, gateways.stripe.invoices.WORDS),
        ("Invoices", 1, gateways.razorpay.invoices.WORDS),
    ],
)
def test_the_gateways_words_are_those_of_the_code(
    title: str, column: int, known: Mapping[str, SubscriptionStatus | InvoiceStatus]
) -> None:
    assert words(title, column) == {theirs: ours.value for theirs, ours in known.items()}


@pytest.mark.parametrize(
    ("title", "known"),
    [
        ("Both gateways' words", SubscriptionStatus),
        ("Invoices", InvoiceStatus),
        ("Access", AccessReason),
        ("Notices", Occurrence),
    ],
)
def test_every_word_of_ours_is_told(title: str, known: type[StrEnum]) -> None:
    assert set(table(title)) == {word.value for word in known}


def test_every_field_of_the_policy_is_told_with_its_default() -> None:
    told_of = {name: cells[0].strip("`") for name, cells in table("Dunning").items() if name in FIELDS}

    assert told_of == {name: written(getattr(DEFAULT, field), name) for name, (field, _) in FIELDS.items()}


def written(value: object, name: str) -> str:
    """As a file would say it."""
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return f"[{', '.join(written(each, name) for each in value)}]"
        case StrEnum():
            return f'"{value}"'
        case timedelta():
            return str(round(value / timedelta(hours=1 if name.endswith("_hours") else 24)))
        case _:
            return "false"


#: How the page says a channel.
CHANNELS = {"mail": "mail", "notify": "notification"}


def test_who_is_told_of_what_is_told() -> None:
    for occurrence, (_, customer, application) in table("Notices").items():
        kinds = [kind.value.partition(".")[0] for kind in FOLLOWS_OCCURRENCE[Occurrence(occurrence)]]

        assert [cell for cell in (customer, application) if cell] == [
            CHANNELS[kind] for kind in kinds if kind in CHANNELS
        ]


def test_the_calendar_that_is_shown_is_the_one_that_is_printed() -> None:
    shown = [
        quoted(cells[2]) for cells in rows(section(PAGE, "Dunning")) if len(cells) == 4 and cells[0][0] not in "`f"
    ]
    played = [list(moment.follows) for moment in play(Life(NOON, trial_days=14, fail_at=2), DEFAULT) if moment.follows]

    assert shown == played
