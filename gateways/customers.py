"""One customer for each of our users, at the gateways that want one before a subscription can begin.

Razorpay makes its customer by itself, when somebody authorises a subscription, and takes none of ours for its hosted
page (razorpay-python, issues 154 and 299). Stripe would make another one for each page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol, runtime_checkable

from gateways.client import LIVE, Absent, Patience, Refused, Unknown

#: How long a key surely finds what it has made: Stripe forgets it when it is at least a day old.
KEY_LIVES = timedelta(hours=23)


@dataclass(frozen=True, slots=True)
class NewCustomer:
    """A user as a gateway's customer: marked with our name for them, so that the customer can be found by it."""

    user_id: str
    instance_id: str
    email: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Customer:
    """It exists at the gateway, under this id."""

    id: str


@runtime_checkable
class Customers(Protocol):
    """The part of a gateway that keeps customers."""

    async def make_customer(
        self, wanted: NewCustomer, idempotency_key: str, patience: Patience = LIVE
    ) -> Customer | Refused | Unknown:
        """Make the customer, or find the one that this key has made. Safe to call again while the key lives."""
        ...

    async def find_customer(
        self, wanted: NewCustomer, patience: Patience = LIVE
    ) -> Customer | Absent | Refused | Unknown:
        """The customer that was marked with this user, at least an hour ago: a search is that late in bad times."""
        ...
