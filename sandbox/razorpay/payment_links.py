"""Payment links: a page with an amount, a reference that is unique for ever, and an end of its own."""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.razorpay import events
from sandbox.razorpay.calls import COUNT_MAX, GATEWAY, Call, keep
from sandbox.razorpay.errors import invalid
from sandbox.razorpay.money import AMOUNT_MAX, AMOUNT_MIN, check_currency, check_last_digit
from sandbox.store import Json
from sandbox.world import World

KIND = "payment_link"
EXPIRES = "razorpay.link.expires"

EXPIRES_AFTER_MIN = 15 * 60
#: Six months; also how long a link lives whose maker says nothing.
EXPIRES_AFTER_MAX = 183 * 24 * 3600
REFERENCE_MAX = 40
DESCRIPTION_MAX = 2048

_KNOWN = frozenset(
    "accept_partial amount callback_method callback_url currency customer description expire_by"
    " first_min_partial_amount notes notify options reference_id reminder_enable upi_link".split()
)


def create(call: Call) -> Json:
    fields, now = call.fields, call.world.clock.now()
    fields.refuse_extra(_KNOWN)
    currency = check_currency(fields.text("currency") or "INR")
    amount = _amount(call, currency)
    reference = fields.text("reference_id", limit=REFERENCE_MAX)
    callback_url, callback_method = fields.url("callback_url"), fields.text("callback_method")
    if callback_method != ("get" if callback_url else None):
        raise invalid("callback_method: must be a valid value.", "callback_method")
    if fields.flag("upi_link"):
        raise invalid("UPI Payment Links is not supported in Test Mode. Please experience the product in Live Mode.")
    if fields.flag("accept_partial"):
        raise invalid("The sandbox does not simulate partial payments.", "accept_partial")
    link_id = new_id("plink_", 14)
    link: Json = {
        "accept_partial": False,
        "amount": amount,
        "amount_paid": 0,
        "cancelled_at": 0,
        "created_at": now,
        "currency": currency,
        "customer": _customer(call),
        "description": fields.text("description", limit=DESCRIPTION_MAX) or "",
        "expire_by": _expire_by(call),
        "expired_at": 0,
        "first_min_partial_amount": 0,
        "id": link_id,
        "notes": fields.notes() or None,
        "notify": {name: fields.level("notify").flag(name) for name in ("email", "sms", "whatsapp")},
        "payments": None,
        "reference_id": reference or "",
        "reminder_enable": fields.flag("reminder_enable"),
        "reminders": [],
        "short_url": f"{call.world.options.url}/pay/razorpay/{link_id}",
        "status": "created",
        "updated_at": now,
        "upi_link": False,
        "user_id": "",
        "whatsapp_link": False,
    }
    if callback_url is not None:
        link |= {"callback_url": callback_url, "callback_method": "get"}
    if reference is not None and _with_reference(call.world, reference):
        raise invalid("payment link creation with reference ID already attempted", "reference_id")
    call.world.agenda.enter(link["expire_by"] or now + EXPIRES_AFTER_MAX, EXPIRES, link_id)
    return keep(call.world, KIND, link)


def fetch(call: Call) -> Json:
    return call.find(KIND, call.ids["id"])


def list_links(call: Call) -> Json:
    """The newest; or those with this reference, or with this payment."""
    reference, payment_id = call.fields.text("reference_id"), call.fields.text("payment_id")
    count = call.fields.integer("count", lowest=1, highest=COUNT_MAX)
    skip = call.fields.integer("skip", lowest=0)
    matching = {} if reference is None else {"reference_id": reference}
    if payment_id is not None:
        payment = call.world.store.find(GATEWAY, "payment", payment_id)
        matching["order_id"] = payment["order_id"] if payment else ""
    links = call.world.store.newest(GATEWAY, KIND, limit=count or COUNT_MAX, skip=skip or 0, matching=matching)
    return {"payment_links": links}


def cancel(call: Call) -> Json:
    """Only a link that nobody has paid, and that has not ended otherwise."""
    link = call.find(KIND, call.ids["id"])
    if link["status"] != "created":
        raise invalid(f"Payment link cannot be cancelled as it is already {link['status']}.")
    now = call.world.clock.now()
    link |= {"status": "cancelled", "cancelled_at": now, "updated_at": now}
    call.world.agenda.strike(EXPIRES, link["id"])
    keep(call.world, KIND, link)
    events.record(call.world, "payment_link.cancelled", payment_link=link)
    return link


def expire_when_due(world: World, link_id: str) -> None:
    """The link's time is up; one that was paid or cancelled meanwhile stays as it is."""
    link = world.store.find(GATEWAY, KIND, link_id)
    if link is None or link["status"] != "created":
        return
    now = world.clock.now()
    link |= {"status": "expired", "expired_at": now, "updated_at": now}
    keep(world, KIND, link)
    events.record(world, "payment_link.expired", payment_link=link)


def mark_paid(world: World, link: Json, payment: Json) -> Json:
    """The link's order has been paid through it."""
    now = world.clock.now()
    shown = {
        "amount": payment["amount"],
        "created_at": payment["created_at"],
        "method": payment["method"],
        "payment_id": payment["id"],
        "plink_id": link["id"],
        "status": "captured",
        "updated_at": now,
    }
    link |= {"status": "paid", "amount_paid": payment["amount"], "updated_at": now, "payments": [shown]}
    world.agenda.strike(EXPIRES, link["id"])
    return keep(world, KIND, link)


def of_order(world: World, order_id: str) -> Json | None:
    """The link that this order was opened for, if it was for one."""
    links = world.store.newest(GATEWAY, KIND, limit=1, matching={"order_id": order_id})
    return links[0] if links else None


def _amount(call: Call, currency: str) -> int:
    amount = call.fields.integer("amount", lowest=0, highest=AMOUNT_MAX)
    if amount is None:
        raise invalid("amount: cannot be blank.", "amount")
    if amount < AMOUNT_MIN:
        raise invalid(f"amount: amount should be minimum {AMOUNT_MIN} for {currency}.", "amount")
    check_last_digit(amount, currency)
    return amount


def _expire_by(call: Call) -> int:
    asked, now = call.fields.integer("expire_by", lowest=0), call.world.clock.now()
    if not asked:
        return 0
    if asked < now + EXPIRES_AFTER_MIN:
        raise invalid("timestamp must be atleast 15 minutes in future", "expire_by")
    if asked > now + EXPIRES_AFTER_MAX:
        raise invalid("expire_by: cannot be more than six months in future.", "expire_by")
    return asked


def _customer(call: Call) -> dict[str, str]:
    customer = call.fields.level("customer")
    customer.refuse_extra({"name", "email", "contact"})
    asked = {name: customer.text(name) for name in ("name", "email", "contact")}
    return {name: value for name, value in asked.items() if value is not None}


def _with_reference(world: World, reference: str) -> list[Json]:
    return world.store.newest(GATEWAY, KIND, limit=1, matching={"reference_id": reference})
