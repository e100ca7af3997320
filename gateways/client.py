"""What can be asked of a gateway's API, and every way in which the asking can end: one Protocol for all of them.

Every answer is a value. "It is gone" and "nobody knows" are among them, so that no caller has to guess from an
exception what may have happened to somebody's money.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from gateways.gateway import Json, Unhandled
from payments.events import Observed
from payments.money import Money
from payments.refund import RefundReason


@dataclass(frozen=True, slots=True)
class Recurring:
    """What makes an order's page the beginning of a subscription.

    ``subscription_id`` is ours, ``price_id`` and ``customer_id`` are the gateway's. ``price`` is what each ``interval``
    costs once ``trial_ends_at`` has passed; None: there is no trial. ``customer_id`` is None where the gateway makes
    its customers by itself.
    """

    subscription_id: str
    price_id: str
    price: Money
    interval: str
    trial_days: int = 0
    trial_ends_at: datetime | None = None
    customer_id: str | None = None


@dataclass(frozen=True, slots=True)
class SessionOrder:
    """An order as a hosted page needs it; the price is our table's.

    ``attempt`` counts the sessions of one order: Razorpay wants a reference of its own for each. ``recurring``: paying
    begins a subscription; ``expected`` is then what is due at once, 0 with a trial.
    """

    order_id: str
    plan_id: str
    plan_name: str
    description: str
    expected: Money
    success_url: str
    cancel_url: str
    expires_at: datetime
    instance_id: str
    email: str | None = field(default=None, repr=False)
    attempt: int = 1
    recurring: Recurring | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A hosted page at the gateway: Stripe's Checkout Session, Razorpay's Payment Link or Subscription.

    ``url`` is None once nobody can pay there any more.
    """

    id: str
    url: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an answer is worth waiting for, retries included, and whether somebody is waiting."""

    deadline_seconds: float
    is_background: bool = False


#: A customer waits at the other end; the counter has promised an answer within 25 seconds.
LIVE = Patience(20)
#: Nobody waits: takes what live traffic leaves of the gateway's rate limit.
BACKGROUND = Patience(60, is_background=True)


class Refusal(StrEnum):
    """Why nothing was done. Asking again in the same way is refused again."""

    AMOUNT = "amount_not_supported"  # this gateway cannot take this amount of this currency
    OUTDATED = "request_outdated"  # its expiry has come too near: the next attempt needs a request of its own
    KEY_REUSED = "key_reused_with_other_request"  # a bug of ours, or two systems under one name: a person must look
    CREDENTIALS = "credentials"  # our key is wrong, or may not do this: a person must look
    STATE = "not_in_this_state"  # what it is asked of is in no state for it, or of no kind that it can be done to
    INVALID = "invalid_request"  # anything else that the gateway says is wrong with what we asked


@dataclass(frozen=True, slots=True)
class Refused:
    """It was not done and will not be; ``reason`` is for operators and holds no secret."""

    code: Refusal
    reason: str


class Doubt(StrEnum):
    """Why nobody can say what happened."""

    TIMED_OUT = "timed_out"  # no answer in the time there was
    CONNECTION_LOST = "connection_lost"  # or never made
    SERVER_ERROR = "server_error"  # the gateway, or a proxy before it, broke
    RATE_LIMITED = "rate_limited"  # still too many requests after waiting
    BUSY = "busy"  # our own share of the rate limit was used up: nothing was sent
    KEY_IN_USE = "key_in_use"  # another request with this key is still being answered
    KEY_SPENT = "key_spent"  # the key's stored answer is a server error: look before a new key is used
    UNREADABLE = "unreadable"  # an answer that says nothing we can read
    STILL_OPEN = "still_open"  # it was told to close, and has not


@dataclass(frozen=True, slots=True)
class Unknown:
    """The gateway may have done it or not. Only looking can tell; a timer never decides."""

    reason: Doubt


@dataclass(frozen=True, slots=True)
class Gone:
    """The gateway knows nothing under this id: usually the wrong account or mode, and never "not paid" (F113)."""


@dataclass(frozen=True, slots=True)
class Absent:
    """The gateway was searched and holds nothing made by this request."""


@dataclass(frozen=True, slots=True)
class Created:
    """The session exists, made now or by an earlier call with the same request; it may have ended since then."""

    session: Session


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session as the gateway holds it now.

    ``is_open``: somebody can still pay there. ``observed``: what its payments and its end mean, in the order in which
    they are to be applied; the same facts as their webhooks tell, or fewer where those overtook each other.
    """

    session: Session
    is_open: bool
    observed: tuple[Observed, ...]


@dataclass(frozen=True, slots=True)
class Closed:
    """Nobody can pay through the session any more, and no money came or is on its way."""

    observed: tuple[Observed, ...]


