"""Products and prices. A price never changes its amount: a new one is made, and the old one is set inactive."""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.store import Json
from sandbox.stripe import events, lists
from sandbox.stripe.calls import GATEWAY, Call
from sandbox.stripe.errors import StripeError, missing, no_such
from sandbox.stripe.money import check_amount, check_currency
from sandbox.stripe.parameters import Parameters

INTERVALS = {"day", "week", "month", "year"}
LOOKUP_KEYS_MAX = 10

_PRODUCT_ACCEPTED = (
    "images", "marketing_features", "package_dimensions", "shippable", "tax_code", "tax_details", "type",
)  # fmt: skip
_PRICE_NOT_SIMULATED = ("currency_options", "custom_unit_amount", "tiers", "tiers_mode", "transform_quantity")


def create_product(call: Call) -> Json:
    parameters = call.parameters
    asked_id = parameters.text("id", limit=255)
    price_data = parameters.level("default_price_data")
    product = _product(call, parameters)
    parameters.accept(_PRODUCT_ACCEPTED)
    parameters.refuse_rest()
    if asked_id is not None and call.world.store.find(GATEWAY, "product", asked_id) is not None:
        raise StripeError(f"Product already exists: {asked_id}", code="resource_already_exists", executed=True)
    product["id"] = asked_id or product["id"]
    call.keep("product", product)
    events.record(call.world, "product.created", product, call.cause)
    if price_data is not None:
        price = _price(call, price_data, product["id"])
        price_data.refuse_rest()
        call.keep("price", price)
        events.record(call.world, "price.created", price, call.cause)
        product["default_price"] = price["id"]
        call.keep("product", product)
    return product


