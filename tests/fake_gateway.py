"""A gateway in memory that keeps its word about keys, and breaks down where a test says so. For checkout's tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

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
    Session,
    SessionOrder,
    SessionState,
    Unknown,
)
from gateways.gateway import Json
from payments.events import CheckoutEnded, Observed, PaymentSucceeded, References
from payments.money import Money
from tests.fake_billing import FakeBilling
from tests.fake_refunds import FakeRefunds

#: What a test makes of one call: before the gateway acts, or after.
Fault = Callable[[], Awaitable[Refused | Unknown | None]]


@dataclass
class FakeGateway(FakeBilling, FakeRefunds):
    """Sessions by key. ``before`` and ``after`` hold one fault for each coming call, and are used up."""

    name: str = "stripe"
    sessions: dict[str, Session] = field(default_factory=dict)
    requests: dict[str, Json] = field(default_factory=dict)
    before: list[Fault] = field(default_factory=list)
    after: list[Fault] = field(default_factory=list)
    calls: int = 0
    #: What was captured, and what is answered to it; without an answer prepared, the money is taken.
    captures: list[tuple[str, Money]] = field(default_factory=list)
    capture_answers: list[Gone | Refused | Unknown] = field(default_factory=list)
    #: What has become of the pages that are asked about; while empty, they can be paid.
    ended: tuple[Observed, ...] = ()
    #: What has become of single pages.
    endings: dict[str, tuple[Observed, ...]] = field(default_factory=dict)
    #: Pages that somebody else has made, and what has become of them.
    session_states: dict[str, tuple[Observed, ...]] = field(default_factory=dict)
    #: What comes of closing a page that can be paid; None: it closes, and nothing had been paid.
    closing: Paid | Gone | Refused | Unknown | None = None
    #: Nothing is answered, whatever is asked.
    is_away: bool = False
    #: While it is set to wait for, no page is told of.
    holds: asyncio.Event | None = None
    #: Every question, in order.
    asked: list[str] = field(default_factory=list)
    payments: dict[str, GatewayPayment] = field(default_factory=dict)
    listed: list[GatewayPayment | Refused | Unknown] = field(default_factory=list)
    events: list[Json | Refused | Unknown] = field(default_factory=list)
    windows: list[tuple[datetime, datetime, bool]] = field(default_factory=list)
    endpoints: tuple[Endpoint, ...] | Refused | Unknown | None = None
    lists_events: bool = True
    late_for: timedelta = timedelta(0)

    def freeze(self, order: SessionOrder) -> Json | Refused:
        if order.plan_id == "unsellable":
            return Refused(Refusal.AMOUNT, "this gateway does not take that")
        return {
            "order_id": order.order_id,
            "attempt": order.attempt,
            "amount": order.expected.minor,
            "currency": order.expected.currency,
            "success_url": order.success_url,
            "expires_at": int(order.expires_at.timestamp()),
        }

    async def create_session(
        self, frozen: Json, idempotency_key: str, patience: Patience = LIVE
    ) -> Created | Refused | Unknown:
        self.calls += 1
        self.asked.append("create")
        await asyncio.sleep(0)
        if self.is_away:
            return Unknown(Doubt.TIMED_OUT)
        if self.before and (fault := await self.before.pop(0)()) is not None:
            return fault
        if idempotency_key in self.requests and self.requests[idempotency_key] != frozen:
            return Refused(Refusal.KEY_REUSED, "another request")
        self.requests[idempotency_key] = frozen
        session = self.sessions.setdefault(idempotency_key, self._make(frozen))
        await asyncio.sleep(0)
        if self.after and (fault := await self.after.pop(0)()) is not None:
            return fault
        return Created(session)

    def _make(self, frozen: Json) -> Session:
        number = len(self.sessions) + 1
        expires_at = datetime.fromtimestamp(frozen["expires_at"]).astimezone()
        return Session(f"cs_{frozen['order_id']}_{number}", f"https://pay.example/{number}", expires_at)

    async def find_session(
        self, frozen: Json, patience: Patience = BACKGROUND, *, since: datetime | None = None
    ) -> SessionState | Absent | Refused | Unknown:
        self.asked.append("find")
        await asyncio.sleep(0)
        if self.is_away:
            return Unknown(Doubt.TIMED_OUT)
        for key, request in self.requests.items():
            if request == frozen:
                return self._state(self.sessions[key])
        return Absent()

    def _state(self, session: Session) -> SessionState:
        observed = self.ended or self.endings.get(session.id, ())
        if not observed:
            return SessionState(session, is_open=True, observed=())
        return SessionState(replace(session, url=None), is_open=False, observed=observed)

    async def fetch_session(
        self, session_id: str, patience: Patience = BACKGROUND
    ) -> SessionState | Gone | Refused | Unknown:
        self.asked.append(f"fetch {session_id}")
        await (self.holds.wait() if self.holds else asyncio.sleep(0))
        if self.is_away:
            return Unknown(Doubt.TIMED_OUT)
        if session_id in self.session_states:
            page = Session(session_id, None, datetime.now(UTC))
            return SessionState(page, is_open=False, observed=self.session_states[session_id])
        for session in self.sessions.values():
            if session.id == session_id:
                return self._state(session)
        return Gone()

    async def close_session(
        self, session_id: str, patience: Patience = LIVE
    ) -> Closed | Paid | Gone | Refused | Unknown:
        self.asked.append(f"close {session_id}")
        await asyncio.sleep(0)
        if self.is_away:
            return Unknown(Doubt.TIMED_OUT)
        if self.closing is not None:
            return self.closing
        for session in self.sessions.values():
            if session.id == session_id:
                end = Observed(self.name, References((), (session_id,), None, session_id), CheckoutEnded(session_id))
                self.endings[session_id] = (end,)
                return Closed((end,))
        return Gone()

    async def fetch_payment(
        self, payment_id: str, patience: Patience = BACKGROUND
    ) -> GatewayPayment | Gone | Refused | Unknown:
        self.asked.append(f"payment {payment_id}")
        await asyncio.sleep(0)
        if self.is_away:
            return Unknown(Doubt.TIMED_OUT)
        return self.payments.get(payment_id, Gone())

    async def capture_payment(
        self, payment_id: str, amount: Money, patience: Patience = BACKGROUND
    ) -> Captured | Gone | Refused | Unknown:
        self.captures.append((payment_id, amount))
        if self.capture_answers:
            return self.capture_answers.pop(0)
        return Captured(Observed(self.name, References(objects=(payment_id,)), PaymentSucceeded(payment_id, amount)))

    async def list_payments(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[GatewayPayment | Refused | Unknown]:
        self.windows.append((since, until, False))
        for payment in self.listed:
            if not isinstance(payment, GatewayPayment) or since <= payment.created_at < until:
                yield payment

    async def list_events(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND, *, only_undelivered: bool = False
    ) -> AsyncIterator[Json | Refused | Unknown]:
        """Newest first, as Stripe gives them; those whose ``delivered`` a test has set are not undelivered."""
        self.windows.append((since, until, only_undelivered))
        for event in self.events:
            if isinstance(event, Refused | Unknown):
                yield event
                return
            told = {name: value for name, value in event.items() if name != "delivered"}
            if since.timestamp() <= event["created"] < until.timestamp() and not (
                only_undelivered and event.get("delivered")
            ):
                yield told

    async def list_endpoints(self, patience: Patience = BACKGROUND) -> tuple[Endpoint, ...] | Refused | Unknown | None:
        return self.endpoints

    async def aclose(self) -> None:
        return


async def lose_the_answer() -> Refused | Unknown | None:
    return Unknown(Doubt.CONNECTION_LOST)


async def spend_the_key() -> Refused | Unknown | None:
    return Unknown(Doubt.KEY_SPENT)


async def refuse() -> Refused | Unknown | None:
    return Refused(Refusal.INVALID, "no")


async def refuse_the_key() -> Refused | Unknown | None:
    return Refused(Refusal.CREDENTIALS, "who are you")


async def say_it_is_outdated() -> Refused | Unknown | None:
    return Refused(Refusal.OUTDATED, "too near")


async def nothing() -> Refused | Unknown | None:
    return None
