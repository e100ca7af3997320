"""Stripe's payouts to our bank in our words. ``payout.paid`` only says when the bank is expected to have it: a payout
that failed may have been told as paid before."""

from __future__ import annotations

from gateways.gateway import Json
from gateways.reading import as_signed, as_text, as_time
from gateways.translating import confirm, needed
from payments.events import PayoutTold, References

#: Its money is ours again (docs.stripe.com/api/payouts/object, ``status``).
CAME_BACK = frozenset({"failed", "canceled"})


def read_references(_payout: Json) -> References:
    """Nobody's order's; and of every application on the account, whatever is written on it."""
    return References()


def payout_told(payout: Json) -> PayoutTold:
    confirm(payout, "object", "payout")
    minor, currency = needed(as_signed(payout.get("amount"), payout.get("currency")), "amount with currency")
    status = needed(as_text(payout.get("status")), "status")
    return PayoutTold(
        gateway_payout_id=needed(as_text(payout.get("id")), "id"),
        minor=minor,
        currency=currency,
        is_paid=status == "paid",
        has_failed=status in CAME_BACK,
        arrives_at=as_time(payout.get("arrival_date")),
    )
