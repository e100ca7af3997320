"""A gateway that does as a test tells it, behind the same Protocol as the real ones. Written by hand; no network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

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
    Recurring,
    Refusal,
    Refused,
    Session,
    SessionOrder,
    SessionState,
    Unknown,
)
from gateways.gateway import Json
from payments.events import CheckoutEnded, Observed, References
from payments.money import Money
from tests.fake_billing import FakeBilling
from tests.fake_refunds import FakeRefunds

#: ``loses``: it acts, and its answer is lost. ``hangs``: no answer in the caller's time. ``deaf``: not even then.
Mood = Literal["opens", "refuses", "loses", "hangs", "deaf"]


@dataclass
class FakeClient(FakeBilling, FakeRefunds):
    """Keeps what it was asked, in order, and one page per idempotency key, as a gateway does."""

    name: str = "stripe"
    mood: Mood = "opens"
    delay_seconds: float = 0.0
    asked: list[tuple[str, Json]] = field(default_factory=list)
    pages: dict[str, Session] = field(default_factory=dict)
    closed: bool = False
    #: What has become of every page; while empty, they can be paid.
    ended: tuple[Observed, ...] = ()
    #: What closing a page brings to light; while empty, that nobody had paid.
    closing: tuple[Observed, ...] = ()
    looks: int = 0
    lists_events: bool = False
    late_for: timedelta = timedelta(0)

    @property
    def keys(self) -> list[str]:
        return [key for key, _ in self.asked]

    def freeze(self, order: SessionOrder) -> dict[str, Any] | Refused:
        if order.expected.minor == 666:
            return Refused(Refusal.AMOUNT, "not this amount")
        return {
            "reference": f"{order.order_id}-{order.attempt}",
            "amount": order.expected.minor,
            "currency": order.expected.currency,
            "email": order.email,
            "success_url": order.success_url,
            "cancel_url": order.cancel_url,
            "expires_at": int(order.expires_at.timestamp()),
            **({"recurring": _written(order.recurring)} if order.recurring else {}),
        }

    async def create_session(
        self, frozen: Json, idempotency_key: str, patience: Patience = LIVE
    ) -> Created | Refused | Unknown:
        self.asked.append((idempotency_key, frozen))
        await asyncio.sleep(self.delay_seconds)
        match self.mood:
            case "refuses":
                return Refused(Refusal.INVALID, "not today")
            case "hangs":
                await asyncio.sleep(patience.deadline_seconds)
                return Unknown(Doubt.TIMED_OUT)
            case "deaf":
                await asyncio.Event().wait()
            case "loses":
                self._page(frozen, idempotency_key)
                return Unknown(Doubt.CONNECTION_LOST)
            case "opens":
                pass
        return Created(self._page(frozen, idempotency_key))

    def _page(self, frozen: Json, key: str) -> Session:
        number = len(self.pages) + 1
        session = Session(
            f"cs_{self.name}_{frozen['reference']}",
            f"https://{self.name}.test/pay/{number}",
            datetime.fromtimestamp(frozen["expires_at"], UTC),
        )
        return self.pages.setdefault(key, session)

    async def find_session(
        self, frozen: Json, patience: Patience = BACKGROUND, *, since: datetime | None = None
    ) -> SessionState | Absent | Refused | Unknown:
        del patience, since
        for session in self.pages.values():
            if session.id == f"cs_{self.name}_{frozen['reference']}":
                return SessionState(session, is_open=session.url is not None, observed=())
        return Absent()

    async def fetch_session(
        self, session_id: str, patience: Patience = BACKGROUND
    ) -> SessionState | Gone | Refused | Unknown:
        self.looks += 1
        await asyncio.sleep(patience.deadline_seconds if self.mood == "hangs" else 0)
        for session in self.pages.values():
            if session.id == session_id:
                is_open = session.url is not None and not self.ended
                return SessionState(session, is_open=is_open, observed=self.ended)
        return Gone()

    async def close_session(
        self, session_id: str, patience: Patience = LIVE
    ) -> Closed | Paid | Gone | Refused | Unknown:
        del patience
        for key, session in self.pages.items():
            if session.id == session_id:
                self.pages[key] = Session(session.id, None, session.expires_at)
                end = Observed(self.name, References((), (session_id,), None, session_id), CheckoutEnded(session_id))
                return Closed(self.closing or (end,))
        return Gone()

    async def fetch_payment(
        self, payment_id: str, patience: Patience = BACKGROUND
    ) -> GatewayPayment | Gone | Refused | Unknown:
        del payment_id, patience
        return Gone()

    async def capture_payment(
        self, payment_id: str, amount: Money, patience: Patience = BACKGROUND
    ) -> Captured | Gone | Refused | Unknown:
        del payment_id, amount, patience
        return Gone()

    async def list_payments(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[GatewayPayment | Refused | Unknown]:
        del since, until, patience
        nothing: tuple[GatewayPayment, ...] = ()
        for payment in nothing:
            yield payment

    async def list_events(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND, *, only_undelivered: bool = False
    ) -> AsyncIterator[Json | Refused | Unknown]:
        del since, until, patience, only_undelivered
        nothing: tuple[Json, ...] = ()
        for event in nothing:
            yield event

    async def list_endpoints(self, patience: Patience = BACKGROUND) -> tuple[Endpoint, ...] | Refused | Unknown | None:
        del patience
        return None

    async def aclose(self) -> None:
        self.closed = True


def _written(recurring: Recurring) -> dict[str, Any]:
    return {
        "price": recurring.price_id,
        "interval": recurring.interval,
        "trial_days": recurring.trial_days,
        "customer": recurring.customer_id,
        "subscription": recurring.subscription_id,
    }
