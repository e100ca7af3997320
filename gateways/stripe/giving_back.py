"""Money that goes back through Stripe, or out to our bank: refunds under keys of ours, and what is told of the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any

from gateways.calling import Answer, Deadline, is_gone, told
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
    Refused,
    Unknown,
)
from gateways.gateway import Json, Unhandled
from gateways.reading import as_object
from gateways.stripe.account import Account, window
from gateways.stripe.money_objects import (
    EXPAND_PARTS,
    is_charge,
    is_payout_itself,
    read_dispute,
    read_money_back,
    read_part,
    read_payout,
    read_refund,
    was_made_by,
    write_refund,
)
from gateways.translating import read_or_leave


class GivingBack(Account):
    """The part of an account through which money leaves it."""

    async def create_refund(
        self, request: RefundRequest, idempotency_key: str, patience: Patience = BACKGROUND
    ) -> RefundState | Gone | Refused | Unknown:
        parameters: Any = write_refund(request)
        send = partial(self._sdk.v1.refunds.create_async, parameters, {"idempotency_key": idempotency_key})
        answer = await self._ask("create_refund", send, Deadline.of(patience))
        return Gone() if is_gone(answer) else told(answer, read_refund)

    async def find_refund(
        self, request: RefundRequest, patience: Patience = BACKGROUND
    ) -> RefundState | Absent | Gone | Refused | Unknown:
        """By listing: a key tells for a day only, and would make what it is asked about."""
        deadline = Deadline.of(patience)
        charge = await self._fetch_charge("find_refund", request.gateway_payment_id, deadline)
        if not isinstance(charge, dict):
            return charge
        refunds = await self._list_of("find_refund", self._sdk.v1.refunds.list_async, charge, deadline)
        if isinstance(refunds, Refused | Unknown):
            return refunds
        found = next((refund for refund in refunds if was_made_by(request, refund)), None)
        return Absent() if found is None else told(Answer(found), read_refund)

    async def fetch_money_back(
        self, payment_id: str, patience: Patience = BACKGROUND
    ) -> MoneyState | Gone | Refused | Unknown:
        deadline = Deadline.of(patience)
        charge = await self._fetch_charge("fetch_money_back", payment_id, deadline)
        if not isinstance(charge, dict):
            return charge
        if not charge:
            return MoneyState(())
        refunds = await self._list_of("fetch_money_back", self._sdk.v1.refunds.list_async, charge, deadline)
        disputes = await self._list_of("fetch_money_back", self._sdk.v1.disputes.list_async, charge, deadline)
        if isinstance(refunds, Refused | Unknown):
            return refunds
        if isinstance(disputes, Refused | Unknown):
            return disputes
        return told(Answer(charge), partial(read_money_back, refunds=refunds, disputes=disputes))

    async def fetch_dispute(
        self, dispute_id: str, patience: Patience = BACKGROUND
    ) -> DisputeState | Gone | Refused | Unknown:
        send = partial(self._sdk.v1.disputes.retrieve_async, dispute_id)
        answer = await self._ask("fetch_dispute", send, Deadline.of(patience))
        return Gone() if is_gone(answer) else told(answer, read_dispute)

    async def list_refunds(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[RefundState | Unhandled | Refused | Unknown]:
        asked, list_page = {"created": window(since, until)}, self._sdk.v1.refunds.list_async
        async for found in self._list("list_refunds", list_page, asked, lambda: Deadline.of(patience)):
            yield found if isinstance(found, Refused | Unknown) else read_or_leave(read_refund, found)

    async def list_disputes(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[DisputeState | Unhandled | Refused | Unknown]:
        asked, list_page = {"created": window(since, until)}, self._sdk.v1.disputes.list_async
        async for found in self._list("list_disputes", list_page, asked, lambda: Deadline.of(patience)):
            yield found if isinstance(found, Refused | Unknown) else read_or_leave(read_dispute, found)

    async def list_payouts(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[PayoutState | Unhandled | Refused | Unknown]:
        asked, list_page = {"created": window(since, until)}, self._sdk.v1.payouts.list_async
        async for found in self._list("list_payouts", list_page, asked, lambda: Deadline.of(patience)):
            yield found if isinstance(found, Refused | Unknown) else read_or_leave(read_payout, found)

    async def list_payout_parts(
        self, payout_id: str, patience: Patience = BACKGROUND
    ) -> AsyncIterator[PayoutPart | Refused | Unknown]:
        """Of a payout that somebody made by hand, Stripe knows no parts, and refuses."""
        asked = {"payout": payout_id, "expand": EXPAND_PARTS}
        list_page = self._sdk.v1.balance_transactions.list_async
        async for found in self._list("list_payout_parts", list_page, asked, lambda: Deadline.of(patience)):
            if isinstance(found, dict) and is_payout_itself(found, payout_id):
                continue
            part = found if isinstance(found, Refused | Unknown) else told(Answer(found), read_part)
            yield part
            if isinstance(part, Refused | Unknown):
                return

    async def _fetch_charge(
        self, operation: str, payment_id: str, deadline: Deadline
    ) -> dict[str, Any] | Gone | Refused | Unknown:
        """The charge that took this payment's money; an empty one where none has."""
        if is_charge(payment_id):
            send: Callable[[], Awaitable[object]] = partial(self._sdk.v1.charges.retrieve_async, payment_id)
            read: Callable[[Json], dict[str, Any]] = dict
        else:
            expanded: Any = {"expand": ["latest_charge"]}
            send = partial(self._sdk.v1.payment_intents.retrieve_async, payment_id, expanded)
            read = _latest_charge
        answer = await self._ask(operation, send, deadline)
        return Gone() if is_gone(answer) else told(answer, read)

    async def _list_of(
        self, operation: str, list_page: Callable[[Any], Awaitable[object]], charge: Json, deadline: Deadline
    ) -> list[Json] | Refused | Unknown:
        """The refunds, or the disputes, of this charge, the newest first."""
        listed: list[Json] = []
        if not charge:
            return listed
        async for found in self._list(operation, list_page, {"charge": charge["id"]}, lambda: deadline):
            if isinstance(found, Refused | Unknown):
                return found
            listed.append(found)
        return listed


def _latest_charge(intent: Json) -> dict[str, Any]:
    return dict(as_object(intent.get("latest_charge")))
