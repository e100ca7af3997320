"""Whether a subscription gives access now, until when, and why: a policy over what is paid, not a gateway's status."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from payments.dunning import Policy
from payments.invoice import TakenBack
from payments.snapshot import ENDED, NEVER, SubscriptionStatus


class AccessReason(StrEnum):
    TRIAL = "trial"
    PAID = "paid"
    GRACE = "grace"  # what is paid is over, and its renewal is on its way or may still be paid
    PAYMENT_FAILED = "payment_failed"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    ENDED = "ended"  # its time is over, and no renewal came
    INCOMPLETE = "incomplete"
    REFUNDED = "refunded"
    DISPUTED = "disputed"


@dataclass(frozen=True, slots=True)
class Access:
    """``until``: when it ends as things stand; of access that has ended, when it did. None: not known, or never."""

    active: bool
    until: datetime | None
    reason: AccessReason


#: Before anything was paid.
NONE_YET = Access(active=False, until=None, reason=AccessReason.INCOMPLETE)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a subscription can point to when it asks for access.

    ``paid_until`` is what accepted invoices say, ``trial_end`` that of a trial which was sold; without either there is
    nothing to claim. ``ends_at``: it is set to end then. ``failing_since``: its renewal failed first then.
    ``taken_back``: so the money of its newest period went, which would have been paid until ``taken_back_until``.
    """

    status: SubscriptionStatus
    paid_until: datetime | None = None
    trial_end: datetime | None = None
    ends_at: datetime | None = None
    ended_at: datetime | None = None
    failing_since: datetime | None = None
    taken_back: TakenBack | None = None
    taken_back_until: datetime | None = None

    @property
    def covered_until(self) -> datetime | None:
        return max(filter(None, (self.paid_until, self.trial_end)), default=None)


def decide_access(claim: Claim, policy: Policy, now: datetime) -> Access:
    """What the subscription gives at this moment. It changes at the moments of ``turning_points``, and at no other
    unless something is told."""
    covered = claim.covered_until
    if claim.status in ENDED:
        return _after_its_end(claim, now)
    if claim.taken_back is not None and (covered is None or now >= covered):
        return Access(active=False, until=covered, reason=AccessReason(claim.taken_back.value))
    if covered is None:
        return NONE_YET
    if claim.status is SubscriptionStatus.PAUSED:
        return _while_paused(claim, covered, policy, now)
    if claim.failing_since is not None:
        return _while_failing(claim, claim.failing_since, policy, now)
    return _while_covered(claim, covered, policy, now)


def turning_points(claim: Claim, policy: Policy) -> Iterator[datetime]:
    """When access may change by the passing of time alone."""
    covered = claim.covered_until
    if covered is None or claim.status is SubscriptionStatus.CANCELLED:
        return
    yield covered
    if claim.status in ENDED:
        yield claim.ended_at or covered
        return
    yield covered + policy.grace
    if claim.ends_at is not None:
        yield claim.ends_at
    if claim.failing_since is not None and policy.suspend_after is not None:
        yield claim.failing_since + policy.suspend_after


def best_claim(claims: Iterable[Access]) -> Access | None:
    """Of what several subscriptions of one plan give, the best: the end of one takes nothing from another (F75)."""
    return max(claims, key=lambda access: (access.active, access.until is None, access.until or NEVER), default=None)


def _while_covered(claim: Claim, covered: datetime, policy: Policy, now: datetime) -> Access:
    end = min(filter(None, (covered, claim.ends_at)))
    if now < end:
        return Access(active=True, until=end, reason=_how_it_is_covered(claim))
    if claim.ends_at is not None and claim.ends_at <= covered:
        return Access(active=False, until=end, reason=AccessReason.CANCELLED)
    if claim.status in {SubscriptionStatus.PAST_DUE, SubscriptionStatus.UNPAID}:
        # Its gateway says that a payment failed; which one, we have not been told yet.
        return Access(active=False, until=end, reason=AccessReason.PAYMENT_FAILED)
    end = min(filter(None, (covered + policy.grace, claim.ends_at)))
    return Access(active=now < end, until=end, reason=AccessReason.GRACE if now < end else AccessReason.ENDED)


def _while_failing(claim: Claim, since: datetime, policy: Policy, now: datetime) -> Access:
    """Not before, and not until the end of what is paid: a renewal fails when that is over."""
    suspended_at = None if policy.suspend_after is None else since + policy.suspend_after
    end = min(filter(None, (suspended_at, claim.ends_at)), default=None)
    is_active = end is None or now < end
    return Access(is_active, end, AccessReason.GRACE if is_active else AccessReason.PAYMENT_FAILED)


def _while_paused(claim: Claim, covered: datetime, policy: Policy, now: datetime) -> Access:
    if policy.pause_keeps_paid_time and now < covered:
        return Access(active=True, until=covered, reason=_how_it_is_covered(claim))
    return Access(active=False, until=covered if now >= covered else None, reason=AccessReason.PAUSED)


def _how_it_is_covered(claim: Claim) -> AccessReason:
    is_on_trial = claim.trial_end is not None and claim.trial_end == claim.covered_until
    return AccessReason.TRIAL if is_on_trial and claim.status is SubscriptionStatus.TRIALING else AccessReason.PAID


def _after_its_end(claim: Claim, now: datetime) -> Access:
    """What is cancelled gives nothing. What came to its own end gives what is paid until that end, which Razorpay tells
    when the last cycle begins."""
    if claim.status is SubscriptionStatus.CANCELLED:
        return Access(active=False, until=claim.ended_at, reason=AccessReason.CANCELLED)
    end = min(filter(None, (claim.covered_until, claim.ended_at)), default=None)
    is_active = claim.covered_until is not None and end is not None and now < end
    return Access(is_active, end, AccessReason.PAID if is_active else AccessReason.ENDED)
