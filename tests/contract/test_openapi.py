"""The description of the checkout's API says what its routes are, and its routes answer as it says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPMethod
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance
from starlette.routing import Route

from checkout.app import build
from checkout.openapi import PATHS, PROBLEMS, description
from db.pool import open_pool
from local.postgres import Postgres
from payments.failure import FailureCode
from payments.money import Money
from payments.order import OrderStatus
from payments.subscription import SubscriptionStatus
from tests import servers
from tests.counter import NO_REDIS, bearer, put_on_sale, values
from tests.fake_client import FakeClient, Mood
from tests.front_door import listening
from tests.refunds import paid_order

#: What the gateway's failures, and ours, are said with. Nothing else may ever begin with a 5.
FORESEEN = {502, 503, 504}

#: An id that no plan has is well formed and refused; a query that nobody reads is malformed and harmless. And the token
#: of these tests is good, whatever schemathesis thinks that it has sent: ``test_what_is_described_as_closed_is_closed``.
EXCLUDED = [not_a_server_error, positive_data_acceptance, negative_data_rejection, ignored_auth]

SCHEMA = schemathesis.openapi.from_dict(description("http://127.0.0.1"))

MOODS: tuple[Mood, ...] = ("opens", "opens", "refuses", "loses")


class Moody(FakeClient):
    """Takes its moods in turn, so that every answer of ours is met."""

    async def create_session(self, *arguments: Any, **more: Any) -> Any:
        self.mood = MOODS[len(self.asked) % len(MOODS)]
        return await super().create_session(*arguments, **more)


@contextmanager
def served(database_url: str) -> Iterator[str]:
    """A real server in a thread of its own: schemathesis brings none, and knows no loop."""
    clients = {name: Moody(name) for name in ("stripe", "razorpay")}
    app = build(values(database_url, NO_REDIS, clients=clients))
    ready, done, addresses = threading.Event(), threading.Event(), []

    async def serve() -> None:
        pool = await open_pool(database_url, name="test")
        await put_on_sale(pool)
        await paid_order(pool, Money(4900, "usd"), payment="pi_to_refund")
        await pool.close()
        async with app.router.lifespan_context(app), listening(app) as (host, port):
            addresses.append(f"http://{host}:{port}")
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield addresses[0]
    finally:
        done.set()
        thread.join(20)


@pytest.fixture(scope="module")
def base_url(shared_postgres: Postgres) -> Iterator[str]:
    with servers.database(shared_postgres) as url, served(url) as address:
        yield address


@SCHEMA.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_as_described(base_url: str, case: schemathesis.Case[Any]) -> None:
    response = case.call(base_url=base_url, headers=bearer(scopes=frozenset({"support", "refunds"})))

    assert response.status_code < 500 or response.status_code in FORESEEN
    case.validate_response(response, excluded_checks=EXCLUDED)


@pytest.mark.parametrize(
    ("path", "method"),
    [(path, method) for path, item in PATHS.items() for method, told in item.items() if "security" in told],
)
def test_what_is_described_as_closed_is_closed(base_url: str, path: str, method: str) -> None:
    answer = requests.request(method, base_url + path.replace("{", "").replace("}", ""), timeout=10)

    assert answer.status_code == 401
    assert "401" in PATHS[path][method]["responses"]


def test_what_sells_is_answered_as_described(base_url: str) -> None:
    """By name, since no generator guesses the id of a plan."""
    operation = SCHEMA["/create-payment"]["post"]
    said = set()
    for n in range(8):
        case = operation.Case(body={"planId": "lifetime", "amount": 1}, headers={"Idempotency-Key": f"key-{n}"})
        response = case.call(base_url=base_url, headers=bearer(f"user-{n}"))
        case.validate_response(response, excluded_checks=EXCLUDED)
        said.add(response.status_code)

    assert said == {201, 502, 504}


def test_what_subscribes_is_answered_as_described(base_url: str) -> None:
    headers = bearer("subscriber")
    create = SCHEMA["/create-subscription"]["post"]
    told = []
    for _ in MOODS:  # each lost answer is found again by the next click
        case = create.Case(body={"planId": "pro"})
        told.append(case.call(base_url=base_url, headers=headers))
        case.validate_response(told[-1], excluded_checks=EXCLUDED)
    subscription = told[-1].json()["subscriptionId"]
    said = set()
    for path, method in (
        ("/subscriptions", "get"),
        ("/subscriptions/{subscriptionId}", "get"),
        ("/subscriptions/{subscriptionId}/pause", "post"),
        ("/subscriptions/{subscriptionId}/update-payment-method", "post"),
        ("/subscriptions/{subscriptionId}/cancel", "post"),
        ("/invoices", "get"),
    ):
        named = {"subscriptionId": subscription} if "{" in path else {}
        case = SCHEMA[path][method].Case(path_parameters=named)
        response = case.call(base_url=base_url, headers=headers)
        case.validate_response(response, excluded_checks=EXCLUDED)
        said.add(response.status_code)

    assert said == {200, 409}


def test_what_gives_money_back_is_answered_as_described(base_url: str) -> None:
    headers = bearer("backend", scopes=frozenset({"refunds"}))
    create, show = SCHEMA["/refunds"]["post"], SCHEMA["/refunds/{refundId}"]["get"]
    said = set()
    part: dict[str, Any] = {"amount": 900}
    for key, more in ((None, {"amount": 1}), ("a", {"amount": 4901}), ("b", part), ("b", part), (None, {})):
        case = create.Case(
            body={"paymentId": "pi_to_refund", "reason": "other", **more},
            headers={"Idempotency-Key": key} if key else {},
        )
        response = case.call(base_url=base_url, headers=headers)
        case.validate_response(response, excluded_checks=EXCLUDED)
        said.add(response.status_code)
        if response.status_code == 202:
            seen = show.Case(path_parameters={"refundId": response.json()["refundId"]})
            seen.validate_response(seen.call(base_url=base_url, headers=headers), excluded_checks=EXCLUDED)

    assert said == {202, 400, 409}


def test_the_description_and_the_routes_name_the_same_operations() -> None:
    routes = {
        (_described(route.path), method.lower())
        for route in build(values("postgresql://127.0.0.1:1/none")).routes
        if isinstance(route, Route) and route.include_in_schema
        for method in (route.methods or ())
        if method != HTTPMethod.HEAD
    }

    assert routes == {(path, method) for path, item in PATHS.items() for method in item}


def _described(path: str) -> str:
    for ours, theirs in (
        ("{order_id}", "{orderId}"),
        ("{subscription_id}", "{subscriptionId}"),
        ("{user_id:path}", "{userId}"),
        ("{refund_id}", "{refundId}"),
    ):
        path = path.replace(ours, theirs)
    return path


def test_the_description_is_served_as_it_is(base_url: str) -> None:
    answer = requests.get(f"{base_url}/openapi.json", timeout=10)

    assert answer.json()["paths"] == PATHS
    assert answer.json()["openapi"].startswith("3.1.")


def test_it_names_every_status_and_every_failure_of_the_rules() -> None:
    schemas = description("http://127.0.0.1")["components"]["schemas"]

    assert set(schemas["OrderStatus"]["properties"]["status"]["enum"]) == {status.value for status in OrderStatus}
    assert set(schemas["Failure"]["properties"]["code"]["enum"]) == {code.value for code in FailureCode}
    assert set(schemas["Subscription"]["properties"]["status"]["enum"]) == {
        status.value for status in SubscriptionStatus
    }


def test_every_operation_has_a_name_of_its_own_and_a_meaning_for_each_answer() -> None:
    operations = [told for item in PATHS.values() for told in item.values()]
    names = [told["operationId"] for told in operations]

    assert len(set(names)) == len(names)
    for told in operations:
        assert all(answer["description"] for answer in told["responses"].values()), told["operationId"]
        assert {int(status) for status in told["responses"]} <= {200, 201, 202, *PROBLEMS}
