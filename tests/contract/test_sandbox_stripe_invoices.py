"""Invoices of Stripe's stand-in: what calls do with them, the pages of invoices and of the portal, and older shapes."""

from __future__ import annotations

import re

import httpx
import pytest
import stripe

from tests.sandboxes import ASKS, DECLINED, PAYS, Sandbox
from tests.subscribers import (
    DAY,
    FAILS_LATER,
    Json,
    advance,
    change_price,
    check_out,
    invoices_of,
    latest_invoice,
    look,
    new_customer,
    new_price,
    period,
    refusal,
    told,
)

OLD = "2024-09-30.acacia"


def owed(sandbox: Sandbox) -> tuple[Json, Json]:
    """A subscription whose first renewal has failed, and the invoice of it."""
    subscription = check_out(sandbox)
    sandbox.control("subscription", {"subscription": subscription["id"], "card": FAILS_LATER})
    advance(sandbox, days=31, hours=2)
    return look(sandbox, subscription), latest_invoice(sandbox, subscription)


def manual(sandbox: Sandbox, customer: str, amount: int = 2000, **fields: str) -> Json:
    """An invoice that no renewal has made."""
    sandbox.post_to_stripe("invoiceitems", customer=customer, amount=str(amount), currency="usd", description="Work")
    return sandbox.post_to_stripe("invoices", customer=customer, pending_invoice_items_behavior="include", **fields)


def as_in(sandbox: Sandbox, version: str, path: str, **query: str) -> Json:
    """The answer in some version."""
    headers = {"Stripe-Version": version}
    address = f"{sandbox.url}/stripe/v1/{path}"
    answer = httpx.get(address, auth=("sk_test_x", ""), headers=headers, params=query, trust_env=False)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


# Calls.


