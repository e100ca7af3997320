"""The shapes of Razorpay's payments and refunds, and its words for what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.cards import Card
from sandbox.ids import new_id
from sandbox.store import Json

#: Two per cent, and 18 per cent tax on that; both are part of ``fee``.
_FEE_PER_10000, _TAX_PER_10000 = 236, 36


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a payment failed (razorpay.com/docs/errors/payments)."""

    description: str
    source: str
    step: str
    reason: str

    def fields(self) -> dict[str, Any]:
        return {
            "error_code": "BAD_REQUEST_ERROR",
            "error_description": self.description,
            "error_source": self.source,
            "error_step": self.step,
            "error_reason": self.reason,
        }


NO_FAILURE: dict[str, Any] = dict.fromkeys(
    ("error_code", "error_description", "error_source", "error_step", "error_reason")
)

DECLINED = Failure(
    "Your payment was declined by the bank. Try another card or payment method.",
    "issuer_bank", "payment_authorization", "card_declined",
)  # fmt: skip
INSUFFICIENT_FUNDS = Failure(
    "Your payment could not be completed due to insufficient account balance. Try another card or payment method.",
    "customer", "payment_authorization", "insufficient_funds",
)  # fmt: skip
CARD_EXPIRED = Failure(
    "Your payment could not be completed as this card has expired. Try another card or payment method.",
    "customer", "payment_authorization", "card_expired",
)  # fmt: skip
NOT_AUTHENTICATED = Failure(
    "Your payment could not be completed as the bank could not confirm that it was you. Please try again.",
    "customer", "payment_authentication", "authentication_failed",
)  # fmt: skip
TIMED_OUT = Failure(
    "Payment was not completed on time.",
    "customer", "payment_authentication", "payment_timed_out",
)  # fmt: skip


def payment(order: Json, link: Json | None, card: Card | None, vpa: str | None, now: int) -> Json:
    """An attempt of which nothing is known yet. A link's notes and customer go with it."""
    customer = (link or {}).get("customer") or {}
    shown: Json = {
        "id": new_id("pay_", 14),
        "entity": "payment",
        "amount": order["amount"],
        "currency": order["currency"],
        "base_amount": order["amount"],
        "status": "created",
        "order_id": order["id"],
        "invoice_id": None,
        "international": False,
        "method": "card" if card is not None else "upi",
        "amount_refunded": 0,
        "amount_transferred": 0,
        "refund_status": None,
        "captured": False,
        "description": None if link is None else f"#{link['id'].removeprefix('plink_')}",
        "card_id": None,
        "bank": None,
        "wallet": None,
        "vpa": vpa,
        "email": customer.get("email", "customer@example.com"),
        "contact": customer.get("contact", "+919000090000"),
        "notes": order["notes"],
        "fee": None,
        "tax": None,
        **NO_FAILURE,
        "acquirer_data": {"auth_code": None} if card is not None else {"rrn": None},
        "created_at": now,
    }
    if card is not None:
        shown["card"] = _card(card)
        shown["card_id"] = shown["card"]["id"]
    else:
        shown["upi"] = {"vpa": vpa}
    return shown


def fee(amount: int) -> dict[str, int]:
    """What Razorpay keeps of a captured payment."""
    return {"fee": amount * _FEE_PER_10000 // 10000, "tax": amount * _TAX_PER_10000 // 10000}


def refund(payment: Json, now: int, *, amount: int | None = None) -> Json:
    """A payment, or so much of it, given back."""
    return {
        "id": new_id("rfnd_", 14),
        "entity": "refund",
        "amount": payment["amount"] if amount is None else amount,
        "currency": payment["currency"],
        "payment_id": payment["id"],
        "notes": [],
        "receipt": None,
        "acquirer_data": {"arn": None},
        "created_at": now,
        "batch_id": None,
        "status": "processed",
        "speed_processed": "normal",
        "speed_requested": "normal",
    }


def _card(card: Card) -> Json:
    return {
        "id": new_id("card_", 14),
        "entity": "card",
        "name": "",
        "last4": card.last4,
        "network": card.brand.capitalize(),
        "type": "credit",
        "issuer": None,
        "international": False,
        "emi": False,
        "sub_type": "consumer",
    }
