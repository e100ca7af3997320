"""Three ways to write movements down, each line as it comes: no period is too long to be written."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Protocol

import typer

from console import tables
from db.movement_lists import Booked
from payments.telling import amount_of, decimals_of
from payments.totals import Totals

COLUMNS = (
    *("at", "gateway", "kind", "amount", "amount_minor", "currency", "order_id", "payment_id", "gateway_payment_id"),
    *("gateway_refund_id", "gateway_dispute_id", "gateway_payout_id", "cause", "cause_id", "id"),
)

#: How a spreadsheet knows a formula (owasp.org/www-community/attacks/CSV_Injection). Those of some languages take the
#: full-width forms for the others.
FORMULAS = tuple(
    "=+-@\t\r\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)

TABLE_HEAD = ("at", "gateway", "kind", "amount", "order", "of", "cause")
TOTALS_HEAD = ("gateway", "currency", "what", "count", "amount")


class Ledger(Protocol):
    """What the movements of a period are written into, one after the other."""

    def begin(self) -> None: ...

    def write(self, booked: Booked) -> None: ...

    def end(self) -> None: ...


class CsvLedger:
    """For a spreadsheet: one row a movement, and nothing else in the file."""

    def __init__(self) -> None:
        self._totals = Totals()
        self._rows = csv.writer(sys.stdout)

    def begin(self) -> None:
        self._rows.writerow(COLUMNS)

    def write(self, booked: Booked) -> None:
        _add(self._totals, booked)
        told = as_told(booked)
        self._rows.writerow(told[name] if name in NUMBERS else in_a_cell(told[name]) for name in COLUMNS)

    def end(self) -> None:
        for row in _totals_rows(self._totals):
            typer.echo("\t".join(map(str, row)), err=True)


#: What we have written ourselves: a minus there begins a number.
NUMBERS = frozenset({"amount", "amount_minor"})


def in_a_cell(value: object) -> str:
    """A text that no spreadsheet takes for a formula, also where blanks come before it, and that shows nobody's
    address."""
    text = value.isoformat() if hasattr(value, "isoformat") else tables.plain(value)
    return f"'{text}" if text.lstrip().startswith(FORMULAS) else text


class JsonLedger:
    """For programs: ``{"movements": [...], "totals": [...]}``, a movement a line."""

    def __init__(self) -> None:
        self._totals = Totals()
        self._is_first = True

    def begin(self) -> None:
        typer.echo('{"movements": [', nl=False)

    def write(self, booked: Booked) -> None:
        _add(self._totals, booked)
        typer.echo("\n" if self._is_first else ",\n", nl=False)
        typer.echo(tables.json_line(as_told(booked)), nl=False)
        self._is_first = False

    def end(self) -> None:
        totals = [{**asdict(t), "amount": decimals_of(t.minor, t.currency, t.gateway)} for t in self._totals]
        typer.echo(f'\n],\n"totals": {tables.json_line(totals)}}}')


class TableLedger:
    """For a person: the first lines, and the totals of all of them."""

    def __init__(self, limit: int) -> None:
        self._totals = Totals()
        self._limit, self._count = limit, 0
        self._shown: list[tuple[object, ...]] = []

    def begin(self) -> None:
        pass

    def write(self, booked: Booked) -> None:
        _add(self._totals, booked)
        self._count += 1
        if len(self._shown) < self._limit:
            self._shown.append(_table_row(booked))

    def end(self) -> None:
        tables.show(TABLE_HEAD, self._shown, nothing="no money has moved", title="movements")
        tables.show(TOTALS_HEAD, _totals_rows(self._totals), nothing="", title="totals")
        if self._count > len(self._shown):
            typer.echo(f"{self._count - len(self._shown)} more: --limit, or --csv", err=True)


def as_told(booked: Booked) -> dict[str, Any]:
    """One movement, for programs: the amount in minor units, and in the gateway's own decimals."""
    told = asdict(booked)
    minor = told.pop("minor")
    amount = decimals_of(minor, booked.currency, booked.gateway)
    return {**told, "amount": amount, "amount_minor": minor}


def _add(totals: Totals, booked: Booked) -> None:
    totals.add(booked.gateway, booked.currency, booked.kind, booked.minor)


def _table_row(booked: Booked) -> tuple[object, ...]:
    names = (booked.gateway_refund_id, booked.gateway_dispute_id, booked.gateway_payout_id, booked.gateway_payment_id)
    amount = amount_of(booked.minor, booked.currency, booked.gateway)
    of = next(filter(None, names), "")
    return booked.at, booked.gateway, booked.kind, amount, booked.order_id, of, f"{booked.cause} {booked.cause_id}"


def _totals_rows(totals: Totals) -> Iterator[tuple[object, ...]]:
    for total in totals:
        amount = decimals_of(total.minor, total.currency, total.gateway)
        yield total.gateway, total.currency.upper(), total.what, total.count, amount
