"""Settlements at Razorpay's stand-in, and what each of them is made of, as Razorpay's own SDK reads them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import razorpay
from razorpay.errors import BadRequestError

from tests.contract.recorded import FIXTURES, load, needs_fixtures
from tests.sandboxes import Sandbox

DAY = 24 * 3600


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[razorpay.Client]:
    with sandbox.razorpay() as connected:
        yield connected


def _report(client: razorpay.Client, settlement: dict[str, Any], **more: int) -> list[dict[str, Any]]:
    """The rows of the day in India on which it was made."""
    day = datetime.fromtimestamp(settlement["created_at"], UTC) + timedelta(hours=5, minutes=30)
    asked = {"year": day.year, "month": day.month, "day": day.day, "count": 1000, **more}
    return list(client.settlement.report(asked)["items"])


def test_a_settlement_is_everything_less_fees_and_refunds(sandbox: Sandbox, client: razorpay.Client) -> None:
    payment = sandbox.pay(sandbox.link())["payment"]
    refund = client.payment.refund(payment, {"amount": 10000})
    disputed = sandbox.pay(sandbox.link("order-2"))["payment"]
    dispute = sandbox.control("dispute", {"payment": disputed, "stage": "funds_withdrawn", "amount": 5000})["dispute"]

    (made,) = sandbox.control("payout", {"gateway": "razorpay"})["data"]

    settlement = client.settlement.fetch(made["payout"])
    rows = _report(client, settlement)
    assert settlement["amount"] == made["amount"] == 2 * (49900 - 1177) - 10000 - 5000
    assert (settlement["status"], settlement["fees"], settlement["tax"]) == ("created", 2 * 1177, 2 * 179)
    assert sum(row["credit"] - row["debit"] for row in rows) == settlement["amount"]
    assert [(row["type"], row["credit"], row["debit"], row["dispute_id"]) for row in rows] == [
        ("payment", 48723, 0, None),
        ("refund", 0, 10000, None),
        ("payment", 48723, 0, None),
        ("adjustment", 0, 5000, dispute),
    ]
    assert [row["entity_id"] for row in rows][:3] == [payment, refund["id"], disputed]
    assert (rows[0]["order_receipt"], rows[1]["payment_id"]) == ("order-1", payment)
    assert {row["settlement_utr"] for row in rows} == {settlement["utr"]}
    assert sandbox.control("payout", {"gateway": "razorpay"})["data"] == []


def test_a_settlement_is_told_when_it_arrives(sandbox: Sandbox, client: razorpay.Client) -> None:
    sandbox.pay(sandbox.link())
    (made,) = sandbox.control("payout", {"gateway": "razorpay"})["data"]

    sandbox.control("clock", {"advance": DAY})

    told = sandbox.objects("razorpay", "event")[-1]
    assert (told["event"], told["contains"]) == ("settlement.processed", ["settlement"])
    assert told["payload"]["settlement"]["entity"] == client.settlement.fetch(made["payout"])
    assert [each["id"] for each in client.settlement.all()["items"]] == [made["payout"]]


def test_what_came_back_is_part_of_the_next_one(sandbox: Sandbox, client: razorpay.Client) -> None:
    payment = sandbox.pay(sandbox.link())["payment"]
    refund = client.payment.refund(payment, {"amount": 10000})["id"]
    sandbox.control("dispute", {"payment": payment, "stage": "funds_withdrawn", "amount": 5000})
    sandbox.control("payout", {"gateway": "razorpay"})

    sandbox.control("refund", {"refund": refund, "ending": "fails"})
    sandbox.control("dispute", {"payment": payment, "stage": "won"})
    (made,) = sandbox.control("payout", {"gateway": "razorpay"})["data"]

    assert made["amount"] == 15000


def test_a_settlement_that_fails_is_made_again(sandbox: Sandbox) -> None:
    sandbox.pay(sandbox.link())
    (made,) = sandbox.control("payout", {"gateway": "razorpay"})["data"]

    failed = sandbox.control("payout", {"payout": made["payout"], "ending": "fails"})
    (again,) = sandbox.control("payout", {"gateway": "razorpay"})["data"]

    assert (failed["status"], again["amount"]) == ("failed", made["amount"])


def test_every_midnight_where_that_is_set(sandbox: Sandbox, client: razorpay.Client) -> None:
    sandbox.control("settings", {"dailyPayouts": True})
    sandbox.pay(sandbox.link())

    sandbox.control("clock", {"advance": 2 * DAY})

    assert [each["status"] for each in client.settlement.all()["items"]] == ["processed"]


def test_a_report_is_paged_and_wants_a_month(sandbox: Sandbox, client: razorpay.Client) -> None:
    for number in range(3):
        sandbox.pay(sandbox.link(f"order-{number}"))
    (made,) = sandbox.control("payout", {"gateway": "razorpay"})["data"]
    settlement = client.settlement.fetch(made["payout"])

    page = _report(client, settlement, count=2, skip=1)
    with pytest.raises(BadRequestError, match="year and month"):
        client.settlement.report({"year": 2026})

    assert [row["order_receipt"] for row in page] == ["order-1", "order-2"]
    with pytest.raises(BadRequestError, match="not a day"):
        client.settlement.report({"year": 2026, "month": 2, "day": 30})


@needs_fixtures
def test_an_event_looks_as_recorded(sandbox: Sandbox) -> None:
    recorded = load(FIXTURES / "razorpay/events/settlement.processed__settlement.json")
    sandbox.pay(sandbox.link())
    (made,) = sandbox.control("payout", {"gateway": "razorpay"})["data"]
    sandbox.control("payout", {"payout": made["payout"], "ending": "paid"})

    told = sandbox.objects("razorpay", "event")[-1]

    assert set(told["payload"]["settlement"]["entity"]) == set(recorded["payload"]["settlement"]["entity"])
    assert set(recorded) <= set(told)
