"""The subscription's rules: which moves exist, and what one telling does to one subscription.

A subscription is what its gateway last said it is, so that a telling is a snapshot, and the newest one holds. Newer is
told by the gateway's own second; where two differ within one second, the object is read again. Its invoices are rows of
their own that only advance. Access follows from both by policy (``payments.access``), never from a status alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from payments import announcing
from payments.access import NONE_YET, Access, Claim, decide_access, turning_points
from payments.billing import Booked, Taken, book
from payments.difference import Difference, Raised
from payments.dunning import Policy, due, next_step_at, steps
from payments.events import SubscriptionTold
from payments.invoice import Invoice, InvoiceReason, InvoiceSighting, InvoiceStatus
from payments.money import Money
from payments.occurrence import Occurrence, Owed
from payments.payment import Standing
from payments.snapshot import ENDED, LIVING, NEAR, Kept, Snapshot, SubscriptionStatus, newest
from payments.terms import Terms

__all__ = [
    "ENDED",
    "LIVING",
    "MOVES",
    "Difference",
    "FollowOutcome",
    "Followed",
    "Occurrence",
    "Owed",
    "Raised",
    "Snapshot",
    "Subscription",
    "SubscriptionStatus",
    "Taken",
    "abandon",
    "follow",
    "is_doubtful",
    "keep_time",
]

#: Every move a subscription may make: nothing returns to incomplete, nothing leaves an end, and the living may follow
#: each other in any order, since what happened in between may never be told. ``moves`` holds the same pairs.
MOVES: frozenset[tuple[SubscriptionStatus, SubscriptionStatus]] = frozenset(
    (was, now) for was in {SubscriptionStatus.INCOMPLETE, *LIVING} for now in LIVING | ENDED if was is not now
)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription under lock, with all that the rules may look at.

    ``price`` is what a renewal is expected to cost. ``first_due`` is what its order expects, 0 with a trial; None where
    no order began it. ``has_trial``: it was begun with one. ``order_is_settled``: that order is paid, or there is none;
    nothing is granted before, so ask ``keep_time`` again when it changes. ``ended_at``: when we ended it, where no
    snapshot says so.
    """

    id: str
    status: SubscriptionStatus
    gateway: str
    plan_id: str | None
    price: Money | None
    first_due: Money | None
    has_trial: bool
    snapshot: Snapshot | None = None
    told_at: datetime | None = None
    is_settled: bool = False
    invoices: tuple[Invoice, ...] = ()
    access: Access = NONE_YET
    order_is_settled: bool = False
    ended_at: datetime | None = None

    def invoice(self, gateway_invoice_id: str) -> Invoice | None:
        return next((i for i in self.invoices if i.gateway_invoice_id == gateway_invoice_id), None)

    def with_invoice(self, invoice: Invoice) -> Subscription:
        """In its place if it is known, else as the newest."""
        known = {each.gateway_invoice_id: each for each in self.invoices}
        return replace(self, invoices=tuple((known | {invoice.gateway_invoice_id: invoice}).values()))

    @property
    def terms(self) -> Terms:
        priced = self.first_due or self.price
        return Terms(self.first_due, self.has_trial, priced.currency if priced else None)

    @property
    def failing(self) -> Invoice | None:
        """The renewal that stands between the customer and their access."""
        return self.terms.failing_renewal(self.invoices)

    @property
    def claim(self) -> Claim:
        """What it can point to when it asks for access."""
        told, failing = self.snapshot or NOTHING_KNOWN, self.failing
        invoices = self.invoices if self.order_is_settled else ()
        paid_until, gone = self.terms.paid_until(invoices), self.terms.taken_back(invoices)
        return Claim(
            self.status,
            paid_until=paid_until,
            trial_end=self._trial_end(told) if self.order_is_settled and (self.has_trial or paid_until) else None,
            ends_at=told.set_to_end,
            ended_at=told.ended_at or self.ended_at,
            failing_since=failing.failing_since if failing else None,
            taken_back=gone.taken_back if gone else None,
            taken_back_until=gone.period_end if gone else None,
        )

    def _trial_end(self, told: Snapshot) -> datetime | None:
        """A trial is one that was sold, or given to somebody who has paid; and only of what lives."""
        if self.status is SubscriptionStatus.TRIALING:
            return told.trial_end or told.period_end
        return told.trial_end if self.status in LIVING else None


