"""What the application is told, signed as Standard Webhooks has it. Its contract is docs/notifications.md."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook

from db.effects import Effect
from workers.delivery.receiver import Receiver
from workers.delivery.sender import SENT, NotNow, Settled, WrongSetting, stable_id

#: What every notification about a subscription tells, and what those about an invoice that failed.
SUBSCRIPTION = ("subscriptionId", "orderId", "userId", "planId", "planName", "gateway", "status", "at")
FAILED = ("invoiceId", "amount", "currency", "failureCode", "attempts", "nextAttemptAt", "payUrl")

#: What every notification about a refund tells, and what every one about a dispute.
MONEY = ("orderId", "subscriptionId", "userId", "planId", "planName", "gateway", "at", "paymentId", "gatewayPaymentId")
REFUND = (*MONEY, "refundId", "gatewayRefundId", "amount", "currency", "status", "refundReason")
DISPUTE = (*MONEY, "disputeId", "gatewayDisputeId", "amount", "currency", "status", "gatewayStatus", "disputeReason")

#: Every type with its version and its fields. A field may be added; a change of meaning is a new version.
TYPES: dict[str, tuple[int, tuple[str, ...]]] = {
    "payment.completed": (
        1,
        ("orderId", "userId", "planId", "planName", "amount", "currency", "gateway", "paidAt"),
    ),
    "subscription.started": (1, (*SUBSCRIPTION, "amount", "currency", "periodEnd", "trialEnd")),
    "subscription.trial_ending": (1, (*SUBSCRIPTION, "amount", "currency", "trialEnd")),
    "subscription.renewed": (1, (*SUBSCRIPTION, "invoiceId", "amount", "currency", "periodEnd")),
    "subscription.renewal_failed": (1, (*SUBSCRIPTION, *FAILED)),
    "subscription.card_update_needed": (1, (*SUBSCRIPTION, *FAILED)),
    "subscription.upcoming_invoice": (1, (*SUBSCRIPTION, "amount", "currency", "dueAt")),
    "subscription.paused": (1, (*SUBSCRIPTION, "periodEnd")),
    "subscription.resumed": (1, (*SUBSCRIPTION, "periodEnd")),
    "subscription.cancel_scheduled": (1, (*SUBSCRIPTION, "endsAt")),
    "subscription.cancelled": (1, (*SUBSCRIPTION, "endedAt")),
    "subscription.plan_changed": (1, (*SUBSCRIPTION, "previousPlanId", "amount", "currency")),
    "refund.succeeded": (1, REFUND),
    "refund.failed": (1, (*REFUND, "failure")),
    "dispute.opened": (1, (*DISPUTE, "evidenceDueAt")),
    "dispute.closed": (1, (*DISPUTE, "withdrawn", "reinstated")),
    "access.suspended": (1, (*SUBSCRIPTION, "reason", "until")),
    "access.restored": (1, (*SUBSCRIPTION, "reason", "until")),
}

#: What the standard asks of a secret: shorter ones can be guessed, longer ones gain nothing.
SECRET_BYTES_LEAST = 24


def notice(effect: Effect) -> dict[str, Any]:
    """The body, from the row alone: a late retry tells the state of its move, not of today, under the same id."""
    type_ = effect.kind.removeprefix("notify.")
    if type_ not in TYPES:
        raise NotNow(f"this version of the workers knows no notification {type_!r}")
    version, fields = TYPES[type_]
    return {
        "id": notice_id(effect),
        "type": type_,
        "version": version,
        "createdAt": effect.created_at.astimezone(UTC).isoformat(),
        "data": {name: effect.detail[name] for name in fields},
    }


def notice_id(effect: Effect) -> str:
    return f"msg_{stable_id(effect.idempotency_key)}"


class Notifications:
    """Posts notices, each signed with every secret, so that the application can change its own at leisure."""

    def __init__(self, receiver: Receiver, signers: Sequence[Webhook]) -> None:
        self._receiver = receiver
        self._signers = tuple(signers)

    async def send(self, effect: Effect) -> Settled:
        body = json.dumps(notice(effect))
        await self._receiver.post(body.encode(), self._sign(notice_id(effect), body))
        return SENT

    def _sign(self, message_id: str, body: str) -> Mapping[str, str]:
        # The timestamp is that of this attempt: a receiver refuses what is older than minutes.
        now = datetime.now(UTC)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signer.sign(message_id, now, body) for signer in self._signers),
        }


def signers(secrets: Sequence[str], *, production: bool) -> tuple[Webhook, ...]:
    """One for each secret of NOTIFY_SECRET. Decoded strictly: the library would skip what is not base64, in silence."""
    if not secrets:
        raise WrongSetting("NOTIFY_SECRET is missing while NOTIFY_URL is set: every notification is signed")
    return tuple(Webhook(_key(secret, SECRET_BYTES_LEAST if production else 1)) for secret in secrets)


def _key(secret: str, least: int) -> bytes:
    text = secret.removeprefix("whsec_").rstrip("=")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:  # binascii.Error is one, and a letter that is not ASCII another
        key = b""
    if len(key) < least:
        raise WrongSetting(f"NOTIFY_SECRET must be whsec_ and the base64 of at least {least} random bytes")
    return key
