"""A subscription as its gateway holds it, in our words; and which of two snapshots holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum


class SubscriptionStatus(StrEnum):
    INCOMPLETE = "incomplete"  # its page is open, or its first payment is on its way -> any other
    TRIALING = "trialing"  # in use, nothing paid yet
    ACTIVE = "active"  # its last invoice is paid, or not yet due
    PAST_DUE = "past_due"  # a renewal failed, and the gateway tries again
    PAUSED = "paused"  # nothing is billed until somebody resumes it
    UNPAID = "unpaid"  # the gateway has stopped trying; a payment revives it
    CANCELLED = "cancelled"  # ended before its time, for good
    EXPIRED = "expired"  # never begun, or came to its own end, for good


LIVING = frozenset(
    {
        SubscriptionStatus.TRIALING,
        SubscriptionStatus.ACTIVE,
        SubscriptionStatus.PAST_DUE,
        SubscriptionStatus.PAUSED,
        SubscriptionStatus.UNPAID,
    }
)
#: Nothing leads out of these: a late ``updated`` never revives what was deleted.
ENDED = frozenset({SubscriptionStatus.CANCELLED, SubscriptionStatus.EXPIRED})

#: How far each status has come, whoever tells it and whenever: one that has lived is never incomplete again, and one
#: that has ended never lives.
STAGE: dict[SubscriptionStatus, int] = {
    SubscriptionStatus.INCOMPLETE: 0,
    **dict.fromkeys(LIVING, 1),
    **dict.fromkeys(ENDED, 2),
}

#: Which of two holds that are told of one second, until the object is read: any fixed order would do.
RANK: dict[SubscriptionStatus, int] = {status: rank for rank, status in enumerate(SubscriptionStatus)}

#: A gateway's clock and ours are no further apart, or no signature of its would be believed. What is told of a moment
#: that is so near to a read may be older than what was read, or newer: only another read can tell.
NEAR = timedelta(minutes=5)

#: Before any time that a gateway tells.
NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A subscription as its gateway holds it, in our words.

    ``price_id`` is the gateway's price or plan, by which it is billed. ``ends_at``: it is set to end then. ``ended_at``
    is set where it has ended. ``has_pending_change``: a change of plan waits for its payment, or for the period's end.
    ``tells_end`` is False where the gateway never shows that an end is set: what we hold of it stays, for that period.
    """

    gateway_subscription_id: str
    status: SubscriptionStatus
    customer_id: str | None = None
    price_id: str | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None
    trial_end: datetime | None = None
    cancel_at_period_end: bool = False
    ends_at: datetime | None = None
    ended_at: datetime | None = None
    has_pending_change: bool = False
    tells_end: bool = field(default=True, compare=False)

    @property
    def set_to_end(self) -> datetime | None:
        """When it will end if nobody changes that."""
        return self.ends_at or (self.period_end if self.cancel_at_period_end else None)


@dataclass(frozen=True, slots=True)
class Kept:
    """The snapshot that holds, and the gateway's second of it. ``is_settled``: it was read there, not told; then
    ``told_at`` is the moment of the read, by our clock."""

    snapshot: Snapshot | None
    told_at: datetime | None = None
    is_settled: bool = False
    wants_read: bool = False


def newest(kept: Kept, told: Snapshot, told_at: datetime | None, now: datetime, *, is_read: bool = False) -> Kept:
    """Which holds after this telling: the one that is further, then the one that is newer.

    Every choice is the greater of two in a fixed order, so that any order of tellings comes to the same (F27). Only a
    read knows better than the order: it was made after all that is written here.
    """
    told = _dated(told, told_at or (kept.snapshot and kept.snapshot.ended_at) or now)
    if kept.snapshot is None:
        return _first(told, told_at or now if is_read else told_at, is_read=is_read)
    known, told = _pooled(kept.snapshot, told)
    kept = Kept(known, kept.told_at, kept.is_settled)
    if _reaches_less_far(told, known):
        return replace(kept, wants_read=not is_read and _was_ended_by_us(kept))
    if is_read:
        return Kept(told, max(filter(None, (told_at or now, kept.told_at))), is_settled=True)
    if told_at is None and told.status not in ENDED:
        return replace(kept, wants_read=True)
    return _newer(kept, known, told, told_at)


def _first(told: Snapshot, told_at: datetime | None, *, is_read: bool) -> Kept:
    if told_at is None and told.status not in ENDED and not is_read:
        # All that it says for certain is whose it is, by which it can be read.
        told = Snapshot(told.gateway_subscription_id, SubscriptionStatus.INCOMPLETE, told.customer_id)
        return Kept(told, wants_read=True)
    return Kept(told, told_at, is_settled=is_read)


def _newer(kept: Kept, known: Snapshot, told: Snapshot, told_at: datetime | None) -> Kept:
    was, becomes = _place(known, kept.told_at), _place(told, told_at)
    if becomes != was and not _is_near_a_read(kept, known, told, told_at):
        return Kept(told, told_at) if becomes > was else kept
    if told == known:
        return kept
    wants_read = known.status not in ENDED
    if kept.is_settled:
        return replace(kept, wants_read=wants_read)
    return Kept(max(known, told, key=_content), told_at, wants_read=wants_read)


def _is_near_a_read(kept: Kept, known: Snapshot, told: Snapshot, told_at: datetime | None) -> bool:
    if not kept.is_settled or STAGE[known.status] != STAGE[told.status] or None in {kept.told_at, told_at}:
        return False
    return abs((told_at or NEVER) - (kept.told_at or NEVER)) <= NEAR


def _place(snapshot: Snapshot, told_at: datetime | None) -> tuple[int, datetime]:
    return STAGE[snapshot.status], told_at or NEVER


def _reaches_less_far(told: Snapshot, known: Snapshot) -> bool:
    if told.status in ENDED and known.status in ENDED:
        return told.status is not known.status
    return STAGE[told.status] < STAGE[known.status]


def _was_ended_by_us(kept: Kept) -> bool:
    """No gateway has ever said that it ended: if one says now that it lives, somebody may be paying for nothing."""
    return kept.snapshot is not None and kept.snapshot.status in ENDED and kept.told_at is None and not kept.is_settled


def _dated(snapshot: Snapshot, at: datetime) -> Snapshot:
    """An end says when; what lives has none."""
    return replace(snapshot, ended_at=(snapshot.ended_at or at) if snapshot.status in ENDED else None)


def _pooled(known: Snapshot, told: Snapshot) -> tuple[Snapshot, Snapshot]:
    """Whose it is never changes, so that whoever says it says it for both. So does the end that is set for a period,
    where only the answer to who set it tells of it."""
    customer = known.customer_id or told.customer_id
    told = replace(told, customer_id=told.customer_id or customer)
    return replace(known, customer_id=customer), with_known_end(known, told)


def with_known_end(known: Snapshot, told: Snapshot) -> Snapshot:
    """Where the gateway never shows the end that is set: the one that is known stays, for its period."""
    if told.tells_end or told.set_to_end is not None or told.period_end != known.period_end:
        return told
    return replace(told, cancel_at_period_end=known.cancel_at_period_end, ends_at=known.ends_at)


def _content(snapshot: Snapshot) -> tuple[object, ...]:
    return (
        RANK[snapshot.status],
        snapshot.period_end or NEVER,
        snapshot.period_start or NEVER,
        snapshot.trial_end or NEVER,
        snapshot.set_to_end or NEVER,
        snapshot.cancel_at_period_end,
        snapshot.has_pending_change,
        snapshot.price_id or "",
        snapshot.ends_at or NEVER,
        snapshot.ended_at or NEVER,
    )