async def test_an_invoice_can_be_paid_by_a_call_with_another_method(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    subscription, invoice = owed(sandbox)
    method = await client.v1.payment_methods.attach_async("pm_card_visa", {"customer": subscription["customer"]})

    paid = await client.v1.invoices.pay_async(invoice["id"], {"payment_method": method.id})

    assert (invoice["status"], paid.status, paid.amount_paid) == ("open", "paid", 900)
    assert look(sandbox, subscription)["status"] == "active"
    assert look(sandbox, subscription)["default_payment_method"] != method.id


async def test_a_call_that_is_declined_says_why_and_leaves_the_attempt(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    subscription, invoice = owed(sandbox)

    with pytest.raises(stripe.CardError) as declined:
        await client.v1.invoices.pay_async(invoice["id"])

    charges = sandbox.get_from_stripe("charges", customer=subscription["customer"])["data"]
    assert (declined.value.code, declined.value.http_status) == ("card_declined", 402)
    assert [charge["status"] for charge in charges] == ["failed", "failed", "succeeded"]


def test_f85_an_attempt_by_hand_uses_up_no_retry(sandbox: Sandbox) -> None:
    _, invoice = owed(sandbox)

    refusal(sandbox, f"invoices/{invoice['id']}/pay")
    sandbox.pay(invoice["id"], DECLINED)

    after = look(sandbox, invoice)
    assert (invoice["attempt_count"], after["attempt_count"]) == (1, 1)
    assert after["next_payment_attempt"] == invoice["next_payment_attempt"]
    assert told(sandbox, "invoice.payment_failed") == ["invoice.payment_failed"] * 3


def test_f83_money_from_elsewhere_pays_without_a_payment(sandbox: Sandbox) -> None:
    subscription, invoice = owed(sandbox)
    before = len(told(sandbox, "invoice.payment_succeeded"))

    paid = sandbox.post_to_stripe(f"invoices/{invoice['id']}/pay", paid_out_of_band="true")

    assert (paid["status"], paid["amount_paid_off_stripe"]) == ("paid", 900)
    assert look(sandbox, subscription)["status"] == "active"
    assert len(told(sandbox, "invoice.payment_succeeded")) == before
    assert told(sandbox, "invoice.paid", "payment_intent.canceled")[-2:] == ["payment_intent.canceled", "invoice.paid"]


@pytest.mark.parametrize(
    ("verb", "status", "event"),
    [("void", "void", "invoice.voided"), ("mark_uncollectible", "uncollectible", "invoice.marked_uncollectible")],
)
def test_an_invoice_that_is_given_up_leaves_nothing_owed(sandbox: Sandbox, verb: str, status: str, event: str) -> None:
    subscription, invoice = owed(sandbox)

    ended = sandbox.post_to_stripe(f"invoices/{invoice['id']}/{verb}")

    assert (subscription["status"], ended["status"], ended["auto_advance"]) == ("past_due", status, False)
    assert look(sandbox, subscription)["status"] == "active"
    assert told(sandbox, event) == [event]


def test_what_was_given_up_may_still_be_paid(sandbox: Sandbox) -> None:
    _, invoice = owed(sandbox)
    sandbox.post_to_stripe(f"invoices/{invoice['id']}/mark_uncollectible")

    assert sandbox.pay(invoice["id"], PAYS)["outcome"] == "paid"
    assert look(sandbox, invoice)["status"] == "paid"


def test_an_invoice_of_its_own_goes_from_draft_to_paid(sandbox: Sandbox) -> None:
    invoice = manual(sandbox, new_customer(sandbox))

    paid = sandbox.post_to_stripe(f"invoices/{invoice['id']}/pay")

    assert (invoice["status"], invoice["billing_reason"], invoice["amount_due"]) == ("draft", "manual", 2000)
    assert (invoice["number"], paid["number"].endswith("-0001")) == (None, True)
    assert paid["status"] == "paid"
    assert told(sandbox, "invoice", "charge") == [
        "invoiceitem.created",
        "invoice.created",
        "invoice.updated",
        "invoice.finalized",
        "charge.succeeded",
        "invoice_payment.paid",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]


def test_a_draft_can_be_changed_and_deleted(sandbox: Sandbox) -> None:
    invoice = manual(sandbox, new_customer(sandbox))
    path = f"{sandbox.url}/stripe/v1/invoices/{invoice['id']}"

    changed = sandbox.post_to_stripe(f"invoices/{invoice['id']}", **{"metadata[a]": "b"}, description="For work")
    gone = httpx.delete(path, auth=("sk_test_x", ""), trust_env=False).json()

    assert (changed["metadata"], changed["description"], gone["deleted"]) == ({"a": "b"}, "For work", True)
    assert told(sandbox, "invoice.updated", "invoice.deleted") == ["invoice.updated", "invoice.deleted"]


def test_what_an_invoice_is_no_more_cannot_be_done_again(sandbox: Sandbox) -> None:
    invoice = manual(sandbox, new_customer(sandbox))
    sandbox.post_to_stripe(f"invoices/{invoice['id']}/pay")

    errors = [refusal(sandbox, f"invoices/{invoice['id']}/{verb}") for verb in ("pay", "void", "finalize")]

    assert [status for status, _ in errors] == [400, 400, 400]
    assert errors[0][1]["code"] == "invoice_already_paid"


async def test_a_payment_tells_which_invoice_it_was_for(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    subscription = check_out(sandbox)
    (intent,) = (await client.v1.payment_intents.list_async()).data

    listed = await client.v1.invoice_payments.list_async(
        {"payment": {"type": "payment_intent", "payment_intent": intent.id}}
    )

    (payment,) = listed.data
    assert (payment.invoice, payment.status, payment.amount_paid) == (subscription["latest_invoice"], "paid", 900)
    assert "invoice" not in intent.to_dict()


def test_a_list_can_be_of_one_subscription_and_of_one_status(sandbox: Sandbox) -> None:
    subscription, invoice = owed(sandbox)
    check_out(sandbox)

    found = sandbox.get_from_stripe("invoices", subscription=subscription["id"], status="open")["data"]

    assert [each["id"] for each in found] == [invoice["id"]]
    assert len(invoices_of(sandbox, subscription)) == 2


# Previews.


async def test_a_preview_shows_the_next_invoice_and_makes_nothing(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    subscription = check_out(sandbox)
    before = sandbox.ask("status")["objects"]["stripe"]

    preview = await client.v1.invoices.create_preview_async({"subscription": subscription["id"]})

    line = preview.lines.data[0]
    assert (preview.amount_due, preview.billing_reason, preview.status) == (900, "upcoming", "draft")
    assert line.period.start == preview.period_end == period(subscription)[1]
    assert preview.id.startswith("upcoming_in_")
    assert sandbox.ask("status")["objects"]["stripe"] == before


def test_a_preview_of_a_change_costs_what_the_change_costs(sandbox: Sandbox) -> None:
    subscription, dearer = check_out(sandbox), new_price(sandbox, 2900)
    item = subscription["items"]["data"][0]["id"]
    at = str(sandbox.now() + 5 * DAY)
    fields = {
        "subscription_details[items][0][id]": item,
        "subscription_details[items][0][price]": dearer,
        "subscription_details[proration_behavior]": "always_invoice",
        "subscription_details[proration_date]": at,
    }

    preview = sandbox.post_to_stripe("invoices/create_preview", subscription=subscription["id"], **fields)
    changed = change_price(sandbox, subscription, dearer, proration_behavior="always_invoice", proration_date=at)

    assert preview["amount_due"] == latest_invoice(sandbox, changed)["amount_due"] > 0
    assert len(preview["lines"]["data"]) == 2


# The page of an invoice.


FORM = {"number": PAYS, "expiry": "12/34", "csc": "123"}


def submit(url: str, **fields: str) -> httpx.Response:
    """The form as the page shows it, filled in, and where it leads."""
    marks = re.findall(r'name="after" value="(\w*)"', httpx.get(url, trust_env=False).text)
    form = {**FORM, "after": marks[0] if marks else "", **fields}
    return httpx.post(url, data=form, follow_redirects=True, trust_env=False)


def test_the_page_of_an_open_invoice_takes_a_card(sandbox: Sandbox) -> None:
    subscription, invoice = owed(sandbox)

    before = httpx.get(invoice["hosted_invoice_url"], trust_env=False)
    after = submit(invoice["hosted_invoice_url"])

    assert "Pay 9.00 USD" in before.text
    assert "1 \u00d7 Pro (at 9.00 USD / month)" in before.text
    assert "This invoice is paid." in after.text
    assert look(sandbox, subscription)["status"] == "active"


def test_the_page_of_an_invoice_shows_a_decline_and_takes_another_card(sandbox: Sandbox) -> None:
    _, invoice = owed(sandbox)

    declined = submit(invoice["hosted_invoice_url"], number=DECLINED)
    twice = submit(invoice["hosted_invoice_url"], number=DECLINED, after="nothing")
    mistyped = submit(invoice["hosted_invoice_url"], csc="x")

    assert "Your card was declined." in declined.text
    assert "Your card was declined." in twice.text
    assert "must be three digits" in mistyped.text
    assert len(sandbox.objects("stripe", "charge")) == 3


def test_the_page_of_an_invoice_leads_to_the_bank_and_back(sandbox: Sandbox) -> None:
    subscription, invoice = owed(sandbox)
    url = invoice["hosted_invoice_url"]

    bank = submit(url, number=ASKS)
    failed = httpx.post(f"{url}/authenticate", data={"answer": "fail"}, follow_redirects=True, trust_env=False)
    submit(url, number=ASKS)
    left = httpx.get(f"{url}?bank=left", trust_env=False)
    passed = httpx.post(f"{url}/authenticate", data={"answer": "pass"}, follow_redirects=True, trust_env=False)
    again = httpx.post(f"{url}/authenticate", data={"answer": "pass"}, follow_redirects=True, trust_env=False)

    assert "Is this payment yours?" in bank.text
    assert "unable to authenticate" in failed.text
    assert "You left your bank" in left.text
    assert "This invoice is paid." in passed.text == again.text
    assert look(sandbox, subscription)["status"] == "active"


def test_a_page_of_no_invoice_is_not_found(unchanged: Sandbox) -> None:
    for path in ("i/in_none", "p/session/bps_none"):
        assert httpx.get(f"{unchanged.url}/stripe/{path}", trust_env=False).status_code == 404
        assert httpx.post(f"{unchanged.url}/stripe/{path}", trust_env=False).status_code == 404


# The portal.


async def portal(client: stripe.StripeClient, customer: str) -> str:
    session = await client.v1.billing_portal.sessions.create_async(
        {
            "customer": customer,
            "return_url": "https://shop.test/account",
            "flow_data": {"type": "payment_method_update"},
        }
    )
    return str(session.url)


async def test_a_new_card_from_the_portal_pays_from_now_on(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    subscription, invoice = owed(sandbox)
    url = await portal(client, subscription["customer"])

    page = httpx.get(url, trust_env=False)
    saved = submit(url)

    after = look(sandbox, subscription)
    customer = sandbox.get_from_stripe(f"customers/{subscription['customer']}")
    assert "Add a new card" in page.text
    assert "9.00 USD of invoice" in saved.text
    assert invoice["hosted_invoice_url"] in saved.text
    assert after["default_payment_method"] != subscription["default_payment_method"]
    assert customer["invoice_settings"]["default_payment_method"] == after["default_payment_method"]
    assert look(sandbox, invoice)["status"] == "open"
    assert told(sandbox, "customer.updated", "payment_method.attached")[-2:] == [
        "payment_method.attached",
        "customer.updated",
    ]


async def test_a_card_that_is_no_good_changes_nothing(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    subscription = check_out(sandbox)
    url = await portal(client, subscription["customer"])

    declined, mistyped = submit(url, number=DECLINED), submit(url, number="1")

    assert "Your card was declined." in declined.text
    assert "Only test cards work here" in mistyped.text
    assert look(sandbox, subscription) == subscription


async def test_the_portal_leads_back_where_it_was_told_to(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    configuration = await client.v1.billing_portal.configurations.create_async(
        {"features": {"payment_method_update": {"enabled": True}}, "name": "Ours"}
    )
    session = await client.v1.billing_portal.sessions.create_async(
        {
            "customer": sandbox.customer()["id"],
            "configuration": configuration.id,
            "flow_data": {
                "type": "payment_method_update",
                "after_completion": {"type": "redirect", "redirect": {"return_url": "https://shop.test/done"}},
            },
        }
    )

    answer = httpx.post(session.url, data=FORM, trust_env=False)

    assert configuration.to_dict()["features"] == {"payment_method_update": {"enabled": True}}
    assert (answer.status_code, answer.headers["location"]) == (303, "https://shop.test/done")


def test_the_portal_does_what_it_says_or_refuses(unchanged: Sandbox) -> None:
    customer = unchanged.customer()["id"]

    errors = [
        refusal(unchanged, "billing_portal/sessions", customer=customer, **{"flow_data[type]": "subscription_cancel"}),
        refusal(unchanged, "billing_portal/sessions", customer=customer, configuration="bpc_none"),
        refusal(unchanged, "billing_portal/sessions"),
    ]

    assert [error["param"] for _, error in errors] == ["flow_data[type]", "configuration", "customer"]


# Older shapes.


def test_f80_before_basil_the_period_is_on_the_subscription(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)

    old = as_in(sandbox, OLD, f"subscriptions/{subscription['id']}")
    (item,) = old["items"]["data"]

    assert (old["current_period_start"], old["current_period_end"]) == period(subscription)
    assert "current_period_end" not in item
    assert (old["plan"]["amount"], old["quantity"], item["plan"]["interval"]) == (900, 1, "month")
    assert "billing_mode" not in old


def test_before_basil_an_invoice_names_its_payment_and_its_subscription(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox, **{"subscription_data[metadata][a]": "b"})
    (intent,) = sandbox.objects("stripe", "payment_intent")

    invoice = as_in(sandbox, OLD, f"invoices/{subscription['latest_invoice']}")
    (line,) = invoice["lines"]["data"]

    assert (invoice["paid"], invoice["paid_out_of_band"]) == (True, False)
    assert (invoice["subscription"], invoice["subscription_details"]) == (subscription["id"], {"metadata": {"a": "b"}})
    assert (invoice["payment_intent"], invoice["charge"]) == (intent["id"], intent["latest_charge"])
    assert not {"parent", "payments", "total_taxes"} & set(invoice)
    assert (line["type"], line["proration"], line["subscription"]) == ("subscription", False, subscription["id"])
    assert (line["price"]["unit_amount"], line["plan"]["amount"]) == (900, 900)
    assert (line["period"]["start"], line["period"]["end"]) == period(subscription)
    for path in (f"payment_intents/{intent['id']}", f"charges/{intent['latest_charge']}"):
        assert as_in(sandbox, OLD, path)["invoice"] == invoice["id"]


def test_an_older_event_tells_its_changes_under_their_old_names(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    advance(sandbox, days=31, hours=2)

    (event,) = as_in(sandbox, OLD, "events", type="customer.subscription.updated")["data"]

    start, end = period(subscription)
    previous = event["data"]["previous_attributes"]
    assert (previous["current_period_start"], previous["current_period_end"]) == (start, end)
    assert previous["latest_invoice"] == subscription["latest_invoice"]
    assert set(previous) == {"current_period_start", "current_period_end", "latest_invoice"}
