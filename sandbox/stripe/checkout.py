"""Checkout Sessions: made with Stripe's rules, read, listed, expired by a call or by the clock."""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.store import Json
from sandbox.stripe import (
    events,
    line_items,
    lists,
    method_types,
    payers,
    payments,
    shapes,
    subscription_checkout,
    versions,
)
from sandbox.stripe.calls import GATEWAY, NOBODY, Call, Cause
from sandbox.stripe.errors import StripeError, missing
from sandbox.stripe.money import check_total
from sandbox.stripe.parameters import Parameters
from sandbox.world import World

KIND = "checkout.session"
EXPIRES = "stripe.session.expires"

EXPIRES_AFTER_MIN = 30 * 60
EXPIRES_AFTER_MAX = 24 * 3600
CLIENT_REFERENCE_MAX = 200

#: Stripe knows them, and for what happens in here they make no difference. Some are shown on the session.
_ACCEPTED = (
    "after_expiration", "billing_address_collection", "branding_settings", "consent_collection", "custom_fields",
    "custom_text", "customer_update", "excluded_payment_method_types", "integration_identifier", "name_collection",
    "origin_context", "payment_method_configuration", "payment_method_data",
    "payment_method_options", "permissions", "phone_number_collection", "redirect_on_completion",
    "saved_payment_method_options", "shipping_address_collection", "tax_id_collection", "wallet_options",
)  # fmt: skip
#: They change what is paid, by whom, or how the page is shown.
_NOT_SIMULATED = (
    "adaptive_pricing", "automatic_tax", "customer_account", "discounts", "invoice_creation", "managed_payments",
    "optional_items", "return_url", "setup_intent_data", "shipping_options",
)  # fmt: skip
_INTENT_ACCEPTED = ("on_behalf_of", "setup_future_usage", "shipping", "transfer_group")
_INTENT_NOT_SIMULATED = ("application_fee_amount", "transfer_data")


def create(call: Call) -> Json:
    parameters, now = call.parameters, call.world.clock.now()
    mode = parameters.choice("mode", {"payment", "subscription", "setup"})
    if mode is None:
        raise missing("mode")
    if mode == "setup":
        raise StripeError("The sandbox does not simulate `setup` mode.", param="mode")
    session_id = new_id("cs_test_a1", 56)
    wanted, listed_as = method_types.read(call)
    session = shapes.checkout_session(
        {
            "id": session_id,
            "allow_promotion_codes": parameters.flag("allow_promotion_codes"),
            "allowed_payment_method_types": wanted if listed_as == method_types.NEW else None,
            "cancel_url": parameters.url("cancel_url"),
            "client_reference_id": parameters.text("client_reference_id", limit=CLIENT_REFERENCE_MAX),
            "created": now,
            **_customer(call),
            "expires_at": _expires_at(call),
            "locale": parameters.text("locale"),
            "metadata": parameters.metadata(),
            "mode": mode,
            "payment_method_collection": _collection(parameters, mode),
            "submit_type": parameters.text("submit_type"),
            "success_url": parameters.url("success_url"),
            "ui_mode": _ui_mode(call),
            "url": f"{call.world.options.url}/pay/stripe/{session_id}",
        }
    )
    if session["success_url"] is None:
        raise missing("success_url")
    intent_data = _intent_data(parameters, mode)
    subscription_data = subscription_checkout.read(call, parameters, mode)
    lines = parameters.levels("line_items")
    asked_currency = parameters.text("currency")
    parameters.accept(_ACCEPTED)
    parameters.refuse_simulation_of(_NOT_SIMULATED)
    parameters.refuse_rest()
    items = subscription_checkout.due_today(line_items.read(call, lines, mode), subscription_data)
    currency = line_items.one_currency(items, asked_currency)
    total = sum(item["amount_total"] for item in items)
    check_total(total, currency)
    session |= {"amount_subtotal": total, "amount_total": total, "currency": currency}
    session["payment_method_types"] = method_types.choose(call, currency) or ["card"]
    call.keep(KIND, session)
    kept = {
        "id": session_id,
        "list": line_items.as_list(session_id, items),
        "payment_intent_data": intent_data,
        "subscription_data": subscription_data,
    }
    call.world.store.put(GATEWAY, "line_items", kept, created=now)
    call.world.agenda.enter(session["expires_at"], EXPIRES, session_id)
    return session


