"""Speaking as the gateways do: signed events for the demo, built by hand and signed with a stack's own test secrets."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spoken:
    """One request as a gateway would send it."""

    gateway: str
    event_id: str
    body: bytes
    headers: dict[str, str]


def _token() -> str:
    return secrets.token_hex(8)


def _signature(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Stripe:
    """Stripe's voice, for one order's checkout session."""

    secret: str
    order_id: UUID
    amount: int
    currency: str
    session_id: str = field(default_factory=lambda: f"cs_test_{_token()}")
    payment_id: str = field(default_factory=lambda: f"pi_{_token()}")

    def completed(self) -> Spoken:
        return self.say("checkout.session.completed", self._session(status="complete", payment_status="paid"))

    def expired(self) -> Spoken:
        return self.say("checkout.session.expired", self._session(status="expired", payment_status="unpaid"))

    def declined(self, decline_code: str) -> Spoken:
        error = {"code": "card_declined", "decline_code": decline_code, "type": "card_error"}
        intent = {
            "id": self.payment_id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_received": 0,
            "currency": self.currency,
            "status": "requires_payment_method",
            "last_payment_error": error,
            "metadata": {"order_id": str(self.order_id)},
        }
        return self.say("payment_intent.payment_failed", intent)

    def say(self, event_type: str, about: JsonObject) -> Spoken:
        event = {
            "id": f"evt_{_token()}",
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": int(time.time()),
            "livemode": False,
            "type": event_type,
            "data": {"object": about},
        }
        body = json.dumps(event).encode()
        now = int(time.time())
        signature = _signature(self.secret, f"{now}.".encode() + body)
        return Spoken("stripe", str(event["id"]), body, {"stripe-signature": f"t={now},v1={signature}"})

    def _session(self, *, status: str, payment_status: str) -> JsonObject:
        return {
            "id": self.session_id,
            "object": "checkout.session",
            "mode": "payment",
            "status": status,
            "payment_status": payment_status,
            "payment_intent": self.payment_id if payment_status == "paid" else None,
            "amount_total": self.amount,
            "currency": self.currency,
            "client_reference_id": str(self.order_id),
            "metadata": {"order_id": str(self.order_id)},
        }


@dataclass(frozen=True, slots=True)
class Razorpay:
    """Razorpay's voice, for one order's payment link."""

    secret: str
    order_id: UUID
    amount: int
    currency: str
    link_id: str = field(default_factory=lambda: f"plink_{_token()}")
    payment_id: str = field(default_factory=lambda: f"pay_{_token()}")

    def captured(self) -> Spoken:
        return self.say("payment.captured", payment=self._payment())

    def link_paid(self) -> Spoken:
        return self.say("payment_link.paid", payment_link=self._link("paid"), payment=self._payment())

    def link_expired(self) -> Spoken:
        return self.say("payment_link.expired", payment_link=self._link("expired"))

    def say(self, event_type: str, **entities: JsonObject) -> Spoken:
        event = {
            "entity": "event",
            "account_id": "acc_demo",
            "event": event_type,
            "contains": list(entities),
            "payload": {name: {"entity": entity} for name, entity in entities.items()},
            "created_at": int(time.time()),
        }
        body = json.dumps(event).encode()
        event_id = f"demo_{_token()}"
        headers = {"x-razorpay-signature": _signature(self.secret, body), "x-razorpay-event-id": event_id}
        return Spoken("razorpay", event_id, body, headers)

    def _payment(self) -> JsonObject:
        return {
            "id": self.payment_id,
            "entity": "payment",
            "amount": self.amount,
            "currency": self.currency.upper(),
            "status": "captured",
            "captured": True,
            "order_id": None,
            "invoice_id": None,
            "notes": {"order_id": str(self.order_id)},
        }

    def _link(self, status: str) -> JsonObject:
        return {
            "id": self.link_id,
            "amount": self.amount,
            "amount_paid": self.amount if status == "paid" else 0,
            "currency": self.currency.upper(),
            "reference_id": str(self.order_id),
            "status": status,
            "notes": {"order_id": str(self.order_id)},
        }
