"""A subscription of Razorpay's and its invoices, as its API gives them, in our words. Read together they say more than
their webhooks do: which cycle each invoice is for, and which one a failing subscription waits for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from gateways.client import Session, SessionState
from gateways.gateway import Json, Unhandled
from gateways.razorpay.entities import Entities, read_references
from gateways.razorpay.invoices import read_sighting
from gateways.razorpay.subscriptions import read_end, read_snapshot
from gateways.reading import as_text, as_time
from gateways.translating import as_address, gather, needed, observe
from payments.events import CheckoutEnded, Observed, SubscriptionTold

#: In these, nobody ever authorised it, if it has no customer.
_NOT_BEGUN = frozenset({"expired", "cancelled"})


def read_page(subscription: Json) -> Session:
    """The subscription as the hosted page that it is. Raises ``Unreadable``."""
    return Session(
        id=needed(as_text(subscription.get("id")), "subscription.id"),
        # The address goes on to exist: whoever comes later changes how it is paid.
        url=as_address(subscription.get("short_url")) if subscription.get("status") == "created" else None,
        expires_at=needed(as_time(subscription.get("expire_by")), "subscription.expire_by"),
    )


def read_begun(subscription: Json, invoices: Sequence[Json] = (), payments: Sequence[Json] = ()) -> SessionState:
    """What came of the page. Raises ``Unreadable`` and ``TranslationError``."""
    page = read_page(subscription)
    observed = read_subscription(subscription, invoices, payments)
    if as_text(subscription.get("status")) in _NOT_BEGUN and subscription.get("customer_id") is None:
        names = read_references(Entities(subscription=subscription))
        observed = (*observed, Observed("razorpay", names, CheckoutEnded(page.id)))
    return SessionState(page, subscription.get("status") == "created", observed)


def read_subscription(
    subscription: Json, invoices: Sequence[Json] = (), payments: Sequence[Json] = ()
) -> tuple[Observed, ...]:
    """The invoices first: how the subscription is follows from them. The newest before the others, so that what it pays
    for is known before anybody finds that an older period is over; but what was paid after its end comes after it.

    ``invoices`` are newest first, as Razorpay lists them. ``payments`` are attempts at the one that is open, of which
    the newest says why it is. Raises ``TranslationError``.
    """
    names = read_references(Entities(subscription=subscription))
    return gather(names, _tellings(subscription, invoices, payments))


def _tellings(subscription: Json, invoices: Sequence[Json], payments: Sequence[Json]) -> Iterator[Observed | Unhandled]:
    ended_at = read_end(subscription)
    late = [each for each in invoices if ended_at and (as_time(each.get("paid_at")) or ended_at) > ended_at]
    tell = partial(_observe_invoice, subscription=subscription, payments=payments, invoices=invoices)
    yield from (tell(each) for each in invoices if each not in late)
    about = Entities(subscription=subscription)
    yield observe("razorpay", "subscription", read_references(about), partial(_tell_subscription, subscription))
    yield from map(tell, late)


def _observe_invoice(
    invoice: Json, subscription: Json, payments: Sequence[Json], invoices: Sequence[Json]
) -> Observed | Unhandled:
    about = Entities(invoice=invoice, payment={"id": invoice.get("payment_id")})
    return observe(
        "razorpay",
        "invoice",
        read_references(about),
        partial(_tell_invoice, invoice, subscription, payments, invoices),
    )


def _tell_invoice(
    invoice: Json, subscription: Json, payments: Sequence[Json], invoices: Sequence[Json]
) -> SubscriptionTold:
    return SubscriptionTold(None, invoice=read_sighting(invoice, subscription, payments, invoices))


def _tell_subscription(subscription: Json) -> SubscriptionTold:
    return SubscriptionTold(None, snapshot=read_snapshot(subscription))
