"""What is said before a renewal and done after a failed one: a policy in days, and the steps that follow from it.

Steps count days from when we heard of a renewal's first failed attempt, never events or attempts: a customer who tries
in vain, or a gateway that repeats itself, moves none of them (F82, F85).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any

from payments.invoice import Invoice, TakenBack
from payments.money import Money
from payments.occurrence import Occurrence, Owed
from payments.snapshot import ENDED, Snapshot, SubscriptionStatus

#: Nobody waits longer than this for a payment, and nobody is reminded more often.
LONGEST_DAYS = 365
LONGEST_HOURS = 24 * 30
MOST_REMINDERS = 20


class PolicyError(ValueError):
    """A field of the policy is wrong. The message names it, and says what it takes."""


class Period(StrEnum):
    """What becomes of the period of an invoice whose money is gone."""

    REVOKE = "revoke"
    SUSPEND = "suspend"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Policy:
    """``dunning.toml``, read. None: never.

    ``suspend_after``, ``remind_after`` and ``cancel_after`` count from a renewal's first failed attempt, of which the
    customer is told at once in any case (F89). ``grace`` is for a renewal of which nobody has told anything yet.
    ``pause_keeps_paid_time``: a paused subscription gives access until the end of what is paid. ``refunded_invoice``,
    ``disputed_invoice``: what becomes of the period of an invoice whose money is all gone, or held by a dispute.
    """

    suspend_after: timedelta | None = timedelta(0)
    remind_after: tuple[timedelta, ...] = (timedelta(days=3), timedelta(days=7))
    cancel_after: timedelta | None = timedelta(days=21)
    grace: timedelta = timedelta(hours=24)
    pause_keeps_paid_time: bool = True
    trial_notice: timedelta | None = timedelta(days=3)
    renewal_notice: timedelta | None = timedelta(days=7)
    refunded_invoice: Period = Period.REVOKE
    disputed_invoice: Period = Period.SUSPEND

    def acts_on(self, ways: Iterable[TakenBack]) -> TakenBack | None:
        """The first of them that ends the period; the period goes on only where the policy keeps it for each."""
        policies = {TakenBack.REFUNDED: self.refunded_invoice, TakenBack.DISPUTED: self.disputed_invoice}
        return next((how for how in ways if policies[how] is not Period.KEEP), None)


DEFAULT = Policy()


@dataclass(frozen=True, slots=True)
class Step:
    """Something that our clock owes at a moment; from ``until`` on it is of no use any more."""

    at: datetime
    owed: Owed
    until: datetime | None = None


def steps(
    status: SubscriptionStatus,
    snapshot: Snapshot | None,
    failing: Invoice | None,
    policy: Policy,
    price: Money | None = None,
) -> tuple[Step, ...]:
    """All that the policy owes this subscription as it stands, past steps too: each is written once, under its name."""
    if status in ENDED or status is SubscriptionStatus.PAUSED:
        return ()
    notices = () if snapshot is None else _notices(status, snapshot, policy, price)
    return *notices, *(() if failing is None else _reminders(failing, policy))


def due(found: Iterable[Step], now: datetime) -> tuple[Owed, ...]:
    return tuple(step.owed for step in found if step.at <= now and (step.until is None or now < step.until))


def next_step_at(found: Iterable[Step], now: datetime) -> datetime | None:
    return min((step.at for step in found if step.at > now), default=None)


def named(moment: datetime) -> str:
    """A moment as a part of a name: the same for the same moment."""
    return moment.astimezone(UTC).isoformat()


def _notices(status: SubscriptionStatus, snapshot: Snapshot, policy: Policy, price: Money | None) -> Iterator[Step]:
    """Said beforehand by our clock, since a gateway may not, or its word was lost; where it does, the name is one."""
    if snapshot.set_to_end is not None:
        return
    ends, due_at = snapshot.trial_end, snapshot.period_end
    if status is SubscriptionStatus.TRIALING and ends is not None and policy.trial_notice is not None:
        yield Step(ends - policy.trial_notice, Owed(Occurrence.TRIAL_ENDING, named(ends), at=ends, due=price), ends)
    if status is SubscriptionStatus.ACTIVE and due_at is not None and policy.renewal_notice is not None:
        owed = Owed(Occurrence.UPCOMING_INVOICE, named(due_at), at=due_at, due=price)
        yield Step(due_at - policy.renewal_notice, owed, due_at)


def _reminders(failing: Invoice, policy: Policy) -> Iterator[Step]:
    """Of those that are late only the last is of use: nobody wants three letters when a clock comes back."""
    since, name = failing.failing_since, failing.gateway_invoice_id
    assert since is not None, "only what has failed is failing"
    found = [
        Step(since + wait, Owed(Occurrence.PAYMENT_REMINDER, f"{name}:{wait.days}d", name, due=failing.due))
        for wait in policy.remind_after
    ]
    if policy.cancel_after is not None:
        found.append(Step(since + policy.cancel_after, Owed(Occurrence.GIVEN_UP, name, name)))
    for step, following in pairwise(found):
        yield Step(step.at, step.owed, following.at)
    yield from found[-1:]


# --- reading it ---


def read_policy(told: Mapping[str, object]) -> Policy:
    """The policy that a file's contents say; where they say nothing, ``DEFAULT``. Raises ``PolicyError``."""
    if unknown := sorted(set(told) - set(FIELDS)):
        raise PolicyError(f"{unknown[0]} is not a field of the policy; there are {', '.join(FIELDS)}")
    read = {}
    for name, (field, reader) in FIELDS.items():
        if name in told:
            read[field] = reader(name, told[name])
    policy = Policy(**read)
    _must_follow(policy)
    return policy


