"""Showing a plan in a gateway's own catalogue, so that its dashboard and, for what recurs, its billing know it.

What is sold once needs no entry there to be sold: its price goes with each session. The entry is for people to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gateways.client import BACKGROUND, Patience, Refused, Unknown
from payments.money import Money


@dataclass(frozen=True, slots=True)
class PlanOnSale:
    """A plan as a catalogue shows it; ``interval`` None means sold once."""

    plan_id: str
    name: str
    description: str
    price: Money
    interval: str | None
    instance_id: str


@dataclass(frozen=True, slots=True)
class Published:
    """The catalogue holds the plan at this price; a price that changed is another entry, and the old one stays."""

    product_id: str
    price_id: str


@dataclass(frozen=True, slots=True)
class NotKept:
    """This gateway keeps no entry for such a plan, and needs none."""


@runtime_checkable
class Catalogue(Protocol):
    """The part of a gateway that lists what is for sale."""

    async def publish_plan(
        self, plan: PlanOnSale, patience: Patience = BACKGROUND
    ) -> Published | NotKept | Refused | Unknown:
        """Make the entry, or find the one that is there. Safe to call again with the same plan."""
        ...
