"""Razorpay's settlements to our bank in our words: they name no currency, as they are in that of the account."""

from __future__ import annotations

from gateways.razorpay.entities import Entities
from gateways.reading import as_signed, as_text, as_time
from gateways.translating import needed
from payments.events import PayoutTold

#: Settlements "are always made in INR" (razorpay.com/docs/api/settlements). Malaysia's accounts may say otherwise.
CURRENCY = "inr"


def settlement_told(told: Entities) -> PayoutTold:
    settlement = told.settlement
    named = settlement.get("currency", CURRENCY)
    minor, currency = needed(as_signed(settlement.get("amount"), named), "settlement.amount")
    status = needed(as_text(settlement.get("status")), "settlement.status")
    return PayoutTold(
        gateway_payout_id=needed(as_text(settlement.get("id")), "settlement.id"),
        minor=minor,
        currency=currency,
        is_paid=status == "processed",
        has_failed=status == "failed",
        arrives_at=as_time(settlement.get("created_at")),
    )
