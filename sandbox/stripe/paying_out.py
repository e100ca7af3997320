"""What becomes of a payout: the balance goes to the bank, arrives, and may come back.

pending -> paid -> failed      ``paid`` is when it was expected to arrive; the bank may send it back days later
        -> failed
"""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.store import Json
from sandbox.stripe import balance, events, records
from sandbox.stripe.calls import GATEWAY, NOBODY, Cause
from sandbox.world import World

KIND = "payout"
ARRIVES = "stripe.payout.arrives"
ARRIVES_AFTER_SECONDS = 24 * 3600

_FAILURE = "The bank account has been closed."


def pay_out(world: World, *, after: int = ARRIVES_AFTER_SECONDS) -> list[Json]:
    """All that is there, a payout for each currency that has something."""
    return [_pay_out(world, currency, after) for currency, amount in available(world).items() if amount > 0]


def available(world: World) -> dict[str, int]:
    """What the account holds of each currency."""
    held: dict[str, int] = {}
    for each in world.store.all(GATEWAY, balance.KIND):
        held[each["currency"]] = held.get(each["currency"], 0) + each["net"]
    return held


def make(world: World, amount: int, currency: str, said: Json, cause: Cause, *, after: int) -> Json:
    """A payout that is on its way."""
    now = world.clock.now()
    payout = {**_shape(amount, currency, now, now + after), **said}
    payout["balance_transaction"] = balance.payout(world, payout)["id"]
    records.keep(world, payout)
    events.record(world, "payout.created", payout, cause)
    world.agenda.enter(world.clock.exact() + after, ARRIVES, payout["id"])
    return payout


def arrive_when_due(world: World, payout_id: str) -> None:
    arrive(world, records.find(world, KIND, payout_id))


def arrive(world: World, payout: Json) -> Json:
    """The money is at the bank, as far as Stripe knows; and what it was made of can be asked for."""
    if payout["status"] not in {"pending", "in_transit"}:
        return payout
    world.agenda.strike(ARRIVES, payout["id"])
    payout = _change(world, payout, "payout.paid", status="paid")
    if payout["automatic"]:
        payout = _change(world, payout, "payout.reconciliation_completed", reconciliation_status="completed")
    return payout


def fail(world: World, payout: Json) -> Json:
    """The bank sends it back, before or after it counted as paid."""
    if payout["status"] == "failed":
        return payout
    world.agenda.strike(ARRIVES, payout["id"])
    returned = balance.payout_failure(world, payout)["id"]
    failure = {"failure_balance_transaction": returned, "failure_code": "account_closed", "failure_message": _FAILURE}
    return _change(world, payout, "payout.failed", status="failed", **failure)


def _pay_out(world: World, currency: str, after: int) -> Json:
    """Everything of this currency that no payout has taken yet, manual payouts included, is what it is made of."""
    held = [each for each in world.store.all(GATEWAY, balance.KIND) if each["currency"] == currency]
    parts = [each for each in held if balance.payout_of(world, each) is None]
    said = {"automatic": True, "description": "STRIPE PAYOUT", "reconciliation_status": "in_progress"}
    payout = make(world, sum(each["net"] for each in parts), currency, said, NOBODY, after=after)
    for each in (*parts, records.find(world, balance.KIND, payout["balance_transaction"])):
        balance.mark_paid_out(world, each, payout["id"])
    return payout


def _change(world: World, payout: Json, event: str, **changes: object) -> Json:
    after = {**payout, **changes}
    records.change(world, payout, after, NOBODY, event)
    return after


def _shape(amount: int, currency: str, now: int, arrives: int) -> Json:
    return {
        "id": new_id("po_1", 23),
        "object": KIND,
        "amount": amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": arrives,
        "automatic": False,
        "balance_transaction": None,
        "created": now,
        "currency": currency,
        "description": None,
        "destination": "ba_1SandboxBankAccount000000",
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "not_applicable",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "pending",
        "trace_id": {"status": "pending", "value": None},
        "type": "bank_account",
    }
