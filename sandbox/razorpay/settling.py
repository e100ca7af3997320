"""What becomes of a settlement: everything that has come together goes to the bank, less fees, tax and refunds.

created -> processed | failed      what a failed one was made of belongs to the next
"""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.razorpay import events, ledger
from sandbox.razorpay.calls import GATEWAY, keep
from sandbox.store import Json
from sandbox.world import World

KIND = "settlement"
ARRIVES = "razorpay.settlement.arrives"
ARRIVES_AFTER_SECONDS = 24 * 3600


def settle(world: World, *, after: int = ARRIVES_AFTER_SECONDS) -> list[Json]:
    """One settlement of all that is there, in rupees as Razorpay settles; none while nothing is left over."""
    rows = [row for row in ledger.unsettled(world) if row["currency"] == "INR"]
    amount = sum(row["gives"] for row in rows)
    if amount <= 0:
        return []
    settlement: Json = {
        "id": new_id("setl_", 14),
        "entity": KIND,
        "amount": amount,
        "status": "created",
        "fees": sum(row["fee"] for row in rows),
        "tax": sum(row["tax"] for row in rows),
        "utr": new_id("SANDBOX", 15).upper(),
        "created_at": world.clock.now(),
    }
    keep(world, KIND, settlement)
    for row in rows:
        ledger.mark_settled(world, row, settlement)
    world.agenda.enter(world.clock.exact() + after, ARRIVES, settlement["id"])
    return [settlement]


def arrive_when_due(world: World, settlement_id: str) -> None:
    settlement = world.store.find(GATEWAY, KIND, settlement_id)
    assert settlement is not None, "the agenda names it"
    arrive(world, settlement)


def arrive(world: World, settlement: Json) -> Json:
    """The money is at the bank."""
    if settlement["status"] != "created":
        return settlement
    world.agenda.strike(ARRIVES, settlement["id"])
    settlement = keep(world, KIND, {**settlement, "status": "processed"})
    events.record(world, "settlement.processed", settlement=settlement)
    return settlement


def fail(world: World, settlement: Json) -> Json:
    """The bank sends it back, and Razorpay has no event for that."""
    if settlement["status"] == "created":
        world.agenda.strike(ARRIVES, settlement["id"])
        settlement = keep(world, KIND, {**settlement, "status": "failed"})
        ledger.release(world, settlement)
    return settlement
