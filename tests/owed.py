"""Effects for tests: one as a sender gets it, and one that is owed in the database with its order and user."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from db import effects
from db.effects import Effect
from db.pool import Pool
from payments.effects import EffectKind, idempotency_key

ORDER = UUID("5b0e6a0e-3c5f-4f0e-9d56-1f6f6d1c2b3a")
EFFECT = UUID("7c1f7b1f-4d6a-4a1f-8e67-2a7a7e2d3c4b")

MAIL = EffectKind.MAIL_PAYMENT_CONFIRMED
ANALYTICS = EffectKind.ANALYTICS_PAYMENT_COMPLETED
NOTIFY = EffectKind.NOTIFY_PAYMENT_COMPLETED

DETAIL: dict[str, Any] = {
    "orderId": str(ORDER),
    "userId": "user-17",
    "planId": "lifetime",
    "planName": "Lifetime",
    "amount": 4900,
    "currency": "usd",
    "gateway": "stripe",
    "paidAt": "2026-03-02T14:05:07+00:00",
}


#: Of a subscription whose renewal has failed: every field that any of its effects has.
SUBSCRIBED: dict[str, Any] = {
    "subscriptionId": "9d2f4c1e-7a53-4b0d-8f6e-3c1b2a4d5e6f",
    "gatewaySubscriptionId": "sub_1TnQ2x",
    "orderId": str(ORDER),
    "userId": "user-17",
    "planId": "team-monthly",
    "planName": "Team",
    "previousPlanId": "solo-monthly",
    "gateway": "stripe",
    "status": "past_due",
    "at": "2026-03-02T14:05:07+00:00",
    "periodEnd": "2026-04-02T14:00:00+00:00",
    "trialEnd": "2026-03-16T14:00:00+00:00",
    "endsAt": "2026-04-02T14:00:00+00:00",
    "endedAt": "2026-03-02T14:05:07+00:00",
    "reason": "payment_failed",
    "until": "2026-03-02T14:00:00+00:00",
    "amount": 2900,
    "currency": "usd",
    "invoiceId": "4f8c2b6a-1d3e-4c5f-9a7b-8e6d5c4b3a2f",
    "invoiceNumber": "A-0002",
    "attempts": 1,
    "nextAttemptAt": "2026-03-05T14:00:00+00:00",
    "failureCode": "insufficient_funds",
    "payUrl": "https://invoice.stripe.com/i/acct_1/live_abc",
    "dueAt": "2026-04-02T14:00:00+00:00",
}


#: What is told of a refund, and of a dispute.
OF_MONEY: dict[str, Any] = {
    "orderId": str(ORDER),
    "subscriptionId": None,
    "userId": "user-17",
    "planId": "lifetime",
    "planName": "Lifetime",
    "gateway": "stripe",
    "at": "2026-03-02T14:05:07+00:00",
    "paymentId": "0c9d8b7a-6f5e-4d3c-8b2a-1f0e9d8c7b6a",
    "gatewayPaymentId": "pi_3TnQ2x",
    "amount": 4900,
    "currency": "usd",
}
REFUNDED = OF_MONEY | {
    "refundId": "3a2b1c0d-9e8f-4a7b-9c6d-5e4f3a2b1c0d",
    "gatewayRefundId": "re_3TnQ2x",
    "status": "succeeded",
    "refundReason": "requested_by_customer",
}
NOT_REFUNDED = REFUNDED | {"status": "failed", "failure": "lost_or_stolen_card"}
DISPUTED = OF_MONEY | {
    "disputeId": "7e6d5c4b-3a2f-4e1d-8c9b-0a1f2e3d4c5b",
    "gatewayDisputeId": "dp_1TnQ2x",
    "status": "needs_response",
    "gatewayStatus": "needs_response",
    "disputeReason": "fraudulent",
    "evidenceDueAt": "2026-03-18T23:59:59+00:00",
    "withdrawn": 4900,
    "reinstated": 0,
}


def effect(kind: str, *, address: str | None = "ada@example.org", **detail: Any) -> Effect:
    """As ``db.effects.claim`` gives it, in its first attempt."""
    return Effect(
        id=EFFECT,
        kind=kind,
        order_id=ORDER,
        idempotency_key=f"{kind}:{ORDER}",
        detail=DETAIL | detail,
        address=address,
        attempts=1,
        created_at=datetime(2026, 3, 2, 14, 5, 8, 123456, tzinfo=UTC),
        claimed_at=datetime(2026, 3, 2, 14, 5, 9, tzinfo=UTC),
    )


async def owe(pool: Pool, kind: EffectKind, *, address: str | None = "ada@example.org") -> UUID:
    """A paid order of a user with that address, and this effect owed for it."""
    async with pool.acquire() as tx, tx.transaction():
        await tx.execute("INSERT INTO users (id, email) VALUES ('user-17', $1) ON CONFLICT DO NOTHING", address)
        await tx.execute(
            "INSERT INTO orders (id, user_id, amount, status) VALUES ($1, 'user-17', 4900, 'paid') "
            "ON CONFLICT DO NOTHING",
            ORDER,
        )
        owed = await effects.add(
            tx,
            kind=kind.value,
            order_id=ORDER,
            idempotency_key=idempotency_key(kind, str(ORDER)),
            detail=DETAIL,
        )
    assert owed is not None
    return owed


async def make_due(pool: Pool, effect_id: UUID) -> None:
    """As if its delay, or its dead worker's lease, had run out."""
    await pool.execute("UPDATE effects SET next_attempt_at = now(), next_hint_at = now() WHERE id = $1", effect_id)


async def row(pool: Pool, effect_id: UUID) -> dict[str, Any]:
    """The whole row, and ``wait``: the seconds until its next attempt, None once nothing is owed."""
    found = await pool.fetchrow(
        "SELECT *, extract(epoch FROM next_attempt_at - now())::float8 AS wait FROM effects WHERE id = $1", effect_id
    )
    assert found is not None
    return dict(found)
