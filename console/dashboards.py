"""Where a person finds an event in its gateway's own dashboard. One line for each gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from db.event_search import Listed
from payments.events import References

#: Razorpay has no page for an event; the payment that it tells of has one.
LINKS: Mapping[str, Callable[[Listed, References | None], str | None]] = {
    "stripe": lambda event, _: _stripe(event),
    "razorpay": lambda _, names: _razorpay(names),
}


def link(event: Listed, names: References | None) -> str | None:
    """Its page; None where it has none, or where we cannot tell."""
    find = LINKS.get(event.gateway)
    return find(event, names) if find else None


def _stripe(event: Listed) -> str | None:
    if not event.event_id.startswith("evt_"):
        return None
    mode = "test/" if event.livemode is False else ""
    return f"https://dashboard.stripe.com/{mode}events/{event.event_id}"


def _razorpay(names: References | None) -> str | None:
    payment = next((name for name in names.objects if name.startswith("pay_")), None) if names else None
    return f"https://dashboard.razorpay.com/app/payments/{payment}" if payment else None
