"""What the sandbox says of itself, and how it forgets everything but the time."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox import __version__
from tests.sandboxes import (
    OLD_STRIPE_SECRET,
    RAZORPAY_SECRET,
    STRIPE_SECRET,
    Receiver,
    Sandbox,
    running_receiver,
    running_sandbox,
    wait_until,
)

HOUR = 3600
FOUR = ["payment.authorized", "payment.captured", "order.paid", "payment_link.paid"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def sandbox(tmp_path: Path, receiver: Receiver) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox", webhooks=receiver.url, has_old_secrets=True) as running:
        yield running


def test_the_status_counts_what_there_is(sandbox: Sandbox) -> None:
    link = sandbox.link()
    sandbox.pay(link)
    sandbox.settled()

    status = sandbox.ask("status")

    counted = {kind: count for kind, count in status["objects"]["razorpay"].items() if count}
    assert counted == {"payment_link": 1, "order": 1, "payment": 1, "event": 4}
    assert status["objects"]["stripe"]["webhook_endpoint"] == 1
    assert status["deliveries"] == {"withheld": 0, "pending": 0, "sending": 0, "delivered": 4, "failed": 0}
    assert (status["calls"], status["faults"], status["seed"]) == (1, {}, None)
    assert status["settings"]["razorpayAutoCapture"] is True
    assert status["next"] is None


def test_the_status_says_what_happens_next_by_itself(sandbox: Sandbox) -> None:
    session = sandbox.session()

    status = sandbox.ask("status")

    assert (status["next"]["what"], status["next"]["subject"]) == ("stripe.session.expires", session)
    assert abs(status["next"]["at"] - status["now"] - 24 * HOUR) < 60


def test_the_status_shows_endpoints_and_never_a_secret(sandbox: Sandbox, receiver: Receiver) -> None:
    own = sandbox.post_to_stripe(
        "webhook_endpoints", url=f"{receiver.url}/own", api_version="2024-06-20", **{"enabled_events[]": "charge.*"}
    )
    sandbox.post_to_stripe(f"webhook_endpoints/{own['id']}", disabled="true")

    status = sandbox.ask("status")

    told = {"gateway": "stripe", "id": own["id"], "url": f"{receiver.url}/own", "enabled": False}
    assert [(each["gateway"], each["types"], each["oldSecret"]) for each in status["endpoints"]] == [
        ("stripe", ["*"], True),
        ("stripe", ["charge.*"], False),
        ("razorpay", ["*"], True),
    ]
    assert told.items() <= status["endpoints"][1].items()
    assert status["endpoints"][1]["version"] == "2024-06-20"
    for secret in (own["secret"], STRIPE_SECRET, OLD_STRIPE_SECRET, RAZORPAY_SECRET):
        assert secret not in str(status)


def test_its_version_is_the_projects() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert __version__ == project["version"]


def test_a_reset_forgets_everything_but_the_time(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.control("clock", {"advance": HOUR})
    sandbox.control("settings", {"razorpayAutoCapture": False})
    sandbox.control("faults", {"drop": 0.5})
    sandbox.post_to_stripe("webhook_endpoints", url=f"{receiver.url}/own", **{"enabled_events[]": "*"})
    sandbox.session()
    sandbox.pay(sandbox.link())
    sandbox.settled()

    status = sandbox.control("reset", {})

    assert {kind for counted in status["objects"].values() for kind, n in counted.items() if n} == {"webhook_endpoint"}
    assert [each["id"] for each in status["endpoints"]] == ["we_1FromTheEnvironment000000", "razorpay"]
    assert (status["faults"], status["next"], status["calls"]) == ({}, None, 0)
    assert set(status["deliveries"].values()) == {0}
    assert status["settings"]["razorpayAutoCapture"] is True
    assert status["offset"] == pytest.approx(HOUR, abs=1)
    assert (sandbox.deliveries(), sandbox.calls()) == ([], [])


def test_after_a_reset_everything_works_as_on_the_first_day(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.link("order-1")
    sandbox.control("reset", {})

    paid = sandbox.pay(sandbox.link("order-1"))
    receiver.wait_for(*FOUR)

    assert paid["outcome"] == "paid"
    assert [each["state"] for each in sandbox.settled()] == ["delivered"] * 4


def test_an_idempotency_key_is_forgotten_too(sandbox: Sandbox) -> None:
    async def _make() -> str:
        async with sandbox.stripe() as client:
            return (await client.v1.products.create_async({"name": "Pro"}, {"idempotency_key": "k"})).id

    first, replayed = asyncio.run(_make()), asyncio.run(_make())
    sandbox.control("reset", {})
    after = asyncio.run(_make())

    assert first == replayed != after


def test_what_was_on_its_way_is_forgotten_and_never_arrives_again(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.answer_after_seconds = 2
    sandbox.customer()
    # The second waits for its turn behind the first.
    sandbox.customer()
    receiver.wait_for("customer.created")

    sandbox.control("reset", {})
    receiver.answer_after_seconds = 0
    sandbox.post_to_stripe("products", name="Pro")
    receiver.wait_for("product.created")

    assert receiver.types() == ["customer.created", "product.created"]
    assert [each["type"] for each in sandbox.settled()] == ["product.created"]


def test_a_resend_that_is_on_its_way_outlives_a_reset_and_leaves_no_trace(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.customer()
    receiver.wait_for("customer.created")
    (delivered,) = sandbox.settled()
    receiver.answer_after_seconds = 1

    with ThreadPoolExecutor(1) as pool:
        resending = pool.submit(sandbox.control, "resend", {"delivery": delivered["id"]})
        receiver.wait_for("customer.created", "customer.created")
        sandbox.control("reset", {})
        (resent,) = resending.result()["data"]

    assert resent["attempt"]["status"] == 200
    assert sandbox.deliveries() == []


def test_an_id_is_never_made_twice_not_even_with_a_seed(tmp_path: Path) -> None:
    made: list[str] = []
    with running_sandbox(tmp_path / "sandbox", seed=7) as sandbox:
        made.append(sandbox.customer()["id"])
        sandbox.control("reset", {})
        made.append(sandbox.customer()["id"])
    with running_sandbox(tmp_path / "sandbox", seed=7) as sandbox:
        made.append(sandbox.customer()["id"])

    assert len(set(made)) == 3


def test_a_reset_lasts(tmp_path: Path, receiver: Receiver) -> None:
    with running_sandbox(tmp_path / "sandbox", webhooks=receiver.url) as sandbox:
        sandbox.control("clock", {"advance": HOUR})
        sandbox.customer()
        wait_until(lambda: len(receiver.deliveries) == 1)
        sandbox.control("reset", {})

    with running_sandbox(tmp_path / "sandbox", webhooks=receiver.url) as sandbox:
        status = sandbox.ask("status")

    assert (status["objects"]["stripe"]["customer"], status["objects"]["stripe"]["event"]) == (0, 0)
    assert status["offset"] == pytest.approx(HOUR, abs=1)


def test_a_reset_takes_no_orders(sandbox: Sandbox) -> None:
    sandbox.customer()

    refused = sandbox.refused("reset", {"everything": True})

    assert refused == (400, "unknown_fields", "unknown: everything; known are none")
    assert sandbox.ask("status")["objects"]["stripe"]["customer"] == 1
