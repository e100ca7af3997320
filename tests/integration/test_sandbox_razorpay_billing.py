"""Razorpay's subscriptions on the movable clock: cycles, retries, halts, pauses, ends, and what webhooks say of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import razorpay

from tests.sandboxes import ASKS, DECLINED, NO_FUNDS, PAYS, Receiver, Sandbox, running_receiver, running_sandbox

HOUR, DAY = 3600, 24 * 3600
PRICE = 49900
CHARGE = ["payment.authorized", "payment.captured", "order.paid", "invoice.paid", "subscription.charged"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox") as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[razorpay.Client]:
    with sandbox.razorpay() as connected:
        yield connected


def _plan(client: razorpay.Client, amount: int = PRICE, period: str = "monthly") -> str:
    item = {"name": "Pro", "amount": amount, "currency": "INR"}
    return str(client.plan.create({"period": period, "interval": 1, "item": item})["id"])


def _created(client: razorpay.Client, **changes: Any) -> dict[str, Any]:
    return dict(client.subscription.create({"plan_id": _plan(client), "total_count": 12, **changes}))


def _active(sandbox: Sandbox, client: razorpay.Client, card: str = PAYS, **changes: Any) -> str:
    made = _created(client, **changes)
    assert sandbox.pay(made["id"], card)["outcome"] == "paid"
    return str(made["id"])


def _advance_to(sandbox: Sandbox, moment: int) -> None:
    """A second later, so that what falls due at that moment has happened."""
    sandbox.control("clock", {"advance": moment + 1 - sandbox.now()})


def _to_next_charge(sandbox: Sandbox, client: razorpay.Client, subscription: str) -> None:
    _advance_to(sandbox, client.subscription.fetch(subscription)["charge_at"])


def _fail_until_halted(sandbox: Sandbox, client: razorpay.Client, subscription: str) -> None:
    sandbox.control("subscription", {"subscription": subscription, "card": DECLINED})
    for _ in range(4):
        _to_next_charge(sandbox, client, subscription)


def _events(sandbox: Sandbox, after: int = 0) -> list[dict[str, Any]]:
    return sandbox.objects("razorpay", "event")[after:]


def _types(sandbox: Sandbox, after: int = 0) -> list[str]:
    return [event["event"] for event in _events(sandbox, after)]


def _invoices(client: razorpay.Client, subscription: str) -> list[dict[str, Any]]:
    """Oldest first."""
    return list(client.invoice.all({"subscription_id": subscription, "count": 100})["items"][::-1])


# Cycles.


def test_each_cycle_is_invoiced_charged_and_told(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _active(sandbox, client)
    first, before = client.subscription.fetch(made), len(_events(sandbox))

    _advance_to(sandbox, first["charge_at"])

    now, events = client.subscription.fetch(made), _events(sandbox, before)
    charged = events[-1]["payload"]
    assert [event["event"] for event in events] == CHARGE
    assert {event["created_at"] for event in events} == {first["charge_at"]}
    assert charged["payment"]["entity"]["description"] == "Recurring Payment via Subscription"
    assert charged["subscription"]["entity"]["paid_count"] == 2
    assert (now["current_start"], now["paid_count"], now["remaining_count"]) == (first["current_end"], 2, 10)
    assert now["end_at"] == first["end_at"]
    assert [each["billing_start"] for each in _invoices(client, made)] == [first["current_start"], now["current_start"]]


def test_a_card_that_asked_for_3d_secure_is_charged_again_without_it(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _active(sandbox, client, card=ASKS)

    _to_next_charge(sandbox, client, made)

    assert client.subscription.fetch(made)["paid_count"] == 2


def test_two_years_of_one_subscription_take_seconds(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _active(sandbox, client, total_count=24)
    began = time.monotonic()

    for _ in range(2):
        sandbox.control("clock", {"advance": 366 * DAY})

    ended = client.subscription.fetch(made)
    assert time.monotonic() - began < 20
    assert (ended["status"], ended["paid_count"], ended["remaining_count"]) == ("completed", 24, 0)
    assert len({each["billing_start"] for each in _invoices(client, made)}) == 24
    assert Counter(_types(sandbox))["subscription.charged"] == 24


def test_it_completes_with_its_last_payment_while_the_last_cycle_has_only_begun(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    made = _active(sandbox, client, total_count=2)

    _to_next_charge(sandbox, client, made)

    ended = client.subscription.fetch(made)
    completed = _events(sandbox)[-1]
    assert ended["status"] == "completed"
    assert ended["ended_at"] == ended["current_start"] == ended["end_at"]
    assert ended["current_end"] > ended["ended_at"] + 27 * DAY
    assert (completed["event"], set(completed["payload"])) == ("subscription.completed", {"subscription", "payment"})


# Starting later.


def test_a_trial_becomes_active_at_its_start_and_is_charged_then(sandbox: Sandbox, client: razorpay.Client) -> None:
    start = sandbox.now() + 14 * DAY
    made = _active(sandbox, client, start_at=start)
    before = len(_events(sandbox))

    _advance_to(sandbox, start)

    activated = _events(sandbox, before)[0]
    now = client.subscription.fetch(made)
    assert _types(sandbox, before) == ["subscription.activated", *CHARGE]
    assert set(activated["payload"]) == {"subscription"}
    assert activated["payload"]["subscription"]["entity"]["paid_count"] == 0
    assert (now["status"], now["current_start"], now["paid_count"]) == ("active", start, 1)


def test_a_trial_whose_first_charge_fails_is_active_and_then_pending(sandbox: Sandbox, client: razorpay.Client) -> None:
    start = sandbox.now() + 14 * DAY
    made = _active(sandbox, client, start_at=start)
    sandbox.control("subscription", {"subscription": made, "nextPayment": "fail"})
    before = len(_events(sandbox))

    _advance_to(sandbox, start)

    assert _types(sandbox, before) == ["subscription.activated", "payment.failed", "subscription.pending"]
    assert client.subscription.fetch(made)["paid_count"] == 0


@pytest.mark.parametrize("until", ["start_at", "expire_by"])
def test_f81_who_never_pays_lets_it_expire_and_nothing_says_so(
    sandbox: Sandbox, client: razorpay.Client, until: str
) -> None:
    made = _created(client, **{until: sandbox.now() + DAY})
    before = len(_events(sandbox))

    sandbox.control("clock", {"advance": 2 * DAY})

    ended = client.subscription.fetch(made["id"])
    assert (ended["status"], ended["ended_at"]) == ("expired", made[until])
    assert _types(sandbox, before) == []
    assert sandbox.refused("pay", {"session": made["id"], "card": PAYS})[1] == "not_payable"
    with pytest.raises(razorpay.errors.BadRequestError, match="not cancellable in expired status"):
        client.subscription.cancel(made["id"])


# Failing.


def test_f82_a_failed_charge_is_tried_again_on_three_days_and_then_halts(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    made = _active(sandbox, client)
    due, before = client.subscription.fetch(made)["charge_at"], len(_events(sandbox))
    sandbox.control("subscription", {"subscription": made, "card": NO_FUNDS})

    _advance_to(sandbox, due + 4 * DAY)

    told = [
        (event["event"], event["created_at"] - due, event["payload"]["subscription"]["entity"]["auth_attempts"])
        for event in _events(sandbox, before)
        if event["event"] != "payment.failed"
    ]
    assert told == [
        ("subscription.pending", 0, 1),
        ("subscription.pending", DAY, 2),
        ("subscription.pending", 2 * DAY, 3),
        ("subscription.halted", 3 * DAY, 4),
    ]
    assert Counter(_types(sandbox, before))["payment.failed"] == 4
    assert all("payment" not in event["payload"] for event in _events(sandbox) if "pending" in event["event"])
    assert [each["status"] for each in _invoices(client, made)] == ["paid", "issued"]


def test_the_period_of_a_pending_subscription_is_the_one_that_nobody_has_paid(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    made = _active(sandbox, client)
    paid_until = client.subscription.fetch(made)["current_end"]
    sandbox.control("subscription", {"subscription": made, "nextPayment": "fail"})

    _advance_to(sandbox, paid_until)

    now = client.subscription.fetch(made)
    assert (now["status"], now["current_start"], now["charge_at"]) == ("pending", paid_until, paid_until + DAY)
    assert (now["paid_count"], now["remaining_count"]) == (1, 10)


def test_a_retry_that_succeeds_charges_and_activates_on_the_dates_of_before(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    made = _active(sandbox, client)
    sandbox.control("subscription", {"subscription": made, "nextPayment": "fail"})
    _to_next_charge(sandbox, client, made)
    failed, before = client.subscription.fetch(made), len(_events(sandbox))

    _to_next_charge(sandbox, client, made)

    now = client.subscription.fetch(made)
    assert _types(sandbox, before) == [*CHARGE, "subscription.activated"]
    assert (now["status"], now["auth_attempts"], now["paid_count"]) == ("active", 0, 2)
    assert (now["current_end"], now["charge_at"]) == (failed["current_end"], failed["current_end"])
    assert [each["status"] for each in _invoices(client, made)] == ["paid", "paid"]


def test_f88_another_card_pays_what_is_due_and_ends_the_retries(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _active(sandbox, client)
    sandbox.control("subscription", {"subscription": made, "card": DECLINED})
    _to_next_charge(sandbox, client, made)
    before = len(_events(sandbox))

    paid = sandbox.pay(made)

    sandbox.control("clock", {"advance": 5 * DAY})
    assert paid["outcome"] == "paid"
    assert _types(sandbox, before) == [*CHARGE, "subscription.activated"]
    assert client.subscription.fetch(made)["status"] == "active"
    _to_next_charge(sandbox, client, made)
    assert client.subscription.fetch(made)["paid_count"] == 3


def test_an_order_for_the_next_charge_outlives_another_card(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _active(sandbox, client)
    sandbox.control("subscription", {"subscription": made, "card": DECLINED})
    _to_next_charge(sandbox, client, made)
    sandbox.control("subscription", {"subscription": made, "nextPayment": "fail"})
    sandbox.pay(made)

    _to_next_charge(sandbox, client, made)

    assert client.subscription.fetch(made)["status"] == "pending"


def test_f85_a_customers_own_failed_attempt_uses_up_no_retry(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _active(sandbox, client)
    sandbox.control("subscription", {"subscription": made, "card": DECLINED})
    _to_next_charge(sandbox, client, made)
    before = client.subscription.fetch(made)

    declined = [sandbox.pay(made, card)["outcome"] for card in (DECLINED, NO_FUNDS)]

    assert declined == ["declined", "declined"]
    assert client.subscription.fetch(made) == before


def test_f82_a_halted_subscription_is_invoiced_and_not_charged_and_its_old_invoices_stay_unpaid(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    made = _active(sandbox, client)
    _fail_until_halted(sandbox, client, made)
    halted, before = client.subscription.fetch(made), len(_events(sandbox))
    for _ in range(2):
        _to_next_charge(sandbox, client, made)
    silent = _types(sandbox, before)

    sandbox.pay(made)

    now = client.subscription.fetch(made)
    assert halted["status"] == "halted"
    assert silent == []
    assert [each["status"] for each in _invoices(client, made)] == ["paid", "issued", "issued", "paid"]
    assert (now["status"], now["paid_count"], now["remaining_count"]) == ("active", 2, 8)
    assert _types(sandbox, before) == [*CHARGE, "subscription.activated"]
    assert now["halted_at"] is None
    _to_next_charge(sandbox, client, made)
    assert [each["status"] for each in _invoices(client, made)] == ["paid", "issued", "issued", "paid", "paid"]


def test_an_older_invoice_that_is_paid_late_activates_and_leaves_the_newer_one_unpaid(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    made = _active(sandbox, client)
    _fail_until_halted(sandbox, client, made)
    next_cycle = client.subscription.fetch(made)["charge_at"]
    sandbox.pay(made, late=next_cycle + HOUR - sandbox.now())

    _advance_to(sandbox, next_cycle + 2 * HOUR)

    now = client.subscription.fetch(made)
    assert [each["status"] for each in _invoices(client, made)] == ["paid", "paid", "issued"]
    assert (now["status"], now["current_start"], now["charge_at"]) == ("active", next_cycle, now["current_end"])


def test_an_older_invoice_completes_nothing_while_the_last_one_is_unpaid(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    made = _active(sandbox, client, total_count=3)
    _fail_until_halted(sandbox, client, made)
    last_cycle = client.subscription.fetch(made)["charge_at"]
    sandbox.pay(made, late=last_cycle + HOUR - sandbox.now())

    _advance_to(sandbox, last_cycle + 2 * HOUR)

    now = client.subscription.fetch(made)
    _advance_to(sandbox, now["current_end"])
    assert (now["status"], now["remaining_count"], now["paid_count"]) == ("active", 0, 2)
    assert client.subscription.fetch(made)["status"] == "completed"


def test_one_that_halts_in_its_last_cycle_completes_when_that_ends(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _active(sandbox, client, total_count=2)
    _fail_until_halted(sandbox, client, made)
    last = client.subscription.fetch(made)

    _advance_to(sandbox, last["current_end"])

    ended = client.subscription.fetch(made)
    assert (last["status"], last["remaining_count"]) == ("halted", 0)
    assert (ended["status"], ended["paid_count"], ended["ended_at"]) == ("completed", 1, last["current_end"])
    assert _types(sandbox)[-1] == "subscription.completed"


def test_a_subscription_by_upi_goes_on_with_a_card_alone(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _created(client)
    upi = {"session": made["id"], "method": "upi", "vpa": "success@razorpay"}
    sandbox.control("pay", upi)
    sandbox.control("subscription", {"subscription": made["id"], "nextPayment": "fail"})
    _to_next_charge(sandbox, client, made["id"])

    refused = sandbox.refused("pay", upi)
    page = httpx.get(made["short_url"], trust_env=False).text
    paid = sandbox.pay(made["id"])

    assert refused[1:] == ("not_payable", "A subscription that was paid by UPI goes on with a card only.")
    assert "UPI address" not in page
    assert paid["outcome"] == "paid"
    assert client.subscription.fetch(made["id"])["payment_method"] == "card"


@pytest.mark.parametrize(
    ("is_at_end", "answered", "ended_up"), [(False, "cancelled", "cancelled"), (True, "pending", "active")]
)
def test_a_200_to_cancel_at_the_cycles_end_cancels_nothing_that_is_not_active(
    sandbox: Sandbox, client: razorpay.Client, is_at_end: bool, answered: str, ended_up: str
) -> None:
    made = _active(sandbox, client)
    sandbox.control("subscription", {"subscription": made, "nextPayment": "fail"})
    _to_next_charge(sandbox, client, made)

    answer = client.subscription.cancel(made, {"cancel_at_cycle_end": is_at_end})

    sandbox.control("clock", {"advance": 40 * DAY})
    assert (answer["status"], client.subscription.fetch(made)["status"]) == (answered, ended_up)


# Pausing, cancelling, changing.


def test_f90_cancelled_at_the_cycles_end_it_ends_there_uncharged(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _active(sandbox, client)
    ends = client.subscription.fetch(made)["current_end"]
    client.subscription.cancel(made, {"cancel_at_cycle_end": True})
    before = len(_events(sandbox))

    _advance_to(sandbox, ends)

    ended = client.subscription.fetch(made)
    assert (ended["status"], ended["ended_at"], ended["paid_count"]) == ("cancelled", ends, 1)
    assert _types(sandbox, before) == ["subscription.cancelled"]


def test_in_its_last_cycle_there_is_no_other_to_cancel_before(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _active(sandbox, client, total_count=2)
    sandbox.control("subscription", {"subscription": made, "nextPayment": "fail"})
    _to_next_charge(sandbox, client, made)

    with pytest.raises(razorpay.errors.BadRequestError, match="in its final cycle and cannot be cancelled now"):
        client.subscription.cancel(made, {"cancel_at_cycle_end": True})


def test_f79_cycles_that_pass_in_a_pause_are_skipped_and_come_at_the_end(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    made = _active(sandbox, client)
    before = client.subscription.fetch(made)
    client.subscription.pause(made, {"pause_at": "now"})
    sandbox.control("clock", {"advance": 75 * DAY})

    resumed = client.subscription.resume(made, {"resume_at": "now"})

    events = len(_events(sandbox))
    assert len(_invoices(client, made)) == 1
    assert resumed["current_end"] == before["current_end"] < sandbox.now() < resumed["charge_at"]
    assert resumed["remaining_count"] == before["remaining_count"]
    assert 58 * DAY < resumed["end_at"] - before["end_at"] < 63 * DAY
    _advance_to(sandbox, resumed["charge_at"])
    assert _types(sandbox, events) == CHARGE
    assert client.subscription.fetch(made)["current_start"] == resumed["charge_at"]


def test_a_change_at_the_cycles_end_is_told_and_charged_there(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _active(sandbox, client)
    less = _plan(client, amount=PRICE // 2)
    client.subscription.edit(made, {"plan_id": less, "schedule_change_at": "cycle_end"})
    before, ends = len(_events(sandbox)), client.subscription.fetch(made)["current_end"]

    _advance_to(sandbox, ends)

    now = client.subscription.fetch(made)
    assert _types(sandbox, before) == ["subscription.updated", *CHARGE]
    assert _events(sandbox)[-1]["payload"]["payment"]["entity"]["amount"] == PRICE // 2
    assert (now["plan_id"], now["has_scheduled_changes"], now["current_start"]) == (less, False, ends)


def test_another_rhythm_at_the_cycles_end_counts_from_there(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _active(sandbox, client)
    yearly = _plan(client, amount=10 * PRICE, period="yearly")
    client.subscription.edit(made, {"plan_id": yearly, "schedule_change_at": "cycle_end"})
    ends = client.subscription.fetch(made)["current_end"]

    _advance_to(sandbox, ends)

    now = client.subscription.fetch(made)
    assert now["current_start"] == ends
    assert 365 * DAY <= now["current_end"] - ends <= 366 * DAY


# Faults, restarts, resets, webhooks.


def test_a_late_authorisation_is_a_failed_charge_first(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _active(sandbox, client)
    due, before = client.subscription.fetch(made)["charge_at"], len(_events(sandbox))
    sandbox.control("faults", {"lateAuthorisation": 1})

    _advance_to(sandbox, due + 2 * HOUR)

    assert _types(sandbox, before) == ["payment.failed", "subscription.pending", *CHARGE, "subscription.activated"]
    assert client.subscription.fetch(made)["paid_count"] == 2


def test_money_that_comes_late_for_what_is_paid_is_not_captured(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _active(sandbox, client)
    sandbox.control("subscription", {"subscription": made, "card": DECLINED})
    _to_next_charge(sandbox, client, made)
    late = sandbox.pay(made, late=2 * HOUR)["payment"]
    sandbox.pay(made)

    sandbox.control("clock", {"advance": 3 * HOUR})

    assert client.payment.fetch(late)["status"] == "authorized"
    assert client.subscription.fetch(made)["paid_count"] == 2


def test_a_restart_forgets_no_cycle(tmp_path: Path) -> None:
    with running_sandbox(tmp_path / "sandbox") as sandbox, sandbox.razorpay() as client:
        made = _active(sandbox, client)
        due = client.subscription.fetch(made)["charge_at"]

    with running_sandbox(tmp_path / "sandbox") as sandbox, sandbox.razorpay() as client:
        _advance_to(sandbox, due)

        assert client.subscription.fetch(made)["paid_count"] == 2


def test_a_reset_forgets_subscriptions_and_what_was_to_happen_to_them(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    _active(sandbox, client)

    status = sandbox.control("reset", {})
    sandbox.control("clock", {"advance": 60 * DAY})

    assert status["next"] is None
    assert sandbox.ask("objects", gateway="razorpay")["data"] == []


def test_the_same_seed_makes_the_same_subscription(tmp_path: Path) -> None:
    def run(place: str) -> list[str]:
        with running_sandbox(tmp_path / place, seed=7) as sandbox, sandbox.razorpay() as client:
            made = _active(sandbox, client)
            _to_next_charge(sandbox, client, made)
            return [each["id"] for each in sandbox.ask("objects", gateway="razorpay")["data"]]

    assert run("once") == run("again")


def test_webhooks_arrive_in_the_order_of_the_cycles_and_have_been_answered(tmp_path: Path, receiver: Receiver) -> None:
    with (
        running_sandbox(tmp_path / "sandbox", webhooks=receiver.url) as sandbox,
        sandbox.razorpay() as client,
    ):
        made = _active(sandbox, client)
        receiver.wait_for("subscription.charged")

        for _ in range(3):
            _to_next_charge(sandbox, client, made)

        charged = [event for event in receiver.events() if event["event"] == "subscription.charged"]
        assert [event["payload"]["subscription"]["entity"]["paid_count"] for event in charged] == [1, 2, 3, 4]
        assert {delivery["state"] for delivery in sandbox.settled()} == {"delivered"}


# The page.


def _page(subscription: dict[str, Any]) -> str:
    answer = httpx.get(subscription["short_url"], trust_env=False)
    assert answer.status_code == 200
    return answer.text


def _send(subscription: dict[str, Any], path: str = "", **form: str) -> httpx.Response:
    return httpx.post(f"{subscription['short_url']}{path}", data=form, trust_env=False)


def _card(number: str) -> dict[str, str]:
    return {"number": number, "expiry": "12/34", "csc": "123"}


def test_the_page_takes_the_first_payment_and_says_what_comes(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _created(client)
    before = _page(made)

    answer = _send(made, **_card(PAYS))

    assert "INR 499.00" in before
    assert "every month, 12 times" in before
    assert (answer.status_code, answer.headers["location"]) == (303, httpx.URL(made["short_url"]).path)
    assert "Your subscription is active" in _page(made)
    assert client.subscription.fetch(made["id"])["status"] == "active"


def test_the_page_of_a_trial_asks_for_the_token_and_tells_the_start(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _created(client, start_at=sandbox.now() + 14 * DAY)
    before = _page(made)

    _send(made, "/upi", vpa="success@razorpay")

    assert "INR 5.00" in before
    assert "What you pay now goes back at once." in before
    assert "It starts on" in _page(made)
    assert client.subscription.fetch(made["id"])["status"] == "authenticated"


def test_what_is_asked_for_upfront_does_not_go_back(sandbox: Sandbox, client: razorpay.Client) -> None:
    addons = [{"item": {"name": "Set-up", "amount": 10000, "currency": "INR"}}]

    page = _page(_created(client, start_at=sandbox.now() + 14 * DAY, addons=addons))

    assert "INR 100.00" in page
    assert "goes back" not in page


def test_a_decline_is_shown_and_the_bank_has_its_page(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _created(client)

    _send(made, **_card(DECLINED))
    declined = _page(made)
    _send(made, **_card(ASKS))
    bank = _page(made)
    _send(made, "/authenticate", answer="pass")

    assert "declined by the bank" in declined
    assert "Is this payment yours?" in bank
    assert "Your subscription is active" in _page(made)


def test_mistakes_are_told_beside_their_fields_and_a_form_sent_twice_is_one_attempt(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    made = _created(client)

    wrong, unknown = _send(made, **_card("5555555555554444")), _send(made, "/upi", vpa="me@bank")
    for _ in range(2):
        _send(made, after="nothing", **_card(DECLINED))

    assert "Only test cards work here" in wrong.text
    assert "5555" not in wrong.text
    assert "Only success@razorpay and failure@razorpay work here." in unknown.text
    assert len(sandbox.objects("razorpay", "payment")) == 1


def test_the_page_of_a_failed_charge_takes_another_card(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _created(client)
    sandbox.pay(made["id"])
    sandbox.control("subscription", {"subscription": made["id"], "card": DECLINED})
    _to_next_charge(sandbox, client, made["id"])
    asking = _page(made)

    _send(made, **_card(PAYS))

    assert "Your last payment failed" in asking
    assert "Your subscription is active" in _page(made)
    assert client.subscription.fetch(made["id"])["paid_count"] == 2


def test_a_page_that_is_over_says_so_and_takes_nothing(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _created(client, start_at=sandbox.now() + DAY)
    client.subscription.cancel(made["id"])

    answer = _send(made, **_card(PAYS))

    assert answer.status_code == 303
    assert "This subscription is cancelled." in _page(made)
    assert sandbox.objects("razorpay", "payment") == []
    assert httpx.get(f"{sandbox.url}/pay/razorpay/subscriptions/sub_none", trust_env=False).status_code == 404
