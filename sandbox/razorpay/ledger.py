"""What a settlement is made of: a row for each movement of money, with its fee and tax, as the report tells them."""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.razorpay.calls import GATEWAY
from sandbox.store import Json
from sandbox.world import World

KIND = "ledger_row"
_ROWS_MAX = 1_000_000


def credit_payment(world: World, payment: Json) -> None:
    fee, tax = payment["fee"], payment["tax"]
    _enter(world, payment, "payment", payment["id"], payment["amount"] - fee, fee=fee, tax=tax)


def debit_refund(world: World, refund: Json, payment: Json) -> None:
    _enter(world, payment, "refund", refund["id"], -refund["amount"], amount=refund["amount"])


def return_refund(world: World, refund: Json, payment: Json) -> None:
    """The money of a refund that failed is here again."""
    _adjust(world, payment, refund["amount"], f"Refund {refund['id']} failed")


def debit_dispute(world: World, dispute: Json, payment: Json) -> None:
    _adjust(world, payment, -dispute["amount"], f"Dispute {dispute['id']} debited", dispute["id"])


def return_dispute(world: World, dispute: Json, payment: Json) -> None:
    _adjust(world, payment, dispute["amount"], f"Dispute {dispute['id']} reversed", dispute["id"])


def unsettled(world: World) -> list[Json]:
    """What no settlement has brought to the bank yet, oldest first."""
    found = world.store.newest(GATEWAY, KIND, limit=_ROWS_MAX, matching={"settlement_id": ""})
    return found[::-1]


def settled_between(world: World, since: int, until: int) -> list[Json]:
    """What was settled in a span of time, both ends included, oldest first."""
    return [
        row
        for row in world.store.all(GATEWAY, KIND)
        if row["settled_at"] is not None and since <= row["settled_at"] <= until
    ]


def mark_settled(world: World, row: Json, settlement: Json) -> None:
    told = {"settled": True, "settled_at": settlement["created_at"], "settlement_id": settlement["id"]}
    _keep(world, {**row, **told, "settlement_utr": settlement["utr"]})


def release(world: World, settlement: Json) -> None:
    """What it was made of is unsettled again."""
    for row in world.store.newest(GATEWAY, KIND, limit=_ROWS_MAX, matching={"settlement_id": settlement["id"]}):
        told = {"settled": False, "settled_at": None, "settlement_id": "", "settlement_utr": None}
        _keep(world, {**row, **told})


def shown(row: Json) -> Json:
    """As the report tells it."""
    return {name: value for name, value in row.items() if name not in {"id", "gives"}}


def _adjust(world: World, payment: Json, gives: int, description: str, dispute_id: str | None = None) -> None:
    adjustment_id = new_id("adj_", 14)
    _enter(
        *(world, payment, "adjustment", adjustment_id, gives),
        amount=abs(gives),
        description=description,
        dispute_id=dispute_id,
    )


def _enter(
    world: World,
    payment: Json,
    kind: str,
    entity_id: str,
    gives: int,
    *,
    fee: int = 0,
    tax: int = 0,
    amount: int | None = None,
    description: str | None = None,
    dispute_id: str | None = None,
) -> None:
    """A movement for which ``payment`` is the reason; ``gives`` is what it adds to the balance, or takes from it."""
    card = payment.get("card") or {}
    order = world.store.find(GATEWAY, "order", payment["order_id"] or "") or {}
    row = {
        "id": entity_id,
        "gives": gives,
        "entity_id": entity_id,
        "type": kind,
        "debit": max(-gives, 0),
        "credit": max(gives, 0),
        "amount": payment["amount"] if amount is None else amount,
        "currency": payment["currency"],
        "fee": fee,
        "tax": tax,
        "on_hold": False,
        "settled": False,
        "created_at": world.clock.now(),
        "settled_at": None,
        "settlement_id": "",
        "posted_at": None,
        "credit_type": "default",
        "description": description,
        "notes": payment["notes"],
        "payment_id": payment["id"] if kind != "payment" else None,
        "settlement_utr": None,
        "order_id": payment["order_id"],
        "order_receipt": order.get("receipt"),
        "method": payment["method"],
        "card_network": card.get("network"),
        "card_issuer": card.get("issuer"),
        "card_type": card.get("type"),
        "dispute_id": dispute_id,
    }
    _keep(world, row)


def _keep(world: World, row: Json) -> None:
    world.store.put(GATEWAY, KIND, row, created=row["created_at"])
