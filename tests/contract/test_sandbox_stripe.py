"""Stripe's stand-in on the wire, as Stripe's own SDK sees it: keys, pages of lists, who is let in, and shapes."""

from __future__ import annotations

import asyncio
import json
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
from tests.contract.shop import DAY, open_session, order
from tests.sandboxes import STRIPE_KEY, Sandbox

SPECIFICATION = Path(__file__).parents[3] / "shared/fixtures/stripe/spec/fixtures3.json"

# Keys.


async def test_a_key_gives_the_first_answer_again(client: stripe.StripeClient) -> None:
    first = await client.v1.checkout.sessions.create_async(order(), {"idempotency_key": "k"})  # type: ignore[arg-type]
    again = await client.v1.checkout.sessions.create_async(order(), {"idempotency_key": "k"})  # type: ignore[arg-type]

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
            client.v1.checkout.sessions.create_async(order(), {"idempotency_key": "k"})  # type: ignore[arg-type]
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
    session = await open_session(client)
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
    early = await open_session(client)
    sandbox.control("clock", {"advance": 3600})
    late = await open_session(client)

    after = await client.v1.checkout.sessions.list_async({"created": {"gte": late.created}})
    before = await client.v1.checkout.sessions.list_async({"created": {"lt": late.created}})

    assert [session.id for session in after.data] == [late.id]
    assert [session.id for session in before.data] == [early.id]


async def test_a_session_is_found_by_its_intent(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    await open_session(client)
    wanted = await open_session(client)
    payment = sandbox.pay(wanted.id)["payment"]

    found = await client.v1.checkout.sessions.list_async({"payment_intent": payment})

    assert [session.id for session in found.data] == [wanted.id]


async def test_events_are_listed_by_type_and_by_what_became_of_them(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    await client.v1.webhook_endpoints.create_async(
        {"url": "http://127.0.0.1:9/nobody", "enabled_events": ["charge.succeeded"]}
    )
    session = await open_session(client)
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
    ("method", "path"), [("GET", "/v1/transfers"), ("POST", "/v1/transfers"), ("PATCH", "/v1/charges")]
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
    session = await open_session(client)

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
    session = await open_session(client)
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
    sandbox.pay((await open_session(client)).id)

    kinds = ("product", "price", "customer", "checkout.session", "payment_intent", "payment_method", "charge", "event")
    ours = {kind: sandbox.objects("stripe", kind)[-1] for kind in (*kinds, "webhook_endpoint")}
    missing = {kind: set(examples[kind]) - set(made) - _ELSEWHERE.get(kind, set()) for kind, made in ours.items()}

    assert {kind: fields for kind, fields in missing.items() if fields} == {}
