"""The wrapping of a Razorpay event. Its id is a header outside the signature: a name to show, never a proof."""

from __future__ import annotations

from gateways.gateway import Envelope, Headers, Json
from gateways.reading import TEXT_LIMIT, as_text, as_time

EVENT_ID_HEADER = b"x-razorpay-event-id"


def read_envelope(headers: Headers, event: Json) -> Envelope:
    """Bodies name neither an API version nor the mode; ``created_at`` is missing in some."""
    return Envelope(
        event_id=_event_id(headers.get(EVENT_ID_HEADER, b"")),
        event_type=as_text(event.get("event")) or "unknown",
        account=as_text(event.get("account_id")) or "",
        created_at=as_time(event.get("created_at")),
    )


def _event_id(header: bytes) -> str | None:
    """Anybody may have written it, so only short printable ASCII is taken."""
    text = header.decode("latin-1")
    is_plain = text.isascii() and text.isprintable() and " " not in text
    return text if is_plain and 0 < len(text) <= TEXT_LIMIT else None


def is_redelivery(_first: Json, _second: Json) -> bool:
    """Exact retries repeat the body byte for byte. Other bytes under one unsigned id are another event (F12)."""
    return False
