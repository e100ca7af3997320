"""Webhooks sent again on order, and the log of deliveries that says which."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from tests.sandboxes import (
    STRIPE_SECRET,
    Delivery,
    Receiver,
    Sandbox,
    running_receiver,
    running_sandbox,
    wait_until,
)

HOUR = 3600


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def sandbox(tmp_path: Path, receiver: Receiver) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox", webhooks=receiver.url) as running:
        yield running


def _verified(delivery: Delivery) -> stripe.Event:
    return stripe.Webhook.construct_event(delivery.body, delivery.headers["stripe-signature"], STRIPE_SECRET)  # type: ignore[no-any-return]


def _resend(sandbox: Sandbox, order: dict[str, Any]) -> list[dict[str, Any]]:
    return list(sandbox.control("resend", order)["data"])


def _withheld(sandbox: Sandbox) -> dict[str, Any]:
    """A delivery that was dropped, with nothing to be dropped any more."""
    sandbox.control("faults", {"drop": 1})
    sandbox.customer()
    wait_until(lambda: len(sandbox.deliveries(state="withheld")) == 1)
    sandbox.control("faults", {})
    return sandbox.deliveries()[0]


def test_what_was_withheld_is_sent_on_order(sandbox: Sandbox, receiver: Receiver) -> None:
    withheld = _withheld(sandbox)

    (resent,) = _resend(sandbox, {"delivery": withheld["id"]})

    (arrived,) = receiver.deliveries
    attempt = resent["attempt"]
    assert _verified(arrived).id == withheld["event"] == resent["event"]
    assert (resent["delivery"], resent["state"]) == (withheld["id"], "delivered")
    assert (attempt["status"], attempt["answer"], attempt["signature"]) == (200, "ok", "current")
    assert attempt["resent"]
    assert sandbox.deliveries() == [
        {**withheld, "state": "delivered", "nextAttempt": None, "attempts": [resent["attempt"]]}
    ]


def test_what_was_delivered_is_sent_again_with_the_same_bytes_and_id(sandbox: Sandbox, receiver: Receiver) -> None:
    with sandbox.razorpay() as client:
        client.payment_link.cancel(sandbox.link())
    receiver.wait_for("payment_link.cancelled")
    (delivered,) = sandbox.settled()

    _resend(sandbox, {"delivery": delivered["id"]})

    first, second = receiver.deliveries
    (delivery,) = sandbox.deliveries()
    assert first.body == second.body
    assert first.headers["x-razorpay-event-id"] == second.headers["x-razorpay-event-id"] == delivered["event"]
    assert [(each["number"], each["resent"]) for each in delivery["attempts"]] == [(1, False), (2, True)]


def test_stripes_resend_has_a_signature_of_its_own_time(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.control("clock", {"advance": 40 * 24 * HOUR})
    withheld = _withheld(sandbox)
    sandbox.control("clock", {"advance": HOUR})

    _resend(sandbox, {"delivery": withheld["id"]})

    # The verifier refuses what is more than five minutes old.
    assert _verified(receiver.deliveries[0]).id == withheld["event"]


def test_an_event_goes_again_to_every_endpoint_it_was_for(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.post_to_stripe("webhook_endpoints", url=f"{receiver.url}/own", **{"enabled_events[]": "*"})
    sandbox.customer()
    receiver.wait_for("customer.created", "customer.created")
    event = sandbox.settled()[0]["event"]

    resent = _resend(sandbox, {"event": event})

    assert [each["state"] for each in resent] == ["delivered", "delivered"]
    assert sorted(each.path for each in receiver.deliveries) == ["/own", "/own", "/stripe", "/stripe"]


def test_no_fault_touches_what_somebody_sends_himself(sandbox: Sandbox, receiver: Receiver) -> None:
    withheld = _withheld(sandbox)
    sandbox.control("faults", {"wrongSignature": 1, "duplicate": 1, "drop": 1})

    (resent,) = _resend(sandbox, {"delivery": withheld["id"]})

    assert len(receiver.deliveries) == 1
    assert _verified(receiver.deliveries[0]).id == withheld["event"]
    assert (resent["attempt"]["faults"], resent["state"]) == ([], "delivered")


def test_a_resend_that_fails_changes_nothing_but_the_log(sandbox: Sandbox, receiver: Receiver) -> None:
    withheld = _withheld(sandbox)
    sandbox.customer()
    receiver.wait_for("customer.created")
    _, delivered = sandbox.settled()
    receiver.status = 500

    states = [_resend(sandbox, {"delivery": each["id"]})[0]["state"] for each in (withheld, delivered)]

    assert states == ["withheld", "delivered"]
    assert [attempt["status"] for each in sandbox.deliveries() for attempt in each["attempts"]] == [500, 200, 500]


def test_a_resend_leaves_the_gateways_own_retries_as_they_were(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.status = 500
    sandbox.customer()
    wait_until(lambda: any(len(each["attempts"]) == 3 for each in sandbox.deliveries()))
    before = sandbox.deliveries()[0]

    _resend(sandbox, {"delivery": before["id"]})
    receiver.status = 200
    sandbox.control("clock", {"advance": 30})

    (delivery,) = sandbox.deliveries()
    assert sandbox.deliveries(state="pending") == []
    assert [(each["status"], each["resent"]) for each in delivery["attempts"]] == [
        (500, False),
        (500, False),
        (500, False),
        (500, True),
        (200, False),
    ]
    assert delivery["attempts"][-1]["at"] >= before["nextAttempt"]


def test_what_came_through_by_hand_is_not_tried_again(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.status = 500
    sandbox.customer()
    wait_until(lambda: any(each["attempts"] for each in sandbox.deliveries()))
    receiver.status = 200

    _resend(sandbox, {"event": sandbox.deliveries()[0]["event"]})
    sandbox.control("clock", {"advance": 5 * 24 * HOUR})

    (delivery,) = sandbox.deliveries()
    assert delivery["state"] == "delivered"
    assert sum(each["status"] == 200 for each in delivery["attempts"]) == 1


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        ({"delivery": 4711}, 404, "unknown_delivery"),
        ({"event": "evt_none"}, 404, "unknown_event"),
        ({"delivery": "1; DROP"}, 400, "invalid_delivery"),
        ({"delivery": 0}, 400, "invalid_delivery"),
        ({"delivery": True}, 400, "invalid_delivery"),
        ({"delivery": 2**63}, 400, "invalid_delivery"),
        ({"event": 7}, 400, "invalid_event"),
        ({"event": "e" * 256}, 400, "invalid_event"),
        ({}, 400, "invalid_resend"),
        ({"delivery": 1, "event": "evt_none"}, 400, "invalid_resend"),
        ({"deliveries": [1]}, 400, "unknown_fields"),
    ],
)
def test_a_resend_of_nothing_is_a_problem_that_names_it(
    sandbox: Sandbox, order: dict[str, Any], status: int, code: str
) -> None:
    assert sandbox.refused("resend", order)[:2] == (status, code)


def test_nothing_is_resent_to_an_endpoint_that_is_disabled(sandbox: Sandbox, receiver: Receiver) -> None:
    own = sandbox.post_to_stripe("webhook_endpoints", url=f"{receiver.url}/own", **{"enabled_events[]": "*"})
    sandbox.customer()
    receiver.wait_for("customer.created", "customer.created")
    delivery = next(each for each in sandbox.settled() if each["endpoint"] == own["id"])
    sandbox.post_to_stripe(f"webhook_endpoints/{own['id']}", disabled="true")

    refused = sandbox.refused("resend", {"delivery": delivery["id"]})

    assert refused[:2] == (409, "endpoint_gone")
    assert len(receiver.deliveries) == 2


def test_deliveries_are_found_by_state_and_event_the_newest_so_many(sandbox: Sandbox, receiver: Receiver) -> None:
    withheld = _withheld(sandbox)
    sandbox.customer()
    sandbox.customer()
    receiver.wait_for("customer.created", "customer.created")
    all_of_them = sandbox.settled()

    assert sandbox.deliveries(state="withheld") == [withheld]
    assert sandbox.deliveries(state="delivered") == all_of_them[1:]
    assert sandbox.deliveries(state="failed") == []
    assert sandbox.deliveries(event=all_of_them[1]["event"]) == [all_of_them[1]]
    assert sandbox.deliveries(limit="2") == all_of_them[1:]
    assert sandbox.deliveries(state="delivered", limit="1") == [all_of_them[2]]


def test_what_is_on_its_way_is_found_among_the_pending(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.answer_after_seconds = 1
    sandbox.customer()
    receiver.wait_for("customer.created")

    (pending,), (sending,) = sandbox.deliveries(state="pending"), sandbox.deliveries(state="sending")

    assert pending["state"] == "sending"
    assert sending == pending


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"state": "lost"}, "invalid_state"),
        ({"limit": "0"}, "invalid_limit"),
        ({"limit": "-1"}, "invalid_limit"),
        ({"limit": "10001"}, "invalid_limit"),
        ({"limit": "9" * 5000}, "invalid_limit"),
        ({"limit": "many"}, "invalid_limit"),
        ({"event": "e" * 256}, "invalid_event"),
        ({"colour": "red"}, "unknown_fields"),
    ],
)
def test_a_question_about_deliveries_that_makes_no_sense_is_a_problem(
    sandbox: Sandbox, query: dict[str, str], code: str
) -> None:
    answer = httpx.get(f"{sandbox.url}/_control/deliveries", params=query, trust_env=False)

    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_an_answer_is_kept_up_to_its_first_kibibyte(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.answer = b"\xff" + b"x" * 5000

    sandbox.customer()

    (delivery,) = sandbox.settled()
    assert delivery["attempts"][0]["answer"] == "\ufffd" + "x" * 1023


def test_attempts_of_an_older_file_are_told_like_new_ones(tmp_path: Path, receiver: Receiver) -> None:
    with running_sandbox(tmp_path / "sandbox", webhooks=receiver.url) as sandbox:
        sandbox.customer()
        sandbox.settled()
    older = sqlite3.connect(tmp_path / "sandbox" / "sandbox.sqlite3")
    with older:
        older.execute(
            "UPDATE deliveries SET attempts = json_remove(attempts, '$[0].signature', '$[0].faults', '$[0].resent')"
        )
    older.close()

    with running_sandbox(tmp_path / "sandbox", webhooks=receiver.url) as sandbox:
        _resend(sandbox, {"delivery": 1})
        (delivery,) = sandbox.deliveries()

    assert [(each["signature"], each["faults"], each["resent"]) for each in delivery["attempts"]] == [
        ("current", [], False),
        ("current", [], True),
    ]
