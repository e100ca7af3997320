"""What subscriptions at Stripe's stand-in do by themselves while the clock is moved: renew, fail, be retried, end."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import stripe

from sandbox.stripe import periods, prorations
from tests.sandboxes import STRIPE_SECRET, Receiver, Sandbox, running_receiver, running_sandbox
from tests.subscribers import (
    ALWAYS_ASKS,
    DAY,
    FAILS_LATER,
    HOUR,
    Json,
    advance,
    advance_to,
    change,
    check_out,
    day,
    events,
    invoices_of,
    latest_invoice,
    look,
    new_customer,
    new_price,
    period,
    subscribe,
    told,
)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox") as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def listened_to(tmp_path: Path, receiver: Receiver) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox", webhooks=receiver.url) as running:
        yield running


def swap_card(sandbox: Sandbox, subscription: Json, card: str) -> None:
    sandbox.control("subscription", {"subscription": subscription["id"], "card": card})


def order(sandbox: Sandbox, subscription: Json, next_payment: str, **more: Any) -> None:
    sandbox.control("subscription", {"subscription": subscription["id"], "nextPayment": next_payment, **more})


def to_renewal(sandbox: Sandbox, subscription: Json) -> None:
    """Past the end of the period, and past the hour in which the invoice is a draft."""
    advance_to(sandbox, period(look(sandbox, subscription))[1] + HOUR + 60)


# Periods.


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


MONTHLY = {"interval": "month", "interval_count": 1}


@pytest.mark.parametrize(
    ("anchor", "recurring", "ends"),
    [
        ("2027-01-31T10:00", MONTHLY, ["2027-02-28T10:00", "2027-03-31T10:00", "2027-04-30T10:00"]),
        ("2028-01-30T10:00", MONTHLY, ["2028-02-29T10:00", "2028-03-30T10:00"]),
        ("2028-02-29T10:00", {"interval": "year", "interval_count": 1}, ["2029-02-28T10:00", "2030-02-28T10:00"]),
        ("2027-11-30T10:00", {"interval": "month", "interval_count": 3}, ["2028-02-29T10:00", "2028-05-30T10:00"]),
        ("2027-01-31T10:00", {"interval": "week", "interval_count": 2}, ["2027-02-14T10:00", "2027-02-28T10:00"]),
        ("2027-01-31T10:00", {"interval": "day", "interval_count": 1}, ["2027-02-01T10:00", "2027-02-02T10:00"]),
    ],
)
def test_a_period_ends_on_the_day_of_its_anchor_or_on_a_short_months_last(
    anchor: str, recurring: Json, ends: list[str]
) -> None:
    start = at(anchor)
    for end in ends:
        assert periods.next_boundary(at(anchor), recurring, start) == at(end)
        assert periods.last_boundary(at(anchor), recurring, at(end) - 1) == start
        start = at(end)


@pytest.mark.parametrize(
    ("amount", "moment", "left"), [(1000, 0, 1000), (1000, 50, 500), (1000, 100, 0), (999, 50, 500), (1, 51, 0)]
)
def test_a_share_of_a_period_is_rounded_to_the_nearest_unit(amount: int, moment: int, left: int) -> None:
    assert prorations.share(amount, 0, 100, moment) == left


def test_a_subscription_of_the_31st_keeps_its_day(sandbox: Sandbox) -> None:
    year = datetime.fromtimestamp(sandbox.now(), UTC).year + 1
    advance_to(sandbox, at(f"{year}-01-31T10:00"))
    subscription = check_out(sandbox)

    advance(sandbox, days=60)

    last = calendar.monthrange(year, 2)[1]
    starts = [day(invoice["lines"]["data"][0]["period"]["start"]) for invoice in invoices_of(sandbox, subscription)]
    assert starts == [f"{year}-01-31", f"{year}-02-{last}", f"{year}-03-31"]


# A renewal.


def test_a_renewal_is_announced_drafted_and_charged_an_hour_later(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox, **{"subscription_data[metadata][a]": "b"})
    start, end = period(subscription)

    advance_to(sandbox, end - 7 * DAY + 1)
    (upcoming,) = [event["data"]["object"] for event in events(sandbox, "invoice.upcoming")]
    advance_to(sandbox, end + 1)
    draft, renewed = latest_invoice(sandbox, subscription), look(sandbox, subscription)
    advance(sandbox, hours=1)
    paid = latest_invoice(sandbox, subscription)

    assert "id" not in upcoming
    assert (upcoming["amount_due"], upcoming["period_start"], upcoming["period_end"]) == (900, start, end)
    assert (draft["status"], draft["billing_reason"], draft["number"]) == ("draft", "subscription_cycle", None)
    assert (draft["automatically_finalizes_at"], draft["next_payment_attempt"]) == (end + HOUR, end + HOUR)
    assert (draft["period_start"], draft["period_end"]) == (start, end)
    assert draft["parent"]["subscription_details"] == {"metadata": {"a": "b"}, "subscription": subscription["id"]}
    assert (period(renewed)[0], renewed["status"]) == (end, "active")
    assert draft["lines"]["data"][0]["period"] == {"start": end, "end": period(renewed)[1]}
    assert (paid["status"], paid["attempt_count"], paid["amount_paid"]) == ("paid", 1, 900)


def test_a_renewal_is_told_in_stripes_order(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    before = len(told(sandbox, ""))

    to_renewal(sandbox, subscription)

    assert told(sandbox, "")[before:] == [
        "invoice.upcoming",
        "invoice.created",
        "customer.subscription.updated",
        "invoice.updated",
        "payment_intent.created",
        "invoice.finalized",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice_payment.paid",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]


def test_two_years_of_a_subscription_are_24_renewals(listened_to: Sandbox, receiver: Receiver) -> None:
    subscription = check_out(listened_to, trial="14")

    advance(listened_to, days=14 + 729)

    invoices = invoices_of(listened_to, subscription)
    starts = [invoice["lines"]["data"][0]["period"]["start"] for invoice in invoices]
    ends = [invoice["lines"]["data"][0]["period"]["end"] for invoice in invoices]
    assert [invoice["amount_paid"] for invoice in invoices] == [0] + [900] * 24
    assert starts[1:] == ends[:-1]
    assert receiver.types().count("invoice.paid") == 25
    assert {delivery["state"] for delivery in listened_to.deliveries()} == {"delivered"}


def test_the_webhooks_of_a_renewal_are_signed(listened_to: Sandbox, receiver: Receiver) -> None:
    subscription = check_out(listened_to)

    to_renewal(listened_to, subscription)

    for delivery in receiver.deliveries:
        assert stripe.Webhook.construct_event(delivery.body, delivery.headers["stripe-signature"], STRIPE_SECRET)


def test_f84_a_seller_who_does_not_take_the_draft_holds_up_its_money(listened_to: Sandbox, receiver: Receiver) -> None:
    subscription = check_out(listened_to)
    listened_to.settled()
    receiver.status = 500

    advance_to(listened_to, period(subscription)[1] + 2 * DAY)
    waiting = latest_invoice(listened_to, subscription)
    advance(listened_to, days=1, hours=2)

    assert (waiting["status"], waiting["auto_advance"]) == ("draft", True)
    assert latest_invoice(listened_to, subscription)["status"] == "paid"


def test_what_was_dropped_on_purpose_holds_up_nothing(listened_to: Sandbox) -> None:
    subscription = check_out(listened_to)
    listened_to.control("faults", {"drop": 1})

    to_renewal(listened_to, subscription)

    assert latest_invoice(listened_to, subscription)["status"] == "paid"


# Trials.


def test_a_trial_is_announced_three_days_ahead_and_then_billed(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox, trial="14")
    end = subscription["trial_end"]

    advance_to(sandbox, end + HOUR + 60)

    (announced,) = events(sandbox, "customer.subscription.trial_will_end")
    after = look(sandbox, subscription)
    assert end - 3 * DAY <= announced["created"] <= end - 3 * DAY + 5
    assert (after["status"], after["billing_cycle_anchor"], period(after)[0]) == ("active", end, end)
    assert latest_invoice(sandbox, subscription)["amount_paid"] == 900


@pytest.mark.parametrize(
    ("missing", "status", "last"),
    [
        ("create_invoice", "past_due", "customer.subscription.updated"),
        ("pause", "paused", "customer.subscription.paused"),
        ("cancel", "canceled", "customer.subscription.deleted"),
    ],
)
def test_a_trial_without_a_card_ends_as_it_was_asked_to(sandbox: Sandbox, missing: str, status: str, last: str) -> None:
    fields = {"trial_settings[end_behavior][missing_payment_method]": missing, "trial_period_days": "14"}
    subscription = subscribe(sandbox, sandbox.customer()["id"], new_price(sandbox), **fields)

    to_renewal(sandbox, subscription)

    assert look(sandbox, subscription)["status"] == status
    assert told(sandbox, "customer.subscription")[-1] == last


# Failures.


def test_a_card_that_goes_bad_makes_the_subscription_past_due(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    swap_card(sandbox, subscription, FAILS_LATER)

    to_renewal(sandbox, subscription)

    invoice = latest_invoice(sandbox, subscription)
    (event,) = events(sandbox, "invoice.payment_failed")
    intent = events(sandbox, "payment_intent.payment_failed")[-1]["data"]["object"]
    assert look(sandbox, subscription)["status"] == "past_due"
    assert (invoice["status"], invoice["attempt_count"], invoice["attempted"]) == ("open", 1, True)
    assert invoice["next_payment_attempt"] == event["created"] + 3 * DAY
    assert intent["last_payment_error"]["decline_code"] == "generic_decline"
    assert look(sandbox, subscription)["default_payment_method"] == subscription["default_payment_method"]


def test_four_attempts_fail_and_the_subscription_ends(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    swap_card(sandbox, subscription, FAILS_LATER)

    to_renewal(sandbox, subscription)
    advance(sandbox, days=16)

    failures = [event["created"] for event in events(sandbox, "invoice.payment_failed")]
    after, invoice = look(sandbox, subscription), latest_invoice(sandbox, subscription)
    assert [later - earlier for earlier, later in pairwise(failures)] == [3 * DAY, 5 * DAY, 7 * DAY]
    assert (after["status"], after["cancellation_details"]["reason"]) == ("canceled", "payment_failed")
    assert (invoice["status"], invoice["auto_advance"], invoice["next_payment_attempt"]) == ("open", False, None)
    assert told(sandbox, "customer.subscription")[-1] == "customer.subscription.deleted"


def test_a_retry_that_pays_puts_everything_right(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    order(sandbox, subscription, "fail", decline="insufficient_funds", times=2)

    to_renewal(sandbox, subscription)
    failed = look(sandbox, subscription)["status"]
    advance(sandbox, days=9)

    errors = [
        event["data"]["object"]["last_payment_error"] for event in events(sandbox, "payment_intent.payment_failed")
    ]
    assert failed == "past_due"
    assert look(sandbox, subscription)["status"] == "active"
    assert [error["decline_code"] for error in errors] == ["insufficient_funds"] * 2
    assert latest_invoice(sandbox, subscription)["attempt_count"] == 3


@pytest.mark.parametrize(("after", "status"), [("unpaid", "unpaid"), ("past_due", "past_due")])
def test_the_seller_decides_what_comes_after_the_last_retry(sandbox: Sandbox, after: str, status: str) -> None:
    sandbox.control("settings", {"stripeAfterRetries": after, "stripeRetryDays": [1, 2]})
    subscription = check_out(sandbox)
    swap_card(sandbox, subscription, FAILS_LATER)

    to_renewal(sandbox, subscription)
    advance(sandbox, days=4)

    assert look(sandbox, subscription)["status"] == status
    assert len(events(sandbox, "invoice.payment_failed")) == 3


def test_an_unpaid_subscription_drafts_invoices_until_the_newest_is_paid(sandbox: Sandbox) -> None:
    sandbox.control("settings", {"stripeAfterRetries": "unpaid", "stripeRetryDays": []})
    subscription = check_out(sandbox)
    swap_card(sandbox, subscription, FAILS_LATER)
    to_renewal(sandbox, subscription)

    to_renewal(sandbox, subscription)
    unpaid, draft = look(sandbox, subscription), latest_invoice(sandbox, subscription)
    sandbox.post_to_stripe(f"invoices/{draft['id']}/finalize")
    sandbox.pay(draft["id"])

    assert (unpaid["status"], draft["status"], draft["auto_advance"]) == ("unpaid", "draft", False)
    assert look(sandbox, subscription)["status"] == "active"


def test_a_bank_that_asks_when_nobody_is_there_needs_the_customer(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox, card=ALWAYS_ASKS)

    to_renewal(sandbox, subscription)
    asked = look(sandbox, subscription)["status"]
    answer = sandbox.pay(latest_invoice(sandbox, subscription)["id"], ALWAYS_ASKS)

    assert (asked, answer["outcome"]) == ("past_due", "paid")
    assert told(sandbox, "invoice.payment_action_required") == ["invoice.payment_action_required"]
    assert look(sandbox, subscription)["status"] == "active"


def test_a_bank_that_was_asked_once_lets_a_kept_card_pay(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox, card="4000002500003155")

    to_renewal(sandbox, subscription)

    assert latest_invoice(sandbox, subscription)["status"] == "paid"


def test_an_order_may_make_the_bank_ask(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    order(sandbox, subscription, "ask")

    to_renewal(sandbox, subscription)

    assert told(sandbox, "payment_intent.requires_action") == ["payment_intent.requires_action"]
    assert look(sandbox, subscription)["status"] == "past_due"


def test_a_good_payment_can_be_ordered_of_a_bad_card(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    swap_card(sandbox, subscription, FAILS_LATER)
    order(sandbox, subscription, "succeed")

    to_renewal(sandbox, subscription)

    assert latest_invoice(sandbox, subscription)["status"] == "paid"


def test_a_first_payment_that_never_comes_expires_after_23_hours(sandbox: Sandbox) -> None:
    subscription = subscribe(sandbox, new_customer(sandbox, "pm_card_chargeCustomerFail"), new_price(sandbox))

    advance(sandbox, hours=22.9)
    before = look(sandbox, subscription)["status"]
    advance(sandbox, hours=0.2)

    assert (before, look(sandbox, subscription)["status"]) == ("incomplete", "incomplete_expired")
    assert latest_invoice(sandbox, subscription)["status"] == "void"
    assert told(sandbox, "customer.subscription")[-1] == "customer.subscription.updated"


# Ends.


def test_a_subscription_that_ends_with_its_period_is_not_renewed(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    change(sandbox, subscription, cancel_at_period_end="true")

    to_renewal(sandbox, subscription)

    after = look(sandbox, subscription)
    assert (after["status"], after["ended_at"]) == ("canceled", period(subscription)[1])
    assert len(invoices_of(sandbox, subscription)) == 1
    assert told(sandbox, "invoice.upcoming") == []


def test_a_subscription_ends_on_the_day_that_was_named(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    day_named = sandbox.now() + 10 * DAY
    change(sandbox, subscription, cancel_at=str(day_named))

    advance(sandbox, days=11)

    after = look(sandbox, subscription)
    assert (after["status"], after["ended_at"], after["cancel_at_period_end"]) == ("canceled", day_named, False)


# The sandbox around it.


def test_an_endpoint_may_be_told_in_an_older_version(listened_to: Sandbox, receiver: Receiver) -> None:
    listened_to.control("settings", {"stripeWebhookVersion": "2024-09-30.acacia"})

    subscription = check_out(listened_to)
    receiver.wait_for("checkout.session.completed")

    told_of = {event["type"]: event for event in receiver.events()}
    created, paid = (told_of[kind]["data"]["object"] for kind in ("customer.subscription.created", "invoice.paid"))
    assert {event["api_version"] for event in receiver.events()} == {"2024-09-30.acacia"}
    assert (created["current_period_start"], created["current_period_end"]) == period(subscription)
    assert (paid["subscription"], paid["paid"]) == (subscription["id"], True)
    assert listened_to.ask("status")["endpoints"][0]["version"] == "2024-09-30.acacia"


def test_a_renewal_may_take_less_than_it_asked_for(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    sandbox.control("faults", {"amountMismatch": 1})

    to_renewal(sandbox, subscription)

    invoice = latest_invoice(sandbox, subscription)
    charge = sandbox.objects("stripe", "charge")[-1]
    assert (invoice["amount_paid"], invoice["total"], charge["amount"]) == (899, 899, 899)
    assert invoice["total_discount_amounts"][0]["amount"] == 1


def test_what_a_subscription_has_before_it_outlives_a_restart(tmp_path: Path) -> None:
    with running_sandbox(tmp_path / "sandbox") as sandbox:
        subscription = check_out(sandbox)
    with running_sandbox(tmp_path / "sandbox") as sandbox:
        to_renewal(sandbox, subscription)

        assert [invoice["status"] for invoice in invoices_of(sandbox, subscription)] == ["paid", "paid"]


def test_a_reset_forgets_subscriptions_and_their_plans(sandbox: Sandbox) -> None:
    check_out(sandbox)

    status = sandbox.control("reset", {})
    advance(sandbox, days=40)

    assert status["next"] is None
    assert sandbox.objects("stripe", "subscription") == sandbox.objects("stripe", "event") == []


def test_one_seed_makes_the_same_life_twice(tmp_path: Path) -> None:
    lives = []
    for run in ("one", "two"):
        with running_sandbox(tmp_path / run, seed=7) as sandbox:
            subscription = check_out(sandbox)
            to_renewal(sandbox, subscription)
            lives.append((subscription["id"], latest_invoice(sandbox, subscription)["id"], told(sandbox, "")))

    assert lives[0] == lives[1]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"subscription": "sub_1none"}, "unknown_subscription"),
        ({"nextPayment": "perhaps"}, "invalid_nextPayment"),
        ({"nextPayment": "fail", "decline": "bad_mood"}, "invalid_decline"),
        ({"nextPayment": "fail", "times": 0}, "invalid_times"),
        ({"card": "1234"}, "invalid_card"),
        ({"colour": "red"}, "unknown_fields"),
    ],
)
def test_an_order_about_a_subscription_that_means_nothing_is_refused(
    sandbox: Sandbox, asked: dict[str, Any], code: str
) -> None:
    subscription = check_out(sandbox)

    assert sandbox.refused("subscription", {"subscription": subscription["id"], **asked})[1] == code


@pytest.mark.parametrize(
    "asked",
    [
        {"stripeWebhookVersion": "newest"},
        {"stripeWebhookVersion": True},
        {"stripeRetryDays": [0]},
        {"stripeRetryDays": 3},
        {"stripeRetryDays": [1] * 9},
        {"stripeAfterRetries": "forgive"},
    ],
)
def test_a_setting_that_means_nothing_is_refused(sandbox: Sandbox, asked: dict[str, Any]) -> None:
    before = sandbox.ask("settings")

    assert sandbox.refused("settings", asked)[:2] == (400, "invalid_settings")
    assert sandbox.ask("settings") == before
