"""What follows what happens to a subscription: to be told to its user and the application, or asked of its gateway.

Each effect holds what was so when it was written, so that a late retry tells no other state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from db import effects, invoices
from db.history import Cause
from db.pool import Tx
from db.subscriptions import Locked, Sold
from payments import effects as rules
from payments.effects import EffectKind
from payments.subscription import Followed, Owed, Snapshot, Subscription


@dataclass(frozen=True, slots=True)
class Line:
    """What stands with everything that is written: for which gateway, why, and when. ``at`` is business time.

    ``subscription_id`` is the gateway's, where what was told names it.
    """

    gateway: str
    cause: Cause
    at: datetime
    subscription_id: str | None = None


async def owe_effects(
    tx: Tx, held: Locked, followed: Followed, sold: Sold, line: Line, told: Snapshot | None
) -> tuple[UUID, ...]:
    """Owe each once, whoever finds it owed; returns those that were not owed before. ``told`` is what was told now."""
    so = _tell(held, followed.after, sold, line) if followed.owed else {}
    owed = [
        await _owe(tx, held, kind, each.what, so | _about(each, held, followed.after))
        for each in followed.owed
        for kind in rules.FOLLOWS_OCCURRENCE[each.kind]
    ]
    described = followed.after.snapshot or told
    name = described.gateway_subscription_id if described else line.subscription_id
    if name is not None:
        reasons = await _reasons_to_read(tx, held, followed, line)
        owed += [await owe_read(tx, held, name, line.gateway, why) for why in reasons]
    return tuple(effect for effect in owed if effect is not None)


async def _reasons_to_read(tx: Tx, held: Locked, followed: Followed, line: Line) -> list[str]:
    """What was told leaves open which of two states is the newer, or with which payment an invoice was paid."""
    newer = [line.cause.id] if followed.wants_read else []
    return newer + [f"payment of {invoice}" for invoice in await invoices.without_payment(tx, held.id)]


async def owe_read(tx: Tx, held: Locked, gateway_subscription_id: str, gateway: str, why: str) -> UUID | None:
    """Have it read at its gateway, once for this reason."""
    detail = {"subscriptionId": str(held.id), "gateway": gateway, "gatewaySubscriptionId": gateway_subscription_id}
    return await _owe(tx, held, EffectKind.GATEWAY_READ_SUBSCRIPTION, why, detail)


async def _owe(tx: Tx, held: Locked, kind: EffectKind, what: str, detail: Mapping[str, Any]) -> UUID | None:
    return await effects.add(
        tx,
        kind=kind.value,
        subscription_id=held.id,
        idempotency_key=rules.idempotency_key(kind, str(held.id), what),
        detail=detail,
    )


def _tell(held: Locked, after: Subscription, sold: Sold, line: Line) -> dict[str, Any]:
    """How the subscription stands after what is being written."""
    now = after.snapshot
    return {
        "subscriptionId": after.id,
        "gatewaySubscriptionId": now.gateway_subscription_id if now else None,
        "orderId": str(held.order_id) if held.order_id else None,
        "userId": held.user_id,
        "planId": sold.plan_id,
        "planName": sold.name,
        "previousPlanId": held.sold.plan_id,
        "gateway": line.gateway,
        "status": after.status.value,
        "at": _iso(line.at),
        "periodEnd": _iso(now.period_end if now else None),
        "trialEnd": _iso(now.trial_end if now else None),
        "endsAt": _iso(now.set_to_end if now else None),
        "endedAt": _iso(now.ended_at if now else None),
        "reason": after.access.reason.value,
        "until": _iso(after.access.until),
        "amount": sold.price.minor if sold.price else None,
        "currency": sold.price.currency if sold.price else None,
    }


def _about(owed: Owed, held: Locked, after: Subscription) -> dict[str, Any]:
    """The invoice, the money and the moment that this one speaks of, in place of the subscription's own."""
    invoice = after.invoice(owed.invoice_id) if owed.invoice_id else None
    due = owed.due or (invoice.due if invoice else None)
    told: dict[str, Any] = {
        "invoiceId": str(held.invoices[owed.invoice_id]) if owed.invoice_id in held.invoices else None,
        "invoiceNumber": invoice.number if invoice else None,
        "attempts": invoice.attempts if invoice else None,
        "nextAttemptAt": _iso(invoice.next_attempt_at if invoice else None),
        "failureCode": invoice.failure.code.value if invoice and invoice.failure else None,
        "payUrl": invoice.hosted_url if invoice else None,
        "dueAt": _iso(owed.at),
    }
    if due is not None:
        told |= {"amount": due.minor, "currency": due.currency}
    if invoice is not None and invoice.period_end is not None:
        told["periodEnd"] = _iso(invoice.period_end)
    return told


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None
