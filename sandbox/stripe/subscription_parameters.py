"""What a call says about a subscription: its items, its trial, what pays for it, and what is done where that fails."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import catalogue, payment_methods, subscription_shapes, versions
from sandbox.stripe.calls import Call
from sandbox.stripe.errors import StripeError, missing, not_simulated
from sandbox.stripe.line_items import QUANTITY_MAX
from sandbox.stripe.parameters import Parameters

ITEMS_MAX = 20
TRIAL_DAYS_MAX = 730
_DAY = 24 * 3600
_MISSING_METHOD = ("cancel", "create_invoice", "pause")
_FEEDBACK = (
    "customer_service", "low_quality", "missing_features", "other", "switched_service", "too_complex", "too_expensive",
    "unused",
)  # fmt: skip

#: Stripe knows them, and for what happens in here they make no difference.
ACCEPTED = ("billing_mode", "default_tax_rates", "invoice_settings", "on_behalf_of", "currency")
#: They change what is billed, when, or how.
NOT_SIMULATED = (
    "add_invoice_items", "application_fee_percent", "automatic_tax", "backdate_start_date",
    "billing_cycle_anchor_config", "billing_schedules", "billing_thresholds", "days_until_due", "default_source",
    "discounts", "pending_invoice_item_interval", "transfer_data", "trial_from_plan",
)  # fmt: skip
_ITEM_NOT_SIMULATED = ("billing_thresholds", "clear_usage", "current_trial", "discounts", "plan")


def read_new_items(call: Call, subscription_id: str) -> list[Json]:
    levels = call.parameters.levels("items")
    if not levels:
        raise missing("items")
    if len(levels) > ITEMS_MAX:
        raise StripeError(f"You may have up to {ITEMS_MAX} items.", param="items")
    items = [_read_item(call, level, subscription_id, None) for level in levels]
    check_together([item for item in items if item is not None])
    return [item for item in items if item is not None]


def read_changed_items(call: Call, subscription: Json) -> list[Json] | None:
    """All items as the call leaves them: named ones changed or gone, the others as they are, new ones at the end."""
    levels = call.parameters.levels("items")
    if not levels:
        return None
    items = {item["id"]: item for item in subscription["items"]["data"]}
    for level in levels:
        named = level.text("id")
        if named is not None and named not in items:
            message = f"No such subscription item: '{named}'"
            raise StripeError(message, code="resource_missing", param=level.name("id"))
        is_gone = level.flag("deleted") or False
        made = _read_item(call, level, subscription["id"], items.get(named or ""), is_gone=is_gone)
        if made is None:
            del items[named or ""]
        else:
            items[made["id"]] = made
    if not items:
        raise StripeError("A subscription must have at least one active plan.", param="items")
    check_together(list(items.values()))
    return list(items.values())


def check_together(items: list[Json]) -> None:
    """One currency, one interval, each price once."""
    prices = [item["price"] for item in items]
    if len({price["id"] for price in prices}) < len(prices):
        message = "Cannot add multiple subscription items with the same plan."
        raise StripeError(message, param="items")
    if len({price["currency"] for price in prices}) > 1:
        raise StripeError("All prices of a subscription must have the same currency.", param="items")
    if len({(price["recurring"]["interval"], price["recurring"]["interval_count"]) for price in prices}) > 1:
        raise StripeError("The sandbox bills all items of a subscription in the same interval.", param="items")


def read_trial_end(call: Call, parameters: Parameters) -> int | None:
    """When a trial ends that the call asks for; this very moment where it says ``now``."""
    now = call.world.clock.now()
    text, days = parameters.text("trial_end"), parameters.integer("trial_period_days")
    if text is not None and days is not None:
        message = "You may only specify one of these parameters: trial_end, trial_period_days."
        raise StripeError(message, param=parameters.name("trial_end"))
    if days is not None:
        if not 1 <= days <= TRIAL_DAYS_MAX:
            message = f"The trial period must be from 1 to {TRIAL_DAYS_MAX} days."
            raise StripeError(message, param=parameters.name("trial_period_days"))
        return now + days * _DAY
    if text in {None, "now"}:
        return None if text is None else now
    at = parameters.integer("trial_end") or 0
    if not now < at <= now + TRIAL_DAYS_MAX * _DAY:
        message = "Invalid timestamp: must be an integer Unix timestamp in the future, and no more than two years away."
        raise StripeError(message, param=parameters.name("trial_end"))
    return at


def read_trial_settings(parameters: Parameters) -> Json | None:
    level = parameters.level("trial_settings")
    behaviour = None if level is None else level.level("end_behavior")
    if level is None or behaviour is None:
        return None
    wanted = behaviour.choice("missing_payment_method", _MISSING_METHOD)
    behaviour.refuse_simulation_of(["billing_cycle_anchor"])
    behaviour.refuse_rest()
    level.refuse_rest()
    return subscription_shapes.trial_settings(wanted)


def read_payment_settings(parameters: Parameters) -> Json | None:
    level = parameters.level("payment_settings")
    if level is None:
        return None
    saves = level.choice("save_default_payment_method", {"off", "on_subscription"})
    level.accept(["payment_method_options", "payment_method_types"])
    level.refuse_rest()
    return subscription_shapes.payment_settings(saves)


def read_method(call: Call, customer_id: str) -> str | None:
    """What pays by default; it must be the customer's own."""
    name = call.parameters.text("default_payment_method")
    if name is None:
        return None
    method = payment_methods.find(call, name, "default_payment_method")
    if method["customer"] != customer_id:
        raise StripeError(
            f"The customer does not have a payment method with the ID {method['id']}. The payment method must be"
            " attached to the customer.",
            code="resource_missing",
            param="default_payment_method",
        )
    return str(method["id"])