def _must_follow(policy: Policy) -> None:
    """The steps are steps only in their order."""
    last, ends = max(policy.remind_after, default=timedelta(0)), policy.cancel_after
    if ends is not None and ends <= last:
        raise PolicyError("cancel_after_days must be more than the last of remind_after_days, and more than 0")
    if ends is not None and policy.suspend_after is not None and policy.suspend_after > ends:
        raise PolicyError("suspend_after_days must not be more than cancel_after_days")


def _days(name: str, told: object) -> timedelta:
    return timedelta(days=_whole(name, told, LONGEST_DAYS))


def _days_or_never(name: str, told: object) -> timedelta | None:
    """A file cannot say nothing, so that it says false."""
    return None if told is False else _days(name, told)


def _hours(name: str, told: object) -> timedelta:
    return timedelta(hours=_whole(name, told, LONGEST_HOURS))


def _several_days(name: str, told: object) -> tuple[timedelta, ...]:
    if not isinstance(told, list) or len(told) > MOST_REMINDERS:
        raise PolicyError(f"{name} takes a list of at most {MOST_REMINDERS} numbers of days")
    waits = tuple(_days(name, each) for each in told)
    if list(waits) != sorted(set(waits)) or timedelta(0) in waits:
        raise PolicyError(f"{name} takes days in their order, each once and more than 0: the first notice is at once")
    return waits


def _yes_or_no(name: str, told: object) -> bool:
    if not isinstance(told, bool):
        raise PolicyError(f"{name} takes true or false")
    return told


def _one_of(*choices: Period) -> Callable[[str, object], Period]:
    def read(name: str, told: object) -> Period:
        found = next((choice for choice in choices if choice == told), None)
        if found is None:
            raise PolicyError(f"{name} takes {' or '.join(choices)}")
        return found

    return read


def _whole(name: str, told: object, most: int) -> int:
    if isinstance(told, bool) or not isinstance(told, int) or not 0 <= told <= most:
        raise PolicyError(f"{name} takes a whole number from 0 to {most}")
    return told


#: The file's names, which carry their unit, and how each is read.
FIELDS: dict[str, tuple[str, Callable[[str, object], Any]]] = {
    "suspend_after_days": ("suspend_after", _days_or_never),
    "remind_after_days": ("remind_after", _several_days),
    "cancel_after_days": ("cancel_after", _days_or_never),
    "grace_hours": ("grace", _hours),
    "pause_keeps_paid_time": ("pause_keeps_paid_time", _yes_or_no),
    "trial_notice_days": ("trial_notice", _days_or_never),
    "renewal_notice_days": ("renewal_notice", _days_or_never),
    "refunded_invoice": ("refunded_invoice", _one_of(Period.REVOKE, Period.KEEP)),
    "disputed_invoice": ("disputed_invoice", _one_of(Period.SUSPEND, Period.KEEP)),
}
