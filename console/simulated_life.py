"""The life of one subscription whose renewal fails, under a policy: by the real rules, with the gateway's part played.

The gateway bills at each period's end, tries a failed renewal again in vain, and cancels when it is asked to. It is the
one who knows how long a month is; the rules never do.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from payments.access import Access
from payments.dunning import Policy
from payments.effects import FOLLOWS_OCCURRENCE
from payments.events import SubscriptionTold
from payments.failure import Failure, FailureCode
from payments.invoice import Advice, InvoicePayment, InvoiceReason, InvoiceSighting, InvoiceStatus
from payments.money import Money
from payments.occurrence import Occurrence, Owed
from payments.snapshot import Snapshot, SubscriptionStatus
from payments.subscription import Subscription, follow, keep_time

#: No amount matters here.
PRICE, NOTHING = Money(1000, "usd"), Money(0, "usd")

#: When a gateway tries again, as its own settings may say.
TRIED_AGAIN_DAYS = (3, 5, 7)

#: After the failure nobody pays, and a policy may wait for ever.
HORIZON = timedelta(days=400)


class Interval(StrEnum):
    MONTH = "month"
    YEAR = "year"


class Decline(StrEnum):
    CARD_DECLINED = "card_declined"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    EXPIRED_CARD = "expired_card"
    AUTHENTICATION_REQUIRED = "authentication_required"
    DO_NOT_TRY_AGAIN = "do_not_try_again"  # the gateway's advice; the bank has declined


@dataclass(frozen=True, slots=True)
class Life:
    """What is played: its plan, from when on, and which renewal fails and why."""

    start: datetime
    interval: Interval = Interval.MONTH
    trial_days: int = 0
    fail_at: int = 1
    decline: Decline = Decline.CARD_DECLINED

    def renewal(self, number: int) -> datetime:
        """When it is billed for the so-manyth time after its start; a trial's end is the first."""
        trial = timedelta(days=self.trial_days)
        periods = number - 1 if self.trial_days and number else number
        months = periods * (12 if self.interval is Interval.YEAR else 1)
        return _months_later(self.start + (trial if number else timedelta(0)), months)


@dataclass(frozen=True, slots=True)
class Moment:
    """``said`` is what the gateway says then; None where our clock acts alone."""

    at: datetime
    said: str | None
    follows: tuple[str, ...]
    effects: tuple[str, ...]
    access: Access


@dataclass(frozen=True, slots=True)
class Said:
    at: datetime
    words: str
    telling: SubscriptionTold


def play(life: Life, policy: Policy) -> Iterator[Moment]:
    """Every moment at which the gateway says something, or our clock finds something to do."""
    held, script, step_at = _bought(life), list(_script(life)), None
    written: set[tuple[Occurrence, str]] = set()
    while (now := _earliest(script, step_at)) is not None and now <= life.renewal(life.fail_at) + HORIZON:
        said = script.pop(0) if script and script[0].at == now else None
        found = follow(held, said.telling, policy, now) if said else keep_time(held, policy, now)
        new = [owed for owed in found.owed if (owed.kind, owed.what) not in written]
        written |= {(owed.kind, owed.what) for owed in new}
        if said or new or _turns(held.access, found.after.access):
            yield _moment(now, said, new, found.after.access)
        if found.asks_cancel:
            ended = _snapshot(life, life.fail_at, SubscriptionStatus.CANCELLED)
            script = [Said(now, "cancelled", SubscriptionTold(now, ended))]
        held, step_at = found.after, found.next_step_at


def _earliest(script: list[Said], step_at: datetime | None) -> datetime | None:
    return min((moment for moment in (*(said.at for said in script[:1]), step_at) if moment), default=None)


def _bought(life: Life) -> Subscription:
    return Subscription(
        id="simulated",
        status=SubscriptionStatus.INCOMPLETE,
        gateway="simulated",
        plan_id=None,
        price=PRICE,
        first_due=NOTHING if life.trial_days else PRICE,
        has_trial=bool(life.trial_days),
        order_is_settled=True,
    )


def _moment(now: datetime, said: Said | None, new: list[Owed], access: Access) -> Moment:
    return Moment(
        at=now,
        said=said.words if said else None,
        follows=tuple(owed.kind.value for owed in new),
        effects=tuple(kind.value for owed in new for kind in FOLLOWS_OCCURRENCE[owed.kind]),
        access=access,
    )


def _turns(was: Access, now: Access) -> bool:
    return (was.active, was.reason) != (now.active, now.reason)


# --- the gateway's part ---


def _script(life: Life) -> Iterator[Said]:
    begins = SubscriptionStatus.TRIALING if life.trial_days else SubscriptionStatus.ACTIVE
    yield _billed(life, 0, life.start, begins, "begun, on trial" if life.trial_days else "begun and paid", is_paid=True)
    for number in range(1, life.fail_at):
        yield _billed(
            life, number, life.renewal(number), SubscriptionStatus.ACTIVE, f"renewal {number} paid", is_paid=True
        )
    for attempt, days in enumerate(_attempted_on(life), 1):
        at = life.renewal(life.fail_at) + timedelta(days=days)
        words = f"renewal {life.fail_at} failed, attempt {attempt}"
        yield _billed(life, life.fail_at, at, SubscriptionStatus.PAST_DUE, words, is_paid=False, attempts=attempt)


def _attempted_on(life: Life) -> tuple[int, ...]:
    return (0,) if life.decline is Decline.DO_NOT_TRY_AGAIN else (0, *TRIED_AGAIN_DAYS)


def _billed(
    life: Life, number: int, at: datetime, status: SubscriptionStatus, words: str, *, is_paid: bool, attempts: int = 1
) -> Said:
    due = NOTHING if life.trial_days and not number else PRICE
    is_declined = life.decline is Decline.DO_NOT_TRY_AGAIN
    code = FailureCode.CARD_DECLINED if is_declined else FailureCode(life.decline.value)
    sighting = InvoiceSighting(
        gateway_invoice_id=f"invoice-{number}",
        status=InvoiceStatus.PAID if is_paid else InvoiceStatus.OPEN,
        reason=InvoiceReason.RENEWAL if number else InvoiceReason.FIRST,
        due=due,
        paid=due if is_paid else NOTHING,
        period_start=life.renewal(number),
        period_end=life.renewal(number + 1),
        attempts=attempts,
        failure=None if is_paid else Failure(code),
        advice=Advice.DO_NOT_TRY_AGAIN if is_declined and not is_paid else None,
        payment=InvoicePayment(f"payment-{number}", due) if is_paid and due.minor else None,
    )
    return Said(at, words, SubscriptionTold(at, snapshot=_snapshot(life, number, status), invoice=sighting))


def _snapshot(life: Life, number: int, status: SubscriptionStatus) -> Snapshot:
    return Snapshot(
        "simulated",
        status,
        price_id="price",
        period_start=life.renewal(number),
        period_end=life.renewal(number + 1),
        trial_end=life.renewal(1) if life.trial_days else None,
    )


def _months_later(moment: datetime, months: int) -> datetime:
    """On the same day, or the last that the month has."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)
