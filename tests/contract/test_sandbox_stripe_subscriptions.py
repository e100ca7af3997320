"""Subscriptions of Stripe's stand-in: checkouts that make them, and calls that make, change, pause and end them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from tests.sandboxes import ASKS, DECLINED, PAYS, Sandbox, running_sandbox
from tests.subscribers import (
    DAY,
    FAILS_LATER,
    advance,
    cancel,
    change,
    change_price,
    check_out,
    invoices_of,
    latest_invoice,
    look,
    new_customer,
    new_price,
    open_checkout,
    period,
    refusal,
    subscribe,
    subscription_of,
    told,
)

# Checkouts.


async def test_a_checkout_makes_a_subscription_once_it_is_paid(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    price = new_price(sandbox)
    session = open_checkout(
        sandbox,
        price,
        **{"metadata[order]": "1", "subscription_data[metadata][plan]": "pro", "client_reference_id": "u"},
    )

    sandbox.pay(session["id"])

    expand = {"expand": ["subscription.latest_invoice.payments", "customer"]}
    done = (await client.v1.checkout.sessions.retrieve_async(session["id"], expand)).to_dict()  # type: ignore[arg-type]
    subscription, invoice = done["subscription"], done["subscription"]["latest_invoice"]
    item = subscription["items"]["data"][0]
    assert (done["status"], done["payment_status"], done["payment_intent"]) == ("complete", "paid", None)
    assert (done["invoice"], done["customer"]["id"]) == (invoice["id"], subscription["customer"])
    assert (subscription["status"], item["price"]["id"], item["quantity"]) == ("active", price, 1)
    assert (subscription["metadata"], done["metadata"]) == ({"plan": "pro"}, {"order": "1"})
    assert (invoice["status"], invoice["billing_reason"], invoice["amount_paid"]) == (
        "paid",
        "subscription_create",
        900,
    )
    assert invoice["payments"]["data"][0]["payment"]["payment_intent"].startswith("pi_")
    assert subscription["default_payment_method"].startswith("pm_")


def test_a_paid_checkout_is_told_in_this_order(sandbox: Sandbox) -> None:
    session = open_checkout(sandbox, new_price(sandbox))
    before = len(told(sandbox, ""))

    sandbox.pay(session["id"])

    assert told(sandbox, "")[before:] == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "customer.created",
        "payment_method.attached",
        "invoice.created",
        "customer.subscription.created",
        "invoice.updated",
        "invoice.finalized",
        "invoice_payment.paid",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
        "checkout.session.completed",
    ]


def test_a_declined_card_leaves_no_subscription_and_an_open_session(sandbox: Sandbox) -> None:
    session = open_checkout(sandbox, new_price(sandbox))

    answer = sandbox.pay(session["id"], DECLINED)

    assert answer["outcome"] == "declined"
    assert [sandbox.objects("stripe", kind) for kind in ("subscription", "invoice", "customer")] == [[], [], []]
    assert sandbox.get_from_stripe(f"checkout/sessions/{session['id']}")["status"] == "open"
    assert told(sandbox, "payment", "charge", "customer", "checkout") == [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
    ]


def test_another_card_pays_the_same_checkout(sandbox: Sandbox) -> None:
    session = open_checkout(sandbox, new_price(sandbox))

    declined, paid = sandbox.pay(session["id"], DECLINED), sandbox.pay(session["id"], PAYS)

    assert declined["payment"] == paid["payment"]
    assert subscription_of(sandbox, session["id"])["status"] == "active"


@pytest.mark.parametrize(
    ("answer", "outcome", "made"), [(True, "paid", 1), (False, "requires_action", 0), ("fail", "declined", 0)]
)
def test_a_checkout_waits_for_the_bank(sandbox: Sandbox, answer: Any, outcome: str, made: int) -> None:
    session = open_checkout(sandbox, new_price(sandbox))

    paid = sandbox.pay(session["id"], ASKS, authenticate=answer)

    assert paid["outcome"] == outcome
    assert len(sandbox.objects("stripe", "subscription")) == made


def test_a_checkout_keeps_the_customer_that_it_is_for(sandbox: Sandbox) -> None:
    customer = sandbox.customer()["id"]

    subscription = check_out(sandbox, customer=customer)

    (method,) = sandbox.get_from_stripe(f"customers/{customer}/payment_methods")["data"]
    assert subscription["customer"] == customer
    assert subscription["default_payment_method"] == method["id"]
    assert told(sandbox, "customer.created") == ["customer.created"]


def test_a_trial_asks_for_a_card_and_takes_nothing(sandbox: Sandbox) -> None:
    fields = {"subscription_data[trial_period_days]": "14"}
    session = open_checkout(sandbox, new_price(sandbox), **fields)

    answer = sandbox.pay(session["id"])

    done = sandbox.get_from_stripe(f"checkout/sessions/{session['id']}")
    subscription = subscription_of(sandbox, session["id"])
    invoice = latest_invoice(sandbox, subscription)
    assert answer == {"outcome": "paid", "payment": None}
    assert (done["amount_total"], done["payment_status"]) == (0, "no_payment_required")
    assert subscription["status"] == "trialing"
    assert subscription["trial_end"] - subscription["trial_start"] == 14 * DAY
    assert period(subscription) == (subscription["trial_start"], subscription["trial_end"])
    assert subscription["default_payment_method"].startswith("pm_")
    assert (invoice["status"], invoice["total"], invoice["attempt_count"]) == ("paid", 0, 0)
    assert invoice["lines"]["data"][0]["description"] == "Trial period for Pro"
    assert sandbox.objects("stripe", "payment_intent") == []


def test_a_trial_refuses_a_card_that_no_bank_lets_a_shop_keep(sandbox: Sandbox) -> None:
    session = open_checkout(sandbox, new_price(sandbox), **{"subscription_data[trial_period_days]": "14"})

    declined = sandbox.pay(session["id"], DECLINED)
    kept = sandbox.pay(session["id"], FAILS_LATER)

    assert (declined["outcome"], kept["outcome"]) == ("declined", "paid")


def test_what_is_bought_once_stands_on_the_first_invoice(sandbox: Sandbox) -> None:
    once = sandbox.post_to_stripe("prices", currency="usd", unit_amount="500", **{"product_data[name]": "Setup"})["id"]

    subscription = check_out(sandbox, **{"line_items[1][price]": once, "line_items[1][quantity]": "2"})

    invoice = latest_invoice(sandbox, subscription)
    assert invoice["amount_paid"] == 1900
    assert [line["description"] for line in invoice["lines"]["data"]] == ["Setup", "1 \u00d7 Pro (at 9.00 USD / month)"]
    assert len(subscription["items"]["data"]) == 1


def test_a_delayed_method_pays_no_subscription(sandbox: Sandbox) -> None:
    session = open_checkout(sandbox, new_price(sandbox))

    status, code, _ = sandbox.refused("pay", {"session": session["id"], "card": PAYS, "method": "delayed"})

    assert (status, code) == (409, "not_payable")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"subscription_data[billing_cycle_anchor]": "1"}, "subscription_data[billing_cycle_anchor]"),
        ({"subscription_data[trial_period_days]": "0"}, "subscription_data[trial_period_days]"),
        ({"subscription_data[trial_end]": "1"}, "subscription_data[trial_end]"),
        ({"subscription_data[colour]": "red"}, "subscription_data[colour]"),
    ],
)
def test_a_checkout_refuses_what_it_cannot_promise(unchanged: Sandbox, fields: dict[str, str], param: str) -> None:
    order = {"mode": "subscription", "success_url": "https://x.test", "line_items[0][price]": new_price(unchanged)}

    status, error = refusal(unchanged, "checkout/sessions", **order, **{"line_items[0][quantity]": "1"}, **fields)

    assert (status, error["param"]) == (400, param)


# Made by a call.


def test_a_call_makes_a_subscription_and_charges_its_first_invoice(sandbox: Sandbox) -> None:
    subscription = subscribe(sandbox, new_customer(sandbox), new_price(sandbox), **{"metadata[a]": "b"})

    assert (subscription["status"], subscription["metadata"]) == ("active", {"a": "b"})
    assert latest_invoice(sandbox, subscription)["status"] == "paid"
    assert told(sandbox, "customer.subscription", "invoice.paid") == ["invoice.paid", "customer.subscription.created"]


def test_a_first_payment_that_fails_leaves_it_incomplete(sandbox: Sandbox) -> None:
    customer = new_customer(sandbox, "pm_card_chargeCustomerFail")

    subscription = subscribe(sandbox, customer, new_price(sandbox))

    invoice = latest_invoice(sandbox, subscription)
    assert subscription["status"] == "incomplete"
    assert (invoice["status"], invoice["attempt_count"], invoice["next_payment_attempt"]) == ("open", 1, None)


def test_a_first_payment_that_fails_can_undo_the_call(sandbox: Sandbox) -> None:
    customer = new_customer(sandbox, "pm_card_chargeCustomerFail")
    fields = {"items[0][price]": new_price(sandbox), "payment_behavior": "error_if_incomplete"}

    status, error = refusal(sandbox, "subscriptions", customer=customer, **fields)

    assert (status, error["type"], error["code"]) == (402, "card_error", "card_declined")
    assert sandbox.objects("stripe", "subscription") == sandbox.objects("stripe", "charge") == []


async def test_a_browser_may_pay_the_first_invoice(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    customer = sandbox.customer()["id"]
    made = await client.v1.subscriptions.create_async(
        {
            "customer": customer,
            "items": [{"price": new_price(sandbox)}],
            "payment_behavior": "default_incomplete",
            "payment_settings": {"save_default_payment_method": "on_subscription"},
            "expand": ["latest_invoice.confirmation_secret"],
        }
    )
    secret = made.to_dict()["latest_invoice"]["confirmation_secret"]["client_secret"]

    await client.v1.payment_intents.confirm_async(secret.partition("_secret")[0], {"payment_method": "pm_card_visa"})

    paid = await client.v1.subscriptions.retrieve_async(made.id)
    assert (made.status, paid.status) == ("incomplete", "active")
    assert str(paid.default_payment_method).startswith("pm_")


def test_nothing_to_pay_with_is_refused_unless_nothing_is_due(sandbox: Sandbox) -> None:
    customer, price = sandbox.customer()["id"], new_price(sandbox)

    status, error = refusal(sandbox, "subscriptions", customer=customer, **{"items[0][price]": price})
    trial = subscribe(sandbox, customer, price, trial_period_days="7")

    assert (status, error["code"]) == (400, "resource_missing")
    assert trial["status"] == "trialing"


def test_a_trial_of_three_days_or_less_is_announced_at_once(sandbox: Sandbox) -> None:
    subscribe(sandbox, sandbox.customer()["id"], new_price(sandbox), trial_period_days="3")

    assert told(sandbox, "customer.subscription") == [
        "customer.subscription.created",
        "customer.subscription.trial_will_end",
    ]


def test_an_idempotency_key_makes_one_subscription(sandbox: Sandbox) -> None:
    client = stripe.StripeClient("sk_test_key", base_addresses={"api": f"{sandbox.url}/stripe"})
    order: Any = {"customer": new_customer(sandbox), "items": [{"price": new_price(sandbox)}]}

    first, second = (client.v1.subscriptions.create(order, {"idempotency_key": "once"}) for _ in range(2))

    assert first.id == second.id
    assert len(sandbox.objects("stripe", "subscription")) == 1


# Lists.


def test_a_list_leaves_out_what_has_ended_unless_it_is_asked_for(sandbox: Sandbox) -> None:
    customer, price = new_customer(sandbox), new_price(sandbox)
    ended, lives = subscribe(sandbox, customer, price), subscribe(sandbox, customer, price)
    cancel(sandbox, ended)

    def listed(**query: str) -> list[str]:
        return [each["id"] for each in sandbox.get_from_stripe("subscriptions", **query)["data"]]

    assert listed() == [lives["id"]]
    assert listed(status="all") == [lives["id"], ended["id"]]
    assert listed(status="ended") == listed(status="canceled") == [ended["id"]]
    assert listed(status="all", customer="cus_other") == []
    assert listed(price=price) == [lives["id"]]
    assert listed(price=new_price(sandbox)) == []
    assert listed(**{"current_period_end[gt]": str(period(lives)[1])}) == []
    assert listed(**{"current_period_end[gte]": str(period(lives)[1])}) == [lives["id"]]


def test_the_items_of_a_subscription_are_a_list_of_their_own(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)

    listed = sandbox.get_from_stripe("subscription_items", subscription=subscription["id"])

    assert listed["data"] == subscription["items"]["data"]


# Changes.


def test_a_change_tells_what_was_before(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox, **{"subscription_data[metadata][a]": "b"})

    change(sandbox, subscription, **{"metadata[c]": "d"}, description="A plan")

    (event,) = sandbox.get_from_stripe("events", type="customer.subscription.updated")["data"]
    assert event["data"]["object"]["metadata"] == {"a": "b", "c": "d"}
    assert event["data"]["previous_attributes"] == {"metadata": {"c": None}, "description": None}


def test_an_upgrade_that_is_invoiced_at_once_costs_the_rest_of_the_period(sandbox: Sandbox) -> None:
    subscription, dearer = check_out(sandbox), new_price(sandbox, 2900, name="Max")
    advance(sandbox, days=10)

    changed = change_price(sandbox, subscription, dearer, proration_behavior="always_invoice")

    invoice = latest_invoice(sandbox, changed)
    start, end = period(subscription)
    left = (end - invoice["created"]) / (end - start)
    assert period(changed) == (start, end)
    assert (invoice["status"], invoice["billing_reason"]) == ("paid", "subscription_update")
    assert invoice["amount_paid"] == pytest.approx(2000 * left, abs=1)
    assert [line["parent"]["invoice_item_details"]["proration"] for line in invoice["lines"]["data"]] == [True, True]
    assert [line["amount"] > 0 for line in invoice["lines"]["data"]] == [False, True]


def test_a_change_without_a_word_is_prorated_on_the_next_invoice(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    advance(sandbox, days=10)

    change_price(sandbox, subscription, new_price(sandbox, 2900))

    assert len(invoices_of(sandbox, subscription)) == 1
    assert [item["proration"] for item in sandbox.objects("stripe", "invoiceitem")] == [True, True]

    advance(sandbox, days=21, hours=2)

    renewal = latest_invoice(sandbox, subscription)
    assert len(renewal["lines"]["data"]) == 3
    assert renewal["lines"]["data"][2]["amount"] == 2900
    assert renewal["amount_paid"] > 2900


def test_a_change_without_proration_costs_nothing_now(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)

    changed = change_price(sandbox, subscription, new_price(sandbox, 2900), proration_behavior="none")

    assert changed["items"]["data"][0]["price"]["unit_amount"] == 2900
    assert sandbox.objects("stripe", "invoiceitem") == []
    assert len(invoices_of(sandbox, subscription)) == 1


def test_a_downgrade_that_is_invoiced_at_once_leaves_a_credit_for_later(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox, new_price(sandbox, 2900))

    change_price(sandbox, subscription, new_price(sandbox, 900), proration_behavior="always_invoice")

    credit = latest_invoice(sandbox, subscription)
    customer = sandbox.get_from_stripe(f"customers/{subscription['customer']}")
    assert (credit["status"], credit["amount_due"], credit["total"]) == ("paid", 0, -2000)
    assert (customer["balance"], credit["ending_balance"]) == (-2000, -2000)

    advance(sandbox, days=32)

    renewal = latest_invoice(sandbox, subscription)
    assert (renewal["total"], renewal["amount_due"], renewal["ending_balance"]) == (900, 0, -1100)


def test_another_interval_begins_a_new_cycle(sandbox: Sandbox) -> None:
    subscription, yearly = check_out(sandbox), new_price(sandbox, 9000, "year")
    advance(sandbox, days=15)

    changed = change_price(sandbox, subscription, yearly)

    invoice = latest_invoice(sandbox, changed)
    assert period(changed)[0] == invoice["created"] == changed["billing_cycle_anchor"]
    assert period(changed)[1] - period(changed)[0] >= 365 * DAY
    assert invoice["lines"]["data"][0]["amount"] < 0
    assert invoice["lines"]["data"][-1]["amount"] == 9000


def test_an_item_without_an_id_is_one_more_item(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)

    changed = change(
        sandbox, subscription, **{"items[0][price]": new_price(sandbox, 100), "proration_behavior": "none"}
    )

    assert [item["price"]["unit_amount"] for item in changed["items"]["data"]] == [900, 100]


def test_a_plan_change_waits_until_it_is_paid(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    sandbox.control("subscription", {"subscription": subscription["id"], "card": FAILS_LATER})

    waiting = change_price(
        sandbox,
        subscription,
        new_price(sandbox, 2900),
        proration_behavior="always_invoice",
        payment_behavior="pending_if_incomplete",
    )
    sandbox.pay(waiting["latest_invoice"])

    applied = look(sandbox, subscription)
    assert (waiting["status"], waiting["items"]["data"][0]["price"]["unit_amount"]) == ("active", 900)
    assert waiting["pending_update"]["subscription_items"][0]["price"]["unit_amount"] == 2900
    assert (applied["items"]["data"][0]["price"]["unit_amount"], applied["pending_update"]) == (2900, None)
    assert told(sandbox, "customer.subscription.pending_update") == ["customer.subscription.pending_update_applied"]


def test_a_plan_change_that_nobody_pays_is_forgotten_after_23_hours(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    sandbox.control("subscription", {"subscription": subscription["id"], "card": FAILS_LATER})
    waiting = change_price(
        sandbox,
        subscription,
        new_price(sandbox, 2900),
        proration_behavior="always_invoice",
        payment_behavior="pending_if_incomplete",
    )

    advance(sandbox, hours=23.1)

    after = look(sandbox, subscription)
    assert (after["status"], after["pending_update"]) == ("active", None)
    assert after["items"]["data"][0]["price"]["unit_amount"] == 900
    assert sandbox.get_from_stripe(f"invoices/{waiting['latest_invoice']}")["status"] == "void"
    assert told(sandbox, "customer.subscription.pending_update") == ["customer.subscription.pending_update_expired"]


def test_an_unpaid_plan_change_can_be_refused_altogether(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    sandbox.control("subscription", {"subscription": subscription["id"], "card": FAILS_LATER})
    fields = {
        "items[0][id]": subscription["items"]["data"][0]["id"],
        "items[0][price]": new_price(sandbox, 2900),
        "proration_behavior": "always_invoice",
        "payment_behavior": "error_if_incomplete",
    }

    status, error = refusal(sandbox, f"subscriptions/{subscription['id']}", **fields)

    assert (status, error["code"]) == (402, "card_declined")
    assert look(sandbox, subscription) == subscription


def test_a_trial_that_is_cut_short_is_billed_and_announced(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox, trial="14")
    advance(sandbox, days=2)

    changed = change(sandbox, subscription, trial_end="now")

    assert (changed["status"], latest_invoice(sandbox, changed)["amount_paid"]) == ("active", 900)
    assert changed["trial_end"] == period(changed)[0] == changed["billing_cycle_anchor"]
    assert "customer.subscription.trial_will_end" in told(sandbox, "customer.subscription")


def test_a_trial_can_be_longer(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox, trial="14")
    later = subscription["trial_end"] + 7 * DAY

    changed = change(sandbox, subscription, trial_end=str(later))

    assert (changed["status"], changed["trial_end"], period(changed)[1]) == ("trialing", later, later)


def test_a_method_that_is_detached_pays_nothing_any_more(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)

    sandbox.post_to_stripe(f"payment_methods/{subscription['default_payment_method']}/detach")
    advance(sandbox, days=32)

    assert look(sandbox, subscription)["default_payment_method"] is None
    assert (look(sandbox, subscription)["status"], len(sandbox.objects("stripe", "charge"))) == ("past_due", 1)


# Ends.


def test_a_cancellation_says_why_and_is_for_good(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)

    ended = cancel(sandbox, subscription, **{"cancellation_details[feedback]": "too_expensive"})

    status, error = refusal(sandbox, f"subscriptions/{subscription['id']}", cancel_at_period_end="true")
    assert (ended["status"], ended["ended_at"] is not None) == ("canceled", True)
    assert ended["cancellation_details"]["reason"] == "cancellation_requested"
    assert ended["cancellation_details"]["feedback"] == "too_expensive"
    assert told(sandbox, "customer.subscription")[-1] == "customer.subscription.deleted"
    assert (status, "canceled subscription" in error["message"]) == (400, True)


def test_a_cancellation_can_give_back_what_is_left(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)

    ended = cancel(sandbox, subscription, prorate="true", invoice_now="true")

    customer = sandbox.get_from_stripe(f"customers/{subscription['customer']}")
    assert latest_invoice(sandbox, ended)["total"] == customer["balance"] == -900


def test_an_end_with_the_period_can_be_taken_back(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)

    planned = change(sandbox, subscription, cancel_at_period_end="true")
    taken_back = change(sandbox, subscription, cancel_at_period_end="false")

    assert (planned["cancel_at_period_end"], planned["cancel_at"]) == (True, period(planned)[1])
    assert planned["status"] == "active"
    assert (taken_back["cancel_at_period_end"], taken_back["cancel_at"], taken_back["canceled_at"]) == (
        False,
        None,
        None,
    )


def test_a_customer_who_is_deleted_takes_the_subscriptions_along(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    client = stripe.StripeClient("sk_test_key", base_addresses={"api": f"{sandbox.url}/stripe"})

    client.v1.customers.delete(subscription["customer"])

    assert look(sandbox, subscription)["status"] == "canceled"


def test_the_notes_of_what_has_ended_can_still_be_changed(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    cancel(sandbox, subscription)

    assert change(sandbox, subscription, **{"metadata[a]": "b"})["metadata"] == {"a": "b"}


# Pauses.


def test_f79_a_paused_subscription_has_no_periods_until_it_is_resumed(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    path = f"subscriptions/{subscription['id']}"

    paused = sandbox.post_to_stripe(f"{path}/pause", **{"bill_for[unused_time_from][type]": "none"})
    advance(sandbox, days=100)
    still = look(sandbox, subscription)
    resumed = sandbox.post_to_stripe(f"{path}/resume")

    assert (paused["status"], still["status"], resumed["status"]) == ("paused", "paused", "active")
    assert paused["status_details"]["paused"]["subscription"]["type"] == "pause_requested"
    assert period(still) == period(subscription)
    assert resumed["billing_cycle_anchor"] == period(resumed)[0] > period(subscription)[1]
    assert [invoice["amount_paid"] for invoice in invoices_of(sandbox, subscription)] == [900, 900]
    assert told(sandbox, "customer.subscription.paused", "customer.subscription.resumed") == [
        "customer.subscription.paused",
        "customer.subscription.resumed",
    ]


def test_the_unused_time_of_a_pause_is_credited(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)

    sandbox.post_to_stripe(f"subscriptions/{subscription['id']}/pause")
    sandbox.post_to_stripe(f"subscriptions/{subscription['id']}/resume")

    assert latest_invoice(sandbox, subscription)["amount_due"] == 0


@pytest.mark.parametrize("verb", ["resume", "pause"])
def test_a_pause_needs_something_to_pause(sandbox: Sandbox, verb: str) -> None:
    subscription = check_out(sandbox)
    if verb == "pause":
        cancel(sandbox, subscription)

    status, error = refusal(sandbox, f"subscriptions/{subscription['id']}/{verb}")

    assert (status, f"You cannot {verb}" in error["message"]) == (400, True)


def test_f79_a_pause_of_collection_changes_no_status_and_is_no_pause(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)

    changed = change(sandbox, subscription, **{"pause_collection[behavior]": "void"})
    advance(sandbox, days=32)

    assert (changed["status"], changed["pause_collection"]["behavior"]) == ("active", "void")
    assert latest_invoice(sandbox, subscription)["status"] == "void"
    assert told(sandbox, "customer.subscription.paused") == []


def test_collection_resumes_at_its_time(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    at = sandbox.now() + 40 * DAY
    change(
        sandbox,
        subscription,
        **{"pause_collection[behavior]": "keep_as_draft", "pause_collection[resumes_at]": str(at)},
    )

    advance(sandbox, days=63)

    assert look(sandbox, subscription)["pause_collection"] is None
    assert [invoice["status"] for invoice in invoices_of(sandbox, subscription)] == ["paid", "draft", "paid"]


# Schedules.


async def test_a_schedule_changes_the_plan_at_the_end_of_the_period(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    subscription, cheaper = check_out(sandbox, new_price(sandbox, 2900)), new_price(sandbox, 900)
    now = subscription["items"]["data"][0]["price"]["id"]
    start, end = period(subscription)

    schedule = await client.v1.subscription_schedules.create_async({"from_subscription": subscription["id"]})
    await client.v1.subscription_schedules.update_async(
        schedule.id,
        {
            "end_behavior": "release",
            "phases": [
                {"items": [{"price": now, "quantity": 1}], "start_date": start, "end_date": end},
                {"items": [{"price": cheaper, "quantity": 1}], "proration_behavior": "none"},
            ],
        },
    )
    before = look(sandbox, subscription)
    advance(sandbox, days=32)

    after = look(sandbox, subscription)
    assert (before["schedule"], before["items"]["data"][0]["price"]["unit_amount"]) == (schedule.id, 2900)
    assert after["items"]["data"][0]["price"]["id"] == cheaper
    assert after["items"]["data"][0]["id"] == subscription["items"]["data"][0]["id"]
    assert [invoice["amount_paid"] for invoice in invoices_of(sandbox, subscription)] == [2900, 900]

    advance(sandbox, days=31)

    assert look(sandbox, subscription)["schedule"] is None
    assert (await client.v1.subscription_schedules.retrieve_async(schedule.id)).status == "released"


async def test_a_schedule_that_is_released_changes_nothing(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    subscription = check_out(sandbox)
    schedule = await client.v1.subscription_schedules.create_async({"from_subscription": subscription["id"]})

    refused = refusal(sandbox, f"subscriptions/{subscription['id']}", **{"items[0][price]": new_price(sandbox)})
    released = await client.v1.subscription_schedules.release_async(schedule.id)

    assert "managed by the subscription schedule" in refused[1]["message"]
    assert (released.status, released.released_subscription) == ("released", subscription["id"])
    assert look(sandbox, subscription)["schedule"] is None


# What is refused.


@pytest.fixture(scope="module")
def subscribed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, dict[str, Any]]]:
    """One subscription for everything that is refused."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox, check_out(sandbox)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"items[0][id]": "si_none", "items[0][quantity]": "2"}, "No such subscription item"),
        ({"items[0][price]": "price_none"}, "No such price"),
        ({"default_payment_method": "pm_card_visa"}, "must be attached"),
        ({"trial_end": "12"}, "in the future"),
        ({"cancel_at": "12"}, "future timestamp"),
        ({"collection_method": "send_invoice"}, "does not simulate"),
        ({"discounts[0][coupon]": "HALF"}, "does not simulate"),
        ({"billing_cycle_anchor": "now"}, "Invalid object"),
        ({"proration_date": "12", "trial_end": "now"}, "outside of the current period"),
        ({"pause_collection[resumes_at]": "12"}, "future timestamp"),
        ({"colour": "red"}, "unknown parameter"),
    ],
)
def test_a_change_that_means_nothing_is_refused(
    subscribed: tuple[Sandbox, dict[str, Any]], fields: dict[str, str], says: str
) -> None:
    sandbox, subscription = subscribed

    status, error = refusal(sandbox, f"subscriptions/{subscription['id']}", **fields)

    assert (status, says in error["message"]) == (400, True), error
    assert look(sandbox, subscription) == subscription