def read_cancellation_details(parameters: Parameters) -> Json:
    """What the customer said about leaving."""
    level = parameters.level("cancellation_details")
    if level is None:
        return {}
    told: Json = {"comment": level.text("comment"), "feedback": level.choice("feedback", _FEEDBACK)}
    level.accept(["feedback_option"])
    level.refuse_rest()
    return {name: value for name, value in told.items() if value is not None}


def read_anchor_now(call: Call, parameters: Parameters) -> bool:
    """Whether a new cycle begins now; since Endive the word stands in a level of its own."""
    if versions.is_before(call.version, versions.ENDIVE):
        return parameters.choice("billing_cycle_anchor", {"now", "unchanged"}) == "now"
    level = parameters.level("billing_cycle_anchor")
    if level is None:
        return False
    wanted = level.choice("type", {"now", "unchanged"})
    level.refuse_rest()
    if wanted is None:
        raise missing(level.name("type"))
    return wanted == "now"


def check_collection(parameters: Parameters) -> None:
    if parameters.choice("collection_method", {"charge_automatically", "send_invoice"}) == "send_invoice":
        raise not_simulated("collection_method")


def refuse_others(parameters: Parameters) -> None:
    """Whatever has not been asked for by now."""
    parameters.accept(ACCEPTED)
    parameters.refuse_simulation_of(NOT_SIMULATED)
    parameters.refuse_rest()


def _read_item(
    call: Call, level: Parameters, subscription_id: str, old: Json | None, *, is_gone: bool = False
) -> Json | None:
    price_id, price_data = level.text("price"), level.level("price_data")
    quantity = level.integer("quantity")
    metadata = level.metadata(None if old is None else old["metadata"])
    level.accept(["id", "tax_rates"])
    level.refuse_simulation_of(_ITEM_NOT_SIMULATED)
    level.refuse_rest()
    if is_gone:
        return None
    price = _price(call, level, price_id, price_data, old)
    quantity = (1 if old is None else old["quantity"]) if quantity is None else quantity
    if not 0 <= quantity <= QUANTITY_MAX:
        message = f"This value must be between 0 and {QUANTITY_MAX}."
        raise StripeError(message, code="parameter_invalid_integer", param=level.name("quantity"))
    made = subscription_shapes.item(subscription_id, price, quantity, metadata, call.world.clock.now())
    if old is None:
        return made
    kept = {name: old[name] for name in ("id", "created", "current_period_end", "current_period_start")}
    return {**made, **kept}


def _price(
    call: Call, level: Parameters, price_id: str | None, price_data: Parameters | None, old: Json | None
) -> Json:
    if price_id is None and price_data is None and old is not None:
        price: Json = old["price"]
    elif (price_id is None) == (price_data is None):
        raise missing(level.name("price"))
    elif price_data is not None:
        price = catalogue.one_off(call, price_data)
    else:
        price = catalogue.find_active_price(call, price_id or "", level.name("price"))
    if price["recurring"] is None:
        message = (
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`."
        )
        raise StripeError(message, param=level.name("price"))
    return price
