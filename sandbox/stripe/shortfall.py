"""The fault ``amountMismatch``: one minor unit less is taken than was asked, and every object and event says so."""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.store import Json
from sandbox.stripe.calls import GATEWAY
from sandbox.world import World


def ask_for_less(world: World, intent: Json) -> None:
    """Just before the money is taken; whoever takes it takes what the intent says."""
    if world.faults.strikes("amountMismatch", GATEWAY):
        intent["amount"] -= 1


def agree(world: World, session: Json, intent: Json) -> None:
    """The session and its lines come to what was taken, as if there had been a discount of the difference."""
    short = session["amount_total"] - intent["amount"]
    if not short:
        return
    session["amount_total"] -= short
    session["total_details"]["amount_discount"] += short
    kept = world.store.find(GATEWAY, "line_items", session["id"])
    assert kept is not None, "a session and its lines are written together"
    first = max(kept["list"]["data"], key=lambda line: int(line["amount_total"]))
    first |= {"amount_discount": first["amount_discount"] + short, "amount_total": first["amount_total"] - short}
    world.store.put(GATEWAY, "line_items", kept, created=session["created"])


def agree_on_invoice(invoice: Json, intent: Json) -> None:
    """The invoice comes to what was taken, in the same way."""
    short = invoice["amount_due"] - intent["amount"]
    if short <= 0:
        return
    for name in ("amount_due", "amount_remaining", "total", "total_excluding_tax"):
        invoice[name] -= short
    invoice["total_discount_amounts"] = [{"amount": short, "discount": new_id("di_1", 23)}]
