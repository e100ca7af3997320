"""The hosted page of a subscription at Razorpay, which is the subscription itself: made, found by its notes, given up.

There are no keys here. What a lost answer has made is looked for; one that is made twice all the same is a page that
nobody is sent to: it tells nobody of itself, is never authorised, and ends with its time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from gateways.calling import Answer, Deadline, Denial, is_gone, told
from gateways.client import Absent, Closed, Created, Doubt, Gone, Paid, Refusal, Refused, SessionState, Unknown
from gateways.closing import judge_closed
from gateways.gateway import Json
from gateways.razorpay.account import ID, Account
from gateways.razorpay.conclusions import judge_creation
from gateways.razorpay.objects import read_items
from gateways.razorpay.subscription_objects import read_begun, read_page
from gateways.reading import as_object

#: Tells them from Payment Links, the other kind of hosted page.
SUBSCRIPTION = "sub_"

Whole = TypeVar("Whole")

#: A page is asked for at most a day before it expires, and our clock is not Razorpay's.
EXPIRES_AFTER_MAX, CLOCK_SLACK = timedelta(days=1), timedelta(minutes=5)


def is_subscription(frozen: Json) -> bool:
    """Whether this request is for a subscription's page."""
    return "total_count" in frozen


class Beginning(Account):
    """The part of an account on whose pages subscriptions begin."""

    async def _begin(self, frozen: Json, deadline: Deadline) -> Created | Refused | Unknown:
        made = await self._send("create_session", lambda sdk: sdk.subscription.create(dict(frozen)), deadline)
        if isinstance(made, Answer):
            return told(made, lambda subscription: Created(read_page(subscription)))
        if isinstance(made, Denial):
            return made.refused
        return judge_creation(made, await self._find_begun(frozen, None, deadline))

    async def _find_begun(
        self, frozen: Json, since: datetime | None, deadline: Deadline
    ) -> SessionState | Absent | Refused | Unknown:
        expires_at = datetime.fromtimestamp(frozen["expire_by"], UTC)
        first = max(expires_at - EXPIRES_AFTER_MAX, since or expires_at - EXPIRES_AFTER_MAX)
        window = {
            "plan_id": frozen["plan_id"],
            "from": int((first - CLOCK_SLACK).timestamp()),
            "to": int((expires_at + CLOCK_SLACK).timestamp()),
        }
        async for found in self._list(
            "find_session", lambda sdk, asked: sdk.subscription.all(asked), window, lambda: deadline
        ):
            if isinstance(found, Refused | Unknown):
                return found
            if _was_made_by(frozen, found):
                state = await self._fetch_begun(str(found["id"]), deadline)
                return Unknown(Doubt.UNREADABLE) if isinstance(state, Gone) else state
        return Absent()

    async def _fetch_begun(self, subscription_id: str, deadline: Deadline) -> SessionState | Gone | Refused | Unknown:
        return await self._fetch_whole(subscription_id, read_begun, deadline)

    async def _give_up(self, subscription_id: str, deadline: Deadline) -> Closed | Paid | Gone | Refused | Unknown:
        """Only while nobody has authorised it: a page that was used is a subscription, and not ours to end here."""
        state = await self._fetch_begun(subscription_id, deadline)
        if not isinstance(state, SessionState) or not state.is_open:
            return judge_closed(Unknown(Doubt.STILL_OPEN), state)
        body = {"cancel_at_cycle_end": 0}
        cancelled = await self._send(
            "close_session", lambda sdk: sdk.subscription.cancel(subscription_id, dict(body)), deadline
        )
        return judge_closed(cancelled, await self._fetch_begun(subscription_id, deadline))

    async def _fetch_whole(
        self, subscription_id: str, read: Callable[[Json, list[Json], list[Json]], Whole], deadline: Deadline
    ) -> Whole | Gone | Refused | Unknown:
        """With all its invoices: what was not told for months is made up for by one look."""
        held = await self._retrieve(subscription_id, deadline)
        if is_gone(held):
            return Gone()
        invoices: list[Json] = []
        asked = {"subscription_id": subscription_id}
        async for invoice in self._list(
            "fetch_subscription", lambda sdk, query: sdk.invoice.all(query), asked, lambda: deadline
        ):
            if isinstance(invoice, Refused | Unknown):
                return invoice
            invoices.append(invoice)
        payments = await self._explain(invoices, deadline)
        return told(held, lambda subscription: read(subscription, invoices, payments))

    async def _explain(self, invoices: Sequence[Json], deadline: Deadline) -> list[Json]:
        """The attempts at the newest invoice, if it is open: why they have failed, for the customer to read."""
        newest = invoices[0] if invoices else {}
        order_id = str(newest.get("order_id"))
        if newest.get("status") != "issued" or not ID.fullmatch(order_id):
            return []
        attempts = await self._read("fetch_subscription", lambda sdk: sdk.order.payments(order_id), deadline)
        found = told(attempts, read_items)
        return found if isinstance(found, list) else []

    async def _retrieve(self, subscription_id: str, deadline: Deadline) -> Answer | Denial | Unknown:
        if not ID.fullmatch(subscription_id):
            return Denial(Refusal.INVALID, "no id of a subscription", is_gone=True)
        return await self._read("fetch_subscription", lambda sdk: sdk.subscription.fetch(subscription_id), deadline)


def _was_made_by(frozen: Json, subscription: Json) -> bool:
    kept = as_object(subscription.get("notes"))
    return subscription.get("expire_by") == frozen["expire_by"] and all(
        kept.get(name) == value for name, value in frozen["notes"].items()
    )
