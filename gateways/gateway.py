"""What every gateway's folder must offer, and the few types it speaks in.

A gateway is one value, ``Gateway``, made of pure functions: no socket, no clock, no SDK. The ingress uses the first
half (verify, envelope), a worker the second (translate).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from payments.events import Observed

#: A JSON object from outside: anything may be missing, and anything may be of another type.
Json = Mapping[str, Any]

#: Header names in lowercase to their raw bytes, as they came; a header sent twice keeps its first value.
Headers = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Secret:
    """A webhook secret; its value never shows in a repr, a log or a row, its ``id`` may."""

    value: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.value:
            # An empty key verifies whatever an attacker signs with an empty key (F11).
            raise ValueError("a webhook secret must not be empty")

    @property
    def id(self) -> str:
        """A fingerprint that tells which secret verified a delivery and gives nothing of it away."""
        return hashlib.sha256(b"counterfoil webhook secret\0" + self.value).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Verified:
    """The bytes are the gateway's own."""

    secret_id: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """They are not, or cannot be shown to be. ``reason`` is for the answer and the metrics: short, and no secret."""

    reason: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the ingress needs to know of an event; no business word among it.

    ``event_id`` is None where the gateway gave none that can be used. Texts are fit for Postgres (``as_text``).
    """

    event_id: str | None
    event_type: str
    account: str = ""
    livemode: bool | None = None
    api_version: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unhandled:
    """Kept, answered 200, and nothing is done: ``reason`` is what the row says.

    ``unhandled_type``: we have no handler for this type; ``unreadable``: it is not shaped like anything we know;
    ``not_a_sale``: a hosted page that only keeps a card; ``not_of_a_subscription``: an invoice that somebody wrote by
    hand; ``told_by_its_invoice``: a payment of an invoice or of a mandate, whose meaning the events of the invoice or
    of the subscription tell; ``never_captured``: a refund of what was promised and never taken.

    ``names`` are those of an ``unreadable`` one: what is about money of ours is for a person, whoever made it.
    """

    reason: str
    names: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """It says only that something happened, of a type that we handle: the gateway tells what (``gateways.snapshots``),
    asked by this id of the event."""

    event_id: str


class TranslationError(Exception):
    """A required field is missing from every place where this gateway has ever kept it.

    Never again, and a person must look: the event goes to the dead letters, where the new shape is seen at once,
    instead of a silent NULL (F22). The message names the field and holds no payload.
    """


Verify = Callable[[Headers, bytes, Sequence[Secret], float], Verified | Rejected]


class DisputeUrl(Protocol):
    """The page of the gateway's dashboard on which a person answers a dispute. ``livemode`` None: not known."""

    def __call__(self, dispute_id: str, *, livemode: bool | None) -> str: ...


@dataclass(frozen=True, slots=True)
class Gateway:
    """One provider.

    ``verify(headers, body, secrets, now)`` judges raw bytes; ``now`` is real time in seconds since 1970.
    ``envelope(headers, event)`` reads the wrapping of a verified event.
    ``is_redelivery(first, second)`` says whether two bodies under one event id are the same event told twice.
    ``translate(event)`` gives the fact in our words. It never raises but ``TranslationError``.
    ``event_types`` are the types in which it finds one.
    ``dispute_url(dispute_id, livemode=...)`` leads to where evidence is given, or the dispute accepted: never by us.
    ``signature_headers`` are kept with the event as evidence; ``signs_event_id`` says whether the id is in the signed
    bytes (Razorpay's is not).
    """

    name: str
    signature_headers: tuple[bytes, ...]
    signs_event_id: bool
    verify: Verify
    envelope: Callable[[Headers, Json], Envelope]
    is_redelivery: Callable[[Json, Json], bool]
    translate: Callable[[Json], Observed | Unhandled | Elsewhere]
    event_types: frozenset[str]
    dispute_url: DisputeUrl
