"""A seed repeats a run: the same calls and payments meet the same faults, and with ``--seed`` make the same ids."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sandboxes import (
    DECLINED,
    PAYS,
    RAZORPAY_KEY,
    STRIPE_KEY,
    Receiver,
    Sandbox,
    running_receiver,
    running_sandbox,
    wait_until,
)

#: Every fault that there is.
ALL = {
    "drop": 0.2,
    "duplicate": 0.3,
    "delay": 0.01,
    "reorder": 0.3,
    "sameSecond": 0.3,
    "twoEvents": 0.3,
    "oldSecret": 0.3,
    "wrongSignature": 0.2,
    "apiErrors": {"429": 0.1, "500": 0.1, "502": 0.1},
    "timeout": {"seconds": 0.01, "rate": 0.3},
    "cutAfterCommit": 0.1,
    "lateAuthorisation": 0.3,
    "amountMismatch": 0.3,
}
Run = dict[str, Any]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


def _try(client: httpx.Client, path: str, **sent: Any) -> dict[str, Any]:
    """One call, whatever becomes of it."""
    try:
        answer = client.post(path, **sent)
    except httpx.RemoteProtocolError:
        return {}
    return dict(answer.json()) if answer.status_code == 200 else {}


def _trade_at_stripe(sandbox: Sandbox) -> None:
    base = f"{sandbox.url}/stripe/v1/"
    fields = {
        "mode": "payment",
        "success_url": "https://shop.test",
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": "4900",
        "line_items[0][price_data][product_data][name]": "Lifetime",
        "line_items[0][quantity]": "1",
    }
    with httpx.Client(auth=(STRIPE_KEY, ""), base_url=base, timeout=60, trust_env=False) as client:
        for number in range(18):
            _try(client, "customers", data={"email": f"{number}@b.test"})
            session = _try(client, "checkout/sessions", data=fields)
            if session:
                sandbox.pay(session["id"], DECLINED if number % 3 == 0 else PAYS)


def _trade_at_razorpay(sandbox: Sandbox) -> None:
    base = f"{sandbox.url}/razorpay/v1/"
    with httpx.Client(auth=RAZORPAY_KEY, base_url=base, timeout=60, trust_env=False) as client:
        for number in range(18):
            link = _try(client, "payment_links", json={"amount": 49900, "reference_id": f"order-{number}"})
            if link:
                sandbox.pay(link["id"], DECLINED if number % 3 == 0 else PAYS)


def _told(sandbox: Sandbox) -> Run:
    """What went wrong, and nothing that differs from run to run by its nature: ids, times."""
    wait_until(lambda: all(call["milliseconds"] is not None for call in sandbox.calls()))
    sandbox.control("clock", {"advance": 7200})
    settled = sandbox.settled()
    told: Run = {}
    for gateway in ("stripe", "razorpay"):
        told[f"{gateway} calls"] = [
            (call["method"], call["path"], call["status"], call["faults"])
            for call in sandbox.calls()
            if call["gateway"] == gateway
        ]
        told[f"{gateway} deliveries"] = [
            (each["type"], each["state"], [(one["number"], one["faults"], one["status"]) for one in each["attempts"]])
            for each in settled
            if each["gateway"] == gateway
        ]
    intents, payments = sandbox.objects("stripe", "payment_intent"), sandbox.objects("razorpay", "payment")
    told["taken"] = [(each["amount"], each["status"]) for each in [*intents, *payments]]
    failed = [each["payload"]["payment"]["entity"]["id"] for each in _events_of(sandbox, "payment.failed")]
    told["late"] = [each["id"] in failed for each in payments if each["status"] == "captured"]
    return told


def _events_of(sandbox: Sandbox, kind: str) -> list[dict[str, Any]]:
    return [event for event in sandbox.objects("razorpay", "event") if event["event"] == kind]


def _run(folder: Path, receiver: Receiver, seed: int, *, both_at_once: bool = False, slow: float = 0) -> Run:
    receiver.answer_after_seconds = slow
    with running_sandbox(folder, webhooks=receiver.url, has_old_secrets=True) as sandbox:
        sandbox.control("faults", {**ALL, "seed": seed})
        trades = (_trade_at_stripe, _trade_at_razorpay)
        with ThreadPoolExecutor(2 if both_at_once else 1) as pool:
            for done in [pool.submit(trade, sandbox) for trade in trades]:
                done.result()
        return _told(sandbox)


def test_the_same_seed_and_the_same_calls_meet_the_same_faults(tmp_path: Path, receiver: Receiver) -> None:
    first = _run(tmp_path / "first", receiver, 7)
    again = _run(tmp_path / "again", receiver, 7)
    other = _run(tmp_path / "other", receiver, 8)

    struck = {fault for gateway in ("stripe", "razorpay") for call in first[f"{gateway} calls"] for fault in call[3]}
    struck |= {fault for each in first["razorpay deliveries"] for attempt in each[2] for fault in attempt[1]}
    assert first == again
    assert first != other
    assert struck >= {
        "duplicate",
        "reorder",
        "oldSecret",
        "wrongSignature",
        "timeout",
        "cutAfterCommit",
        "sameSecond",
        "twoEvents",
    }
    assert struck >= {"apiErrors.429", "apiErrors.500", "apiErrors.502"}
    assert {state for _, state, _ in first["stripe deliveries"]} == {"withheld", "delivered"}
    assert {amount for amount, _ in first["taken"]} == {4900, 4899, 49900, 49899}
    assert set(first["late"]) == {True, False}


def test_what_happens_beside_a_caller_changes_nothing_of_it(tmp_path: Path, receiver: Receiver) -> None:
    alone = _run(tmp_path / "alone", receiver, 7)

    # Two callers at once, each in its own order, and a receiver that is slow and fails: deliveries overlap otherwise.
    beside = _run(tmp_path / "beside", receiver, 7, both_at_once=True, slow=0.05)

    assert alone == beside


def test_retries_meet_the_same_faults_whenever_they_come(tmp_path: Path, receiver: Receiver) -> None:
    runs = []
    receiver.status = 400
    for name, pauses in (("first", (1, 5, 25)), ("second", (40,))):
        with running_sandbox(tmp_path / name, webhooks=receiver.url, has_old_secrets=True) as sandbox:
            sandbox.control("faults", {"duplicate": 0.5, "oldSecret": 0.5, "seed": 3})
            for _ in range(4):
                sandbox.customer()
            for pause in pauses:
                sandbox.control("clock", {"advance": pause})
            wait_until(lambda: all(each["attempts"][-1:] for each in sandbox.deliveries()))
            runs.append(
                [[one["faults"] for one in each["attempts"] if one["number"] <= 3] for each in sandbox.deliveries()]
            )

    assert runs[0] == runs[1]
    assert len({str(faults) for faults in runs[0]}) > 1


def test_each_attempt_draws_for_itself(tmp_path: Path, receiver: Receiver) -> None:
    receiver.status = 400
    with running_sandbox(tmp_path / "sandbox", webhooks=receiver.url) as sandbox:
        sandbox.control("faults", {"wrongSignature": 0.5, "seed": 3})
        for _ in range(4):
            sandbox.customer()
        wait_until(lambda: all(each["attempts"] for each in sandbox.deliveries()))
        sandbox.control("clock", {"advance": 40})
        signed = [[one["signature"] for one in each["attempts"][:3]] for each in sandbox.deliveries()]

    assert any(len(set(signatures)) == 2 for signatures in signed)


def test_the_start_gives_the_seed_where_the_order_names_none(tmp_path: Path) -> None:
    with running_sandbox(tmp_path / "sandbox", seed=12) as sandbox:
        ordered = sandbox.control("faults", {"drop": 0.5})
        named = sandbox.control("faults", {"drop": 0.5, "seed": 3})
        status = sandbox.ask("status")

    assert (ordered["seed"], named["seed"], status["seed"]) == (12, 3, 12)


def _ids(folder: Path, seed: int | None, *, looks: int = 0) -> list[str]:
    with running_sandbox(folder, seed=seed) as sandbox:
        made = [sandbox.customer()["id"], sandbox.session()]
        for _ in range(looks):
            sandbox.get_from_stripe("customers")
        made += [str(sandbox.pay(made[1])["payment"]), sandbox.link()]
        made += [str(sandbox.pay(made[3])["payment"])]
        endpoint = sandbox.post_to_stripe("webhook_endpoints", url="https://shop.test", **{"enabled_events[]": "x.y"})
        made += [endpoint["id"], endpoint["secret"]]
        return made + [event["id"] for gateway in ("stripe", "razorpay") for event in sandbox.objects(gateway, "event")]


def test_with_a_seed_a_fresh_directory_makes_the_same_ids_and_secrets(tmp_path: Path) -> None:
    first, again = _ids(tmp_path / "first", 5), _ids(tmp_path / "again", 5)
    looked = _ids(tmp_path / "looked", 5, looks=3)
    other, unseeded = _ids(tmp_path / "other", 6), _ids(tmp_path / "unseeded", None)

    assert first == again == looked
    assert len({each[-10:] for each in first}) == len(first)
    assert not set(first) & set(other)
    assert not set(first) & set(unseeded)
