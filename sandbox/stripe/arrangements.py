"""What happens behind a subscription without its customer: a card goes bad, or the next payments end as ordered."""

from __future__ import annotations

from sandbox.cards import Card, Decline
from sandbox.outcomes import NotPayable
from sandbox.store import Json
from sandbox.stripe import collecting, records, shapes, standing
from sandbox.stripe.calls import GATEWAY
from sandbox.world import World

#: How the next payment ends, whatever the card does; ``ask`` is the bank's question, with nobody there to answer it.
NEXT_PAYMENTS = ("succeed", "fail", "ask")
TIMES_MAX = 100

#: Why the bank says no, as ``decline`` orders it.
DECLINES = tuple(decline.value for decline in Decline if decline is not Decline.DEBIT_FAILED)


def is_known(world: World, subscription_id: str) -> bool:
    return world.store.find(GATEWAY, standing.KIND, subscription_id) is not None


def swap_card(world: World, subscription_id: str, card: Card) -> None:
    """The method that pays keeps its id and is another card from now on. Nobody is told, as when a card goes bad."""
    subscription = standing.find(world, subscription_id)
    customer = records.find(world, "customer", subscription["customer"])
    named = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    if named is None:
        raise NotPayable("This subscription has no card that could be another.")
    method = records.find(world, "payment_method", named)
    records.keep(world, {**method, "card": shapes.card_method(card, world.clock.now())["card"]})


def order_payments(world: World, subscription_id: str, ending: str, decline: str, times: int) -> None:
    """How so many attempts end that nobody makes by hand."""
    refused = Decline(decline) if ending == "fail" else None
    collecting.order_payments(world, subscription_id, refused, asks=ending == "ask", times=times)


def tell(world: World, subscription_id: str, ending: str | None) -> Json:
    """What pays from now on, and how it ends."""
    subscription = standing.find(world, subscription_id)
    method = world.store.find(GATEWAY, "payment_method", subscription["default_payment_method"] or "") or {}
    last4 = (method.get("card") or {}).get("last4")
    return {"subscription": subscription_id, "last4": last4, "nextPayment": ending}
