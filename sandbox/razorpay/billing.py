"""What happens to a subscription by itself, when the clock gets there: its start, its cycles, its retries, its end."""

from __future__ import annotations

from sandbox.razorpay import charging, cycles, invoices, lifecycle, mandates, plans
from sandbox.razorpay.calls import keep
from sandbox.razorpay.invoices import Line
from sandbox.store import Json
from sandbox.world import World


def follow(world: World) -> None:
    """Tells the clock."""
    world.agenda.on(lifecycle.EXPIRES, lambda subscription_id: expire(world, subscription_id))
    world.agenda.on(lifecycle.FALLS_DUE, lambda subscription_id: fall_due(world, subscription_id))
    world.agenda.on(lifecycle.RETRIES, lambda subscription_id: retry(world, subscription_id))
    world.agenda.on(charging.AUTHORISES_LATE, lambda payment_id: charging.authorise_late(world, payment_id))


def expire(world: World, subscription_id: str) -> None:
    """Nobody has given a mandate in time."""
    subscription = lifecycle.find(world, subscription_id)
    if subscription["status"] == "created":
        lifecycle.expire(world, subscription)


def fall_due(world: World, subscription_id: str) -> None:
    """A cycle begins, the first or the next; or there is none to begin."""
    subscription, mandate = lifecycle.find(world, subscription_id), mandates.of(world, subscription_id)
    if mandate["cancels_at_end"]:
        lifecycle.cancel(world, subscription)
        return
    if subscription["remaining_count"] == 0:
        lifecycle.complete(world, subscription)
        return
    if mandate["changes"] is not None:
        _change_terms(world, subscription, mandate)
    invoice = issue_for_cycle(world, subscription)
    lifecycle.begin_cycle(world, subscription, invoice)
    match subscription["status"]:
        case "halted":
            # An invoice for every cycle all the same, and no attempt to charge it.
            keep(world, lifecycle.KIND, subscription | {"charge_at": subscription["current_end"]})
        case "authenticated":
            lifecycle.activate(world, subscription)
            charging.charge(world, subscription)
        case _:
            charging.charge(world, subscription)


def retry(world: World, subscription_id: str) -> None:
    """A day has passed since a charge failed."""
    subscription = lifecycle.find(world, subscription_id)
    if subscription["status"] == "pending":
        charging.charge(world, subscription)


def issue_for_cycle(world: World, subscription: Json, upfront: list[Line] | None = None) -> Json:
    """The invoice of one cycle, on the terms of this moment."""
    item = plans.of(world, subscription)["item"]
    price = Line(item["name"], item["amount"], subscription["quantity"])
    return invoices.issue(world, subscription, [price, *(upfront or [])], item["currency"])


def _change_terms(world: World, subscription: Json, mandate: Json) -> None:
    """What was scheduled for the end of the cycle. A plan with cycles of another length counts them from here."""
    changes = mandate["changes"]
    before, after = plans.of(world, subscription), plans.of(world, subscription | changes)
    if not cycles.are_alike(before, after):
        mandate |= {"anchor": subscription["current_end"], "cycle": None}
    mandates.keep(world, mandate | {"changes": None})
    lifecycle.update(world, subscription, changes)
