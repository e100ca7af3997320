"""The log of calls: what was asked of either gateway, what it answered, and what went wrong on purpose."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

from sandbox.call_log import KEPT_MAX, CallLog
from sandbox.clock import Clock
from sandbox.store import Store
from tests.sandboxes import PAYS, RAZORPAY_KEY, STRIPE_KEY, Sandbox, running_sandbox, wait_until


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox") as running:
        yield running


def test_a_call_to_stripe_is_told_with_all_that_belongs_to_it(sandbox: Sandbox) -> None:
    sandbox.control("clock", {"advance": 3600})
    headers = {"Idempotency-Key": "order-1", "Stripe-Version": "2024-06-20"}
    fields = {"name": "Pro", "metadata[plan]": "pro"}

    answer = httpx.post(
        f"{sandbox.url}/stripe/v1/products", auth=(STRIPE_KEY, ""), headers=headers, data=fields, trust_env=False
    )

    (call,) = sandbox.calls()
    assert abs(call["realTime"] - time.time()) < 60
    assert abs(call["at"] - call["realTime"] - 3600) < 60
    assert (call["gateway"], call["method"], call["path"]) == ("stripe", "POST", "/v1/products")
    assert (call["query"], call["parameters"]) == ({}, {"name": "Pro", "metadata": {"plan": "pro"}})
    assert (call["idempotencyKey"], call["version"]) == ("order-1", "2024-06-20")
    assert (call["requestId"], call["status"]) == (answer.headers["request-id"], 200)
    assert (call["answer"], call["faults"]) == (answer.text, [])
    assert 0 <= call["milliseconds"] < 20_000


def test_a_call_to_razorpay_is_told_as_the_json_it_was(sandbox: Sandbox) -> None:
    with sandbox.razorpay() as client:
        client.order.create({"amount": 49900, "currency": "INR", "notes": {"order_id": "1"}})
        client.order.all({"count": 1})

    made, listed = sandbox.calls()
    assert (made["gateway"], made["path"], made["status"]) == ("razorpay", "/v1/orders", 200)
    assert made["parameters"] == {"amount": 49900, "currency": "INR", "notes": {"order_id": "1"}}
    assert (listed["method"], listed["query"], listed["parameters"]) == ("GET", {"count": "1"}, {})
    assert (made["requestId"], made["version"], made["idempotencyKey"]) == (None, None, None)


def test_the_bare_base_is_logged_as_the_gateway_that_answered(sandbox: Sandbox) -> None:
    httpx.get(f"{sandbox.url}/v1/orders", auth=RAZORPAY_KEY, trust_env=False)
    httpx.get(f"{sandbox.url}/v1/customers", auth=(STRIPE_KEY, ""), trust_env=False)

    assert [(call["gateway"], call["path"]) for call in sandbox.calls()] == [
        ("razorpay", "/v1/orders"),
        ("stripe", "/v1/customers"),
    ]


def test_what_was_refused_or_is_unknown_is_logged_too(sandbox: Sandbox) -> None:
    httpx.post(f"{sandbox.url}/stripe/v1/products", auth=(STRIPE_KEY, ""), trust_env=False)
    httpx.get(f"{sandbox.url}/stripe/v1/products", trust_env=False)
    httpx.post(f"{sandbox.url}/stripe/v1/nothing", auth=(STRIPE_KEY, ""), data={"a": "b"}, trust_env=False)
    httpx.post(f"{sandbox.url}/razorpay/v1/orders", auth=RAZORPAY_KEY, content=b"{", trust_env=False)

    assert [(call["path"], call["status"]) for call in sandbox.calls()] == [
        ("/v1/products", 400),
        ("/v1/products", 401),
        ("/v1/nothing", 404),
        ("/v1/orders", 400),
    ]
    assert "Missing required param: name" in sandbox.calls()[0]["answer"]


def test_a_page_is_not_a_call(sandbox: Sandbox) -> None:
    httpx.get(f"{sandbox.url}/stripe/authenticate/pi_none", trust_env=False)
    httpx.get(f"{sandbox.url}/pay/stripe/cs_none", trust_env=False)

    assert sandbox.calls() == []


def test_the_newest_stand_last_and_as_many_as_asked_for(sandbox: Sandbox) -> None:
    for name in "abc":
        sandbox.post_to_stripe("products", name=name)

    newest = sandbox.ask("calls", limit="2")["data"]

    assert [call["parameters"]["name"] for call in sandbox.calls()] == ["a", "b", "c"]
    assert [call["parameters"]["name"] for call in newest] == ["b", "c"]


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "10001"}, {"limit": "x"}, {"colour": "red"}])
def test_a_question_about_calls_that_makes_no_sense_is_a_problem(sandbox: Sandbox, query: dict[str, str]) -> None:
    answer = httpx.get(f"{sandbox.url}/_control/calls", params=query, trust_env=False)

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


def test_no_key_no_card_and_no_secret_reaches_the_disk(tmp_path: Path) -> None:
    with running_sandbox(tmp_path / "sandbox") as sandbox:
        card = {"type": "card", "card[number]": PAYS, "card[cvc]": "737", "billing_details[name]": f"Mr {PAYS}"}
        for path in ("payment_methods", f"tokens/{PAYS}"):
            httpx.post(
                f"{sandbox.url}/stripe/v1/{path}",
                auth=(STRIPE_KEY, ""),
                headers={"Idempotency-Key": PAYS},
                data=card,
                trust_env=False,
            )
        httpx.get(f"{sandbox.url}/razorpay/v1/orders?receipt={PAYS}", auth=RAZORPAY_KEY, trust_env=False)
        told = str(sandbox.calls())
        written = b"".join(path.read_bytes() for path in (tmp_path / "sandbox").iterdir())

    assert not [word for word in (PAYS, STRIPE_KEY, RAZORPAY_KEY[1], "'737'") if word in told]
    assert not [word for word in (PAYS, STRIPE_KEY, RAZORPAY_KEY[1]) if word.encode() in written]


def test_a_secret_that_is_told_once_is_not_told_again_by_the_log(sandbox: Sandbox) -> None:
    endpoint = sandbox.post_to_stripe("webhook_endpoints", url="https://shop.test", **{"enabled_events[]": "*"})

    (call,) = sandbox.calls()

    assert endpoint["secret"] not in str(call)
    assert endpoint["id"] in call["answer"]


@pytest.mark.parametrize(
    "body",
    [b'{"amount": NaN}', b'{"a": "\\ud800"}', b'{"\\u0000": 1e999}', b"[" * 100_000, b"\xff\xfe", b'{"a":"' + b"x" * 100_000],
)  # fmt: skip
def test_whatever_is_sent_the_log_can_be_read(sandbox: Sandbox, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    address = f"{sandbox.url}/razorpay/v1/orders"

    httpx.post(address, auth=RAZORPAY_KEY, content=body, headers=headers, trust_env=False)
    httpx.post(f"{sandbox.url}/stripe/v1/products", auth=(STRIPE_KEY, ""), content=body, trust_env=False)

    assert [call["status"] for call in sandbox.calls()] == [400, 400]


def test_each_fault_stands_beside_the_call_it_struck(sandbox: Sandbox) -> None:
    address = f"{sandbox.url}/razorpay/v1/orders"
    order = {"amount": 49900, "currency": "INR"}
    with httpx.Client(auth=RAZORPAY_KEY, trust_env=False) as client:
        for faults in ({"apiErrors": {"429": 1}}, {"apiErrors": {"502": 1}}, {"timeout": 0.01}):
            sandbox.control("faults", faults)
            client.post(address, json=order)
        sandbox.control("faults", {"cutAfterCommit": 1})
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(address, json=order)
    wait_until(lambda: sandbox.calls()[-1]["milliseconds"] is not None)

    assert [(call["status"], call["faults"]) for call in sandbox.calls()] == [
        (429, ["apiErrors.429"]),
        (502, ["apiErrors.502"]),
        (200, ["timeout"]),
        (None, ["cutAfterCommit"]),
    ]


def test_a_call_that_hangs_is_seen_while_it_hangs(sandbox: Sandbox) -> None:
    sandbox.control("faults", {"timeout": 3})

    with sandbox.razorpay() as client, pytest.raises(requests.exceptions.ReadTimeout):
        client.order.create({"amount": 49900, "currency": "INR"}, timeout=0.5)

    (hanging,) = sandbox.calls()
    assert (hanging["parameters"]["amount"], hanging["status"], hanging["milliseconds"]) == (49900, None, None)
    wait_until(lambda: sandbox.calls()[0]["status"] == 200)


def test_the_log_outlives_a_restart(tmp_path: Path) -> None:
    with running_sandbox(tmp_path / "sandbox") as sandbox:
        sandbox.post_to_stripe("products", name="Pro")
        before = sandbox.calls()

    with running_sandbox(tmp_path / "sandbox") as sandbox:
        assert sandbox.calls() == before


def test_the_oldest_calls_make_room(tmp_path: Path) -> None:
    store = Store(tmp_path / "sandbox.sqlite3")
    log = CallLog(store, Clock(store, tmp_path / "clock"))
    said: dict[str, Any] = {"query": {}, "parameters": {}, "key": None, "version": None}
    with store.transaction():
        first, *_ = (log.begin("stripe", "GET", "/v1/products", said) for _ in range(KEPT_MAX + 3))

    kept = log.newest(KEPT_MAX)

    assert (log.count(), kept[0]["id"]) == (KEPT_MAX, first + 3)
    store.close()


def test_an_older_file_gets_its_log(tmp_path: Path) -> None:
    with running_sandbox(tmp_path / "sandbox") as sandbox:
        sandbox.customer()
    with sqlite3.connect(tmp_path / "sandbox" / "sandbox.sqlite3") as older:
        older.execute("DROP TABLE calls")
    older.close()

    with running_sandbox(tmp_path / "sandbox") as sandbox:
        sandbox.customer()

        assert len(sandbox.calls()) == 1
