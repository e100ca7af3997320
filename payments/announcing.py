"""What becomes owed because a subscription, its access or one of its invoices has changed: found in the change itself.

A change is written once, so that its notice is owed once. ``second`` is when it was told, and names the notice.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from payments.access import Access, AccessReason
from payments.dunning import Policy, named
from payments.invoice import Invoice, InvoiceReason, InvoiceStatus
from payments.money import Money
from payments.occurrence import Occurrence, Owed
from payments.snapshot import ENDED, LIVING, Snapshot, SubscriptionStatus

PAUSED = SubscriptionStatus.PAUSED


def of_status(
    was: SubscriptionStatus, now: SubscriptionStatus, second: datetime, *, is_paid_for: bool
) -> Iterator[Owed]:
    """``is_paid_for``: its order is paid, so that it began, though nobody may have told us so yet."""
    if was is SubscriptionStatus.INCOMPLETE and now in LIVING and is_paid_for:
        yield Owed(Occurrence.STARTED, "")
    if was in LIVING and now is PAUSED and was is not PAUSED:
        yield Owed(Occurrence.PAUSED, named(second))
    if was is PAUSED and now in LIVING and now is not PAUSED:
        yield Owed(Occurrence.RESUMED, named(second))
    if _was_lost(was, now, is_paid_for=is_paid_for):
        yield Owed(Occurrence.CANCELLED, "")


def of_arrangement(was: Snapshot | None, now: Snapshot | None, second: datetime) -> Iterator[Owed]:
    """Its plan, and the end that it is set to, of one that lives on."""
    if was is None or now is None or was.status not in LIVING or now.status not in LIVING:
        return
    if now.set_to_end is not None and now.set_to_end != was.set_to_end:
        yield Owed(Occurrence.CANCEL_SCHEDULED, named(second), at=now.set_to_end)
    if now.set_to_end is None and was.set_to_end is not None and was.status is not PAUSED:
        yield Owed(Occurrence.RESUMED, named(second))
    if was.price_id is not None and now.price_id is not None and was.price_id != now.price_id:
        yield Owed(Occurrence.PLAN_CHANGED, f"{now.price_id}:{named(second)}")


def of_access(was: Access, now: Access, status: SubscriptionStatus, second: datetime) -> Iterator[Owed]:
    """Of one that has ended, or was set to, its customer is told in other words."""
    if was.active and not now.active and status not in ENDED and now.reason is not AccessReason.CANCELLED:
        yield Owed(Occurrence.ACCESS_SUSPENDED, named(second), at=now.until)
    if was.reason is AccessReason.INCOMPLETE is not now.reason and status in LIVING:
        # Its money came after its beginning was told; it is owed once, whichever of them comes last.
        yield Owed(Occurrence.STARTED, "")
    if now.active and not was.active and was.reason is not AccessReason.INCOMPLETE:
        yield Owed(Occurrence.ACCESS_RESTORED, named(second), at=now.until)


def of_renewal(was: Invoice | None, now: Invoice, *, is_accepted: bool, is_failing: bool) -> Iterator[Owed]:
    """``is_failing``: it is the renewal that stands between the customer and their access."""
    name = now.gateway_invoice_id
    if now.reason is not InvoiceReason.RENEWAL:
        return
    if is_accepted and (was is None or was.status is not InvoiceStatus.PAID or was.reason is not now.reason):
        yield Owed(Occurrence.RENEWED, name, name, at=now.period_end, due=now.paid)
    if is_failing and (was is None or not was.is_failing):
        # One notice, at the first failure (F89): with a card that no attempt will help, it asks for another one.
        kind = Occurrence.CARD_UPDATE_NEEDED if now.wants_new_card else Occurrence.RENEWAL_FAILED
        yield Owed(kind, name, name, at=now.next_attempt_at, due=now.due)
    elif is_failing and now.wants_new_card and was is not None and not was.wants_new_card:
        yield Owed(Occurrence.CARD_UPDATE_NEEDED, name, name, at=now.next_attempt_at, due=now.due)


def _was_lost(was: SubscriptionStatus, now: SubscriptionStatus, *, is_paid_for: bool) -> bool:
    """What never began ends without a word."""
    if was in LIVING:
        return now in ENDED
    return was not in ENDED and now is SubscriptionStatus.CANCELLED and is_paid_for


# --- what a gateway says beforehand; our clock says it too, under the same name ---

#: A gateway bills about an hour after the period's end (docs.stripe.com/billing/invoices/subscription).
ABOUT_THEN = timedelta(days=1)


def of_trial_end(was: Snapshot | None, ends: datetime | None, policy: Policy, now: datetime) -> Iterator[Owed]:
    if ends is not None and not _was_announced(was, ends, policy, now):
        yield Owed(Occurrence.TRIAL_ENDING, named(ends), at=ends)


def of_upcoming(at: datetime | None, due: Money, period_end: datetime | None, now: datetime) -> Iterator[Owed]:
    """Once for each period; what should have been billed by now is news no more."""
    billed_at = at or period_end
    if at is not None and period_end is not None and abs(at - period_end) <= ABOUT_THEN:
        billed_at = period_end
    if billed_at is not None and billed_at > now:
        yield Owed(Occurrence.UPCOMING_INVOICE, named(billed_at), at=billed_at, due=due)


def _was_announced(was: Snapshot | None, ends: datetime, policy: Policy, now: datetime) -> bool:
    """A trial whose end was told, and which is now cut short, has one notice all the same (F78)."""
    if was is None or was.trial_end is None or policy.trial_notice is None:
        return False
    return was.trial_end > ends and was.trial_end - policy.trial_notice <= now
