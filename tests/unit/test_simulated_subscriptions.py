"""The rules under months of a subscription: one gateway, a post that repeats, delays and reorders, and our own clock.

The gateway decides what becomes of the subscription and its money; its post tells of it in any order, each fact at least
once, by whole seconds in which more than one thing may happen. What the rules want read is read. Whatever came when, in
the end both must say the same, and each thing that happened was announced once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from payments.dunning import DEFAULT
from payments.events import SubscriptionTold
from payments.invoice import InvoicePayment, InvoiceReason, InvoiceSighting, InvoiceStatus
from payments.occurrence import Occurrence
from payments.payment import Standing
from payments.snapshot import ENDED, LIVING, Snapshot, SubscriptionStatus
from payments.subscription import MOVES, Followed, follow, keep_time
from tests.subscribed import DAY, DECLINED, MONTH, NOON, NOTHING, TEN, snapshot, subscription

INCOMPLETE, TRIALING, ACTIVE = SubscriptionStatus.INCOMPLETE, SubscriptionStatus.TRIALING, SubscriptionStatus.ACTIVE
PAST_DUE, PAUSED, CANCELLED = SubscriptionStatus.PAST_DUE, SubscriptionStatus.PAUSED, SubscriptionStatus.CANCELLED

#: In which something is billed when its time has come.
BILLED = frozenset({TRIALING, ACTIVE})
ATTEMPTS_MAX = 4
TRIAL = timedelta(days=14)
SECOND = timedelta(seconds=1)


class World:
    """The gateway, the post, our clock, and our row. Each of ``ACTS`` may happen at any time at which it can."""

    def __init__(self, *, has_trial: bool) -> None:
        self.has_trial = has_trial
        self.now = NOON
        self.theirs = snapshot(INCOMPLETE, period_end=NOON + (TRIAL if has_trial else MONTH))
        self.bills: list[InvoiceSighting] = []
        self.untold: list[SubscriptionTold] = []
        self.post: list[SubscriptionTold] = []
        self.wants_read = False
        self.owed: Counter[tuple[Occurrence, str]] = Counter()
        self.accepted: Counter[str] = Counter()
        self.ours = subscription(has_trial=has_trial)
        self.was_seen_living = False
        self._begin()

    # --- what the gateway, the customer and time do; ``draw`` is anything from 0 to 7, and False says that it cannot be ---

    def a_period_ends(self, draw: int) -> bool:
        """The renewal is billed, and paid or not; or nothing follows."""
        end = self.theirs.period_end
        if self.theirs.status not in BILLED or end is None:
            return False
        self.now = max(self.now, end)
        if self.theirs.cancel_at_period_end:
            return self._end()
        self._change(replace(self.theirs, status=ACTIVE, period_start=end, period_end=end + MONTH))
        self._bill(InvoiceReason.RENEWAL, end)
        self._charge(is_good=draw % 4 != 0)
        return True

    def the_gateway_tries_again(self, draw: int) -> bool:
        if self.theirs.status is not PAST_DUE:
            return False
        self.now += DAY * (draw + 1)
        self._charge(is_good=draw % 2 == 0)
        if self.bills[-1].attempts >= ATTEMPTS_MAX and self.theirs.status is PAST_DUE:
            self._end()
        return True

    def a_period_is_left_unpaid(self, draw: int) -> bool:
        """The next one is paid with another card; what failed stays open, and is asked for no more."""
        if self.theirs.status is not PAST_DUE or self.theirs.period_end is None or draw < 4:
            return False
        self.now = max(self.now, begins := self.theirs.period_end)
        self._change(replace(self.theirs, period_start=begins, period_end=begins + MONTH))
        self._bill(InvoiceReason.RENEWAL, begins)
        self._charge(is_good=True)
        return True

    def the_customer_pauses(self, draw: int) -> bool:
        del draw
        if self.theirs.status is not ACTIVE:
            return False
        self._change(replace(self.theirs, status=PAUSED))
        return True

    def the_customer_resumes(self, draw: int) -> bool:
        """What is paid for goes on; else a period begins, and is billed."""
        del draw
        if self.theirs.status is not PAUSED:
            return False
        if self.theirs.period_end is not None and self.theirs.period_end > self.now:
            self._change(replace(self.theirs, status=ACTIVE))
            return True
        self._change(replace(self.theirs, status=ACTIVE, period_start=self.now, period_end=self.now + MONTH))
        self._bill(InvoiceReason.CHANGE, self.now)
        self._charge(is_good=True)
        return True

    def the_customer_cancels(self, draw: int) -> bool:
        if self.theirs.status not in LIVING:
            return False
        if draw == 7:
            return self._end()
        if draw > 2:
            return False
        self._change(replace(self.theirs, cancel_at_period_end=not self.theirs.cancel_at_period_end))
        return True

    def time_passes(self, draw: int) -> bool:
        """Seconds, or days, in which the gateway has nothing to do."""
        passed = SECOND if draw < 4 else DAY * draw
        end = self.theirs.period_end
        if self.theirs.status in BILLED and end is not None and self.now + passed > end:
            return False
        self.now += passed
        return True

    # --- what the post does, and we ---

    def the_post_delivers(self, draw: int) -> bool:
        if not self.untold:
            return False
        self._tell(self.untold.pop(draw % len(self.untold)))
        return True

    def the_post_repeats_itself(self, draw: int) -> bool:
        if not self.post:
            return False
        self._tell(self.post[draw % len(self.post)])
        return True

    def we_read_it(self, draw: int) -> bool:
        """As it is at this moment, with all its invoices."""
        del draw
        self.wants_read = False
        self._follow(SubscriptionTold(None, snapshot=self.theirs), is_read=True)
        for bill in self.bills:
            self._follow(SubscriptionTold(None, invoice=_named(bill)), is_read=True)
        return True

    def our_clock_comes_round(self, draw: int) -> bool:
        del draw
        self._write(keep_time(self.ours, DEFAULT, self.now))
        return True

    # --- what must be so ---

    def check(self) -> None:
        """At every moment: each thing is owed once, money is accepted once, and nothing is given that was not bought."""
        assert max(self.accepted.values(), default=1) == 1
        assert not self.ours.access.active or self.ours.status not in ENDED
        if self.ours.access.active:
            assert self._is_on_trial() or any(bill.status is InvoiceStatus.PAID for bill in self.bills)

    def check_end(self) -> None:
        """Everything is told and read in the end, and then both sides say the same."""
        self._settle()
        self.check()
        held = self.ours.snapshot
        assert held is not None
        assert (self.ours.status, held.period_end) == (self.theirs.status, self.theirs.period_end)
        assert held.set_to_end == self.theirs.set_to_end
        assert {each.gateway_invoice_id: each.status for each in self.ours.invoices} == {
            each.gateway_invoice_id: each.status for each in self.bills
        }
        assert set(self.accepted) == {_named(bill).gateway_invoice_id for bill in self.bills if bill.paid.minor}
        assert self.ours.access.active == self._is_covered()
        self._check_announcements()

    def _check_announcements(self) -> None:
        told = Counter(kind for kind, _ in self.owed)
        paid = {bill.gateway_invoice_id for bill in self.bills if bill.status is InvoiceStatus.PAID}
        renewals = {bill.gateway_invoice_id for bill in self.bills if bill.reason is InvoiceReason.RENEWAL}
        assert {what for kind, what in self.owed if kind is Occurrence.RENEWED} == paid & renewals
        assert {what for kind, what in self.owed if kind is Occurrence.RENEWAL_FAILED} <= renewals
        assert (
            self.theirs.status is not PAST_DUE
            or (Occurrence.RENEWAL_FAILED, self.bills[-1].gateway_invoice_id) in self.owed
        )
        # One of which we hear when it is over has not started for anybody.
        assert told[Occurrence.STARTED] == self.was_seen_living
        assert told[Occurrence.CANCELLED] == (self.theirs.status is CANCELLED)

    def _is_covered(self) -> bool:
        """The default policy once more, in as few words."""
        ends = [bill.period_end for bill in self.bills if bill.paid.minor and bill.period_end is not None]
        if self.has_trial:
            ends.append(NOON + TRIAL)
        match self.theirs.status:
            case SubscriptionStatus.PAUSED:
                return self.now < max(ends)
            case SubscriptionStatus.ACTIVE | SubscriptionStatus.TRIALING:
                is_over = self.theirs.cancel_at_period_end and self.theirs.period_end == max(ends)
                return self.now < max(ends) + (timedelta(0) if is_over else DEFAULT.grace)
            case _:
                return False

    def _is_on_trial(self) -> bool:
        return self.has_trial and self.now < NOON + TRIAL + DEFAULT.grace

    def _settle(self) -> None:
        while self.untold:
            self._tell(self.untold.pop(0))
        while self.wants_read:
            self.we_read_it(0)
        self.our_clock_comes_round(0)

    # --- the gateway ---

    def _begin(self) -> None:
        status, trial_end = (TRIALING, NOON + TRIAL) if self.has_trial else (ACTIVE, None)
        self._send(SubscriptionTold(self.now, snapshot=self.theirs))
        self._bill(InvoiceReason.FIRST, NOON)
        self._change(replace(self.theirs, status=status, trial_end=trial_end))
        self._charge(is_good=True)

    def _bill(self, reason: InvoiceReason, begins: datetime) -> None:
        due = NOTHING if self.has_trial and reason is InvoiceReason.FIRST else TEN
        bill = InvoiceSighting(
            f"in_{len(self.bills) + 1}", InvoiceStatus.OPEN, reason, due, NOTHING, begins, self.theirs.period_end
        )
        self.bills.append(bill)
        self._send(SubscriptionTold(self.now, invoice=bill))

    def _charge(self, *, is_good: bool) -> None:
        """The newest bill. Of what it was paid by, only a read tells."""
        bill = replace(self.bills[-1], attempts=self.bills[-1].attempts + 1)
        if is_good:
            bill = replace(bill, status=InvoiceStatus.PAID, paid=bill.due, failure=None)
        else:
            bill = replace(bill, failure=DECLINED)
        self.bills[-1] = bill
        self._send(SubscriptionTold(self.now, invoice=bill))
        wanted = self.theirs.status if is_good and self.theirs.status is TRIALING else ACTIVE if is_good else PAST_DUE
        if wanted is not self.theirs.status:
            self._change(replace(self.theirs, status=wanted))

    def _end(self) -> bool:
        self._change(replace(self.theirs, status=CANCELLED, ended_at=self.now))
        return True

    def _change(self, theirs: Snapshot) -> None:
        self.theirs = theirs
        self._send(SubscriptionTold(self.now, snapshot=theirs))

    def _send(self, told: SubscriptionTold) -> None:
        self.post.append(told)
        self.untold.append(told)

    # --- our row ---

    def _tell(self, told: SubscriptionTold) -> None:
        self._follow(told, is_read=False)

    def _follow(self, told: SubscriptionTold, *, is_read: bool) -> None:
        self._write(follow(self.ours, told, DEFAULT, self.now, is_read=is_read))

    def _write(self, followed: Followed) -> None:
        """As ``workers.subscriptions`` does: what is owed is written once under its name, and money is asked after."""
        was, self.ours = self.ours.status, followed.after
        assert was is self.ours.status or (was, self.ours.status) in MOVES
        self.was_seen_living = self.was_seen_living or self.ours.status in LIVING
        self.owed.update((owed.kind, owed.what) for owed in followed.owed)
        if followed.payment is not None and followed.payment.standing is Standing.ACCEPTED:
            self.accepted[followed.payment.gateway_invoice_id] += 1
        unnamed = any(bill.paid.minor and bill.paid_by is None for bill in self.ours.invoices)
        self.wants_read = self.wants_read or followed.wants_read or unnamed


def _named(bill: InvoiceSighting) -> InvoiceSighting:
    """With the payment that a webhook does not name."""
    payment = InvoicePayment(f"pi_{bill.gateway_invoice_id}", bill.paid) if bill.paid.minor else None
    return replace(bill, payment=payment)


Act = Callable[[World, int], bool]

ACTS: tuple[Act, ...] = (
    World.a_period_ends,
    World.a_period_ends,
    World.the_gateway_tries_again,
    World.a_period_is_left_unpaid,
    World.the_customer_pauses,
    World.the_customer_resumes,
    World.the_customer_cancels,
    World.time_passes,
    World.the_post_delivers,
    World.the_post_delivers,
    World.the_post_delivers,
    World.the_post_repeats_itself,
    World.we_read_it,
    World.our_clock_comes_round,
)


class OneSubscription(RuleBasedStateMachine):
    """The same world, for Hypothesis to play with."""

    @initialize(has_trial=st.booleans())
    def begin(self, has_trial: bool) -> None:
        self.world = World(has_trial=has_trial)

    @rule(act=st.sampled_from(ACTS), draw=st.integers(0, 7))
    def something_happens(self, act: Act, draw: int) -> None:
        act(self.world, draw)
        self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.check_end()


def test_hypothesis_finds_no_life_of_a_subscription_that_the_rules_get_wrong() -> None:
    run_state_machine_as_test(
        OneSubscription, settings=settings(max_examples=150, stateful_step_count=30, deadline=None)
    )


@pytest.mark.parametrize("thousand", range(3))
def test_f119_a_subscription_ends_as_the_gateway_says_whatever_is_told_in_whatever_order(thousand: int) -> None:
    for seed in range(1000 * thousand, 1000 * thousand + 1000):
        draw = Random(seed)
        world = World(has_trial=draw.random() < 0.5)

        for act in draw.choices(ACTS, k=30):
            act(world, draw.randrange(8))
            world.check()

        world.check_end()