def retrieve_product(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find("product", call.ids["id"])


def update_product(call: Call) -> Json:
    parameters = call.parameters
    product = call.find("product", call.ids["id"])
    before = dict(product)
    for name in ("name", "description", "statement_descriptor", "unit_label"):
        value = parameters.text(name)
        product[name] = product[name] if value is None else value
    product["url"] = parameters.url("url") or product["url"]
    active, default_price = parameters.flag("active"), parameters.text("default_price")
    product["active"] = product["active"] if active is None else active
    if default_price is not None:
        product["default_price"] = call.find("price", default_price, "default_price")["id"]
    product["metadata"] = parameters.metadata(product["metadata"])
    parameters.accept(_PRODUCT_ACCEPTED)
    parameters.refuse_rest()
    return _keep_changed(call, "product", before, {**product, "updated": call.world.clock.now()})


def delete_product(call: Call) -> Json:
    """Only where nothing has ever been sold by it: a product with prices is set inactive instead."""
    call.parameters.refuse_rest()
    product = call.find("product", call.ids["id"])
    if call.world.store.newest(GATEWAY, "price", limit=1, matching={"product": product["id"]}):
        message = "This product cannot be deleted because it has one or more user-created prices."
        raise StripeError(message, executed=True)
    call.world.store.remove(GATEWAY, "product", product["id"])
    events.record(call.world, "product.deleted", product, call.cause)
    return {"id": product["id"], "object": "product", "deleted": True}


def list_products(call: Call) -> Json:
    active, ids = call.parameters.flag("active"), call.parameters.texts("ids")

    def keep(product: Json) -> bool:
        return (active is None or product["active"] == active) and (ids is None or product["id"] in ids)

    return lists.page(call, "product", "/v1/products", keep=keep)


def create_price(call: Call) -> Json:
    parameters = call.parameters
    product_id, product_data = parameters.text("product"), parameters.level("product_data")
    if product_id is not None and product_data is not None:
        raise StripeError("You may only specify one of these parameters: product, product_data.", param="product_data")
    if product_id is not None:
        product = call.find("product", product_id, "product")
    elif product_data is not None:
        product = _product(call, product_data)
        product_data.accept(_PRODUCT_ACCEPTED)
        product_data.refuse_rest()
    else:
        raise missing("product")
    lookup_key, transfers = parameters.text("lookup_key", limit=200), parameters.flag("transfer_lookup_key")
    price = _price(call, parameters, product["id"])
    parameters.refuse_rest()
    price["lookup_key"] = _claim_lookup_key(call, lookup_key, transfers=bool(transfers))
    if product_data is not None:
        call.keep("product", product)
        events.record(call.world, "product.created", product, call.cause)
    call.keep("price", price)
    events.record(call.world, "price.created", price, call.cause)
    return price


def retrieve_price(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find("price", call.ids["id"])


def update_price(call: Call) -> Json:
    parameters = call.parameters
    price = call.find("price", call.ids["id"])
    before = dict(price)
    active, nickname = parameters.flag("active"), parameters.text("nickname")
    lookup_key, transfers = parameters.text("lookup_key", limit=200), parameters.flag("transfer_lookup_key")
    price["metadata"] = parameters.metadata(price["metadata"])
    parameters.accept(["tax_behavior"])
    parameters.refuse_rest()
    price["active"] = price["active"] if active is None else active
    price["nickname"] = price["nickname"] if nickname is None else nickname
    if lookup_key is not None and lookup_key != price["lookup_key"]:
        price["lookup_key"] = _claim_lookup_key(call, lookup_key, transfers=bool(transfers))
    return _keep_changed(call, "price", before, price)


def list_prices(call: Call) -> Json:
    parameters = call.parameters
    active, lookup_keys = parameters.flag("active"), parameters.texts("lookup_keys")
    if lookup_keys is not None and len(lookup_keys) > LOOKUP_KEYS_MAX:
        raise StripeError(f"You may specify up to {LOOKUP_KEYS_MAX} lookup keys.", param="lookup_keys")
    asked = {name: parameters.text(name) for name in ("product", "currency", "type")}
    matching = {name: value for name, value in asked.items() if value is not None}

    def keep(price: Json) -> bool:
        return (active is None or price["active"] == active) and (
            lookup_keys is None or price["lookup_key"] in lookup_keys
        )

    return lists.page(call, "price", "/v1/prices", matching=matching, keep=keep)


def one_off(call: Call, price_data: Parameters) -> Json:
    """The price, and the product where it is described, that a line of a checkout brings along: made inactive."""
    product_id, product_data = price_data.text("product"), price_data.level("product_data")
    if (product_id is None) == (product_data is None):
        raise missing(price_data.name("product_data"))
    if product_data is not None:
        product = {**_product(call, product_data), "active": False}
        product_data.accept(_PRODUCT_ACCEPTED)
        product_data.refuse_rest()
        call.keep("product", product)
    else:
        product = call.find("product", product_id or "", price_data.name("product"))
    price = {**_price(call, price_data, product["id"]), "active": False}
    price_data.refuse_rest()
    return call.keep("price", price)


def _product(call: Call, parameters: Parameters) -> Json:
    now = call.world.clock.now()
    active = parameters.flag("active")
    return {
        "id": new_id("prod_", 14),
        "object": "product",
        "active": True if active is None else active,
        "created": now,
        "default_price": None,
        "description": parameters.text("description", limit=40_000),
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": parameters.metadata(),
        "name": parameters.required_text("name", limit=250),
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": parameters.text("statement_descriptor", limit=22),
        "tax_code": None,
        "type": "service",
        "unit_label": parameters.text("unit_label", limit=12),
        "updated": now,
        "url": parameters.url("url"),
    }


def _price(call: Call, parameters: Parameters, product_id: str) -> Json:
    currency = check_currency(parameters.required_text("currency"), parameters.name("currency"))
    decimal = parameters.text("unit_amount_decimal")
    amount = parameters.integer("unit_amount")
    if amount is None and decimal is not None and decimal.isascii() and decimal.isdecimal():
        amount = int(decimal)
    if amount is None:
        raise missing(parameters.name("unit_amount"))
    check_amount(amount, currency, parameters.name("unit_amount"))
    active, recurring = parameters.flag("active"), parameters.level("recurring")
    parameters.accept(["tax_behavior", "billing_scheme"])
    parameters.refuse_simulation_of(_PRICE_NOT_SIMULATED)
    return {
        "id": new_id("price_1", 23),
        "object": "price",
        "active": True if active is None else active,
        "billing_scheme": "per_unit",
        "created": call.world.clock.now(),
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": parameters.metadata(),
        "nickname": parameters.text("nickname"),
        "product": product_id,
        "recurring": None if recurring is None else read_recurring(recurring),
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time" if recurring is None else "recurring",
        "unit_amount": amount,
        "unit_amount_decimal": str(amount),
    }


def read_recurring(parameters: Parameters) -> Json:
    """How often a price is due, or how long something lasts."""
    interval = parameters.choice("interval", INTERVALS)
    if interval is None:
        raise missing(parameters.name("interval"))
    count = parameters.integer("interval_count")
    parameters.accept(["usage_type"])
    parameters.refuse_rest()
    return {
        "interval": interval,
        "interval_count": 1 if count is None else count,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def _claim_lookup_key(call: Call, lookup_key: str | None, *, transfers: bool) -> str | None:
    """A lookup key belongs to one price; it moves to a new one only where the call says so."""
    if lookup_key is None:
        return None
    for holder in call.world.store.newest(GATEWAY, "price", limit=1, matching={"lookup_key": lookup_key}):
        if not transfers:
            message = f"A price (`{holder['id']}`) already uses that lookup key."
            raise StripeError(message, code="resource_already_exists", param="lookup_key", executed=True)
        _keep_changed(call, "price", holder, {**holder, "lookup_key": None})
    return lookup_key


def _keep_changed(call: Call, kind: str, before: Json, after: Json) -> Json:
    call.keep(kind, after)
    previous = {name: value for name, value in before.items() if after[name] != value}
    if previous:
        events.record(call.world, f"{kind}.updated", after, call.cause, previous=previous)
    return after


def find_active_price(call: Call, price_id: str, param: str) -> Json:
    """A price that can be sold."""
    price = call.world.store.find(GATEWAY, "price", price_id)
    if price is None:
        raise no_such("price", price_id, param)
    if not price["active"]:
        message = "The price specified is inactive. This field only accepts active prices."
        raise StripeError(message, param=param)
    return price
