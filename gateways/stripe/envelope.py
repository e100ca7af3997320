"""The wrapping of a Stripe event: snapshot events (``object: event``) and thin ones (``object: v2.core.event``)."""

from __future__ import annotations

from gateways.gateway import Envelope, Headers, Json
from gateways.reading import as_text, as_time

THIN_EVENT = "v2.core.event"

#: Before the type of a snapshot event, it makes that of the thin one.
THIN_PREFIX = "v1."

#: What Stripe writes anew on each delivery of one event.
_OF_THE_DELIVERY = frozenset({"pending_webhooks", "request"})


def read_envelope(_headers: Headers, event: Json) -> Envelope:
    """Stripe signs everything of the wrapping. A thin event calls its account ``context`` and writes its time out."""
    livemode = event.get("livemode")
    return Envelope(
        event_id=as_text(event.get("id")),
        event_type=as_text(event.get("type")) or "unknown",
        account=as_text(event.get("context" if is_thin(event) else "account")) or "",
        livemode=livemode if isinstance(livemode, bool) else None,
        api_version=as_text(event.get("api_version")),
        created_at=as_time(event.get("created")),
    )


def is_thin(event: Json) -> bool:
    """Thin events carry no object, only where to fetch it."""
    return event.get("object") == THIN_EVENT


def is_redelivery(first: Json, second: Json) -> bool:
    """One event told twice: in another API version (two endpoints), or equal but for the delivery's own fields.

    Anything else under one id is a contradiction, such as another amount (F60).
    """
    if first.get("type") != second.get("type"):
        return False
    if first.get("api_version") != second.get("api_version"):
        return True
    try:
        return _without_delivery(first) == _without_delivery(second)
    except RecursionError:
        # Nesting that parses may still be too deep to compare; what cannot be shown to be equal is not.
        return False


def _without_delivery(event: Json) -> Json:
    return {name: value for name, value in event.items() if name not in _OF_THE_DELIVERY}
