"""Refunds at Stripe's stand-in, as Stripe's own SDK makes them and as its webhooks tell of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import stripe

from tests.contract.recorded import FIXTURES, load, needs_fixtures
from tests.contract.shop import charge_of, event_types, last_event, open_session, paid_intent
from tests.sandboxes import STRIPE_SECRET, Sandbox, running_receiver, running_sandbox
from tests.subscribers import new_price, open_checkout

HOUR = 3600


async def _refund(client: stripe.StripeClient, intent: stripe.PaymentIntent, **more: Any) -> stripe.Refund:
    return await client.v1.refunds.create_async({"payment_intent": intent.id, **more})  # type: ignore[arg-type]


async def test_a_payment_is_refunded_whole(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await paid_intent(client, metadata={"order_id": "order-1"})
    before = len(event_types(sandbox))

    refund = await _refund(client, intent, reason="requested_by_customer", metadata={"refund_id": "r-1"})

    charge = await charge_of(client, intent)
    fetched = await client.v1.refunds.retrieve_async(refund.id)
    assert (refund.amount, refund.currency, refund.status) == (4900, "usd", "succeeded")
    assert (refund.charge, refund.payment_intent) == (charge.id, intent.id)
    assert refund.reason == "requested_by_customer"
    assert refund.to_dict()["metadata"] == {"refund_id": "r-1"}
    assert (charge.amount_refunded, charge.refunded, charge.amount_captured) == (4900, True, 4900)
    assert fetched.to_dict() == refund.to_dict()
    assert event_types(sandbox)[before:] == ["refund.created", "charge.refunded"]
    assert last_event(sandbox, "charge.refunded")["data"]["previous_attributes"] == {
        "amount_refunded": 0,
        "refunded": False,
    }


async def test_f92_partial_refunds_add_up_and_each_is_told(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await paid_intent(client)

    for amount in (1000, 2000, 1900):
        await _refund(client, intent, amount=amount)

    told = [
        event["data"]["object"] for event in sandbox.objects("stripe", "event") if event["type"] == "charge.refunded"
    ]
    assert [(charge["amount_refunded"], charge["refunded"]) for charge in told] == [
        (1000, False),
        (3000, False),
        (4900, True),
    ]
    assert "refunds" not in told[-1]


async def test_a_session_is_refunded_by_its_charge(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await open_session(client)
    intent = await client.v1.payment_intents.retrieve_async(sandbox.pay(session.id)["payment"])

    refund = await client.v1.refunds.create_async({"charge": str(intent.latest_charge), "amount": 900})

    assert (refund.payment_intent, refund.amount) == (intent.id, 900)


@pytest.mark.parametrize(
    ("first", "then", "code", "says"),
    [
        (4900, None, "charge_already_refunded", "has already been refunded"),
        (4900, 1, "charge_already_refunded", "has already been refunded"),
        (1000, 3901, "amount_too_large", r"\(39.01 USD\) is greater than unrefunded amount on charge \(39.00 USD\)"),
        (None, 4901, "amount_too_large", "is greater than unrefunded amount"),
    ],
)
async def test_f98_no_more_is_refunded_than_was_taken(
    sandbox: Sandbox, client: stripe.StripeClient, first: int | None, then: int | None, code: str, says: str
) -> None:
    intent = await paid_intent(client)
    if first is not None:
        await _refund(client, intent, amount=first)

    with pytest.raises(stripe.InvalidRequestError, match=says) as refused:
        await _refund(client, intent, **({} if then is None else {"amount": then}))

    assert (refused.value.code, refused.value.http_status) == (code, 400)
    assert (await charge_of(client, intent)).amount_refunded == (first or 0)
    assert len(sandbox.objects("stripe", "refund")) == (0 if first is None else 1)


async def test_what_was_not_taken_cannot_be_refunded(client: stripe.StripeClient) -> None:
    held = await paid_intent(client, capture_method="manual")
    waiting = await paid_intent(client, confirm=False)

    with pytest.raises(stripe.InvalidRequestError, match="has not been captured") as uncaptured:
        await _refund(client, held)
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        await _refund(client, waiting)
    with pytest.raises(stripe.InvalidRequestError, match="No such payment_intent") as unknown:
        await client.v1.refunds.create_async({"payment_intent": "pi_nobody"})
    with pytest.raises(stripe.InvalidRequestError, match="payment_intent or charge"):
        await client.v1.refunds.create_async({"amount": 100})
    with pytest.raises(stripe.InvalidRequestError, match="No such refund"):
        await client.v1.refunds.retrieve_async("re_nobody")

    assert uncaptured.value.code == "charge_not_refundable"
    assert unknown.value.code == "resource_missing"


async def test_what_a_partial_capture_left_over_is_not_refunded_again(client: stripe.StripeClient) -> None:
    intent = await paid_intent(client, capture_method="manual")
    await client.v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 900})

    refund = await _refund(client, intent)

    charge = await charge_of(client, intent)
    assert (refund.amount, charge.amount_refunded, charge.refunded) == (900, 4900, True)


async def test_the_same_key_is_the_same_refund(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await paid_intent(client)
    key: Any = {"idempotency_key": "refund-r-1"}

    first = await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 1000}, key)
    again = await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 1000}, key)
    with pytest.raises(stripe.IdempotencyError):
        await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 1001}, key)

    assert again.id == first.id
    assert (await charge_of(client, intent)).amount_refunded == 1000


async def test_a_refund_whose_answer_is_lost_is_found_in_the_list(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    intent = await paid_intent(client)
    key: Any = {"idempotency_key": "refund-r-1"}
    sandbox.control("faults", {"cutAfterCommit": 1})

    with pytest.raises(stripe.APIConnectionError):
        await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 1000}, key)
    sandbox.control("faults", {})

    (listed,) = (await client.v1.refunds.list_async({"payment_intent": intent.id})).data
    again = await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 1000}, key)
    assert (listed.amount, again.id) == (1000, listed.id)


async def test_refunds_are_listed_by_charge_by_intent_and_by_time(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    one, other = await paid_intent(client), await paid_intent(client)
    made = [(await _refund(client, one, amount=100 + n)).id for n in range(3)]
    sandbox.control("clock", {"advance": HOUR})
    late = await _refund(client, other)

    page = await client.v1.refunds.list_async({"payment_intent": one.id, "limit": 2})
    rest = await client.v1.refunds.list_async({"charge": str(one.latest_charge), "starting_after": page.data[-1].id})
    recent = await client.v1.refunds.list_async({"created": {"gte": late.created}})
    older = await client.v1.refunds.list_async({"created": {"lt": late.created}, "limit": 100})

    assert ([each.id for each in page.data], page.has_more) == (made[:0:-1], True)
    assert [each.id for each in rest.data] == made[:1]
    assert [each.id for each in recent.data] == [late.id]
    assert [each.id for each in older.data] == made[::-1]


async def test_f106_a_refund_may_be_pending_first(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await paid_intent(client, "pm_card_pendingRefund")

    begun = await _refund(client, intent)
    sandbox.control("clock", {"advance": HOUR})
    ended = await client.v1.refunds.retrieve_async(begun.id)

    assert (begun.status, begun.pending_reason, ended.status) == ("pending", "processing", "succeeded")
    assert (await charge_of(client, intent)).amount_refunded == 4900
    assert ended.destination_details is not None
    assert ended.destination_details.card is not None
    assert ended.destination_details.card.reference_status == "available"
    assert event_types(sandbox)[-2:] == ["refund.updated", "charge.refund.updated"]
    assert last_event(sandbox, "refund.updated")["data"]["previous_attributes"]["status"] == "pending"


async def test_f94_a_refund_that_succeeded_may_fail_later(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await paid_intent(client, "pm_card_refundFail")

    begun = await _refund(client, intent)
    sandbox.control("clock", {"advance": HOUR})
    failed = await client.v1.refunds.retrieve_async(begun.id, {"expand": ["failure_balance_transaction"]})

    charge = await charge_of(client, intent)
    assert (begun.status, failed.status, failed.failure_reason) == ("succeeded", "failed", "lost_or_stolen_card")
    assert isinstance(failed.failure_balance_transaction, stripe.BalanceTransaction)
    assert (failed.failure_balance_transaction.type, failed.failure_balance_transaction.net) == ("refund_failure", 4900)
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    assert event_types(sandbox)[-3:] == ["refund.updated", "charge.refund.updated", "refund.failed"]
    assert (await _refund(client, intent)).amount == 4900


async def test_a_setting_says_how_refunds_end(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    sandbox.control("settings", {"refundEnding": "fails"})
    intent = await paid_intent(client)

    begun = await _refund(client, intent, amount=1000)
    sandbox.control("clock", {"advance": HOUR})
    failed = await client.v1.refunds.retrieve_async(begun.id)

    assert (begun.status, failed.status) == ("pending", "failed")
    assert (await charge_of(client, intent)).amount_refunded == 0


async def test_only_a_refund_that_waits_for_the_customer_is_cancelled(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    intent = await paid_intent(client)
    waiting = sandbox.control("refund", {"payment": intent.id, "amount": 1000, "ending": "asks_customer"})["refund"]
    done = await _refund(client, intent, amount=500)

    cancelled = await client.v1.refunds.cancel_async(waiting)
    with pytest.raises(stripe.InvalidRequestError, match="status of requires_action"):
        await client.v1.refunds.cancel_async(done.id)

    assert cancelled.status == "canceled"
    assert (await charge_of(client, intent)).amount_refunded == 500
    assert event_types(sandbox)[-2:] == ["refund.updated", "charge.refund.updated"]


async def test_a_refunds_metadata_is_changed_and_told(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    refund = await _refund(client, await paid_intent(client), metadata={"a": "1", "b": "2"})

    changed = await client.v1.refunds.update_async(refund.id, {"metadata": {"a": "", "c": "3"}})

    assert changed.to_dict()["metadata"] == {"b": "2", "c": "3"}
    assert event_types(sandbox)[-2:] == ["refund.updated", "charge.refund.updated"]


async def test_an_older_version_lists_the_refunds_of_a_charge(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await paid_intent(client)
    refund = await _refund(client, intent, amount=1000)

    async with sandbox.stripe(version="2020-08-27") as old:
        charge = (await old.v1.charges.retrieve_async(str(intent.latest_charge))).to_dict()
        shown = (await old.v1.refunds.retrieve_async(refund.id)).to_dict()

    assert [each["id"] for each in charge["refunds"]["data"]] == [refund.id]
    assert charge["refunds"]["total_count"] == 1
    assert "payment_method" not in shown


async def test_a_refund_has_its_place_in_the_balance(client: stripe.StripeClient) -> None:
    intent = await paid_intent(client)
    refund = await client.v1.refunds.create_async({"payment_intent": intent.id, "expand": ["balance_transaction"]})

    charge = await client.v1.charges.retrieve_async(str(intent.latest_charge), {"expand": ["balance_transaction"]})

    taken, given = charge.balance_transaction, refund.balance_transaction
    assert isinstance(taken, stripe.BalanceTransaction)
    assert isinstance(given, stripe.BalanceTransaction)
    assert (taken.type, taken.amount, taken.fee, taken.net) == ("charge", 4900, 172, 4728)
    assert (given.type, given.amount, given.fee, given.net, given.source) == ("refund", -4900, 0, -4900, refund.id)


# In the dashboard.


async def test_f95_somebody_refunds_in_the_dashboard(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await open_session(client)
    paid = sandbox.pay(session.id)["payment"]

    by_session = sandbox.control("refund", {"payment": session.id, "amount": 1000})
    by_payment = sandbox.control("refund", {"payment": paid})

    assert by_session == {"refund": by_session["refund"], "payment": paid, "amount": 1000, "status": "succeeded"}
    assert by_payment["amount"] == 3900
    assert last_event(sandbox, "refund.created")["request"] == {"id": None, "idempotency_key": None}


def test_a_subscription_is_refunded_by_what_it_paid(sandbox: Sandbox) -> None:
    session = open_checkout(sandbox, new_price(sandbox))
    sandbox.pay(session["id"])
    (subscription,) = sandbox.objects("stripe", "subscription")
    names = (session["id"], subscription["id"], subscription["latest_invoice"])

    made = [sandbox.control("refund", {"payment": name, "amount": 100}) for name in names]

    assert len({each["payment"] for each in made}) == 1
    assert [each["amount_refunded"] for each in sandbox.objects("stripe", "charge")] == [300]


async def test_a_refund_is_brought_to_its_end_by_order(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await paid_intent(client)
    made = sandbox.control("refund", {"payment": intent.id, "ending": "stays_pending"})

    ended = sandbox.control("refund", {"refund": made["refund"], "ending": "succeeds"})
    failed = sandbox.control("refund", {"refund": made["refund"], "ending": "fails"})

    assert (made["status"], ended["status"], failed["status"]) == ("pending", "succeeded", "failed")
    assert sandbox.refused("refund", {"refund": made["refund"], "ending": "succeeds"})[:2] == (409, "refund_ended")


async def test_what_the_dashboard_would_refuse_is_refused(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await paid_intent(client)
    sandbox.control("refund", {"payment": intent.id})

    assert sandbox.refused("refund", {"payment": intent.id})[:2] == (409, "not_refundable")
    assert sandbox.refused("refund", {"payment": "pi_nobody"})[:2] == (404, "unknown_payment")
    assert sandbox.refused("refund", {"payment": intent.id, "ending": "perhaps"})[:2] == (400, "invalid_ending")
    assert sandbox.refused("refund", {"refund": "re_nobody", "ending": "fails"})[:2] == (404, "unknown_refund")
    assert sandbox.refused("refund", {"payment": intent.id, "amount": 0})[:2] == (400, "invalid_amount")


# Shapes.


@needs_fixtures
async def test_a_refund_has_every_field_that_stripe_shows(client: stripe.StripeClient) -> None:
    resources = json.loads((FIXTURES / "stripe/spec/fixtures3.json").read_bytes())["resources"]

    refund = await client.v1.refunds.create_async(
        {"payment_intent": (await paid_intent(client)).id, "expand": ["balance_transaction"]}
    )

    shown = refund.to_dict(for_json=True)
    assert set(resources["refund"]) <= set(shown)
    assert set(shown["balance_transaction"]) == set(resources["balance_transaction"])


@needs_fixtures
@pytest.mark.parametrize(
    "file",
    ["refund.created__2020-03-02.json", "charge.refund.updated__2020-08-27.json", "refund.failed__2020-03-02.json"],
)
async def test_an_event_looks_as_recorded(sandbox: Sandbox, client: stripe.StripeClient, file: str) -> None:
    recorded = load(FIXTURES / "stripe/events" / file)
    intent = await paid_intent(client, "pm_card_refundFail")
    refund = await _refund(client, intent)
    await client.v1.refunds.update_async(refund.id, {"metadata": {"a": "1"}})
    sandbox.control("clock", {"advance": HOUR})

    async with sandbox.stripe(version=recorded["api_version"]) as old:
        shown = (await old.v1.refunds.retrieve_async(refund.id)).to_dict()

    told = last_event(sandbox, recorded["type"])
    assert set(recorded["data"]["object"]) <= set(shown)
    assert set(recorded) == set(told)


async def test_a_failed_call_is_kept_under_its_key_and_refunds_nothing(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    intent = await paid_intent(client)
    key: Any = {"idempotency_key": "refund-r-1"}

    for faults in ({"apiErrors": {"500": 1}}, {}):
        sandbox.control("faults", faults)
        with pytest.raises(stripe.APIError, match="unknown error"):
            await client.v1.refunds.create_async({"payment_intent": intent.id}, key)

    assert sandbox.objects("stripe", "refund") == []


async def test_faults_befall_the_events_of_a_refund(tmp_path: Any) -> None:
    with running_receiver() as receiver, running_sandbox(tmp_path, webhooks=receiver.url) as sandbox:
        session = sandbox.session()
        sandbox.pay(session)
        sandbox.settled()
        sandbox.control("faults", {"sameSecond": 1, "twoEvents": 1, "duplicate": 1})
        sandbox.control("refund", {"payment": session})
        receiver.wait_for(*["refund.created"] * 4, *["charge.refunded"] * 4)
        sandbox.settled()
        sandbox.control("faults", {"drop": 1})
        sandbox.control("dispute", {"payment": session, "stage": "inquiry"})
        withheld = [each["type"] for each in sandbox.deliveries(state="withheld")]

    told = [event for event in receiver.events() if event["type"] in {"refund.created", "charge.refunded"}]
    assert len({event["id"] for event in told}) == 4
    assert len({event["created"] for event in receiver.events()[-8:]}) == 1
    assert withheld == ["charge.dispute.created"]


async def test_the_events_of_a_refund_arrive_signed(tmp_path: Any) -> None:
    with running_receiver() as receiver, running_sandbox(tmp_path, webhooks=receiver.url) as sandbox:
        session = sandbox.session()
        sandbox.pay(session)
        sandbox.control("refund", {"payment": session, "ending": "fails", "after": 0})
        arrived = receiver.wait_for("refund.created", "charge.refunded", "refund.failed")

    last = arrived[-1]
    believed = stripe.Webhook.construct_event(last.body, last.headers["stripe-signature"], STRIPE_SECRET)
    assert believed.type == "refund.failed"