NOTHING_KNOWN = Snapshot("", SubscriptionStatus.INCOMPLETE)


class FollowOutcome(StrEnum):
    MOVED = "moved"  # its status changed
    RECORDED = "recorded"  # something else of it changed
    STALE = "stale"  # already so, or overtaken


@dataclass(frozen=True, slots=True)
class Followed:
    """What a telling, or the time, has made of a subscription: to be written as it stands.

    ``wants_read``: only the gateway's object can tell. ``asks_cancel``: the gateway's cancellation is among ``owed``,
    and the policy still wants it; to be asked again at the moment of the call.
    """

    after: Subscription
    outcome: FollowOutcome
    wants_read: bool = False
    changed: tuple[Invoice, ...] = ()
    payment: Taken | None = None
    owed: tuple[Owed, ...] = ()
    raised: tuple[Raised, ...] = ()
    next_step_at: datetime | None = None

    @property
    def asks_cancel(self) -> bool:
        return any(owed.kind is Occurrence.GIVEN_UP for owed in self.owed)


def follow(
    held: Subscription,
    told: SubscriptionTold,
    policy: Policy,
    now: datetime,
    *,
    is_read: bool = False,
    named: str | None = None,
) -> Followed:
    """What this telling means for this subscription. The caller holds its lock and writes what we answer.

    ``is_read``: the object was read at the gateway, and nothing has changed here since before the call. ``named``: the
    gateway's subscription that it tells of, where it does not describe it.
    """
    if (other := another(held, told, named)) is not None:
        conflict = Raised(Difference.SUBSCRIPTION_CONFLICT, other)
        return _concluded(held, held, policy, now, raised=(conflict,))
    second = min(told.told_at or now, now)
    noted, wants_read = _note_snapshot(_noting_whose(held, named), told, now, is_read=is_read)
    after, booked, about_invoice = _note_invoice(held, noted, told, now)
    owed = (
        *announcing.of_status(held.status, after.status, second, is_paid_for=held.order_is_settled),
        *announcing.of_arrangement(held.snapshot, after.snapshot, second),
        *about_invoice,
        *_foretold(held, after, told, policy, now),
    )
    raised = (
        *booked.raised,
        *_in_doubt(held, after, told, is_read=is_read),
        *_revived(after, told.snapshot, is_read=is_read),
    )
    return _concluded(
        held,
        after,
        policy,
        now,
        wants_read=wants_read or (not is_read and _leaves_open(held, after, told)),
        payment=booked.taken,
        owed=owed,
        raised=raised,
        second=second,
    )


def keep_time(held: Subscription, policy: Policy, now: datetime) -> Followed:
    """What has become due by the passing of time; also where its order was paid."""
    unsure_at = _unsure_at(held)
    return _concluded(held, held, policy, now, wants_read=unsure_at is not None and unsure_at <= now)


def abandon(held: Subscription, policy: Policy, now: datetime) -> Followed:
    """Its order came to its end unpaid, and no page can pay it: it never begins."""
    if held.status is not SubscriptionStatus.INCOMPLETE or held.order_is_settled:
        return keep_time(held, policy, now)
    ended = replace(held.snapshot, status=SubscriptionStatus.EXPIRED, ended_at=now) if held.snapshot else None
    after = replace(
        held, status=SubscriptionStatus.EXPIRED, snapshot=ended, told_at=None, is_settled=False, ended_at=now
    )
    return _concluded(held, after, policy, now)


