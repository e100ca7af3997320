"""What the stand-ins send: signed as the SDKs verify it, in order, again after a failure, and gone wrong on purpose."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import razorpay
import stripe

from tests.sandboxes import (
    PAYS,
    RAZORPAY_SECRET,
    STRIPE_KEY,
    STRIPE_SECRET,
    Delivery,
    Receiver,
    Sandbox,
    running_receiver,
    running_sandbox,
    wait_until,
)

HOUR, DAY = 3600, 24 * 3600
#: Of four draws at a rate of one half.
SEED_THAT_OVERTAKES_THE_SECOND = 5
FOUR = ["payment.authorized", "payment.captured", "order.paid", "payment_link.paid"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def sandbox(tmp_path: Path, receiver: Receiver) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox", webhooks=receiver.url) as running:
        yield running


def _link(sandbox: Sandbox, reference: str = "order-1") -> str:
    with sandbox.razorpay() as client:
        made = client.payment_link.create({"amount": 49900, "currency": "INR", "reference_id": reference})
        return str(made["id"])


def _stripe(sandbox: Sandbox, path: str, **fields: Any) -> dict[str, Any]:
    answer = httpx.post(f"{sandbox.url}/stripe/v1/{path}", auth=(STRIPE_KEY, ""), data=fields, trust_env=False)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def _verified(delivery: Delivery, secret: str = STRIPE_SECRET) -> stripe.Event:
    return stripe.Webhook.construct_event(delivery.body, delivery.headers["stripe-signature"], secret)  # type: ignore[no-any-return]


def _settled(sandbox: Sandbox) -> list[dict[str, Any]]:
    """All deliveries, once none is on its way."""
    wait_until(lambda: all(each["state"] not in {"pending", "sending"} for each in sandbox.deliveries()))
    return sandbox.deliveries()


def _attempted(sandbox: Sandbox, times: int) -> list[dict[str, Any]]:
    """All deliveries, once each has been tried so often."""
    wait_until(lambda: all(len(each["attempts"]) >= times for each in sandbox.deliveries()))
    return sandbox.deliveries()


# Signed.


def test_stripes_verifier_believes_what_stripe_sends(sandbox: Sandbox, receiver: Receiver) -> None:
    customer = _stripe(sandbox, "customers", email="a@b.test")

    (delivery,) = receiver.wait_for("customer.created")

    event = _verified(delivery)
    assert (event.type, event.data.object["id"]) == ("customer.created", customer["id"])
    assert event.pending_webhooks == 1
    assert delivery.path == "/stripe"
    with pytest.raises(stripe.SignatureVerificationError):
        _verified(delivery, "whsec_other")


def test_stripe_signs_at_real_time_however_far_the_clock_is(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.control("clock", {"advance": 40 * DAY})

    _stripe(sandbox, "customers", email="a@b.test")

    (delivery,) = receiver.wait_for("customer.created")
    assert abs(_verified(delivery).created - sandbox.now()) < 60


def test_razorpays_verifier_believes_what_razorpay_sends(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.pay(_link(sandbox))

    deliveries = receiver.wait_for(*FOUR)

    with sandbox.razorpay() as client:
        for delivery in deliveries:
            signature = delivery.headers["x-razorpay-signature"]
            assert client.utility.verify_webhook_signature(delivery.body.decode(), signature, RAZORPAY_SECRET)
            with pytest.raises(razorpay.errors.SignatureVerificationError):
                client.utility.verify_webhook_signature(delivery.body.decode(), signature, "other")
    assert receiver.types() == FOUR
    assert len({delivery.headers["x-razorpay-event-id"] for delivery in deliveries}) == 4
    assert all("id" not in event for event in receiver.events())


# Endpoints.


def test_f21_each_endpoint_has_its_own_secret_types_and_version(sandbox: Sandbox, receiver: Receiver) -> None:
    endpoint = {"url": f"{receiver.url}/own", "enabled_events[]": "payment_intent.*", "api_version": "2020-08-27"}
    own = _stripe(sandbox, "webhook_endpoints", **endpoint)
    session = _stripe(
        sandbox,
        "checkout/sessions",
        **{
            "mode": "payment",
            "success_url": "https://shop.test",
            "line_items[0][price_data][currency]": "usd",
            "line_items[0][price_data][unit_amount]": "4900",
            "line_items[0][price_data][product_data][name]": "Lifetime",
            "line_items[0][quantity]": "1",
        },
    )

    sandbox.pay(session["id"])
    receiver.wait_for(*["payment_intent.succeeded"] * 2, *["payment_intent.created"] * 2, "checkout.session.completed")

    events = [_verified(each, own["secret"]) for each in receiver.deliveries if each.path == "/own"]
    others = [_verified(each) for each in receiver.deliveries if each.path == "/stripe"]
    assert [(event.type, event.api_version) for event in events] == [
        ("payment_intent.created", "2020-08-27"),
        ("payment_intent.succeeded", "2020-08-27"),
    ]
    assert events[1].data.object["charges"]["data"][0]["paid"] is True
    assert [event.pending_webhooks for event in others] == [2, 1, 2, 1]
    assert "charges" not in others[2].data.object


def test_a_disabled_or_deleted_endpoint_gets_nothing_more(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.status = 500
    endpoint = {"url": f"{receiver.url}/own", "enabled_events[]": "customer.created"}
    disabled, deleted = (_stripe(sandbox, "webhook_endpoints", **endpoint)["id"] for _ in range(2))
    _stripe(sandbox, "customers", email="a@b.test")
    receiver.wait_for(*["customer.created"] * 3)

    _stripe(sandbox, f"webhook_endpoints/{disabled}", disabled="true")
    httpx.delete(f"{sandbox.url}/stripe/v1/webhook_endpoints/{deleted}", auth=(STRIPE_KEY, ""), trust_env=False)
    receiver.status = 200
    sandbox.control("clock", {"advance": HOUR})
    seen = sum(each.path == "/own" for each in receiver.deliveries)
    _stripe(sandbox, "customers", email="c@d.test")

    states = {each["endpoint"]: each["state"] for each in _settled(sandbox)[:3]}
    assert (states[disabled], states[deleted]) == ("failed", "failed")
    assert sum(each.path == "/own" for each in receiver.deliveries) == seen


# Again.


def test_a_failure_is_tried_again_with_the_same_bytes_and_a_new_signature(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.status = 500
    _stripe(sandbox, "customers", email="a@b.test")
    _attempted(sandbox, 1)
    receiver.status = 204

    first, second = receiver.wait_for("customer.created", "customer.created")

    (delivery,) = _settled(sandbox)
    assert first.body == second.body
    assert first.headers["stripe-signature"] != second.headers["stripe-signature"]
    assert delivery["state"] == "delivered"
    assert [(attempt["number"], attempt["status"]) for attempt in delivery["attempts"]] == [(1, 500), (2, 204)]


def test_stripe_tries_for_three_days_of_the_clock_and_then_gives_up(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.status = 503
    _stripe(sandbox, "customers", email="a@b.test")
    _attempted(sandbox, 1)

    sandbox.control("clock", {"advance": 4 * DAY})

    (delivery,) = sandbox.deliveries()
    moments = [attempt["at"] for attempt in delivery["attempts"]]
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    assert delivery["state"] == "failed"
    assert pauses[3:6] == [HOUR, 2 * HOUR, 4 * HOUR]
    assert 2.9 * DAY < moments[-1] - moments[0] <= 3.1 * DAY
    assert len(receiver.deliveries) == len(moments) == 12


def test_razorpay_tries_for_a_day_with_the_same_id(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.status = 302
    with sandbox.razorpay() as client:
        client.payment_link.cancel(_link(sandbox))
    _attempted(sandbox, 1)

    sandbox.control("clock", {"advance": 2 * DAY})

    (delivery,) = sandbox.deliveries()
    moments = [attempt["at"] for attempt in delivery["attempts"]]
    assert delivery["state"] == "failed"
    assert 0.9 * DAY < moments[-1] - moments[0] <= DAY
    assert {each.headers["x-razorpay-event-id"] for each in receiver.deliveries} == {delivery["event"]}


def test_an_endpoint_that_is_not_there_is_a_reason_and_no_status(tmp_path: Path) -> None:
    with running_sandbox(tmp_path / "sandbox", webhooks="http://127.0.0.1:9") as sandbox:
        _stripe(sandbox, "customers", email="a@b.test")

        (delivery,) = _attempted(sandbox, 1)

    assert delivery["attempts"][0]["status"] is None
    assert "ConnectError" in delivery["attempts"][0]["answer"]


def test_an_event_that_came_through_on_the_second_try_is_no_longer_undelivered(
    sandbox: Sandbox, receiver: Receiver
) -> None:
    receiver.status = 500
    _stripe(sandbox, "customers", email="a@b.test")
    receiver.wait_for("customer.created")
    address, query = f"{sandbox.url}/stripe/v1/events", {"delivery_success": "false"}
    before = httpx.get(address, params=query, auth=(STRIPE_KEY, ""), trust_env=False).json()

    receiver.status = 200
    _settled(sandbox)

    after = httpx.get(address, params=query, auth=(STRIPE_KEY, ""), trust_env=False).json()
    assert [event["type"] for event in before["data"]] == ["customer.created"]
    assert after["data"] == []


def test_a_restart_sends_what_was_not_answered(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer_after_seconds = 2
    with running_sandbox(tmp_path / "sandbox", webhooks=receiver.url) as sandbox:
        _stripe(sandbox, "customers", email="a@b.test")
        receiver.wait_for("customer.created")
    receiver.answer_after_seconds = 0

    with running_sandbox(tmp_path / "sandbox", webhooks=receiver.url) as sandbox:
        first, second = receiver.wait_for("customer.created", "customer.created")
        (delivery,) = _settled(sandbox)

    assert first.body == second.body
    assert delivery["state"] == "delivered"


# Gone wrong on purpose.


def test_a_dropped_event_is_withheld_for_good_and_is_still_there_to_be_asked_for(
    sandbox: Sandbox, receiver: Receiver
) -> None:
    sandbox.control("faults", {"drop": 1})
    customer = _stripe(sandbox, "customers", email="a@b.test")
    wait_until(lambda: [each["state"] for each in sandbox.deliveries()] == ["withheld"])
    sandbox.control("faults", {})

    sandbox.control("clock", {"advance": 5 * DAY})

    query = {"delivery_success": "false"}
    listed = httpx.get(f"{sandbox.url}/stripe/v1/events", params=query, auth=(STRIPE_KEY, ""), trust_env=False).json()
    assert receiver.deliveries == []
    assert [event["data"]["object"]["id"] for event in listed["data"]] == [customer["id"]]


def test_a_doubled_event_arrives_twice_at_once(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.control("faults", {"duplicate": 1})
    receiver.answer_after_seconds = 0.2

    _stripe(sandbox, "customers", email="a@b.test")

    first, second = receiver.wait_for("customer.created", "customer.created")
    (delivery,) = _settled(sandbox)
    assert first.body == second.body
    assert abs(first.at - second.at) < 0.15
    assert [attempt["number"] for attempt in delivery["attempts"]] == [1, 1]


def test_a_reordered_event_is_overtaken(sandbox: Sandbox, receiver: Receiver) -> None:
    # With this seed the second of the four draws is the only hit.
    sandbox.control("faults", {"reorder": 0.5, "seed": SEED_THAT_OVERTAKES_THE_SECOND})

    sandbox.pay(_link(sandbox))
    receiver.wait_for(*FOUR)

    assert receiver.types() == ["payment.authorized", "order.paid", "payment_link.paid", "payment.captured"]
    assert [each["attempts"][0]["faults"] for each in _settled(sandbox)] == [[], ["reorder"], [], []]


def test_a_delay_holds_everything_back(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.control("faults", {"delay": 0.5})
    _stripe(sandbox, "customers", email="first@b.test")

    early = list(receiver.deliveries)
    receiver.wait_for("customer.created")

    (delivery,) = _settled(sandbox)
    assert early == []
    assert delivery["state"] == "delivered"


def test_f26_two_events_may_share_a_second_although_time_has_passed(sandbox: Sandbox) -> None:
    link = _link(sandbox)
    sandbox.control("faults", {"sameSecond": 1})
    sandbox.pay(link, "4000000000000002")
    sandbox.control("clock", {"advance": 90})

    sandbox.pay(link, PAYS)

    events = sandbox.objects("razorpay", "event")
    assert len({event["created_at"] for event in events}) == 1
    assert events[0]["event"] == "payment.failed"
    assert events[-1]["payload"]["payment"]["entity"]["created_at"] >= events[0]["created_at"] + 90


def test_a_slow_receiver_holds_up_the_line_for_a_second_only(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.answer_after_seconds = 3

    sandbox.pay(_link(sandbox))
    deliveries = receiver.wait_for(*FOUR)

    gaps = [later.at - earlier.at for earlier, later in pairwise(deliveries)]
    assert receiver.types() == FOUR
    assert all(0.5 < gap < 2.5 for gap in gaps), gaps


def test_a_receiver_that_never_answers_is_given_up_in_the_gateways_time(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.answer_after_seconds = 7

    with sandbox.razorpay() as client:
        client.payment_link.cancel(_link(sandbox))

    (delivery,) = _attempted(sandbox, 1)
    assert (delivery["attempts"][0]["status"], delivery["attempts"][0]["answer"]) == (None, "no answer within 5 s")


def test_the_log_holds_the_bytes_and_the_answers(sandbox: Sandbox, receiver: Receiver) -> None:
    _stripe(sandbox, "customers", email="a@b.test")
    (arrived,) = receiver.wait_for("customer.created")

    (delivery,) = _settled(sandbox)

    assert delivery["body"].encode() == arrived.body
    assert (delivery["gateway"], delivery["type"], delivery["url"]) == (
        "stripe",
        "customer.created",
        f"{receiver.url}/stripe",
    )
    assert delivery["attempts"][0]["answer"] == "ok"
    timestamp = arrived.headers["stripe-signature"].split(",")[0].removeprefix("t=")
    expected = hmac.new(STRIPE_SECRET.encode(), f"{timestamp}.".encode() + arrived.body, hashlib.sha256).hexdigest()
    assert arrived.headers["stripe-signature"] == f"t={timestamp},v1={expected}"
