"""PaymentIntents of Stripe's stand-in, moved by calls: every way to every end, its events, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from gateways.gateway import Unhandled
from gateways.registry import GATEWAYS
from payments.events import Observed, PaymentSucceeded
from payments.money import Money
from tests.contract.shop import DAY, event_types, open_session
from tests.sandboxes import DECLINED, STRIPE_KEY, Sandbox, running_sandbox

CARD_ONLY = {"enabled": True, "allow_redirects": "never"}
RETURN_URL = "https://shop.test/back?order=1"
TEST_IBANS = {"pays": "AT611904300234573201", "later": "AT321904300235473204", "fails": "AT861904300235473202"}


async def _intent(client: stripe.StripeClient, **changes: Any) -> stripe.PaymentIntent:
    asked = {"amount": 4900, "currency": "usd", "automatic_payment_methods": CARD_ONLY, **changes}
    told = {name: value for name, value in asked.items() if value is not None}
    return await client.v1.payment_intents.create_async(told)  # type: ignore[arg-type]


async def _paid(client: stripe.StripeClient, **changes: Any) -> stripe.PaymentIntent:
    return await _intent(client, **{"payment_method": "pm_card_visa", "confirm": True, **changes})


async def _debit(client: stripe.StripeClient, iban: str) -> str:
    method = await client.v1.payment_methods.create_async({"type": "sepa_debit", "sepa_debit": {"iban": iban}})
    return method.id


# Made, and paid.


async def test_an_intent_without_a_method_waits_for_one(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await _intent(client, metadata={"order_id": "1"}, description="Lifetime", automatic_payment_methods=None)

    assert intent.client_secret is not None
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    assert (intent.status, intent.amount, intent.amount_received) == ("requires_payment_method", 4900, 0)
    assert (intent.description, intent.to_dict()["metadata"]) == ("Lifetime", {"order_id": "1"})
    assert intent.to_dict()["automatic_payment_methods"] == {"allow_redirects": "always", "enabled": True}
    assert event_types(sandbox) == ["payment_intent.created"]


async def test_confirming_at_once_pays_in_stripes_order_of_events(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    intent = await _paid(client, metadata={"order_id": "1"}, receipt_email="ada@shop.test")

    (charge,) = (await client.v1.charges.list_async({"payment_intent": intent.id})).data
    assert (intent.status, intent.amount_received, intent.latest_charge) == ("succeeded", 4900, charge.id)
    assert (charge.status, charge.captured, charge.receipt_email) == ("succeeded", True, "ada@shop.test")
    assert charge.to_dict()["metadata"] == {"order_id": "1"}
    assert event_types(sandbox) == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]


async def test_every_event_of_a_call_names_that_call(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await _paid(client)

    assert intent.last_response is not None
    assert {event["request"]["id"] for event in sandbox.objects("stripe", "event")} == {
        intent.last_response.headers["request-id"]
    }


async def test_a_method_may_be_named_before_and_confirmed_later(client: stripe.StripeClient) -> None:
    made = await _intent(client, payment_method="pm_card_mastercard")

    confirmed = await client.v1.payment_intents.confirm_async(made.id)

    assert made.status == "requires_confirmation"
    assert confirmed.status == "succeeded"
    assert confirmed.payment_method == made.payment_method


async def test_a_method_may_come_with_the_confirmation(client: stripe.StripeClient) -> None:
    made = await _intent(client)
    data: Any = {"type": "card", "card": {"token": "tok_visa"}, "billing_details": {"name": "Ada"}}

    confirmed = await client.v1.payment_intents.confirm_async(
        made.id,
        {"payment_method_data": data, "expand": ["payment_method"]},
    )

    assert confirmed.status == "succeeded"
    assert isinstance(confirmed.payment_method, stripe.PaymentMethod)
    assert confirmed.payment_method.billing_details.name == "Ada"


async def test_an_intent_without_a_method_cannot_be_confirmed(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    made = await _intent(client)

    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method") as refused:
        await client.v1.payment_intents.confirm_async(made.id)
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        await _intent(client, confirm=True)

    assert refused.value.code == "payment_intent_unexpected_state"
    assert len(sandbox.objects("stripe", "payment_intent")) == 1


async def test_a_paid_intent_is_not_confirmed_again(client: stripe.StripeClient) -> None:
    paid = await _paid(client)

    with pytest.raises(stripe.InvalidRequestError, match="already succeeded") as refused:
        await client.v1.payment_intents.confirm_async(paid.id, {"payment_method": "pm_card_visa"})

    assert refused.value.error is not None
    assert refused.value.error.to_dict()["payment_intent"]["id"] == paid.id
    assert len((await client.v1.charges.list_async()).data) == 1


# The bank says no.


@pytest.mark.parametrize(
    ("method", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("pm_card_visa_chargeDeclinedVelocityLimitExceeded", "card_declined", "card_velocity_exceeded"),
    ],
)
async def test_a_declined_card_is_an_error_that_stays_on_the_intent(
    sandbox: Sandbox, client: stripe.StripeClient, method: str, code: str, decline_code: str
) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await _paid(client, payment_method=method)

    error = declined.value.error
    assert error is not None
    assert error.payment_intent is not None
    intent = await client.v1.payment_intents.retrieve_async(error.payment_intent.id, {"expand": ["latest_charge"]})
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert intent.last_payment_error is not None
    assert (declined.value.http_status, declined.value.code, error.decline_code) == (402, code, decline_code)
    assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
    assert (intent.last_payment_error.code, intent.last_payment_error.decline_code) == (code, decline_code)
    assert (intent.latest_charge.status, intent.latest_charge.id) == ("failed", error.charge)
    assert event_types(sandbox) == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]


async def test_f68_another_method_pays_the_intent_that_was_declined(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await _paid(client, payment_method="pm_card_chargeDeclined")
    assert declined.value.error is not None
    assert declined.value.error.payment_intent is not None

    paid = await client.v1.payment_intents.confirm_async(
        declined.value.error.payment_intent.id, {"payment_method": "pm_card_visa"}
    )

    assert (paid.status, paid.last_payment_error) == ("succeeded", None)
    assert len((await client.v1.charges.list_async()).data) == 2


async def test_a_key_gives_a_decline_again_without_another_charge(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    asked: Any = {"amount": 4900, "currency": "usd", "payment_method": "pm_card_chargeDeclined", "confirm": True}

    with pytest.raises(stripe.CardError) as first:
        await client.v1.payment_intents.create_async(asked, {"idempotency_key": "k"})
    with pytest.raises(stripe.CardError) as again:
        await client.v1.payment_intents.create_async(asked, {"idempotency_key": "k"})

    assert again.value.http_body == first.value.http_body
    assert (again.value.headers or {})["idempotent-replayed"] == "true"
    assert len(sandbox.objects("stripe", "charge")) == 1


async def test_a_decline_whose_answer_is_lost_has_happened_all_the_same(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    sandbox.control("faults", {"cutAfterCommit": 1})

    with pytest.raises(stripe.APIConnectionError):
        await _paid(client, payment_method="pm_card_chargeDeclined")

    sandbox.control("faults", {})
    (intent,) = (await client.v1.payment_intents.list_async()).data
    assert intent.last_payment_error is not None


async def test_the_intent_beside_an_error_is_shown_in_the_calls_version(sandbox: Sandbox) -> None:
    async with sandbox.stripe(version="2022-08-01") as old:
        with pytest.raises(stripe.CardError) as declined:
            await old.v1.payment_intents.create_async(
                {
                    "amount": 4900,
                    "currency": "usd",
                    "payment_method": "pm_card_chargeDeclined",
                    "confirm": True,
                    "capture_method": "automatic",
                }
            )

    assert declined.value.error is not None
    told = declined.value.error.to_dict()["payment_intent"]
    assert [charge["status"] for charge in told["charges"]["data"]] == ["failed"]
    assert "allowed_payment_method_types" not in told
    assert told["automatic_payment_methods"] is None


# The bank asks.


async def test_a_question_without_a_way_back_is_for_the_shops_own_page(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    intent = await _paid(client, payment_method="pm_card_authenticationRequired")

    assert intent.next_action is not None
    assert (intent.status, intent.next_action.type) == ("requires_action", "use_stripe_sdk")
    assert event_types(sandbox) == ["payment_intent.created", "payment_intent.requires_action"]


@pytest.mark.parametrize(
    ("answer", "status", "redirect_status", "told"),
    [
        ("pass", "succeeded", "succeeded", "payment_intent.succeeded"),
        ("fail", "requires_payment_method", "failed", "payment_intent.payment_failed"),
    ],
)
async def test_the_customer_answers_on_the_banks_page_and_comes_back(
    sandbox: Sandbox, client: stripe.StripeClient, answer: str, status: str, redirect_status: str, told: str
) -> None:
    intent = await _paid(client, payment_method="pm_card_threeDSecure2Required", return_url=RETURN_URL)
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    page = str(intent.next_action.redirect_to_url.url)

    asked = httpx.get(page, trust_env=False)
    answered = httpx.post(f"{page}/authenticate", data={"answer": answer}, trust_env=False)
    repeated = httpx.post(f"{page}/authenticate", data={"answer": "pass"}, trust_env=False)

    back = httpx.URL(answered.headers["location"])
    after = await client.v1.payment_intents.retrieve_async(intent.id)
    assert "Is this payment yours?" in asked.text
    assert str(back).startswith(f"{RETURN_URL}&")
    assert dict(back.params) == {
        "order": "1",
        "payment_intent": intent.id,
        "payment_intent_client_secret": intent.client_secret,
        "redirect_status": redirect_status,
    }
    assert (after.status, repeated.status_code) == (status, 303)
    assert event_types(sandbox)[-1] == told


async def test_a_bank_may_ask_and_decline_all_the_same(client: stripe.StripeClient) -> None:
    method = "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds"
    intent = await _paid(client, payment_method=method, return_url=RETURN_URL)
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None

    httpx.post(f"{intent.next_action.redirect_to_url.url}/authenticate", data={"answer": "pass"}, trust_env=False)

    after = await client.v1.payment_intents.retrieve_async(intent.id)
    assert after.last_payment_error is not None
    assert after.last_payment_error.decline_code == "insufficient_funds"


async def test_the_pages_of_other_intents_are_not_there(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await open_session(client)
    checkouts_own = sandbox.pay(session.id, DECLINED)["payment"]
    paid = await _paid(client)

    pages = [
        httpx.get(f"{sandbox.url}/stripe/intents/{intent}", trust_env=False).status_code
        for intent in ("pi_none", checkouts_own, paid.id)
    ]

    assert pages == [404, 404, 200]


async def test_a_server_that_confirms_by_hand_confirms_once_more_after_the_bank(client: stripe.StripeClient) -> None:
    intent = await _paid(
        client,
        payment_method="pm_card_authenticationRequired",
        confirmation_method="manual",
        return_url=RETURN_URL,
    )
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None

    httpx.post(f"{intent.next_action.redirect_to_url.url}/authenticate", data={"answer": "pass"}, trust_env=False)
    waiting = await client.v1.payment_intents.retrieve_async(intent.id)
    confirmed = await client.v1.payment_intents.confirm_async(intent.id)

    assert (waiting.status, confirmed.status) == ("requires_confirmation", "succeeded")


@pytest.mark.parametrize(("terms", "charges"), [({"off_session": True}, 1), ({"error_on_requires_action": True}, 0)])
async def test_a_question_that_nobody_can_answer_is_a_decline(
    sandbox: Sandbox, client: stripe.StripeClient, terms: dict[str, bool], charges: int
) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await _paid(client, payment_method="pm_card_authenticationRequired", **terms)

    (intent,) = sandbox.objects("stripe", "payment_intent")
    assert declined.value.code == "authentication_required"
    assert intent["status"] == "requires_payment_method"
    assert len(sandbox.objects("stripe", "charge")) == charges


# Captured, or let go.


async def test_money_set_aside_is_captured_once(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    held = await _paid(client, capture_method="manual")

    captured = await client.v1.payment_intents.capture_async(held.id)
    with pytest.raises(stripe.InvalidRequestError, match="could not be captured") as refused:
        await client.v1.payment_intents.capture_async(held.id)

    assert (held.status, held.amount_capturable, held.amount_received) == ("requires_capture", 4900, 0)
    assert (captured.status, captured.amount_capturable, captured.amount_received) == ("succeeded", 0, 4900)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert event_types(sandbox) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    ]


async def test_less_may_be_captured_and_never_more(client: stripe.StripeClient) -> None:
    held = await _paid(client, capture_method="manual")

    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.capture_async(held.id, {"amount_to_capture": 4901})
    captured = await client.v1.payment_intents.capture_async(
        held.id, {"amount_to_capture": 900, "expand": ["latest_charge"]}
    )

    assert isinstance(captured.latest_charge, stripe.Charge)
    assert refused.value.code == "amount_too_large"
    assert (captured.amount, captured.amount_received) == (4900, 900)
    assert (captured.latest_charge.amount_captured, captured.latest_charge.amount_refunded) == (900, 4000)


async def test_a_cancelled_authorisation_goes_back(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    held = await _paid(client, capture_method="manual")

    cancelled = await client.v1.payment_intents.cancel_async(
        held.id, {"cancellation_reason": "abandoned", "expand": ["latest_charge"]}
    )
    sandbox.control("clock", {"advance": 8 * DAY})

    assert isinstance(cancelled.latest_charge, stripe.Charge)
    assert (cancelled.status, cancelled.cancellation_reason) == ("canceled", "abandoned")
    assert (cancelled.amount_capturable, cancelled.latest_charge.refunded) == (0, True)
    assert event_types(sandbox)[-2:] == ["charge.refunded", "payment_intent.canceled"]


async def test_an_authorisation_that_nobody_captures_lapses_after_a_week(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    held = await _paid(client, capture_method="manual")

    sandbox.control("clock", {"advance": 7 * DAY})

    lapsed = await client.v1.payment_intents.retrieve_async(held.id)
    assert (lapsed.status, lapsed.cancellation_reason) == ("canceled", "automatic")
    assert event_types(sandbox)[-2:] == ["charge.expired", "payment_intent.canceled"]


async def test_a_captured_payment_does_not_lapse(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    held = await _paid(client, capture_method="manual")
    await client.v1.payment_intents.capture_async(held.id)

    sandbox.control("clock", {"advance": 8 * DAY})

    assert (await client.v1.payment_intents.retrieve_async(held.id)).status == "succeeded"


async def test_an_open_intent_is_cancelled_and_stays_so(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    made = await _intent(client)

    cancelled = await client.v1.payment_intents.cancel_async(made.id)
    with pytest.raises(stripe.InvalidRequestError, match="status of canceled"):
        await client.v1.payment_intents.confirm_async(made.id, {"payment_method": "pm_card_visa"})

    assert (cancelled.status, cancelled.canceled_at is not None) == ("canceled", True)
    assert event_types(sandbox) == ["payment_intent.created", "payment_intent.canceled"]


async def test_a_paid_intent_cannot_be_cancelled(client: stripe.StripeClient) -> None:
    paid = await _paid(client)

    with pytest.raises(stripe.InvalidRequestError, match="status of succeeded") as refused:
        await client.v1.payment_intents.cancel_async(paid.id)

    assert refused.value.code == "payment_intent_unexpected_state"


# Changed.


async def test_an_open_intent_may_come_to_another_amount(client: stripe.StripeClient) -> None:
    made = await _intent(client)

    changed = await client.v1.payment_intents.update_async(
        made.id, {"amount": 5900, "payment_method": "pm_card_visa", "metadata": {"a": "b"}}
    )
    paid = await client.v1.payment_intents.confirm_async(made.id)

    assert (changed.amount, changed.status) == (5900, "requires_confirmation")
    assert (paid.amount_received, paid.to_dict()["metadata"]) == (5900, {"a": "b"})


async def test_a_paid_intent_takes_notes_and_nothing_else(client: stripe.StripeClient) -> None:
    paid = await _paid(client)

    noted = await client.v1.payment_intents.update_async(paid.id, {"description": "Order 1", "metadata": {"a": "b"}})
    with pytest.raises(stripe.InvalidRequestError, match="amount could not be updated"):
        await client.v1.payment_intents.update_async(paid.id, {"amount": 100})

    assert (noted.description, noted.amount, noted.status) == ("Order 1", 4900, "succeeded")


async def test_checkouts_own_intent_is_changed_through_checkout_alone(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    session = await open_session(client)
    intent = sandbox.pay(session.id, DECLINED)["payment"]

    with pytest.raises(stripe.InvalidRequestError, match="created by Checkout"):
        await client.v1.payment_intents.confirm_async(intent, {"payment_method": "pm_card_visa"})
    with pytest.raises(stripe.InvalidRequestError, match="created by Checkout"):
        await client.v1.payment_intents.update_async(intent, {"amount": 100})
    noted = await client.v1.payment_intents.update_async(intent, {"metadata": {"a": "b"}})

    assert noted.to_dict()["metadata"] == {"a": "b"}
    assert sandbox.pay(session.id)["payment"] == intent


# Debits, which take their time.


async def test_f66_a_debit_is_on_its_way_until_it_settles(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    method = await _debit(client, TEST_IBANS["later"])

    intent = await _paid(client, currency="eur", payment_method=method)
    with pytest.raises(stripe.InvalidRequestError, match="status of processing"):
        await client.v1.payment_intents.cancel_async(intent.id)
    sandbox.control("clock", {"advance": 180})

    settled = await client.v1.payment_intents.retrieve_async(intent.id)
    assert (intent.status, settled.status) == ("processing", "succeeded")
    assert event_types(sandbox) == [
        "payment_intent.created",
        "charge.pending",
        "payment_intent.processing",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


async def test_f66_a_debit_may_fail_in_the_end(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await _paid(client, currency="eur", payment_method=await _debit(client, TEST_IBANS["fails"]))

    sandbox.control("clock", {"advance": 1})

    failed = await client.v1.payment_intents.retrieve_async(intent.id)
    assert failed.last_payment_error is not None
    assert failed.status == "requires_payment_method"
    assert failed.last_payment_error.code == "payment_intent_payment_attempt_failed"
    assert event_types(sandbox)[-2:] == ["charge.failed", "payment_intent.payment_failed"]


async def test_a_debit_pays_in_euros_alone(client: stripe.StripeClient) -> None:
    method = await _debit(client, TEST_IBANS["pays"])

    with pytest.raises(stripe.InvalidRequestError, match="not allowed for this PaymentIntent"):
        await _paid(client, currency="usd", payment_method=method)
    with pytest.raises(stripe.InvalidRequestError, match="cannot be captured manually"):
        await _paid(client, currency="eur", payment_method=method, capture_method="manual")


# What Stripe refuses.


@pytest.mark.parametrize(
    ("changes", "param", "says"),
    [
        ({"amount": None}, "amount", "Missing required param"),
        ({"amount": 0}, "amount", "greater than or equal to 1"),
        ({"amount": 49}, "amount", "at least 0.50 USD"),
        ({"amount": 100_000_000}, "amount", "no more than"),
        ({"amount": 1001, "currency": "kwd"}, "amount", "divisible by 10"),
        ({"currency": None}, "currency", "Missing required param"),
        ({"currency": "dollars"}, "currency", "Invalid currency"),
        ({"customer": "cus_none"}, "customer", "No such customer"),
        ({"capture_method": "later"}, "capture_method", "must be one of"),
        ({"payment_method": "pm_none"}, "payment_method", "No such PaymentMethod"),
        ({"payment_method": "pm_card_none"}, "payment_method", "no test method of this name"),
        ({"payment_method_types": ["card"]}, "payment_method_types", "unknown parameter"),
        ({"allowed_payment_method_types": ["card"]}, "automatic_payment_methods", "only specify one"),
        (
            {"allowed_payment_method_types": ["klarna"], "automatic_payment_methods": None},
            "allowed_payment_method_types",
            "`card` and `sepa_debit` alone",
        ),
        ({"automatic_payment_methods": {}, "off_session": True}, "off_session", "unless `confirm` is true"),
        ({"return_url": "https://shop.test"}, "return_url", "unless `confirm` is true"),
        ({"transfer_data": {"destination": "acct_1"}}, "transfer_data", "does not simulate"),
        (
            {"payment_method_options": {"card": {"capture_method": "manual"}}},
            "payment_method_options[card][capture_method]",
            "does not simulate",
        ),
        ({"shipping": {"name": "Ada", "planet": "Mars"}}, "shipping[planet]", "unknown parameter"),
        ({"colour": "red"}, "colour", "unknown parameter"),
    ],
)
async def test_an_intent_that_stripe_would_refuse_is_refused(
    unchanged: Sandbox, changes: dict[str, Any], param: str, says: str
) -> None:
    async with unchanged.stripe() as client:
        with pytest.raises(stripe.InvalidRequestError, match=says) as refused:
            await _intent(client, **changes)

    assert (refused.value.http_status, refused.value.param) == (400, param)
    assert unchanged.objects("stripe", "payment_intent") == []


def test_a_caller_that_names_no_version_may_list_methods_under_the_old_name(sandbox: Sandbox) -> None:
    answer = httpx.post(
        f"{sandbox.url}/stripe/v1/payment_intents",
        data={"amount": "2000", "currency": "usd", "payment_method_types[]": "card"},
        auth=(STRIPE_KEY, ""),
        trust_env=False,
    )

    assert answer.status_code == 200
    assert answer.json()["payment_method_types"] == ["card"]
    assert answer.json()["automatic_payment_methods"] is None


@pytest.mark.parametrize("number", ["4111111111111111", "5555555555554444", "4242 4242 4242 4241"])
def test_a_card_number_that_is_no_test_number_leaves_no_trace(tmp_path: Path, number: str) -> None:
    """Neither of a call that is refused, nor under a key whose call would fail with a 500 that is kept."""
    form = {"type": "card", "card[number]": number, "card[exp_month]": "12", "card[exp_year]": "2040"}

    with running_sandbox(tmp_path / "sandbox") as sandbox:
        url, key = f"{sandbox.url}/stripe/v1/payment_methods", {"Idempotency-Key": "k"}
        refused = httpx.post(url, data=form, headers=key, auth=(STRIPE_KEY, ""), trust_env=False)
        sandbox.control("faults", {"apiErrors": {"500": 1}})
        refused_again = httpx.post(url, data=form, headers=key, auth=(STRIPE_KEY, ""), trust_env=False)

    assert (refused.status_code, refused_again.status_code) == (402, 402)
    assert number not in refused.text
    assert all(number.encode() not in file.read_bytes() for file in (tmp_path / "sandbox").iterdir())


@pytest.mark.parametrize("field", ["[number]", "[number][]", "[number][0]", "[number][a]"])
def test_a_card_number_is_refused_wherever_it_is_put(unchanged: Sandbox, field: str) -> None:
    form = {"amount": "4900", "currency": "usd", f"payment_method_data[card]{field}": "4111111111111111"}

    refused = httpx.post(
        f"{unchanged.url}/stripe/v1/payment_intents", data=form, auth=(STRIPE_KEY, ""), trust_env=False
    )

    assert (refused.status_code, refused.json()["error"]["param"]) == (402, "payment_method_data[card][number]")
    assert "4111" not in refused.text


@pytest.mark.parametrize(
    "fields",
    [
        {"description": "card 4111 1111 1111 1111"},
        {"description": "4242424242424242"},
        {"metadata[card]": "4111111111111111"},
        {"metadata[4111111111111111]": "card"},
        {"metadata[number]": "4111111111111111"},
        {"shipping[name]": "4111-1111-1111-1111"},
        {"receipt_email": "4111111111111111@example.com"},
        {"unknown[0][deep]": "4111111111111111"},
    ],
)
def test_a_call_that_holds_a_card_number_where_none_belongs_is_refused_and_leaves_no_trace(
    tmp_path: Path, fields: dict[str, str]
) -> None:
    form = {"amount": "4900", "currency": "usd", **fields}

    with running_sandbox(tmp_path / "sandbox") as sandbox:
        url, key = f"{sandbox.url}/stripe/v1/payment_intents", {"Idempotency-Key": "k"}
        refused = httpx.post(url, data=form, headers=key, auth=(STRIPE_KEY, ""), trust_env=False)

    written = b"".join(file.read_bytes() for file in (tmp_path / "sandbox").iterdir())
    assert (refused.status_code, "holds a card number" in refused.json()["error"]["message"]) == (400, True)
    assert not re.search(rb"4111[ -]?1111|42424242", refused.content + written)


@pytest.mark.parametrize("key", ["4111111111111111", "order-4111 1111 1111 1111", "4242424242424242"])
def test_an_idempotency_key_that_holds_a_card_number_is_refused_and_leaves_no_trace(tmp_path: Path, key: str) -> None:
    with running_sandbox(tmp_path / "sandbox") as sandbox:
        refused = httpx.post(
            f"{sandbox.url}/stripe/v1/products",
            data={"name": "One"},
            headers={"Idempotency-Key": key},
            auth=(STRIPE_KEY, ""),
            trust_env=False,
        )
        products = sandbox.objects("stripe", "product")

    error, headers = refused.json()["error"], str(refused.headers)
    written = b"".join(file.read_bytes() for file in (tmp_path / "sandbox").iterdir())
    assert (refused.status_code, error["type"]) == (400, "invalid_request_error")
    assert "must not hold a card number" in error["message"]
    assert products == []
    assert key not in refused.text + headers
    assert key.encode() not in written


def test_an_account_number_that_is_no_test_number_is_refused_and_not_repeated(unchanged: Sandbox) -> None:
    form = {"type": "sepa_debit", "sepa_debit[iban]": "DE89370400440532013000"}

    refused = httpx.post(
        f"{unchanged.url}/stripe/v1/payment_methods", data=form, auth=(STRIPE_KEY, ""), trust_env=False
    )

    assert (refused.status_code, refused.json()["error"]["param"]) == (402, "sepa_debit[iban]")
    assert form["sepa_debit[iban]"] not in refused.text


# Lists, and what our own side makes of it.


async def test_intents_are_paged_newest_first_and_found_by_customer(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"email": "ada@shop.test"})
    others = [(await _intent(client)).id for _ in range(3)]
    hers = [(await _intent(client, customer=customer.id)).id for _ in range(3)]

    page = await client.v1.payment_intents.list_async({"limit": 2})
    every = [intent.id async for intent in page.auto_paging_iter()]
    found = await client.v1.payment_intents.list_async({"customer": customer.id})

    assert every == (others + hers)[::-1]
    assert [intent.id for intent in found.data] == hers[::-1]


async def test_a_charge_takes_notes(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    paid = await _paid(client)

    noted = await client.v1.charges.update_async(
        str(paid.latest_charge),
        {"metadata": {"a": "b"}, "description": "Order 1", "fraud_details": {"user_report": "safe"}},
    )

    assert (noted.description, noted.to_dict()["metadata"]) == ("Order 1", {"a": "b"})
    assert noted.to_dict()["fraud_details"] == {"user_report": "safe"}
    assert event_types(sandbox)[-1] == "charge.updated"


async def test_our_translation_reads_every_event_of_an_intent(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    held = await _paid(client, capture_method="manual", metadata={"order_id": "order-1"})
    await client.v1.payment_intents.capture_async(held.id, {"amount_to_capture": 900})
    with pytest.raises(stripe.CardError):
        await _paid(client, payment_method="pm_card_chargeDeclined")
    await client.v1.payment_intents.cancel_async((await _intent(client)).id)
    await _paid(client, currency="eur", payment_method=await _debit(client, TEST_IBANS["later"]))

    said = [GATEWAYS["stripe"].translate(event) for event in sandbox.objects("stripe", "event")]

    facts = [each.event for each in said if isinstance(each, Observed)]
    assert all(isinstance(each, Observed | Unhandled) for each in said)
    assert PaymentSucceeded(held.id, Money(900, "usd")) in facts
    assert {type(fact).__name__ for fact in facts} == {
        "PaymentSucceeded", "PaymentFailed", "PaymentCancelled", "PaymentPending",
    }  # fmt: skip