def is_doubtful(held: Subscription, told: SubscriptionTold) -> bool:
    """Whether it calls an invoice what another one is: there is one first, and one renewal of a period. Razorpay does
    not say what it has charged for: of a change of plan within minutes of either, only a read tells."""
    bill = told.invoice
    if bill is None or bill.status is not InvoiceStatus.PAID:
        return False
    others = [i for i in held.invoices if i.gateway_invoice_id != bill.gateway_invoice_id]
    paid = [i for i in others if i.status is InvoiceStatus.PAID and i.reason is bill.reason]
    is_first, is_renewal = bill.reason is InvoiceReason.FIRST, bill.reason is InvoiceReason.RENEWAL
    return any(is_first or (is_renewal and i.period_start == bill.period_start is not None) for i in paid)


# --- its snapshot ---


def another(held: Subscription, told: SubscriptionTold, named: str | None) -> str | None:
    """An order begins one subscription; whatever else the gateway made of it, we did not ask for."""
    name = told.snapshot.gateway_subscription_id if told.snapshot else named
    return name if held.snapshot is not None and name != held.snapshot.gateway_subscription_id else None


def _noting_whose(held: Subscription, name: str | None) -> Subscription:
    """The first telling that names a subscription says whose the order is, though it may not describe it."""
    if held.snapshot is not None or name is None:
        return held
    return replace(held, snapshot=Snapshot(name, held.status, ended_at=held.ended_at))


def _note_snapshot(
    held: Subscription, told: SubscriptionTold, now: datetime, *, is_read: bool
) -> tuple[Subscription, bool]:
    if told.snapshot is None:
        return held, False
    known = held.snapshot
    if known is None and held.status in ENDED:
        known = Snapshot(told.snapshot.gateway_subscription_id, held.status, ended_at=held.ended_at)
    kept = newest(Kept(known, held.told_at, held.is_settled), told.snapshot, told.told_at, now, is_read=is_read)
    after = replace(
        held,
        status=kept.snapshot.status if kept.snapshot else held.status,
        snapshot=kept.snapshot,
        told_at=kept.told_at,
        is_settled=kept.is_settled,
    )
    return after, kept.wants_read


def _leaves_open(held: Subscription, after: Subscription, told: SubscriptionTold) -> bool:
    return _says_too_little(after, told) or _has_overtaken(held, after) or _may_be_late(held, after)


def _says_too_little(after: Subscription, told: SubscriptionTold) -> bool:
    """That something happened to it, and not what; or that a payment failed, and not which (F82)."""
    if told.snapshot is None:
        # Also of one that has ended: its money may have come later.
        return told == SubscriptionTold(told.told_at)
    if after.status in ENDED:
        return False
    is_failing = told.snapshot.status in {SubscriptionStatus.PAST_DUE, SubscriptionStatus.UNPAID}
    return is_failing and told.invoice is None and after.told_at == told.told_at


def _revived(after: Subscription, told: Snapshot | None, *, is_read: bool) -> Iterator[Raised]:
    """The gateway itself, asked, says that it lives, and we hold that it has ended. It stays so until a person looks:
    somebody may be paying for nothing."""
    if is_read and told is not None and told.status in LIVING and after.status in ENDED:
        yield Raised(Difference.SUBSCRIPTION_CONFLICT, told.gateway_subscription_id)


def _foretold(
    held: Subscription, after: Subscription, told: SubscriptionTold, policy: Policy, now: datetime
) -> Iterator[Owed]:
    if after.status in ENDED:
        return
    latest = after.snapshot or NOTHING_KNOWN
    if told.trial_ends:
        yield from announcing.of_trial_end(held.snapshot, (told.snapshot or latest).trial_end, policy, now)
    if told.upcoming is not None:
        yield from announcing.of_upcoming(told.upcoming.at, told.upcoming.due, latest.period_end, now)


# --- its invoices ---