def retrieve(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find(KIND, call.ids["id"], "session")


def list_sessions(call: Call) -> Json:
    parameters = call.parameters
    asked = {name: parameters.text(name) for name in ("payment_intent", "customer", "subscription", "status")}
    details = parameters.level("customer_details")
    email = None if details is None else details.text("email")
    matching = {name: value for name, value in asked.items() if value is not None}
    return lists.page(
        call,
        KIND,
        "/v1/checkout/sessions",
        matching=matching,
        keep=None if email is None else lambda session: (session["customer_details"] or {}).get("email") == email,
    )


def list_line_items(call: Call) -> Json:
    """All of a session's lines on one page."""
    call.find(KIND, call.ids["id"], "session")
    call.parameters.accept(["limit", "starting_after", "ending_before"])
    call.parameters.refuse_rest()
    kept = call.world.store.find(GATEWAY, "line_items", call.ids["id"])
    assert kept is not None, "a session and its lines are written together"
    lines: Json = kept["list"]
    return lines


def expire(call: Call) -> Json:
    call.parameters.refuse_rest()
    session = call.find(KIND, call.ids["id"], "session")
    if session["status"] != "open":
        raise StripeError(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of'
            f" `{session['status']}`.",
            executed=True,
        )
    return _end(call.world, session, call.cause)


def expire_when_due(world: World, session_id: str) -> None:
    """The session's time is up; one that was completed meanwhile stays as it is."""
    session = world.store.find(GATEWAY, KIND, session_id)
    if session is not None and session["status"] == "open":
        _end(world, session, NOBODY)


def _end(world: World, session: Json, cause: Cause) -> Json:
    session |= {"status": "expired", "url": None}
    world.store.put(GATEWAY, KIND, session, created=session["created"])
    world.agenda.strike(EXPIRES, session["id"])
    payments.give_up(world, session, cause)
    events.record(world, "checkout.session.expired", session, cause)
    return session


def _expires_at(call: Call) -> int:
    now = call.world.clock.now()
    asked = call.parameters.integer("expires_at")
    if asked is None:
        return now + EXPIRES_AFTER_MAX
    if asked < now + EXPIRES_AFTER_MIN:
        message = "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation."
        raise StripeError(message, param="expires_at")
    if asked > now + EXPIRES_AFTER_MAX:
        message = "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation."
        raise StripeError(message, param="expires_at")
    return asked


def _ui_mode(call: Call) -> str:
    asked = call.parameters.text("ui_mode")
    name = "hosted" if versions.is_before(call.version, versions.DAHLIA) else "hosted_page"
    if asked not in {None, name}:
        raise StripeError(f"Invalid ui_mode: the sandbox shows its own page, `{name}`, only.", param="ui_mode")
    return "hosted_page"


def _customer(call: Call) -> Json:
    parameters = call.parameters
    customer_id, email = parameters.text("customer"), parameters.text("customer_email", limit=800)
    creation = parameters.choice("customer_creation", {"always", "if_required"})
    if customer_id is not None and email is not None:
        message = "You may only specify one of these parameters: customer, customer_email."
        raise StripeError(message, param="customer_email")
    if creation == "always":
        raise StripeError(
            "The sandbox does not simulate `customer_creation`: make the customer first.", param="customer_creation"
        )
    if customer_id is not None:
        payers.find_living(call, customer_id, "customer")
    return {
        "customer": customer_id,
        "customer_email": email,
        "customer_creation": None if customer_id else "if_required",
    }


def _collection(parameters: Parameters, mode: str) -> str:
    """Whether a card is asked for where nothing is due; the page asks in either case."""
    asked = parameters.choice("payment_method_collection", {"always", "if_required"})
    if asked is not None and mode != "subscription":
        message = "You can only specify `payment_method_collection` in `subscription` mode."
        raise StripeError(message, param="payment_method_collection")
    return asked or ("always" if mode == "subscription" else "if_required")


def _intent_data(parameters: Parameters, mode: str) -> Json:
    """What becomes of the PaymentIntent, once there is one."""
    level = parameters.level("payment_intent_data")
    if level is None:
        return {"metadata": {}, "description": None, "receipt_email": None, "statement_descriptor": None}
    if mode != "payment":
        message = f"You can not pass `payment_intent_data` in `{mode}` mode."
        raise StripeError(message, param="payment_intent_data")
    if level.choice("capture_method", {"automatic", "automatic_async", "manual"}) == "manual":
        raise StripeError("The sandbox does not simulate `manual` capture.", param=level.name("capture_method"))
    data = {
        "metadata": level.metadata(),
        "description": level.text("description"),
        "receipt_email": level.text("receipt_email"),
        "statement_descriptor": level.text("statement_descriptor", limit=22),
    }
    level.text("statement_descriptor_suffix", limit=22)
    level.accept(_INTENT_ACCEPTED)
    level.refuse_simulation_of(_INTENT_NOT_SIMULATED)
    level.refuse_rest()
    return data
