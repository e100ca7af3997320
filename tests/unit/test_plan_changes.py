"""When another plan comes: at once where its invoice takes money, and else when what is paid for is used up."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from checkout.plan_changes import is_immediate
from db.own_subscriptions import OwnSubscription
from db.plans import Plan


def on(amount: int | None, interval: str | None, status: str = "active") -> OwnSubscription:
    known: dict[str, Any] = dict.fromkeys(field.name for field in fields(OwnSubscription))
    return OwnSubscription(**known | {"amount": amount, "interval": interval, "status": status})


def to(price_cents: int, interval: str) -> Plan:
    return Plan("other", "Other", "", price_cents, "usd", interval=interval)


@pytest.mark.parametrize(
    ("own", "plan", "expected"),
    [
        (on(1000, "month"), to(1001, "month"), True),
        (on(1000, "month"), to(1000, "month"), False),
        (on(1000, "month"), to(12001, "year"), True),
        (on(1000, "month"), to(12000, "year"), False),
        (on(12000, "year"), to(12001, "year"), True),
        (on(12000, "year"), to(1100, "month"), False),
        (on(12000, "year"), to(12000, "month"), False),
        (on(1200, "year"), to(100000, "month"), True),
        (on(12000, "year", "trialing"), to(1100, "month"), True),
        (on(None, None), to(1100, "month"), True),
    ],
)
def test_a_dearer_plan_comes_at_once_unless_a_month_of_it_would_be_set_off_against_the_year_that_is_paid(
    own: OwnSubscription, plan: Plan, expected: bool
) -> None:
    assert is_immediate(own, plan) is expected