def _note_invoice(
    held: Subscription, after: Subscription, telling: SubscriptionTold, now: datetime
) -> tuple[Subscription, Booked, Iterator[Owed]]:
    told = telling.invoice
    if told is None:
        return after, Booked(None), iter(())
    known = after.invoice(told.gateway_invoice_id)
    is_late = _is_paid_for_nothing(known, after, telling)
    booked = book(known, told, after.terms, _price_then(held, after), now)
    if is_late:
        booked = _held_back(known, booked, told)
    if booked.invoice is None:
        return after, booked, iter(())
    after = after.with_invoice(booked.invoice)
    owed = announcing.of_renewal(
        known,
        booked.invoice,
        is_accepted=after.terms.accepts(booked.invoice) and not is_late,
        is_failing=after.status not in ENDED and booked.invoice == after.failing,
    )
    return after, booked, owed


def _is_paid_for_nothing(known: Invoice | None, after: Subscription, told: SubscriptionTold) -> bool:
    """Whether the money came when the subscription was over, by the gateway's own second: what is only heard of then
    may have come before. Of the first invoice's money, the order's own rules speak."""
    bill, ended_at = told.invoice, after.claim.ended_at
    if bill is None or bill.status is not InvoiceStatus.PAID or not bill.paid.minor:
        return False
    if bill.reason is InvoiceReason.FIRST or after.status not in ENDED or ended_at is None:
        return False
    was_paid = known is not None and known.status is InvoiceStatus.PAID
    taken_at = bill.taken_at or (None if was_paid else told.told_at)
    return taken_at is not None and taken_at > ended_at


def _held_back(known: Invoice | None, booked: Booked, bill: InvoiceSighting) -> Booked:
    """Late money waits for a person, who is told when it comes, and again when its payment gets its name. What was told
    before the end, and accepted, is held from now on."""
    was_paid, booked = known is not None and known.status is InvoiceStatus.PAID, _hold(booked, bill)
    if was_paid and booked.taken is None:
        return booked
    late = Raised(Difference.LATE_SUCCESS, bill.gateway_invoice_id, Money(0, bill.paid.currency), bill.paid)
    return replace(booked, raised=(*booked.raised, late))


def _hold(booked: Booked, bill: InvoiceSighting) -> Booked:
    """With its payment held, where that was accepted, be it now or before."""
    invoice, name = booked.invoice, bill.payment.gateway_payment_id if bill.payment else None
    if invoice is None or bill.payment is None or invoice.paid_by != name or invoice.held_by == name:
        return booked
    taken = Taken(bill.payment, Standing.HELD, bill.gateway_invoice_id)
    return replace(booked, invoice=replace(invoice, held_by=name), taken=taken)


def _may_be_late(held: Subscription, after: Subscription) -> bool:
    """It has ended, and of money that was told before its end nobody here knows when it was taken."""
    ended_at = after.claim.ended_at
    if held.status in ENDED or after.status not in ENDED or ended_at is None:
        return False
    later = [i for i in after.invoices if i.paid.minor and i.reason is not InvoiceReason.FIRST]
    return any(i.paid_at is not None and i.paid_at > ended_at - NEAR for i in later)


def _has_overtaken(held: Subscription, after: Subscription) -> bool:
    """A change of plan is paid beside a renewal that fails, as far as we know: its payment may be on its way to us."""
    now = after.terms.beside_a_failing_renewal(after.invoices)
    return bool(_names(now) - _names(held.terms.beside_a_failing_renewal(held.invoices)))


