"""The balance at Stripe's stand-in, and how it reaches the bank, as Stripe's own SDK reads them."""

from __future__ import annotations

import json

import pytest
import stripe

from tests.contract.recorded import FIXTURES, load, needs_fixtures
from tests.contract.shop import DAY, event_types, last_event, paid_intent
from tests.sandboxes import Sandbox


def _told(sandbox: Sandbox) -> list[str]:
    return [kind.removeprefix("payout.") for kind in event_types(sandbox) if kind.startswith("payout.")]


async def test_a_payout_is_everything_less_fees_and_refunds(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await paid_intent(client)
    await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 1000})
    lost = await paid_intent(client, amount=20000)
    sandbox.control("dispute", {"payment": lost.id, "stage": "funds_withdrawn", "amount": 5000})
    await paid_intent(client, currency="eur", amount=1000)

    made = sandbox.control("payout", {"gateway": "stripe"})["data"]

    in_dollars = (4900 - 172) - 1000 + (20000 - 610) - (5000 + 1500)
    assert [(each["currency"], each["amount"]) for each in made] == [("usd", in_dollars), ("eur", 1000 - 59)]
    parts = (await client.v1.balance_transactions.list_async({"payout": made[0]["payout"], "limit": 100})).data
    assert [each.type for each in parts] == ["payout", "adjustment", "charge", "refund", "charge"]
    assert sum(each.net for each in parts) == 0
    assert sandbox.control("payout", {"gateway": "stripe"})["data"] == []


async def test_a_payout_arrives_a_day_later(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    await paid_intent(client)
    (made,) = sandbox.control("payout", {"gateway": "stripe"})["data"]

    begun = await client.v1.payouts.retrieve_async(made["payout"], {"expand": ["balance_transaction"]})
    sandbox.control("clock", {"advance": DAY})
    paid = await client.v1.payouts.retrieve_async(made["payout"])

    assert isinstance(begun.balance_transaction, stripe.BalanceTransaction)
    assert (begun.balance_transaction.net, begun.balance_transaction.source) == (-4728, begun.id)
    assert (begun.status, begun.reconciliation_status, begun.automatic) == ("pending", "in_progress", True)
    assert (paid.status, paid.reconciliation_status) == ("paid", "completed")
    assert _told(sandbox) == ["created", "paid", "reconciliation_completed"]


async def test_a_payout_that_was_paid_may_fail(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    await paid_intent(client)
    (made,) = sandbox.control("payout", {"gateway": "stripe", "after": 0})["data"]
    sandbox.control("clock", {"advance": 1})

    failed = sandbox.control("payout", {"payout": made["payout"], "ending": "fails"})
    (again,) = sandbox.control("payout", {"gateway": "stripe"})["data"]

    payout = await client.v1.payouts.retrieve_async(made["payout"])
    assert (failed["status"], payout.failure_code) == ("failed", "account_closed")
    assert again["amount"] == made["amount"]
    assert _told(sandbox)[:4] == ["created", "paid", "reconciliation_completed", "failed"]


async def test_every_midnight_where_that_is_set(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    sandbox.control("settings", {"dailyPayouts": True})
    await paid_intent(client)

    sandbox.control("clock", {"advance": 3 * DAY})
    sandbox.control("settings", {"dailyPayouts": False})
    await paid_intent(client)
    sandbox.control("clock", {"advance": 3 * DAY})

    (payout,) = (await client.v1.payouts.list_async({"status": "paid"})).data
    assert payout.amount == 4728
    assert payout.created % DAY == 0


async def test_somebody_takes_out_a_part_by_hand(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    await paid_intent(client)

    with pytest.raises(stripe.InvalidRequestError, match="insufficient funds"):
        await client.v1.payouts.create_async({"amount": 4729, "currency": "usd"})
    payout = await client.v1.payouts.create_async({"amount": 4000, "currency": "usd", "metadata": {"why": "rent"}})
    changed = await client.v1.payouts.update_async(payout.id, {"metadata": {"why": "food"}})
    balance = await client.v1.balance.retrieve_async()
    (rest,) = sandbox.control("payout", {"gateway": "stripe"})["data"]

    assert (payout.automatic, payout.reconciliation_status) == (False, "not_applicable")
    assert changed.to_dict()["metadata"] == {"why": "food"}
    assert [(each.amount, each.currency) for each in balance.available] == [(728, "usd")]
    assert rest["amount"] == 728
    assert _told(sandbox) == ["created", "updated", "created"]


async def test_a_payout_that_is_not_there_is_told(sandbox: Sandbox) -> None:
    assert sandbox.refused("payout", {"payout": "po_nobody", "ending": "paid"})[:2] == (404, "unknown_payout")
    assert sandbox.refused("payout", {"gateway": "paypal"})[:2] == (400, "invalid_gateway")


@needs_fixtures
async def test_every_field_of_stripes_own_examples_is_there(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    examples = json.loads((FIXTURES / "stripe/spec/fixtures3.json").read_bytes())["resources"]
    await paid_intent(client)
    sandbox.control("payout", {"gateway": "stripe"})

    ours = {kind: sandbox.objects("stripe", kind)[0] for kind in ("payout", "balance_transaction")}

    assert {kind: set(examples[kind]) ^ set(made) for kind, made in ours.items()} == {
        "payout": set(),
        "balance_transaction": set(),
    }


@needs_fixtures
@pytest.mark.parametrize("file", ["payout.created__2020-08-27.json", "payout.paid__2020-08-27.json"])
async def test_an_event_looks_as_recorded(sandbox: Sandbox, client: stripe.StripeClient, file: str) -> None:
    recorded = load(FIXTURES / "stripe/events" / file)
    await paid_intent(client)
    sandbox.control("payout", {"gateway": "stripe"})
    sandbox.control("clock", {"advance": DAY})

    told = last_event(sandbox, recorded["type"])

    assert set(recorded["data"]["object"]) <= set(told["data"]["object"])
