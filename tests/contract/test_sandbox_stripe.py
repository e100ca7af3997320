"""Stripe's stand-in, as Stripe's own SDK sees it: what it makes, what it refuses, and what it says happened."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st
from stripe._encode import _api_encode

from sandbox.stripe.forms import decode
from tests.sandboxes import ASKS, DECLINED, EXPIRED, NO_FUNDS, PAYS, STRIPE_KEY, Sandbox, running_sandbox

#: Stripe's client hands its form to httpx in a way that httpx has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

SPECIFICATION = Path(__file__).parents[3] / "shared/fixtures/stripe/spec/fixtures3.json"
DAY = 24 * 3600


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox") as running:
        yield running


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One for all tests that leave nothing behind."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[stripe.StripeClient]:
    async with sandbox.stripe() as connected:
        yield connected


def _line(amount: int = 4900, currency: str = "usd", quantity: int = 1, **price: Any) -> dict[str, Any]:
    data = {"currency": currency, "unit_amount": amount, "product_data": {"name": "Lifetime"}, **price}
    return {"price_data": data, "quantity": quantity}


def _order(**changes: Any) -> dict[str, Any]:
    """What a shop sends; a change to None takes the parameter away."""
    order = {"mode": "payment", "line_items": [_line()], "success_url": "https://shop.test/paid", **changes}
    return {name: value for name, value in order.items() if value is not None}


async def _session(client: stripe.StripeClient, **changes: Any) -> stripe.checkout.Session:
    return await client.v1.checkout.sessions.create_async(_order(**changes))  # type: ignore[arg-type]


def _event_types(sandbox: Sandbox) -> list[str]:
    return [event["type"] for event in sandbox.objects("stripe", "event")]


# A session, and what becomes of it.


async def test_a_session_is_open_and_knows_its_total(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    now = sandbox.now()

    session = await _session(
        client, line_items=[_line(4900, quantity=2), _line(100)], client_reference_id="order-1", metadata={"a": "b"}
    )

    assert session.id.startswith("cs_test_")
    assert (session.status, session.payment_status, session.payment_intent) == ("open", "unpaid", None)
    assert (session.amount_total, session.amount_subtotal, session.currency) == (9900, 9900, "usd")
    assert (session.client_reference_id, session.to_dict()["metadata"]) == ("order-1", {"a": "b"})
    assert session.url is not None
    assert httpx.get(session.url, trust_env=False).status_code == 200
    assert now + DAY <= session.expires_at <= now + DAY + 5


async def test_a_price_of_the_catalogue_can_be_sold(client: stripe.StripeClient) -> None:
    product = await client.v1.products.create_async({"id": "lifetime", "name": "Lifetime"})
    price = await client.v1.prices.create_async({"product": product.id, "currency": "USD", "unit_amount": 4900})

    session = await _session(client, line_items=[{"price": price.id, "quantity": 3}])
    lines = await client.v1.checkout.sessions.line_items.list_async(session.id)

    assert (session.amount_total, session.currency) == (14700, "usd")
    assert [(line.price.id, line.quantity) for line in lines.data if line.price] == [(price.id, 3)]


async def test_paying_completes_the_session_in_stripes_order_of_events(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    session = await _session(client)

    answer = sandbox.pay(session.id)

    paid = await client.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["payment_intent.latest_charge"]})
    intent = paid.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert answer == {"outcome": "paid", "payment": intent.id}
    assert (paid.status, paid.payment_status, paid.url) == ("complete", "paid", None)
    assert (intent.status, intent.amount_received) == ("succeeded", 4900)
    assert (intent.latest_charge.status, intent.latest_charge.paid) == ("succeeded", True)
    assert _event_types(sandbox) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ]


async def test_a_sessions_metadata_stays_on_the_session(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await _session(client, metadata={"on": "session"}, payment_intent_data={"metadata": {"on": "intent"}})

    sandbox.pay(session.id)

    (intent,) = (await client.v1.payment_intents.list_async()).data
    (charge,) = (await client.v1.charges.list_async({"payment_intent": intent.id})).data
    assert session.to_dict()["metadata"] == {"on": "session"}
    assert intent.to_dict()["metadata"] == charge.to_dict()["metadata"] == {"on": "intent"}


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        (DECLINED, "card_declined", "generic_decline"),
        (NO_FUNDS, "card_declined", "insufficient_funds"),
        (EXPIRED, "expired_card", "expired_card"),
    ],
)
async def test_a_refused_card_leaves_the_session_open(
    sandbox: Sandbox, client: stripe.StripeClient, card: str, code: str, decline_code: str
) -> None:
    session = await _session(client)

    answer = sandbox.pay(session.id, card)

    intent = await client.v1.payment_intents.retrieve_async(answer["payment"])
    error = intent.last_payment_error
    assert error is not None
    assert answer["outcome"] == "declined"
    assert (intent.status, error.code, error.decline_code) == ("requires_payment_method", code, decline_code)
    assert (await client.v1.checkout.sessions.retrieve_async(session.id)).status == "open"
    assert _event_types(sandbox) == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]


async def test_f68_another_card_pays_the_same_intent_after_a_decline(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    session = await _session(client)

    declined = sandbox.pay(session.id, DECLINED)
    paid = sandbox.pay(session.id, PAYS)

    intent = await client.v1.payment_intents.retrieve_async(paid["payment"])
    assert (declined["payment"], paid["outcome"]) == (paid["payment"], "paid")
    assert (intent.status, intent.last_payment_error) == ("succeeded", None)
    assert len((await client.v1.charges.list_async()).data) == 2


async def test_authentication_that_is_passed_pays(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await _session(client)

    answer = sandbox.pay(session.id, ASKS)

    assert answer["outcome"] == "paid"
    assert "payment_intent.requires_action" in _event_types(sandbox)


async def test_authentication_that_is_left_alone_waits(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await _session(client)

    answer = sandbox.pay(session.id, ASKS, authenticate=False)

    intent = await client.v1.payment_intents.retrieve_async(answer["payment"])
    assert (answer["outcome"], intent.status) == ("requires_action", "requires_action")
    assert sandbox.pay(session.id, PAYS)["outcome"] == "paid"


async def test_authentication_that_fails_is_a_decline_without_a_charge(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    session = await _session(client)

    answer = sandbox.pay(session.id, ASKS, authenticate="fail")

    intent = await client.v1.payment_intents.retrieve_async(answer["payment"])
    assert intent.last_payment_error is not None
    assert answer["outcome"] == "declined"
    assert intent.last_payment_error.code == "payment_intent_authentication_failure"
    assert (await client.v1.charges.list_async()).data == []


async def test_f66_a_delayed_method_completes_unpaid_and_succeeds_later(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    session = await _session(client)

    answer = sandbox.pay(session.id, method="delayed")
    before = await client.v1.checkout.sessions.retrieve_async(session.id)
    sandbox.control("clock", {"advance": 3 * DAY})
    after = await client.v1.checkout.sessions.retrieve_async(session.id)

    assert answer["outcome"] == "pending"
    assert (before.status, before.payment_status, after.payment_status) == ("complete", "unpaid", "paid")
    assert _event_types(sandbox) == [
        "payment_intent.created",
        "charge.pending",
        "payment_intent.processing",
        "checkout.session.completed",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.async_payment_succeeded",
    ]


async def test_f66_a_delayed_method_may_fail_later(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await _session(client)

    sandbox.pay(session.id, NO_FUNDS, method="delayed", settleAfter=3600)
    sandbox.control("clock", {"advance": 3600})

    failed = await client.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["payment_intent"]})
    assert isinstance(failed.payment_intent, stripe.PaymentIntent)
    assert failed.payment_status == "unpaid"
    assert failed.payment_intent.status == "requires_payment_method"
    assert _event_types(sandbox)[-3:] == [
        "charge.failed",
        "payment_intent.payment_failed",
        "checkout.session.async_payment_failed",
    ]


async def test_f69_nothing_due_needs_no_payment(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await _session(client, line_items=[_line(0)])

    answer = sandbox.pay(session.id)

    done = await client.v1.checkout.sessions.retrieve_async(session.id)
    assert answer == {"outcome": "paid", "payment": None}
    assert (done.payment_status, done.payment_intent) == ("no_payment_required", None)
    assert _event_types(sandbox) == ["checkout.session.completed"]


# The end of a session.


async def test_a_session_is_expired_once(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await _session(client)

    expired = await client.v1.checkout.sessions.expire_async(session.id)
    with pytest.raises(stripe.InvalidRequestError, match=r"status of `expired`"):
        await client.v1.checkout.sessions.expire_async(session.id)

    assert (expired.status, expired.url) == ("expired", None)
    assert _event_types(sandbox) == ["checkout.session.expired"]


async def test_a_paid_session_cannot_be_expired(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await _session(client)
    sandbox.pay(session.id)

    with pytest.raises(stripe.InvalidRequestError, match=r"status of `complete`"):
        await client.v1.checkout.sessions.expire_async(session.id)

    assert "checkout.session.expired" not in _event_types(sandbox)


async def test_the_clock_expires_a_session_and_cancels_its_intent(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    session = await _session(client, expires_at=sandbox.now() + 31 * 60)
    declined = sandbox.pay(session.id, DECLINED)

    sandbox.control("clock", {"advance": 32 * 60})

    intent = await client.v1.payment_intents.retrieve_async(declined["payment"])
    assert (await client.v1.checkout.sessions.retrieve_async(session.id)).status == "expired"
    assert intent.status == "canceled"
    assert _event_types(sandbox)[-2:] == ["payment_intent.canceled", "checkout.session.expired"]


async def test_an_ended_session_cannot_be_paid(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await _session(client)
    await client.v1.checkout.sessions.expire_async(session.id)

    answer = httpx.post(f"{sandbox.url}/_control/pay", json={"session": session.id, "card": PAYS}, trust_env=False)

    assert (answer.status_code, answer.json()["code"]) == (409, "not_payable")
    assert sandbox.objects("stripe", "payment_intent") == []


async def test_the_clock_leaves_a_paid_session_alone(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await _session(client)
    sandbox.pay(session.id)

    sandbox.control("clock", {"advance": 2 * DAY})

    assert (await client.v1.checkout.sessions.retrieve_async(session.id)).status == "complete"


async def test_an_intent_of_checkout_cannot_be_cancelled_by_itself(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    session = await _session(client)
    declined = sandbox.pay(session.id, DECLINED)

    with pytest.raises(stripe.InvalidRequestError, match="created by Checkout"):
        await client.v1.payment_intents.cancel_async(declined["payment"])
    sandbox.pay(session.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.cancel_async(declined["payment"])

    assert refused.value.code == "payment_intent_unexpected_state"


# What Stripe refuses.


@pytest.mark.parametrize(
    ("changes", "param", "says"),
    [
        ({"mode": None}, "mode", "Missing required param"),
        ({"mode": "gift"}, "mode", "must be one of"),
        ({"line_items": None}, "line_items", "Missing required param"),
        ({"line_items": [{"quantity": 1}]}, "line_items[0][price]", "Missing required param"),
        ({"line_items": [{"price": "price_none", "quantity": 1}]}, "line_items[0][price]", "No such price"),
        ({"line_items": [_line(quantity=0)]}, "line_items[0][quantity]", "between 1 and"),
        ({"line_items": [{**_line(), "quantity": "two"}]}, "line_items[0][quantity]", "Invalid integer"),
        ({"line_items": [_line(-1)]}, "line_items[0][price_data][unit_amount]", "greater than or equal to 0"),
        ({"line_items": [_line(49)]}, None, "at least 0.50 USD"),
        ({"line_items": [_line(99_999_999, quantity=2)]}, "line_items[0][quantity]", "no more than"),
        ({"line_items": [_line(), _line(currency="eur")]}, "line_items", "same currency"),
        ({"line_items": [_line(1001, "kwd")]}, "line_items[0][price_data][unit_amount]", "divisible by 10"),
        ({"line_items": [_line(10050, "isk")]}, "line_items[0][price_data][unit_amount]", "divisible by 100"),
        ({"line_items": [_line(recurring={"interval": "month"})]}, "line_items", "recurring price"),
        ({"mode": "subscription"}, "line_items", "at least one recurring price"),
        ({"success_url": None}, "success_url", "Missing required param"),
        ({"success_url": "javascript:alert(1)"}, "success_url", "Not a valid URL"),
        ({"client_reference_id": "x" * 201}, "client_reference_id", "at most 200"),
        ({"metadata": {"k" * 41: "v"}}, "metadata[" + "k" * 41 + "]", "up to 40 characters"),
        ({"metadata": {"k": "v" * 501}}, "metadata[k]", "up to 500 characters"),
        ({"metadata": {f"k{n}": "v" for n in range(51)}}, "metadata", "up to 50 keys"),
        ({"subscription_data": {"metadata": {"a": "b"}}}, "subscription_data", "in `payment` mode"),
        ({"customer": "cus_none"}, "customer", "No such customer"),
        ({"customer": "cus_none", "customer_email": "a@b.test"}, "customer_email", "only specify one"),
        ({"colour": "red"}, "colour", "unknown parameter"),
        ({"payment_intent_data": {"colour": "red"}}, "payment_intent_data[colour]", "unknown parameter"),
        ({"payment_method_types": ["card"]}, "payment_method_types", "unknown parameter"),
        ({"discounts": [{"coupon": "c"}]}, "discounts", "does not simulate"),
    ],
)
async def test_a_session_that_stripe_would_refuse_is_refused(
    unchanged: Sandbox, changes: dict[str, Any], param: str | None, says: str
) -> None:
    async with unchanged.stripe() as client:
        with pytest.raises(stripe.InvalidRequestError, match=says) as refused:
            await _session(client, **changes)

    assert (refused.value.http_status, refused.value.param) == (400, param)
    assert unchanged.objects("stripe", "checkout.session") == unchanged.objects("stripe", "price") == []


async def test_what_is_switched_off_needs_no_simulation(client: stripe.StripeClient) -> None:
    off = {"enabled": False}

    session = await _session(client, automatic_tax=off, adaptive_pricing=off, invoice_creation=off, shipping_options=[])

    assert session.status == "open"


async def test_a_subscription_can_be_offered_and_expired_but_not_paid(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    recurring = _line(recurring={"interval": "month"})
    session = await _session(
        client, mode="subscription", line_items=[recurring], subscription_data={"metadata": {"order_id": "order-1"}}
    )

    refused = httpx.post(f"{sandbox.url}/_control/pay", json={"session": session.id, "card": PAYS}, trust_env=False)
    expired = await client.v1.checkout.sessions.expire_async(session.id)

    assert (refused.status_code, refused.json()["code"]) == (409, "not_payable")
    assert expired.status == "expired"


async def test_intent_data_is_refused_in_subscription_mode(client: stripe.StripeClient) -> None:
    changes = {
        "mode": "subscription",
        "line_items": [_line(recurring={"interval": "month"})],
        "payment_intent_data": {"metadata": {"a": "b"}},
    }

    with pytest.raises(stripe.InvalidRequestError, match="in `subscription` mode") as refused:
        await _session(client, **changes)

    assert refused.value.param == "payment_intent_data"


@pytest.mark.parametrize(("seconds", "says"), [(30 * 60 - 5, "at least 30 minutes"), (DAY + 60, "less than 24 hours")])
async def test_a_session_ends_within_stripes_bounds_by_the_development_clock(
    sandbox: Sandbox, client: stripe.StripeClient, seconds: int, says: str
) -> None:
    sandbox.control("clock", {"advance": 10 * DAY})

    with pytest.raises(stripe.InvalidRequestError, match=says) as refused:
        await _session(client, expires_at=sandbox.now() + seconds)

    assert refused.value.param == "expires_at"
    assert (await _session(client, expires_at=sandbox.now() + 31 * 60)).status == "open"


async def test_payment_method_types_went_with_endive(sandbox: Sandbox) -> None:
    async with sandbox.stripe(version="2026-03-25.dahlia") as before, sandbox.stripe() as after:
        old = await _session(before, payment_method_types=["card"])
        new = await _session(after, allowed_payment_method_types=["card"])
        with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: allowed_payment_method_types"):
            await _session(before, allowed_payment_method_types=["card"])

    assert "allowed_payment_method_types" not in old.to_dict()
    assert new.to_dict()["allowed_payment_method_types"] == ["card"]


# Keys.


async def test_a_key_gives_the_first_answer_again(client: stripe.StripeClient) -> None:
    first = await client.v1.checkout.sessions.create_async(_order(), {"idempotency_key": "k"})  # type: ignore[arg-type]
    again = await client.v1.checkout.sessions.create_async(_order(), {"idempotency_key": "k"})  # type: ignore[arg-type]

    assert first.last_response is not None
    assert again.last_response is not None
    assert again.last_response.body == first.last_response.body
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert again.last_response.headers["original-request"] == first.last_response.headers["request-id"]
    assert "idempotent-replayed" not in first.last_response.headers


async def test_f53_a_key_with_other_parameters_is_an_error_of_its_own(client: stripe.StripeClient) -> None:
    await client.v1.products.create_async({"name": "One"}, {"idempotency_key": "k"})

    with pytest.raises(stripe.IdempotencyError) as refused:
        await client.v1.products.create_async({"name": "Two"}, {"idempotency_key": "k"})

    assert refused.value.http_status == 400
    assert len((await client.v1.products.list_async()).data) == 1


async def test_f53_a_key_in_use_is_a_conflict(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    sandbox.control("faults", {"timeout": 1})

    answers = await asyncio.gather(
        *(client.v1.products.create_async({"name": "One"}, {"idempotency_key": "k"}) for _ in range(4)),
        return_exceptions=True,
    )

    conflicts = [answer for answer in answers if isinstance(answer, stripe.APIError)]
    assert [conflict.http_status for conflict in conflicts] == [409, 409, 409]
    assert all("another in-progress request" in str(conflict) for conflict in conflicts)
    assert len(sandbox.objects("stripe", "product")) == 1


async def test_one_key_makes_one_session_however_many_ask_at_once(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    answers = await asyncio.gather(
        *(
            client.v1.checkout.sessions.create_async(_order(), {"idempotency_key": "k"})  # type: ignore[arg-type]
            for _ in range(20)
        ),
        return_exceptions=True,
    )

    made = [answer for answer in answers if isinstance(answer, stripe.checkout.Session)]
    conflicts = [answer for answer in answers if isinstance(answer, stripe.APIError) and answer.http_status == 409]
    assert len(made) + len(conflicts) == 20
    assert len({session.id for session in made}) == 1
    assert len(sandbox.objects("stripe", "checkout.session")) == 1


async def test_a_key_keeps_nothing_of_a_refused_call(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.products.create_async({"name": "One", "colour": "red"}, {"idempotency_key": "k"})  # type: ignore[typeddict-unknown-key]

    product = await client.v1.products.create_async({"name": "One"}, {"idempotency_key": "k"})

    assert product.name == "One"


async def test_a_key_keeps_the_result_of_a_call_that_ran_and_failed(client: stripe.StripeClient) -> None:
    session = await _session(client)
    await client.v1.checkout.sessions.expire_async(session.id)

    with pytest.raises(stripe.InvalidRequestError) as first:
        await client.v1.checkout.sessions.expire_async(session.id, None, {"idempotency_key": "k"})
    with pytest.raises(stripe.InvalidRequestError) as again:
        await client.v1.checkout.sessions.expire_async(session.id, None, {"idempotency_key": "k"})

    assert "idempotent-replayed" not in (first.value.headers or {})
    assert (again.value.headers or {})["idempotent-replayed"] == "true"


async def test_f53_a_stored_500_is_given_again_until_the_key_is_forgotten(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    sandbox.control("faults", {"apiErrors": {"500": 1}})
    with pytest.raises(stripe.APIError):
        await client.v1.products.create_async({"name": "One"}, {"idempotency_key": "k"})
    sandbox.control("faults", {})

    with pytest.raises(stripe.APIError) as replayed:
        await client.v1.products.create_async({"name": "One"}, {"idempotency_key": "k"})
    sandbox.control("clock", {"advance": DAY + 1})
    product = await client.v1.products.create_async({"name": "One"}, {"idempotency_key": "k"})

    assert replayed.value.http_status == 500
    assert product.name == "One"


# Lists.


async def test_a_list_is_paged_newest_first_without_gap_or_repeat(client: stripe.StripeClient) -> None:
    made = [(await client.v1.customers.create_async({"name": f"n{n}"})).id for n in range(25)]

    page = await client.v1.customers.list_async({"limit": 10})
    read = [customer.id async for customer in page.auto_paging_iter()]

    assert page.has_more
    assert read == made[::-1]


async def test_a_page_lies_before_a_cursor_too(client: stripe.StripeClient) -> None:
    made = [(await client.v1.customers.create_async({"name": f"n{n}"})).id for n in range(5)]

    newer = await client.v1.customers.list_async({"limit": 2, "ending_before": made[1]})
    last = await client.v1.customers.list_async({"limit": 2, "ending_before": made[3]})

    assert ([customer.id for customer in newer.data], newer.has_more) == ([made[3], made[2]], True)
    assert ([customer.id for customer in last.data], last.has_more) == ([made[4]], False)


@pytest.mark.parametrize("bad", [{"limit": 101}, {"limit": 0}, {"starting_after": "cus_none"}])
async def test_a_page_that_cannot_be_is_refused(client: stripe.StripeClient, bad: dict[str, Any]) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.customers.list_async(bad)  # type: ignore[arg-type]

    assert refused.value.param == next(iter(bad))


async def test_a_list_is_cut_by_time_of_creation(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    early = await _session(client)
    sandbox.control("clock", {"advance": 3600})
    late = await _session(client)

    after = await client.v1.checkout.sessions.list_async({"created": {"gte": late.created}})
    before = await client.v1.checkout.sessions.list_async({"created": {"lt": late.created}})

    assert [session.id for session in after.data] == [late.id]
    assert [session.id for session in before.data] == [early.id]


async def test_a_session_is_found_by_its_intent(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    await _session(client)
    wanted = await _session(client)
    payment = sandbox.pay(wanted.id)["payment"]

    found = await client.v1.checkout.sessions.list_async({"payment_intent": payment})

    assert [session.id for session in found.data] == [wanted.id]


async def test_events_are_listed_by_type_and_by_what_became_of_them(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    await client.v1.webhook_endpoints.create_async(
        {"url": "http://127.0.0.1:9/nobody", "enabled_events": ["charge.succeeded"]}
    )
    session = await _session(client)
    sandbox.pay(session.id)

    one = await client.v1.events.list_async({"type": "checkout.session.completed"})
    group = await client.v1.events.list_async({"type": "payment_intent.*"})
    two = await client.v1.events.list_async({"types": ["charge.succeeded", "payment_intent.created"]})
    undelivered = await client.v1.events.list_async({"delivery_success": False})

    assert [event.type for event in one.data] == ["checkout.session.completed"]
    assert [event.type for event in group.data] == ["payment_intent.succeeded", "payment_intent.created"]
    assert [event.type for event in two.data] == ["charge.succeeded", "payment_intent.created"]
    assert [(event.type, event.pending_webhooks) for event in undelivered.data] == [("charge.succeeded", 1)]
    assert (await client.v1.events.retrieve_async(undelivered.data[0].id)).type == "charge.succeeded"


async def test_events_are_listed_for_thirty_days(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    await client.v1.customers.create_async({"name": "early"})

    sandbox.control("clock", {"advance": 30 * DAY + 1})

    assert (await client.v1.events.list_async()).data == []


async def test_an_event_names_the_call_that_caused_it(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"name": "n"}, {"idempotency_key": "k"})

    (event,) = (await client.v1.events.list_async({"type": "customer.created"})).data

    assert customer.last_response is not None
    assert event.request is not None
    assert event.request.id == customer.last_response.headers["request-id"]
    assert event.request.idempotency_key == "k"


# The catalogue, customers and endpoints.


async def test_a_lookup_key_moves_to_a_new_price_only_when_told(client: stripe.StripeClient) -> None:
    product = await client.v1.products.create_async({"name": "Pro"})
    old = await client.v1.prices.create_async(
        {"product": product.id, "currency": "usd", "unit_amount": 1900, "lookup_key": "pro"}
    )
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        await client.v1.prices.create_async(
            {"product": product.id, "currency": "usd", "unit_amount": 2900, "lookup_key": "pro"}
        )

    new = await client.v1.prices.create_async(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": 2900,
            "lookup_key": "pro",
            "transfer_lookup_key": True,
        }
    )

    found = await client.v1.prices.list_async({"lookup_keys": ["pro"]})
    assert [price.id for price in found.data] == [new.id]
    assert (await client.v1.prices.retrieve_async(old.id)).lookup_key is None


async def test_an_inactive_price_is_not_sold(client: stripe.StripeClient) -> None:
    product = await client.v1.products.create_async(
        {"name": "Pro", "default_price_data": {"currency": "usd", "unit_amount": 1900}}
    )
    price = await client.v1.prices.update_async(str(product.default_price), {"active": False})

    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        await _session(client, line_items=[{"price": price.id, "quantity": 1}])

    active = await client.v1.prices.list_async({"product": product.id, "active": True})
    assert active.data == []


async def test_a_product_is_changed_and_says_what_it_was(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    product = await client.v1.products.create_async({"name": "Pro", "metadata": {"a": "1", "b": "2"}})

    changed = await client.v1.products.update_async(product.id, {"name": "Pro 2", "metadata": {"a": "", "c": "3"}})

    event = sandbox.objects("stripe", "event")[-1]
    assert (changed.name, changed.to_dict()["metadata"]) == ("Pro 2", {"b": "2", "c": "3"})
    assert event["type"] == "product.updated"
    assert event["data"]["previous_attributes"]["name"] == "Pro"


async def test_a_product_id_is_given_once(client: stripe.StripeClient) -> None:
    await client.v1.products.create_async({"id": "pro", "name": "Pro"})

    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.products.create_async({"id": "pro", "name": "Pro"})

    assert refused.value.code == "resource_already_exists"


async def test_f34_a_deleted_customer_is_a_stub(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"email": "a@b.test"})
    await client.v1.customers.update_async(customer.id, {"name": "Ada"})

    await client.v1.customers.delete_async(customer.id)

    stub = await client.v1.customers.retrieve_async(customer.id)
    assert stub.to_dict() == {"id": customer.id, "object": "customer", "deleted": True}
    assert (await client.v1.customers.list_async({"email": "a@b.test"})).data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        await _session(client, customer=customer.id)


async def test_an_endpoint_tells_its_secret_once(client: stripe.StripeClient) -> None:
    made = await client.v1.webhook_endpoints.create_async({"url": "http://127.0.0.1:9/a", "enabled_events": ["*"]})

    read = await client.v1.webhook_endpoints.retrieve_async(made.id)
    listed = await client.v1.webhook_endpoints.list_async()

    assert made.secret is not None
    assert made.secret.startswith("whsec_")
    assert "secret" not in read.to_dict()
    assert "secret" not in listed.data[0].to_dict()


async def test_an_endpoint_is_changed_but_not_in_its_version(client: stripe.StripeClient) -> None:
    endpoints = client.v1.webhook_endpoints
    made = await endpoints.create_async(
        {"url": "http://127.0.0.1:9/a", "enabled_events": ["*"], "api_version": "2025-03-31.basil"}
    )

    changed = await endpoints.update_async(made.id, {"disabled": True, "enabled_events": ["charge.succeeded"]})
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: api_version"):
        await endpoints.update_async(made.id, {"api_version": "2020-08-27"})  # type: ignore[arg-type]
    gone = await endpoints.delete_async(made.id)

    assert (changed.status, changed.enabled_events) == ("disabled", ["charge.succeeded"])
    assert changed.api_version == "2025-03-31.basil"
    assert gone.deleted
    with pytest.raises(stripe.InvalidRequestError, match="No such webhook_endpoint"):
        await endpoints.retrieve_async(made.id)


# Who asks, and how.


@pytest.mark.parametrize("key", ["sk_live_0123", "pk_test_0123", "sk_test_", "nonsense"])
async def test_only_a_test_key_comes_in(unchanged: Sandbox, key: str) -> None:
    async with unchanged.stripe(key=key) as stranger:
        with pytest.raises(stripe.AuthenticationError) as refused:
            await stranger.v1.products.list_async()

    assert refused.value.http_status == 401


def test_a_call_without_a_key_is_told_how_to_give_one(unchanged: Sandbox) -> None:
    answer = httpx.get(f"{unchanged.url}/stripe/v1/products", trust_env=False)

    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert "did not provide an API key" in answer.json()["error"]["message"]


def test_a_key_may_be_the_user_of_basic_authentication(unchanged: Sandbox) -> None:
    answer = httpx.get(f"{unchanged.url}/stripe/v1/products", auth=(STRIPE_KEY, ""), trust_env=False)

    assert answer.status_code == 200


async def test_a_base_without_a_path_leads_to_the_same_place(sandbox: Sandbox) -> None:
    async with sandbox.stripe(base="") as bare:
        product = await bare.v1.products.create_async({"name": "Pro"})

    assert [each["id"] for each in sandbox.objects("stripe", "product")] == [product.id]


@pytest.mark.parametrize(
    ("path", "kind", "param"),
    [
        ("checkout/sessions/cs_x", "checkout.session", "session"),
        ("payment_intents/pi_x", "payment_intent", "intent"),
        ("charges/ch_x", "charge", "id"),
        ("customers/cus_x", "customer", "id"),
        ("prices/price_x", "price", "id"),
        ("events/evt_x", "event", "id"),
    ],
)
def test_what_is_not_there_is_a_404_in_stripes_words(unchanged: Sandbox, path: str, kind: str, param: str) -> None:
    answer = httpx.get(f"{unchanged.url}/stripe/v1/{path}", auth=(STRIPE_KEY, ""), trust_env=False)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (404, "resource_missing", param)
    assert error["message"] == f"No such {kind}: '{path.rpartition('/')[2]}'"
    assert answer.headers["request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/refunds"), ("POST", "/v1/refunds"), ("PATCH", "/v1/charges")]
)
def test_an_address_that_does_not_exist_is_said_to_be_unrecognized(unchanged: Sandbox, method: str, path: str) -> None:
    answer = httpx.request(method, f"{unchanged.url}/stripe{path}", auth=(STRIPE_KEY, ""), trust_env=False)

    assert answer.status_code == 404
    assert answer.json()["error"]["message"].startswith(f"Unrecognized request URL ({method}: {path})")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"name": "x"}'),
        ("application/x-www-form-urlencoded", b"name=%ff"),
        ("application/x-www-form-urlencoded", b"name[=x"),
        ("application/x-www-form-urlencoded", b"name[a]=x&name=y"),
        ("application/x-www-form-urlencoded", b"a" + b"[b]" * 50 + b"=x"),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=x" % n for n in range(2000))),
        ("application/x-www-form-urlencoded", b"name=a%00b"),
        ("application/x-www-form-urlencoded", b"metadata=x"),
        ("application/x-www-form-urlencoded", b"name=x&expand=y"),
    ],
)
def test_a_hostile_body_is_a_400(unchanged: Sandbox, content_type: str, body: bytes) -> None:
    answer = httpx.post(
        f"{unchanged.url}/stripe/v1/products",
        auth=(STRIPE_KEY, ""),
        content=body,
        headers={"Content-Type": content_type},
        trust_env=False,
    )

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_body_over_the_limit_is_not_read(unchanged: Sandbox) -> None:
    body = b"name=" + b"x" * 2_000_000

    answer = httpx.post(f"{unchanged.url}/stripe/v1/products", auth=(STRIPE_KEY, ""), content=body, trust_env=False)

    assert answer.status_code == 413


@pytest.mark.parametrize("path", ["colour", "status", "payment_intent.latest_charge.balance.a.b"])
async def test_what_cannot_be_expanded_is_refused(client: stripe.StripeClient, path: str) -> None:
    session = await _session(client)

    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.checkout.sessions.retrieve_async(session.id, {"expand": [path]})

    assert refused.value.param == "expand"


_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
_names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True).filter(lambda name: name != "metadata")
_trees = st.recursive(
    _texts,
    lambda inner: st.dictionaries(_names, inner, min_size=1, max_size=3) | st.lists(inner, min_size=1, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_names, _trees, max_size=3))
def test_a_form_is_read_as_the_sdk_wrote_it(parameters: dict[str, Any]) -> None:
    written = urlencode(list(_api_encode(parameters)))

    assert decode(written) == parameters


# Shapes.


async def test_an_old_version_shows_an_intent_with_its_charges(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await _session(client)
    payment = sandbox.pay(session.id)["payment"]

    async with sandbox.stripe(version="2020-08-27") as old, sandbox.stripe(version="2024-09-30.acacia") as middle:
        oldest = (await old.v1.payment_intents.retrieve_async(payment)).to_dict()
        older = (await middle.v1.payment_intents.retrieve_async(payment)).to_dict()
        old_session = (await middle.v1.checkout.sessions.retrieve_async(session.id)).to_dict()
    newest = (await client.v1.payment_intents.retrieve_async(payment)).to_dict()

    assert "latest_charge" not in oldest
    assert oldest["charges"]["data"][0]["id"] == newest["latest_charge"]
    assert (older["latest_charge"], older["invoice"]) == (newest["latest_charge"], None)
    assert "invoice" not in newest
    assert (old_session["ui_mode"], old_session["shipping_details"]) == ("hosted", None)


async def test_a_version_that_never_was_is_refused(unchanged: Sandbox) -> None:
    async with unchanged.stripe(version="yesterday") as client:
        with pytest.raises(stripe.InvalidRequestError, match="Invalid Stripe API version"):
            await client.v1.products.list_async()


#: In Stripe's example, and not on an object of this kind: legacy, or of a feature that is not asked for.
_ELSEWHERE = {
    "charge": {"level3", "refunds", "transfer"},
    "payment_intent": {"managed_payments"},
    "checkout.session": {"managed_payments", "origin_context", "integration_identifier"},
}


@pytest.mark.skipif(not SPECIFICATION.exists(), reason="Stripe's example objects are not beside this checkout")
async def test_every_field_of_stripes_own_examples_is_there(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    examples = json.loads(SPECIFICATION.read_text())["resources"]
    await client.v1.webhook_endpoints.create_async({"url": "http://127.0.0.1:9/a", "enabled_events": ["*"]})
    await client.v1.customers.create_async({"email": "a@b.test"})
    sandbox.pay((await _session(client)).id)

    kinds = ("product", "price", "customer", "checkout.session", "payment_intent", "payment_method", "charge", "event")
    ours = {kind: sandbox.objects("stripe", kind)[-1] for kind in (*kinds, "webhook_endpoint")}
    missing = {kind: set(examples[kind]) - set(made) - _ELSEWHERE.get(kind, set()) for kind, made in ours.items()}

    assert {kind: fields for kind, fields in missing.items() if fields} == {}