def _in_doubt(held: Subscription, after: Subscription, told: SubscriptionTold, *, is_read: bool) -> Iterator[Raised]:
    """Invoices of whose period a person has to judge. That the renewal beside a change is unpaid, a read makes sure of,
    in which how the subscription is comes last. What grants nothing is in doubt by its own telling: an end, or a trial
    that is cut short, makes no old one so."""
    if after.status in ENDED:
        return
    beside = after.terms.beside_a_failing_renewal(after.invoices) if is_read and told.snapshot is not None else ()
    nothing = _granting_nothing(after) if told.invoice is not None else ()
    known, failing = _names(_granting_nothing(held)), held.failing
    for invoice in (*beside, *(each for each in nothing if each.gateway_invoice_id not in known)):
        expected = failing.due if failing else after.price
        yield Raised(Difference.INVOICE_PERIOD_IN_DOUBT, invoice.gateway_invoice_id, expected, invoice.paid)


def _granting_nothing(subscription: Subscription) -> tuple[Invoice, ...]:
    return subscription.terms.granting_nothing(subscription.invoices, subscription.claim.covered_until)


def _names(invoices: tuple[Invoice, ...]) -> set[str]:
    return {invoice.gateway_invoice_id for invoice in invoices}


def _price_then(held: Subscription, after: Subscription) -> Money | None:
    """What it should cost; None while its plan changes, since the invoice may be of either."""
    was, now = held.snapshot or NOTHING_KNOWN, after.snapshot or NOTHING_KNOWN
    has_changed = None not in {was.price_id, now.price_id} and was.price_id != now.price_id
    return None if has_changed or now.has_pending_change else held.price


# --- what follows, whatever has happened ---

#: A renewal that nobody has told of for so long after its time is asked about.
READ_AFTER = timedelta(hours=2)


def _concluded(
    before: Subscription,
    after: Subscription,
    policy: Policy,
    now: datetime,
    *,
    wants_read: bool = False,
    payment: Taken | None = None,
    owed: tuple[Owed, ...] = (),
    raised: tuple[Raised, ...] = (),
    second: datetime | None = None,
) -> Followed:
    after = replace(after, access=decide_access(after.claim, policy, now))
    found = steps(after.status, after.snapshot, after.failing, policy, after.price)
    lost_or_won = announcing.of_access(before.access, after.access, after.status, second or now)
    changed = tuple(invoice for invoice in after.invoices if invoice not in before.invoices)
    return Followed(
        after,
        _outcome(before, after, is_recorded=bool(payment or raised)),
        wants_read=wants_read,
        changed=changed,
        payment=payment,
        owed=_each_once((*owed, *lost_or_won, *due(found, now))),
        raised=raised,
        next_step_at=_next(now, next_step_at(found, now), _unsure_at(after), *turning_points(after.claim, policy)),
    )


def _outcome(before: Subscription, after: Subscription, *, is_recorded: bool) -> FollowOutcome:
    if before.status is not after.status:
        return FollowOutcome.MOVED
    return FollowOutcome.RECORDED if before != after or is_recorded else FollowOutcome.STALE


def _each_once(owed: tuple[Owed, ...]) -> tuple[Owed, ...]:
    """The first of each name: what was told says more than what our clock knows."""
    by_name: dict[tuple[Occurrence, str], Owed] = {}
    for each in owed:
        by_name.setdefault((each.kind, each.what), each)
    return tuple(by_name.values())


def _next(now: datetime, *moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None and moment > now), default=None)


def _unsure_at(held: Subscription) -> datetime | None:
    """From when on only its gateway can say how it stands: it should have renewed, or it lives and nothing pays for
    it, or it is paid and is not said to live."""
    if held.status in ENDED or held.status is SubscriptionStatus.PAUSED:
        return None
    since = _in_doubt_since(held)
    return None if since is None else since + READ_AFTER


def _in_doubt_since(held: Subscription) -> datetime | None:
    failing = held.failing
    if held.status is SubscriptionStatus.INCOMPLETE:
        return max((i.paid_at for i in held.invoices if i.paid_at and held.terms.accepts(i)), default=None)
    if failing is not None:
        return held.told_at if held.status is SubscriptionStatus.ACTIVE else None
    return held.claim.taken_back_until or held.claim.covered_until or held.told_at
