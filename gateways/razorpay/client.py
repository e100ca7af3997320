"""Razorpay's API through its official SDK: blocking, so in a few threads, and without idempotency, so looked up.

What a lost answer has done is asked of the gateway before anything is sent again (F55): a Payment Link is found by its
reference, which Razorpay takes only once, and a capture shows on its payment. Subscriptions, whose hosted pages are
sessions too, are in ``gateways.razorpay.beginning`` and ``.subscribing``; refunds, which alone have a key, disputes and
settlements in ``.giving_back``; how a call is made, in ``.account``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial

from gateways.calling import Answer, Deadline, Denial, Line, is_gone, told
from gateways.client import (
    BACKGROUND,
    LIVE,
    Absent,
    Captured,
    Closed,
    Created,
    Doubt,
    Endpoint,
    GatewayPayment,
    Gone,
    Paid,
    Patience,
    Refusal,
    Refused,
    SessionOrder,
    SessionState,
    Unknown,
)
from gateways.closing import judge_closed
from gateways.gateway import Json
from gateways.pacing import Bucket
from gateways.razorpay.account import ID
from gateways.razorpay.beginning import SUBSCRIPTION, is_subscription
from gateways.razorpay.conclusions import judge_capture, judge_creation, pick_link
from gateways.razorpay.freezing import freeze
from gateways.razorpay.giving_back import GivingBack
from gateways.razorpay.objects import read_items, read_payment, read_session, read_state
from gateways.razorpay.settings import RazorpaySettings
from gateways.razorpay.subscribing import Subscribing
from payments.money import Money

#: Requests a second. Razorpay publishes no limit; this has room for a thousand checkouts in two minutes.
RATE = 10

#: Razorpay asks the bank about a failed payment for three days more, and takes it if the bank says yes after all. One
#: more for what we hear late. Source: Razorpay docs, "Late authorisation".
LATE_FOR = timedelta(days=4)


def build(settings: RazorpaySettings, line: Line | None = None) -> Razorpay | None:
    """A client for the account in the settings, to be used in this event loop alone; None without a key."""
    if settings.key_id is None or settings.key_secret is None:
        return None
    api_base = str(settings.api_base) if settings.api_base else None
    line = line or Line("razorpay", Bucket(RATE))
    return Razorpay(settings.key_id, settings.key_secret.get_secret_value(), line, api_base=api_base)


class Razorpay(Subscribing, GivingBack):
    """One Razorpay account."""

    name = "razorpay"
    lists_events = False
    late_for = LATE_FOR

    def freeze(self, order: SessionOrder) -> Json | Refused:
        return freeze(order)

    async def create_session(
        self, frozen: Json, idempotency_key: str, patience: Patience = LIVE
    ) -> Created | Refused | Unknown:
        """The link's reference does what the key does elsewhere."""
        del idempotency_key
        deadline = Deadline.of(patience)
        if is_subscription(frozen):
            return await self._begin(frozen, deadline)
        made = await self._send("create_session", lambda sdk: sdk.payment_link.create(dict(frozen)), deadline)
        if isinstance(made, Answer):
            return told(made, lambda link: Created(read_session(link)))
        if isinstance(made, Denial) and made.refusal is Refusal.CREDENTIALS:
            return made.refused
        # Whatever was said, or not: if the link exists, this request has made it.
        return judge_creation(made, await self._find(frozen, deadline))

    async def find_session(
        self, frozen: Json, patience: Patience = BACKGROUND, *, since: datetime | None = None
    ) -> SessionState | Absent | Refused | Unknown:
        deadline = Deadline.of(patience)
        if is_subscription(frozen):
            return await self._find_begun(frozen, since, deadline)
        return await self._find(frozen, deadline)

    async def fetch_session(
        self, session_id: str, patience: Patience = BACKGROUND
    ) -> SessionState | Gone | Refused | Unknown:
        return await self._fetch_session(session_id, Deadline.of(patience))

    async def close_session(
        self, session_id: str, patience: Patience = LIVE
    ) -> Closed | Paid | Gone | Refused | Unknown:
        deadline = Deadline.of(patience)
        if not ID.fullmatch(session_id):
            return Gone()
        if session_id.startswith(SUBSCRIPTION):
            return await self._give_up(session_id, deadline)
        cancelled = await self._send("close_session", lambda sdk: sdk.payment_link.cancel(session_id), deadline)
        return judge_closed(cancelled, await self._fetch_session(session_id, deadline))

    async def fetch_payment(
        self, payment_id: str, patience: Patience = BACKGROUND
    ) -> GatewayPayment | Gone | Refused | Unknown:
        return await self._fetch_payment(payment_id, Deadline.of(patience))

    async def capture_payment(
        self, payment_id: str, amount: Money, patience: Patience = BACKGROUND
    ) -> Captured | Gone | Refused | Unknown:
        deadline = Deadline.of(patience)
        if not ID.fullmatch(payment_id):
            return Gone()
        # A new dictionary each time: the SDK's default is one that all threads share, amounts and all (F56).
        terms = {"currency": amount.currency.upper()}
        captured = await self._send(
            "capture_payment", lambda sdk: sdk.payment.capture(payment_id, amount.minor, terms), deadline
        )
        return judge_capture(captured, await self._fetch_payment(payment_id, deadline))

    async def list_payments(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[GatewayPayment | Refused | Unknown]:
        async for found in self._list_window(
            "list_payments", lambda sdk, asked: sdk.payment.all(asked), since, until, lambda: Deadline.of(patience)
        ):
            payment = found if isinstance(found, Refused | Unknown) else told(Answer(found), read_payment)
            yield payment
            if isinstance(payment, Refused | Unknown):
                return

    async def list_events(
        self,
        since: datetime,  # noqa: ARG002 - the Protocol's
        until: datetime,  # noqa: ARG002 - the Protocol's
        patience: Patience = BACKGROUND,  # noqa: ARG002 - the Protocol's
        *,
        only_undelivered: bool = False,  # noqa: ARG002 - the Protocol's
    ) -> AsyncIterator[Json | Refused | Unknown]:
        """Razorpay keeps no list of its events."""
        none: tuple[Json, ...] = ()
        for event in none:
            yield event

    async def list_endpoints(
        self,
        patience: Patience = BACKGROUND,  # noqa: ARG002 - the Protocol's
    ) -> tuple[Endpoint, ...] | Refused | Unknown | None:
        """Only the dashboard shows a merchant's webhooks."""
        return None

    async def _find(self, frozen: Json, deadline: Deadline) -> SessionState | Absent | Refused | Unknown:
        reference = {"reference_id": frozen["reference_id"]}
        answer = await self._read("find_session", lambda sdk: sdk.payment_link.all(dict(reference)), deadline)
        found = told(answer, partial(pick_link, frozen))
        if isinstance(found, Absent | Refused | Unknown):
            return found
        state = await self._fetch_session(found, deadline)
        return Unknown(Doubt.UNREADABLE) if isinstance(state, Gone) else state

    async def _fetch_session(self, session_id: str, deadline: Deadline) -> SessionState | Gone | Refused | Unknown:
        """The link, and the attempts at the order that Razorpay opens for it when the first customer tries."""
        if not ID.fullmatch(session_id):
            return Gone()
        if session_id.startswith(SUBSCRIPTION):
            return await self._fetch_begun(session_id, deadline)
        answer = await self._read("fetch_session", lambda sdk: sdk.payment_link.fetch(session_id), deadline)
        if is_gone(answer):
            return Gone()
        if not isinstance(answer, Answer) or not ID.fullmatch(order_id := str(answer.body.get("order_id"))):
            return told(answer, partial(read_state, payments=()))
        link = answer.body
        attempts = await self._read("fetch_session", lambda sdk: sdk.order.payments(order_id), deadline)
        return told(attempts, lambda collection: read_state(link, read_items(collection)))

    async def _fetch_payment(self, payment_id: str, deadline: Deadline) -> GatewayPayment | Gone | Refused | Unknown:
        if not ID.fullmatch(payment_id):
            return Gone()
        answer = await self._read("fetch_payment", lambda sdk: sdk.payment.fetch(payment_id), deadline)
        return Gone() if is_gone(answer) else told(answer, read_payment)
