"""Money that goes back through Razorpay, or out to our bank: refunds, the one request here that has a key, and what is
told of the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime
from functools import partial
from itertools import count
from typing import Any

from gateways.calling import Answer, Deadline, Denial, is_gone, told
from gateways.client import (
    BACKGROUND,
    Absent,
    DisputeState,
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
from gateways.gateway import Json, Unhandled
from gateways.razorpay.account import ID, Account, Begin
from gateways.razorpay.money_objects import (
    days_of,
    is_of,
    read_dispute,
    read_money_back,
    read_part,
    read_payout,
    read_refund,
    was_made_by,
    write_key,
    write_refund,
)
from gateways.razorpay.objects import read_items
from gateways.translating import read_or_leave

#: Lines of settlements come in longer pages than anything else.
LINES_MAX = 1000

IDEMPOTENCY_HEADER = "X-Refund-Idempotency"


class GivingBack(Account):
    """The part of an account through which money leaves it."""

    async def create_refund(
        self, request: RefundRequest, idempotency_key: str, patience: Patience = BACKGROUND
    ) -> RefundState | Gone | Refused | Unknown:
        """The key makes a repeat harmless, for as long as Razorpay keeps it, which it does not tell."""
        payment_id, headers = request.gateway_payment_id, {IDEMPOTENCY_HEADER: write_key(idempotency_key)}
        if not ID.fullmatch(payment_id):
            return Gone()

        def send(sdk: Any) -> object:
            # New dictionaries each time: the SDK writes into the headers, and its default body is one for all (F56).
            return sdk.payment.refund(payment_id, dict(write_refund(request)), headers=dict(headers))

        answer = await self._repeat("create_refund", send, Deadline.of(patience))
        return Gone() if is_gone(answer) else told(answer, read_refund)

    async def find_refund(
        self, request: RefundRequest, patience: Patience = BACKGROUND
    ) -> RefundState | Absent | Gone | Refused | Unknown:
        deadline = Deadline.of(patience)
        payment = await self._fetch_paid("find_refund", request.gateway_payment_id, deadline)
        if not isinstance(payment, dict):
            return payment
        refunds = await self._list_refunds("find_refund", request.gateway_payment_id, deadline)
        if isinstance(refunds, Refused | Unknown):
            return refunds
        found = next((refund for refund in refunds if was_made_by(request, refund)), None)
        return Absent() if found is None else told(Answer(found), read_refund)

    async def fetch_money_back(
        self, payment_id: str, patience: Patience = BACKGROUND
    ) -> MoneyState | Gone | Refused | Unknown:
        deadline = Deadline.of(patience)
        payment = await self._fetch_paid("fetch_money_back", payment_id, deadline)
        if not isinstance(payment, dict):
            return payment
        refunds = await self._list_refunds("fetch_money_back", payment_id, deadline)
        if isinstance(refunds, Refused | Unknown):
            return refunds
        return told(Answer(payment), partial(read_money_back, refunds=refunds))

    async def fetch_dispute(
        self, dispute_id: str, patience: Patience = BACKGROUND
    ) -> DisputeState | Gone | Refused | Unknown:
        if not ID.fullmatch(dispute_id):
            return Gone()
        answer = await self._read("fetch_dispute", lambda sdk: sdk.dispute.fetch(dispute_id), Deadline.of(patience))
        return Gone() if is_gone(answer) else told(answer, read_dispute)

    async def list_refunds(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[RefundState | Unhandled | Refused | Unknown]:
        """Without their payments: what never was captured is known by ours."""
        async for found in self._list_window(
            "list_refunds", lambda sdk, asked: sdk.refund.all(asked), since, until, lambda: Deadline.of(patience)
        ):
            yield found if isinstance(found, Refused | Unknown) else read_or_leave(read_refund, found)

    async def list_disputes(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[DisputeState | Unhandled | Refused | Unknown]:
        async for found in self._list_window(
            "list_disputes", lambda sdk, asked: sdk.dispute.all(asked), since, until, lambda: Deadline.of(patience)
        ):
            yield found if isinstance(found, Refused | Unknown) else read_or_leave(read_dispute, found)

    async def list_payouts(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[PayoutState | Unhandled | Refused | Unknown]:
        async for found in self._list_window(
            "list_payouts", lambda sdk, asked: sdk.settlement.all(asked), since, until, lambda: Deadline.of(patience)
        ):
            yield found if isinstance(found, Refused | Unknown) else read_or_leave(read_payout, found)

    async def list_payout_parts(
        self, payout_id: str, patience: Patience = BACKGROUND
    ) -> AsyncIterator[PayoutPart | Refused | Unknown]:
        """Lines are listed by day, those of all the day's settlements together."""

        def begin() -> Deadline:
            return Deadline.of(patience)

        settlement = await self._retrieve_settlement(payout_id, begin())
        days = told(settlement, days_of)
        if isinstance(days, Refused | Unknown):
            yield days
            return
        for day in days:
            async for line in self._list_lines(day, begin):
                if isinstance(line, Refused | Unknown):
                    yield line
                    return
                if not is_of(payout_id, line):
                    continue
                part = told(Answer(line), read_part)
                yield part
                if isinstance(part, Refused | Unknown):
                    return

    async def _list_lines(self, day: date, begin: Begin) -> AsyncIterator[Json | Refused | Unknown]:
        asked = {"year": day.year, "month": f"{day.month:02d}", "day": f"{day.day:02d}", "count": LINES_MAX}
        for skip in count(0, LINES_MAX):
            whole = {**asked, "skip": skip}
            answer = await self._read("list_payout_parts", partial(_report, whole=whole), begin())
            lines = told(answer, read_items)
            if isinstance(lines, Refused | Unknown):
                yield lines
                return
            for line in lines:
                yield line
            if len(lines) < LINES_MAX:
                return

    async def _fetch_paid(
        self, operation: str, payment_id: str, deadline: Deadline
    ) -> dict[str, Any] | Gone | Refused | Unknown:
        if not ID.fullmatch(payment_id):
            return Gone()
        answer = await self._read(operation, lambda sdk: sdk.payment.fetch(payment_id), deadline)
        return Gone() if is_gone(answer) else told(answer, dict)

    async def _list_refunds(
        self, operation: str, payment_id: str, deadline: Deadline
    ) -> list[Json] | Refused | Unknown:
        """The newest first."""
        refunds: list[Json] = []
        async for found in self._list(
            operation, lambda sdk, asked: sdk.payment.fetch_multiple_refund(payment_id, asked), {}, lambda: deadline
        ):
            if isinstance(found, Refused | Unknown):
                return found
            refunds.append(found)
        return refunds

    async def _retrieve_settlement(self, settlement_id: str, deadline: Deadline) -> Answer | Denial | Unknown:
        if not ID.fullmatch(settlement_id):
            return Denial(Refusal.INVALID, "no id of a settlement", is_gone=True)
        return await self._read("list_payout_parts", lambda sdk: sdk.settlement.fetch(settlement_id), deadline)


def _report(sdk: Any, *, whole: dict[str, Any]) -> object:
    return sdk.settlement.report(dict(whole))
