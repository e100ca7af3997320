"""The account's balance: every movement of money is a transaction with its fee, written once and never changed.

Money is available as soon as it is taken, so that a payout need not wait for it.
"""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.store import Json
from sandbox.stripe import lists
from sandbox.stripe.calls import GATEWAY, Call
from sandbox.world import World

KIND = "balance_transaction"

#: What Stripe keeps of a card payment in the United States, and of a dispute (stripe.com/pricing).
_FEE_PER_1000, _FEE_FIXED = 29, 30
DISPUTE_FEE = 1500

#: Which payout a transaction was part of; Stripe filters by it and shows it nowhere.
_PAID_OUT = "paid_out"


def charge(world: World, subject: Json, amount: int) -> Json:
    """Money is taken, and Stripe keeps its fee."""
    fee = (amount * _FEE_PER_1000 + 500) // 1000 + _FEE_FIXED
    return _enter(world, subject, "charge", amount, fee=min(fee, amount), description=subject["description"])


def refund(world: World, subject: Json) -> Json:
    """Money goes back to the customer. The fee of the charge stays with Stripe."""
    return _enter(world, subject, "refund", -subject["amount"], description=_described(subject))


def refund_failure(world: World, subject: Json) -> Json:
    """The money of a refund is here again."""
    described = f"REFUND FOR FAILED {_described(subject)}"
    return _enter(world, subject, "refund_failure", subject["amount"], description=described)


def withdraw(world: World, dispute: Json) -> Json:
    described = f"Chargeback withdrawal for {dispute['charge']}"
    return _enter(
        world, dispute, "adjustment", -dispute["amount"], fee=DISPUTE_FEE, description=described, category="dispute"
    )


def reinstate(world: World, dispute: Json, amount: int) -> Json:
    """The money of a dispute comes back, or a part of it; its fee does not."""
    described = f"Chargeback reversal for {dispute['charge']}"
    return _enter(world, dispute, "adjustment", amount, description=described, category="dispute_reversal")


def payout(world: World, subject: Json) -> Json:
    return _enter(world, subject, "payout", -subject["amount"], description=subject["description"])


def payout_failure(world: World, subject: Json) -> Json:
    return _enter(world, subject, "payout_failure", subject["amount"], description="PAYOUT FAILURE")


def retrieve(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find(KIND, call.ids["id"])


def list_transactions(call: Call) -> Json:
    asked = {name: call.parameters.text(name) for name in ("type", "source", "currency")}
    payout_id = call.parameters.text("payout")
    matching = {name: value for name, value in asked.items() if value is not None}

    def is_part(transaction: Json) -> bool:
        return payout_of(call.world, transaction) == payout_id

    return lists.page(
        call, KIND, "/v1/balance_transactions", matching=matching, keep=None if payout_id is None else is_part
    )


def payout_of(world: World, transaction: Json) -> str | None:
    """The payout that brought it to the bank, if one has."""
    kept = world.store.find(GATEWAY, _PAID_OUT, transaction["id"])
    return None if kept is None else str(kept["payout"])


def mark_paid_out(world: World, transaction: Json, payout_id: str) -> None:
    kept = {"id": transaction["id"], "payout": payout_id}
    world.store.put(GATEWAY, _PAID_OUT, kept, created=world.clock.now())


def _described(refund: Json) -> str:
    return f"REFUND FOR CHARGE {refund['charge']}"


def _enter(
    world: World,
    subject: Json,
    kind: str,
    amount: int,
    *,
    fee: int = 0,
    description: str | None = None,
    category: str | None = None,
) -> Json:
    """A transaction of which ``subject`` is the source, in its currency."""
    now, currency = world.clock.now(), subject["currency"]
    details = {"application": None, "currency": currency, "description": "Stripe processing fees", "type": "stripe_fee"}
    transaction: Json = {
        "id": new_id("txn_1", 23),
        "object": KIND,
        "amount": amount,
        "available_on": now,
        "balance_type": "payments",
        "created": now,
        "currency": currency,
        "description": description,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [{"amount": fee, **details}] if fee else [],
        "net": amount - fee,
        "reporting_category": category or kind,
        "source": subject["id"],
        "status": "available",
        "type": kind,
    }
    world.store.put(GATEWAY, KIND, transaction, created=now)
    return transaction
