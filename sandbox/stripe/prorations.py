"""What a change in the middle of a period comes to: the unused time of the old goes back, the new is paid for the rest.

Stripe prorates to the second (docs.stripe.com/billing/subscriptions/prorations).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sandbox.store import Json


@dataclass(frozen=True, slots=True)
class Part:
    """One side of a proration: so much, for one item, from the change to the period's end."""

    item: Json
    amount: int
    description: str
    start: int
    end: int


def share(amount: int, start: int, end: int, at: int) -> int:
    """What of an amount for a whole period is left at a moment in it, to the nearest unit."""
    whole, left = end - start, max(0, end - at)
    return (2 * amount * left + whole) // (2 * whole)


def credit(items: list[Json], names: dict[str, str], at: int) -> list[Part]:
    """The unused time of what was paid for."""
    return [_part(item, -1, f"Unused time on {_named(item, names)} after {_day(at)}", at) for item in items]


def debit(items: list[Json], names: dict[str, str], at: int) -> list[Part]:
    """The time that is left, of what is used from now on."""
    return [_part(item, 1, f"Remaining time on {_named(item, names)} after {_day(at)}", at) for item in items]


def changed(before: list[Json], after: list[Json]) -> tuple[list[Json], list[Json]]:
    """The items that are left, and those that are taken up: what stays as it is needs no proration."""
    left = [item for item in before if not any(_is_same(item, other) for other in after)]
    taken = [item for item in after if not any(_is_same(item, other) for other in before)]
    return left, taken


def _is_same(one: Json, other: Json) -> bool:
    return all(one[name] == other[name] for name in ("id", "quantity")) and one["price"]["id"] == other["price"]["id"]


def _part(item: Json, sign: int, description: str, at: int) -> Part:
    start, end = item["current_period_start"], item["current_period_end"]
    amount = share(item["price"]["unit_amount"] * item["quantity"], start, end, at)
    return Part(item, sign * amount, description, at, end)


def _named(item: Json, names: dict[str, str]) -> str:
    name = names[item["price"]["product"]]
    return name if item["quantity"] == 1 else f"{item['quantity']} \N{MULTIPLICATION SIGN} {name}"


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%-d %b %Y")