@dataclass(frozen=True, slots=True)
class Paid:
    """Too late to close: the money was taken, is promised or is on its way; ``observed`` says which."""

    observed: tuple[Observed, ...]


@dataclass(frozen=True, slots=True)
class GatewayPayment:
    """One payment as the gateway holds it now.

    ``observed`` is None while nothing has come of it, and ``Unhandled`` where it is not ours to read: it says why.
    """

    id: str
    created_at: datetime
    observed: Observed | Unhandled | None


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """A subscription as the gateway holds it now, with its newest invoice: the same facts as their webhooks tell, or
    fewer where those overtook each other. ``observed`` is in the order in which they are to be applied."""

    id: str
    observed: tuple[Observed, ...]


@dataclass(frozen=True, slots=True)
class PlanChange:
    """Another price for a subscription: at once, invoiced now and in force when paid; or from the next period on."""

    price_id: str
    interval: str
    is_immediate: bool


@dataclass(frozen=True, slots=True)
class Portal:
    """A page of the gateway on which a customer changes how a subscription is paid."""

    url: str


@dataclass(frozen=True, slots=True)
class Captured:
    """The money is taken, now or before; ``observed`` says how much."""

    observed: Observed


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """A refund as a gateway is asked for it: frozen with its row, the same for every repeat.

    ``refund_id`` and ``order_id`` are ours and go along as metadata; ``gateway_payment_id`` is whose money goes back.
    """

    refund_id: str
    order_id: str | None
    gateway_payment_id: str
    amount: Money
    reason: RefundReason
    instance_id: str


@dataclass(frozen=True, slots=True)
class RefundState:
    """A refund as the gateway holds it now: ``observed`` tells a ``RefundTold``, as its webhook would."""

    id: str
    observed: Observed


@dataclass(frozen=True, slots=True)
class PayoutState:
    """A payout to our bank as the gateway holds it now: ``observed`` tells a ``PayoutTold``, as its webhook would."""

    id: str
    observed: Observed


@dataclass(frozen=True, slots=True)
class MoneyState:
    """All that went back of one payment, or is on its way, as the gateway holds it now.

    ``observed``: a ``RefundTold`` for each refund and a ``DisputeTold`` for each dispute that it lists for the payment,
    and at last the ``RefundsTotalled`` of the payment itself, where the gateway keeps a running total.
    """

    observed: tuple[Observed, ...]


@dataclass(frozen=True, slots=True)
class DisputeState:
    """A dispute as the gateway holds it now: ``observed`` tells a ``DisputeTold``."""

    id: str
    observed: Observed


