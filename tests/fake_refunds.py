"""What a gateway in memory gives back, and what it says of it: a part of each of the fakes. Written by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from gateways.client import (
    BACKGROUND,
    Absent,
    DisputeState,
    Doubt,
    Gone,
    MoneyState,
    Patience,
    PayoutPart,
    PayoutState,
    RefundRequest,
    RefundState,
    Refusal,
    Refused,
    Unknown,
)
from gateways.gateway import Unhandled
from payments.events import Observed, PaymentNamed, References, RefundTold
from payments.refund import RefundStatus


@dataclass(kw_only=True)
class FakeRefunds:
    """One refund per idempotency key, as a gateway keeps them. What was prepared is answered, and does nothing."""

    name: str = "stripe"
    #: Every call that was made for a refund: under which key, for what.
    refund_calls: list[tuple[str, RefundRequest]] = field(default_factory=list)
    #: What was made, by the key that made it.
    refunds_made: dict[str, RefundState] = field(default_factory=dict)
    #: What is answered to the next calls, and to the next looks, in the place of the truth.
    refund_answers: list[Gone | Refused | Unknown] = field(default_factory=list)
    refund_looks: list[Absent | Gone | Refused | Unknown] = field(default_factory=list)
    #: Answers that are lost on their way: the refund was made.
    lost_refund_answers: int = 0
    #: How far a new refund comes at once.
    refund_status: RefundStatus = RefundStatus.SUCCEEDED
    #: How often it was searched for a refund.
    refunds_sought: int = 0
    #: What happens between the making of a refund and its answer.
    before_refund_answer: Callable[[], Awaitable[None]] | None = None
    money_states: dict[str, MoneyState | Gone | Refused | Unknown] = field(default_factory=dict)
    dispute_states: dict[str, DisputeState | Refused | Unknown] = field(default_factory=dict)
    #: What its lists hold, whenever it was made; and which windows of them were read.
    listed_refunds: list[RefundState | Unhandled | Refused | Unknown] = field(default_factory=list)
    listed_disputes: list[DisputeState | Unhandled | Refused | Unknown] = field(default_factory=list)
    listed_payouts: list[PayoutState | Unhandled | Refused | Unknown] = field(default_factory=list)
    refund_windows: list[tuple[datetime, datetime]] = field(default_factory=list)
    #: Disputes that were read, in order.
    dispute_reads: list[str] = field(default_factory=list)
    payout_parts: dict[str, list[PayoutPart | Refused | Unknown]] = field(default_factory=dict)
    #: Payments and payouts that were read, in order.
    money_reads: list[str] = field(default_factory=list)

    async def create_refund(
        self, request: RefundRequest, idempotency_key: str, patience: Patience = BACKGROUND
    ) -> RefundState | Gone | Refused | Unknown:
        del patience
        await asyncio.sleep(0)
        used = next((asked for key, asked in self.refund_calls if key == idempotency_key), request)
        self.refund_calls.append((idempotency_key, request))
        if used != request:
            return Refused(Refusal.KEY_REUSED, "another request")
        if self.refund_answers:
            return self.refund_answers.pop(0)
        made = self.refunds_made.setdefault(idempotency_key, self.made(request, f"re_{request.refund_id}"))
        await (self.before_refund_answer() if self.before_refund_answer else asyncio.sleep(0))
        if self.lost_refund_answers:
            self.lost_refund_answers -= 1
            return Unknown(Doubt.CONNECTION_LOST)
        return made

    async def find_refund(
        self, request: RefundRequest, patience: Patience = BACKGROUND
    ) -> RefundState | Absent | Gone | Refused | Unknown:
        del patience
        await asyncio.sleep(0)
        self.refunds_sought += 1
        if self.refund_looks:
            return self.refund_looks.pop(0)
        for state in self.refunds_made.values():
            told = state.observed.event
            if isinstance(told, RefundTold) and told.refund_id == request.refund_id:
                return state
        return Absent()

    async def fetch_money_back(
        self, payment_id: str, patience: Patience = BACKGROUND
    ) -> MoneyState | Gone | Refused | Unknown:
        del patience
        await asyncio.sleep(0)
        self.money_reads.append(payment_id)
        return self.money_states.get(payment_id, Gone())

    async def fetch_dispute(
        self, dispute_id: str, patience: Patience = BACKGROUND
    ) -> DisputeState | Gone | Refused | Unknown:
        del patience
        await asyncio.sleep(0)
        self.dispute_reads.append(dispute_id)
        return self.dispute_states.get(dispute_id, Gone())

    async def list_refunds(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[RefundState | Unhandled | Refused | Unknown]:
        del patience
        self.refund_windows.append((since, until))
        for refund in self.listed_refunds:
            yield refund

    async def list_disputes(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[DisputeState | Unhandled | Refused | Unknown]:
        del since, until, patience
        for dispute in self.listed_disputes:
            yield dispute

    async def list_payouts(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[PayoutState | Unhandled | Refused | Unknown]:
        del since, until, patience
        for payout in self.listed_payouts:
            yield payout

    async def list_payout_parts(
        self, payout_id: str, patience: Patience = BACKGROUND
    ) -> AsyncIterator[PayoutPart | Refused | Unknown]:
        del patience
        self.money_reads.append(payout_id)
        for part in self.payout_parts.get(payout_id, []):
            yield part

    def made(self, request: RefundRequest, gateway_refund_id: str) -> RefundState:
        """As its answer, and its webhook, tell it."""
        told = RefundTold(
            gateway_refund_id=gateway_refund_id,
            payment=PaymentNamed(request.gateway_payment_id),
            amount=request.amount,
            status=self.refund_status,
            reason=request.reason,
            refund_id=request.refund_id,
        )
        names = References(
            order_ids=(request.order_id,) if request.order_id else (),
            objects=(gateway_refund_id, request.gateway_payment_id),
            instance=request.instance_id,
        )
        return RefundState(gateway_refund_id, Observed(self.name, names, told))
