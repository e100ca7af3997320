"""What stands on an invoice: the items of a subscription for their period, and what has been waiting for an invoice."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import events, invoice_shapes, prorations, records
from sandbox.stripe.calls import GATEWAY, Cause
from sandbox.stripe.money import show
from sandbox.stripe.prorations import Part
from sandbox.world import World

KIND = "invoiceitem"


def of_period(world: World, subscription: Json) -> list[Json]:
    """The whole price of each item for the period that it has; nothing while it is tried out."""
    is_trial = subscription["status"] == "trialing"
    return [
        invoice_shapes.period_line(
            subscription,
            item,
            0 if is_trial else item["price"]["unit_amount"] * item["quantity"],
            _described(names_of(world, [item])[item["price"]["product"]], item, is_trial=is_trial),
        )
        for item in subscription["items"]["data"]
    ]


def waiting(world: World, customer_id: str, subscription_id: str | None) -> list[Json]:
    """What is to be on this subscription's next invoice; without one, on the next that a call makes. Oldest first."""
    found = world.store.newest(GATEWAY, KIND, limit=1000, matching={"customer": customer_id})
    mine = {None, subscription_id}
    return [
        item for item in reversed(found) if item["invoice"] is None and invoice_shapes.subscription_of(item) in mine
    ]


def item_lines(items: list[Json]) -> list[Json]:
    return [invoice_shapes.item_line(item) for item in items]


def proration_items(world: World, subscription: Json, parts: list[Part]) -> list[Json]:
    """The parts of a proration as things to be invoiced, not written down yet."""
    return [
        invoice_shapes.invoice_item(
            {
                "amount": part.amount,
                "currency": subscription["currency"],
                "customer": subscription["customer"],
                "description": part.description,
                "metadata": dict(subscription["metadata"]),
                "parent": invoice_shapes.item_parent(subscription["id"], part.item["id"]),
                "period": {"end": part.end, "start": part.start},
                "pricing": invoice_shapes.pricing(part.item["price"]),
                "proration": True,
                "quantity": part.item["quantity"],
            },
            world.clock.now(),
        )
        for part in parts
    ]


def put_down(world: World, items: list[Json], cause: Cause) -> None:
    """Things to be invoiced, now or with the next renewal."""
    for item in items:
        records.keep(world, item)
        events.record(world, "invoiceitem.created", item, cause)


def credit_for_rest(world: World, subscription: Json) -> list[Part]:
    """What is left of the running period, for a subscription that stops in it."""
    return prorations.credit(_paid_for(subscription), _names(world, subscription), world.clock.now())


def parts_of_change(world: World, before: Json, after: Json, at: int) -> list[Part]:
    """What goes back and what is due for the rest of a period that stays."""
    left, taken = prorations.changed(_paid_for(before), after["items"]["data"])
    names = _names(world, before) | _names(world, after)
    return prorations.credit(left, names, at) + prorations.debit(taken, names, at)


def names_of(world: World, items: list[Json]) -> dict[str, str]:
    """What the products of some items are called."""
    return {
        item["price"]["product"]: (world.store.find(GATEWAY, "product", item["price"]["product"]) or {}).get(
            "name", "A product"
        )
        for item in items
    }


def _names(world: World, subscription: Json) -> dict[str, str]:
    return names_of(world, subscription["items"]["data"])


def _paid_for(subscription: Json) -> list[Json]:
    """Nothing has been paid for a time that is tried out."""
    return [] if subscription["status"] == "trialing" else list(subscription["items"]["data"])


def _described(name: str, item: Json, *, is_trial: bool) -> str:
    if is_trial:
        return f"Trial period for {name}"
    price = item["price"]
    count, interval = price["recurring"]["interval_count"], price["recurring"]["interval"]
    period = interval if count == 1 else f"{count} {interval}s"
    each = show(price["unit_amount"], price["currency"])
    return f"{item['quantity']} \N{MULTIPLICATION SIGN} {name} (at {each} / {period})"