@dataclass(frozen=True, slots=True)
class PayoutPart:
    """One line of a payout: ``minor`` is signed and before ``fee_minor``, which the gateway keeps.

    ``names`` are the gateway's own ids of what moved (payment, charge, refund, dispute), most telling first.
    """

    id: str
    kind: str
    names: tuple[str, ...]
    minor: int
    fee_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the gateway sends its webhooks, as it says itself. ``event_types`` may hold ``*``, which is every type."""

    id: str
    url: str
    is_enabled: bool
    api_version: str | None
    event_types: frozenset[str]


class Client(Protocol):
    """One account at one gateway. Made in, used by and closed in one event loop.

    Calls are paced, bounded by ``patience``, and tried again where trying again is safe.
    ``lists_events``: the gateway keeps a list of its events, from which missed ones can be had.
    ``late_for``: how long after its page has ended a payment may still succeed, without anybody's doing.
    """

    @property
    def name(self) -> str: ...

    @property
    def lists_events(self) -> bool: ...

    @property
    def late_for(self) -> timedelta: ...

    def freeze(self, order: SessionOrder) -> Json | Refused:
        """The whole request for a session, expiry included, as it will be sent: pure, and fit for a JSON column.

        Store it before the call and send it as it is, however late: a replayed key must meet the same parameters.
        """
        ...

    async def create_session(
        self, frozen: Json, idempotency_key: str, patience: Patience = LIVE
    ) -> Created | Refused | Unknown:
        """Make the session, or find the one that this request has already made. Safe to call again after anything."""
        ...

    async def find_session(
        self, frozen: Json, patience: Patience = BACKGROUND, *, since: datetime | None = None
    ) -> SessionState | Absent | Refused | Unknown:
        """The session that this request has made, found by our reference.

        ``since``: when the request was first sent, if known. Stripe has to be searched by time, and a day is long.
        """
        ...

    async def fetch_session(
        self, session_id: str, patience: Patience = BACKGROUND
    ) -> SessionState | Gone | Refused | Unknown: ...

    async def close_session(
        self, session_id: str, patience: Patience = LIVE
    ) -> Closed | Paid | Gone | Refused | Unknown:
        """See to it that nobody can pay there any more. Closing what is closed is ``Closed``."""
        ...

    async def fetch_payment(
        self, payment_id: str, patience: Patience = BACKGROUND
    ) -> GatewayPayment | Gone | Refused | Unknown: ...

    async def capture_payment(
        self, payment_id: str, amount: Money, patience: Patience = BACKGROUND
    ) -> Captured | Gone | Refused | Unknown:
        """Take the money that was promised, exactly this much. Where the gateway takes it by itself: has it done so?"""
        ...

    def list_payments(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[GatewayPayment | Refused | Unknown]:
        """Every payment created from ``since`` to before ``until``, in no promised order.

        A ``Refused`` or ``Unknown`` is the last item: the list was cut short there. ``patience`` is for each page.
        """
        ...

    async def fetch_subscription(
        self, subscription_id: str, patience: Patience = BACKGROUND
    ) -> SubscriptionState | Gone | Refused | Unknown: ...

    async def cancel_subscription(
        self, subscription_id: str, idempotency_key: str, patience: Patience = LIVE, *, at_period_end: bool
    ) -> SubscriptionState | Gone | Refused | Unknown:
        """End it, now or with what is paid for. This and the next three: what is so already is told as it is, so that
        asking again after a lost answer does no more than asking once."""
        ...

    async def pause_subscription(
        self, subscription_id: str, idempotency_key: str, patience: Patience = LIVE
    ) -> SubscriptionState | Gone | Refused | Unknown:
        """Bill nothing until it is resumed."""
        ...

    async def resume_subscription(
        self,
        subscription_id: str,
        idempotency_key: str,
        patience: Patience = LIVE,
        *,
        is_set_to_end: bool,
        keeps_period: bool,
    ) -> SubscriptionState | Gone | Refused | Unknown:
        """Undo a pause, or an end that is set for later: ``is_set_to_end`` as we know it, since Razorpay shows none.

        ``keeps_period``: what was paid for before the pause is not used up, and goes on; else a new period begins, and
        is billed.
        """
        ...

    async def change_plan(
        self, subscription_id: str, change: PlanChange, idempotency_key: str, patience: Patience = LIVE
    ) -> SubscriptionState | Gone | Refused | Unknown:
        """Bill by another price. Asked for the price that it has, it forgets one that waits for the period's end."""
        ...

    async def open_portal(
        self, subscription_id: str, return_url: str, patience: Patience = LIVE
    ) -> Portal | Gone | Refused | Unknown: ...

    def list_subscriptions(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[SubscriptionState | Refused | Unknown]:
        """Every subscription created from ``since`` to before ``until``, ended ones too; ends as ``list_payments``
        does. Invoices are left out: the list tells how subscriptions are, not how they came there."""
        ...

    async def create_refund(
        self, request: RefundRequest, idempotency_key: str, patience: Patience = BACKGROUND
    ) -> RefundState | Gone | Refused | Unknown:
        """Give the money back, or find what this request has already given back. The same key with every repeat: a lost
        answer is looked for (``find_refund``) before it is asked for again, and never under another key."""
        ...

    async def find_refund(
        self, request: RefundRequest, patience: Patience = BACKGROUND
    ) -> RefundState | Absent | Gone | Refused | Unknown:
        """The refund that this request has made, found among those of its payment by our id."""
        ...

    async def fetch_money_back(
        self, payment_id: str, patience: Patience = BACKGROUND
    ) -> MoneyState | Gone | Refused | Unknown: ...

    async def fetch_dispute(
        self, dispute_id: str, patience: Patience = BACKGROUND
    ) -> DisputeState | Gone | Refused | Unknown: ...

    def list_refunds(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[RefundState | Unhandled | Refused | Unknown]:
        """Every refund created from ``since`` to before ``until``, whoever asked for it; ends as ``list_payments``
        does. ``Unhandled`` is one that cannot be read, and hides no other."""
        ...

    def list_disputes(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[DisputeState | Unhandled | Refused | Unknown]:
        """The same of disputes."""
        ...

    def list_payouts(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[PayoutState | Unhandled | Refused | Unknown]:
        """The same of payouts to our bank."""
        ...

    def list_payout_parts(
        self, payout_id: str, patience: Patience = BACKGROUND
    ) -> AsyncIterator[PayoutPart | Refused | Unknown]:
        """What one payout consists of; ends as ``list_payments`` does."""
        ...

    def list_events(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND, *, only_undelivered: bool = False
    ) -> AsyncIterator[Json | Refused | Unknown]:
        """The gateway's own list of its events, as bodies of webhooks; ends as ``list_payments`` does.

        A gateway that keeps no such list (Razorpay) gives none: its objects are swept instead.
        """
        ...

    async def list_endpoints(self, patience: Patience = BACKGROUND) -> tuple[Endpoint, ...] | Refused | Unknown | None:
        """Where webhooks are sent to, all of them; None where the gateway does not tell."""
        ...

    async def aclose(self) -> None: ...
