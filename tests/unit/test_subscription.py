"""What one telling does to a subscription: a table, the failure cases by name, and any order of any tellings."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.access import Access, AccessReason
from payments.billing import Taken
from payments.difference import PROPOSED, Difference
from payments.dunning import DEFAULT
from payments.events import SubscriptionTold, UpcomingInvoice
from payments.failure import Failure, FailureCode
from payments.invoice import Advice, InvoicePayment, InvoiceReason, InvoiceSighting, InvoiceStatus, TakenBack
from payments.money import Money
from payments.occurrence import Occurrence, Owed
from payments.payment import Standing
from payments.snapshot import ENDED, LIVING, Snapshot, SubscriptionStatus
from payments.subscription import MOVES, Followed, FollowOutcome, Subscription, abandon, follow, keep_time
from tests.subscribed import (
    DAY,
    DECLINED,
    MONTH,
    NOON,
    NOTHING,
    TEN,
    after,
    billed,
    failed,
    invoice,
    kinds,
    paid,
    running,
    snapshot,
    subscription,
    told,
)

INCOMPLETE, TRIALING, ACTIVE = SubscriptionStatus.INCOMPLETE, SubscriptionStatus.TRIALING, SubscriptionStatus.ACTIVE
PAST_DUE, PAUSED, UNPAID = SubscriptionStatus.PAST_DUE, SubscriptionStatus.PAUSED, SubscriptionStatus.UNPAID
CANCELLED, EXPIRED = SubscriptionStatus.CANCELLED, SubscriptionStatus.EXPIRED
MOVED, RECORDED, STALE = FollowOutcome.MOVED, FollowOutcome.RECORDED, FollowOutcome.STALE
SECOND = timedelta(seconds=1)
LATER = NOON + 60 * SECOND


def followed(held: Subscription, telling: SubscriptionTold, now: datetime = LATER, **more: Any) -> Followed:
    return follow(held, telling, DEFAULT, now, **more)


# --- snapshots: which of two holds ---


# fmt: off
#: What is held and when it was told, what is told and when; the outcome, the status that holds, and whether to read.
SNAPSHOTS: list[tuple[str, SubscriptionStatus, datetime | None, SubscriptionStatus, datetime | None, FollowOutcome, SubscriptionStatus, bool]] = [
    ("newer",                               TRIALING,   NOON,  ACTIVE,     LATER,         MOVED,    ACTIVE,    False),
    ("older",                               ACTIVE,     LATER, PAST_DUE,   NOON,          STALE,    ACTIVE,    False),
    ("told twice",                          ACTIVE,     NOON,  ACTIVE,     NOON,          STALE,    ACTIVE,    False),
    ("the same, a second later",            ACTIVE,     NOON,  ACTIVE,     NOON + SECOND, RECORDED, ACTIVE,    False),
    ("one second, the further one second",  TRIALING,   NOON,  ACTIVE,     NOON,          MOVED,    ACTIVE,    True),
    ("one second, the further one first",   ACTIVE,     NOON,  TRIALING,   NOON,          STALE,    ACTIVE,    True),
    ("begun, in the second of its making",  INCOMPLETE, NOON,  ACTIVE,     NOON,          MOVED,    ACTIVE,    False),
    ("its making, told after it was begun", ACTIVE,     NOON,  INCOMPLETE, NOON,          STALE,    ACTIVE,    False),
    ("nothing returns to incomplete",       ACTIVE,     NOON,  INCOMPLETE, LATER,         STALE,    ACTIVE,    False),
    ("it ends",                             ACTIVE,     NOON,  CANCELLED,  LATER,         MOVED,    CANCELLED, False),
    ("its end was told before its change",  ACTIVE,     LATER, CANCELLED,  NOON,          MOVED,    CANCELLED, False),
    ("a late change of what has ended",     CANCELLED,  NOON,  ACTIVE,     LATER,         STALE,    CANCELLED, False),
    ("an end is not another end",           CANCELLED,  NOON,  EXPIRED,    LATER,         STALE,    CANCELLED, False),
    ("never begun",                         INCOMPLETE, NOON,  EXPIRED,    LATER,         MOVED,    EXPIRED,   False),
    ("without a time, only a read can say", ACTIVE,     NOON,  PAST_DUE,   None,          STALE,    ACTIVE,    True),
    ("an end needs no time",                ACTIVE,     NOON,  CANCELLED,  None,          MOVED,    CANCELLED, False),
]
# fmt: on


@pytest.mark.parametrize(
    ("name", "held", "held_at", "status", "at", "outcome", "holds", "wants_read"),
    SNAPSHOTS,
    ids=[c[0] for c in SNAPSHOTS],
)
def test_the_table_of_snapshots(
    name: str,
    held: SubscriptionStatus,
    held_at: datetime | None,
    status: SubscriptionStatus,
    at: datetime | None,
    outcome: FollowOutcome,
    holds: SubscriptionStatus,
    wants_read: bool,
) -> None:
    found = followed(after(subscription(), told(held, held_at), now=LATER), told(status, at))

    assert (found.outcome, found.after.status, found.wants_read) == (outcome, holds, wants_read), name


def test_of_a_first_telling_without_a_time_only_whose_it_is_holds_until_it_is_read() -> None:
    found = followed(subscription(), told(ACTIVE, None, customer_id="cus_1"))

    assert (found.outcome, found.wants_read) == (RECORDED, True)
    assert found.after.snapshot == Snapshot("sub_gw", INCOMPLETE, "cus_1")


def test_a_read_holds_whatever_its_second_says_and_settles_the_tie() -> None:
    tied = after(subscription(), told(PAUSED), told(ACTIVE))

    read = followed(tied, told(ACTIVE, NOON - SECOND), is_read=True).after
    again = followed(read, told(PAUSED, NOON))

    assert (read.status, read.told_at, read.is_settled) == (ACTIVE, NOON, True)
    assert (again.after.status, again.wants_read) == (ACTIVE, True)


def test_a_read_without_a_second_holds_too() -> None:
    read = followed(subscription(), told(ACTIVE, None), is_read=True)

    assert (read.after.status, read.after.is_settled, read.wants_read) == (ACTIVE, True, False)


@pytest.mark.parametrize("away", [-timedelta(minutes=5), -SECOND, SECOND, timedelta(minutes=5)])
def test_what_is_told_of_a_moment_near_a_read_moves_nothing_before_it_is_read_again(away: timedelta) -> None:
    read = follow(running(), told(PAUSED, None), DEFAULT, LATER, is_read=True).after

    found = follow(read, told(ACTIVE, LATER + away), DEFAULT, LATER + DAY)

    assert (found.after.status, found.wants_read) == (PAUSED, True)


@pytest.mark.parametrize(("away", "holds"), [(-DAY, PAUSED), (DAY, ACTIVE)])
def test_what_is_told_long_before_a_read_is_overtaken_and_what_is_told_long_after_it_holds(
    away: timedelta, holds: SubscriptionStatus
) -> None:
    read = follow(running(), told(PAUSED, None), DEFAULT, LATER, is_read=True).after

    found = follow(read, told(ACTIVE, LATER + away), DEFAULT, LATER + 2 * DAY)

    assert (found.after.status, found.wants_read) == (holds, False)


def test_a_change_of_plan_that_is_read_and_then_told_with_what_was_before_it_is_announced_once() -> None:
    read = follow(running(), told(ACTIVE, None, price_id="price_2"), DEFAULT, LATER, is_read=True)

    before = follow(read.after, told(ACTIVE, LATER, price_id="price_1"), DEFAULT, LATER)
    after_it = follow(before.after, told(ACTIVE, LATER, price_id="price_2"), DEFAULT, LATER)

    assert Occurrence.PLAN_CHANGED in kinds(read)
    assert Occurrence.PLAN_CHANGED not in (*kinds(before), *kinds(after_it))


def test_whose_it_is_is_learnt_from_a_telling_that_comes_late() -> None:
    held = after(subscription(), told(ACTIVE, LATER))

    found = followed(held, told(TRIALING, NOON, customer_id="cus_1"))

    assert found.after.snapshot == snapshot(ACTIVE, customer_id="cus_1")


def test_an_end_says_when_also_where_the_gateway_does_not() -> None:
    ended = after(running(), told(CANCELLED, LATER)).snapshot
    living = after(subscription(), told(ACTIVE, ended_at=NOON)).snapshot

    assert ended is not None
    assert ended.ended_at == LATER
    assert living is not None
    assert living.ended_at is None


def test_an_end_without_a_time_that_is_told_again_ended_when_it_was_told_first() -> None:
    ended = after(running(), told(CANCELLED, None), now=LATER)

    found = followed(ended, told(CANCELLED, None), LATER + DAY)

    assert found.outcome is STALE
    assert found.after.snapshot == ended.snapshot


def test_another_subscription_of_the_gateways_changes_nothing_and_is_raised() -> None:
    held = running()

    found = followed(
        held, SubscriptionTold(LATER, snapshot=replace(snapshot(CANCELLED), gateway_subscription_id="sub_other"))
    )

    assert found.after == held
    assert [(raised.kind, raised.about) for raised in found.raised] == [(Difference.SUBSCRIPTION_CONFLICT, "sub_other")]


@pytest.mark.parametrize("telling", [SubscriptionTold(None), SubscriptionTold(LATER)])
def test_what_says_that_something_happened_and_not_what_wants_a_read_of_what_has_ended_too(
    telling: SubscriptionTold,
) -> None:
    assert followed(running(), telling).wants_read
    assert not followed(running(), telling, is_read=True).wants_read
    assert followed(after(running(), told(CANCELLED, LATER)), telling).wants_read


@pytest.mark.parametrize("status", [PAST_DUE, UNPAID])
def test_a_failed_payment_that_is_not_named_wants_a_read_of_what_lives(status: SubscriptionStatus) -> None:
    telling = told(status, LATER)

    assert followed(running(), telling).wants_read
    assert not followed(running(), telling, is_read=True).wants_read
    assert not followed(after(running(), told(CANCELLED, LATER)), telling).wants_read


def test_a_failed_payment_that_is_named_or_old_news_wants_no_read() -> None:
    named = replace(told(PAST_DUE, LATER), invoice=failed("in_2", LATER, month=1).invoice)
    overtaken = after(running(), told(ACTIVE, LATER))

    assert not followed(running(), named).wants_read
    assert not followed(overtaken, told(PAST_DUE, NOON)).wants_read


def test_a_page_that_is_given_up_at_its_gateway_ends_without_a_word() -> None:
    unpaid = followed(subscription(order_is_settled=False), told(CANCELLED, period_end=None))
    unheard = followed(subscription(), told(CANCELLED))

    assert (unpaid.outcome, unpaid.owed) == (MOVED, ())
    assert [owed.kind for owed in unheard.owed] == [Occurrence.CANCELLED]


def test_the_first_that_names_a_subscription_says_whose_the_order_is_also_before_any_snapshot() -> None:
    named = followed(subscription(), paid(), named="sub_gw")

    other = followed(named.after, paid("in_other", month=1), named="sub_other")
    described = followed(named.after, replace(told(ACTIVE), snapshot=replace(snapshot(), gateway_subscription_id="x")))
    ours = followed(named.after, told(ACTIVE))

    assert named.after.snapshot == Snapshot("sub_gw", INCOMPLETE)
    for conflict in (other, described):
        assert conflict.after == named.after
        assert [raised.kind for raised in conflict.raised] == [Difference.SUBSCRIPTION_CONFLICT]
    assert (ours.raised, ours.after.snapshot) == ((), snapshot())


# --- what we give up ourselves ---


def test_a_subscription_whose_order_ended_unpaid_never_begins_and_says_nothing() -> None:
    found = abandon(subscription(order_is_settled=False), DEFAULT, NOON)

    assert (found.outcome, found.after.status, found.owed, found.next_step_at) == (MOVED, EXPIRED, (), None)


@pytest.mark.parametrize("held", [running(), subscription()])
def test_what_lives_or_is_paid_for_is_not_given_up(held: Subscription) -> None:
    assert abandon(held, DEFAULT, NOON).after == held


@pytest.mark.parametrize(
    "begun", [{}, {"snapshot": snapshot(INCOMPLETE)}, {"snapshot": snapshot(INCOMPLETE), "told_at": NOON}]
)
def test_what_we_gave_up_and_the_gateway_says_lives_is_read_and_then_raised(begun: dict[str, Any]) -> None:
    ended = abandon(subscription(order_is_settled=False, **begun), DEFAULT, NOON).after

    heard = followed(ended, told(ACTIVE, LATER))
    read = followed(heard.after, told(ACTIVE, LATER), is_read=True)

    assert (heard.after.status, heard.wants_read, heard.raised) == (EXPIRED, True, ())
    assert (read.after.status, read.wants_read) == (EXPIRED, False)
    assert [raised.kind for raised in read.raised] == [Difference.SUBSCRIPTION_CONFLICT]


# --- invoices, their money, and what differs ---


def test_the_first_invoice_pays_for_its_period() -> None:
    found = followed(after(subscription(), told(ACTIVE)), paid())

    assert found.outcome is RECORDED
    assert found.payment == Taken(InvoicePayment("pi_in_1", TEN), Standing.ACCEPTED, "in_1")
    assert [each.gateway_invoice_id for each in found.changed] == ["in_1"]
    assert found.after.access == Access(active=True, until=NOON + MONTH, reason=AccessReason.PAID)


def test_the_same_money_told_again_is_recorded_once() -> None:
    found = followed(running(), paid(at=LATER))

    assert (found.outcome, found.payment, found.changed, found.owed) == (STALE, None, (), ())


def test_money_that_gets_its_name_later_is_recorded_then() -> None:
    held = after(subscription(), told(ACTIVE), billed(invoice()))

    found = followed(held, paid())

    assert (found.outcome, found.payment) == (
        RECORDED,
        Taken(InvoicePayment("pi_in_1", TEN), Standing.ACCEPTED, "in_1"),
    )


def test_another_payment_of_a_paid_invoice_is_surplus() -> None:
    found = followed(running(), paid(payment=InvoicePayment("pi_2", TEN)))

    assert found.payment == Taken(InvoicePayment("pi_2", TEN), Standing.SURPLUS, "in_1")
    assert [(raised.kind, raised.what) for raised in found.raised] == [(Difference.DUPLICATE_PAYMENT, "pi_2:1000 usd")]


EUROS = Money(1000, "eur")
NINE = Money(900, "usd")

# fmt: off
#: A paid invoice; what is raised, whether it extends access, and how its money stands.
PAID_INVOICES: list[tuple[str, dict[str, Any], Difference | None, bool, Standing | bool]] = [
    ("the first, as ordered",             {},                                                  None,                              True,  Standing.ACCEPTED),
    ("the first, at another price",       {"due": NINE},                                       Difference.AMOUNT_MISMATCH,        False, Standing.MISMATCHED),
    ("the first, in another currency",    {"due": EUROS},                                      Difference.CURRENCY_MISMATCH,      False, Standing.MISMATCHED),
    ("a renewal, at its price",           {"month": 1},                                        None,                              True,  Standing.ACCEPTED),
    ("a renewal with a coupon",           {"month": 1, "due": NINE},                           Difference.INVOICE_AMOUNT_DIFFERS, True,  Standing.ACCEPTED),
    ("a renewal in another currency",     {"month": 1, "due": EUROS},                          Difference.CURRENCY_MISMATCH,      False, Standing.MISMATCHED),
    ("a renewal with a change's share",   {"month": 1, "due": NINE, "has_proration": True},    None,                              True,  Standing.ACCEPTED),
    ("a change of plan",                  {"month": 1, "due": NINE, "reason": InvoiceReason.CHANGE}, None,                        True,  Standing.ACCEPTED),
    ("a change of plan, for nothing",     {"month": 1, "due": NOTHING, "payment": None, "reason": InvoiceReason.CHANGE}, Difference.INVOICE_PERIOD_IN_DOUBT, False, False),
    ("something else, by hand",           {"month": 1, "due": NINE, "reason": InvoiceReason.OTHER},  Difference.INVOICE_PERIOD_IN_DOUBT, False, Standing.ACCEPTED),
]
# fmt: on


@pytest.mark.parametrize(
    ("name", "more", "raised", "extends", "standing"), PAID_INVOICES, ids=[c[0] for c in PAID_INVOICES]
)
def test_the_table_of_paid_invoices(
    name: str, more: dict[str, Any], raised: Difference | None, extends: bool, standing: Standing | bool
) -> None:
    found = followed(after(subscription(), told(ACTIVE)), paid("in_x", **more))

    assert [each.kind for each in found.raised] == ([raised] if raised else []), name
    assert (found.after.access.active, found.payment is not None and found.payment.standing) == (extends, standing), (
        name
    )


def test_a_difference_is_named_the_same_however_often_it_is_told() -> None:
    held = after(subscription(), told(ACTIVE))
    once = followed(held, paid(due=NINE))

    again = followed(once.after, paid(due=NINE, hosted_url="https://example.test/in_1"))

    assert [raised.what for raised in once.raised] == [raised.what for raised in again.raised] == ["in_1:900 usd"]


def test_every_difference_has_its_proposal() -> None:
    assert set(PROPOSED) == set(Difference)


def test_an_invoice_that_contradicts_itself_changes_nothing_and_is_raised() -> None:
    held = running()

    found = followed(held, paid("in_2", due=TEN, paid=EUROS, month=1))

    assert (found.after, found.payment) == (held, None)
    assert [raised.kind for raised in found.raised] == [Difference.CURRENCY_MISMATCH]


@pytest.mark.parametrize(
    "change",
    [
        told(ACTIVE, LATER, has_pending_change=True),
        replace(paid("in_2", LATER, month=1, due=NINE), snapshot=snapshot(price_id="price_2")),
    ],
)
def test_while_the_plan_changes_no_renewal_is_at_another_price(change: SubscriptionTold) -> None:
    changing = followed(running(), change)

    found = changing if change.invoice else followed(changing.after, paid("in_2", LATER, month=1, due=NINE))

    assert found.raised == ()
    assert found.after.access.until == NOON + 2 * MONTH


def test_f83_a_renewal_paid_outside_of_the_gateway_extends_access_without_a_payment() -> None:
    found = followed(running(), billed(invoice("in_2", month=1, paid=NOTHING)))

    assert (found.payment, found.raised) == (None, ())
    assert found.after.access.until == NOON + 2 * MONTH


def test_f83_a_renewal_over_nothing_extends_access_and_is_shown_to_a_person() -> None:
    found = followed(running(), billed(invoice("in_2", month=1, due=NOTHING)))

    assert found.payment is None
    assert [raised.kind for raised in found.raised] == [Difference.INVOICE_AMOUNT_DIFFERS]
    assert found.after.access.until == NOON + 2 * MONTH


def test_f80_a_period_that_the_gateway_does_not_tell_ends_nobodys_access() -> None:
    found = followed(running(), told(ACTIVE, LATER, period_start=None, period_end=None))

    assert found.after.access == Access(active=True, until=NOON + MONTH, reason=AccessReason.PAID)


def test_nothing_is_granted_before_the_order_is_paid_and_all_of_it_then() -> None:
    waiting = after(subscription(order_is_settled=False), told(ACTIVE), paid())

    granted = keep_time(replace(waiting, order_is_settled=True), DEFAULT, NOON)

    assert not waiting.access.active
    assert granted.after.access == Access(active=True, until=NOON + MONTH, reason=AccessReason.PAID)


CHANGE, OTHER = InvoiceReason.CHANGE, InvoiceReason.OTHER


@pytest.mark.parametrize(
    ("due", "reason", "restores", "is_raised", "wants_read"),
    [
        (TEN, InvoiceReason.RENEWAL, True, False, False),
        (TEN, CHANGE, True, False, True),
        (NOTHING, CHANGE, False, True, False),
        (TEN, OTHER, False, True, False),
        (NOTHING, OTHER, False, True, False),
    ],
)
def test_of_what_is_paid_while_a_renewal_fails_only_a_renewal_or_a_change_that_took_money_overtakes_it(
    due: Money, reason: InvoiceReason, restores: bool, is_raised: bool, wants_read: bool
) -> None:
    failing = after(running(), failed("in_2", LATER, month=1), now=LATER)
    later = paid("in_3", LATER + DAY, month=2, due=due, reason=reason, payment=None)

    found = followed(failing, later, LATER + DAY)
    again = followed(found.after, later, LATER + DAY)

    assert (found.after.access.active, found.after.failing is None) == (restores, restores)
    kinds_raised = [raised.kind for raised in found.raised]
    assert kinds_raised == [Difference.INVOICE_PERIOD_IN_DOUBT] * is_raised
    assert (found.wants_read, again.raised, again.wants_read) == (wants_read, (), False)


@pytest.mark.parametrize("is_paid", [True, False])
def test_that_a_renewal_beside_a_change_of_plan_is_unpaid_a_read_makes_sure_of(is_paid: bool) -> None:
    failing = after(running(), failed("in_2", LATER, month=1), now=LATER)
    changed = after(failing, paid("in_c", LATER + DAY, month=2, reason=CHANGE), now=LATER + DAY)

    read = [paid("in_c", None, month=2, reason=CHANGE), *([paid("in_2", None, month=1)] if is_paid else [])]
    found = followed(after(changed, *read, now=LATER + DAY), told(ACTIVE, None), LATER + DAY, is_read=True)

    raised = [(each.kind, each.about, each.expected, each.paid) for each in found.raised]
    assert raised == ([] if is_paid else [(Difference.INVOICE_PERIOD_IN_DOUBT, "in_c", TEN, TEN)])


def test_a_period_that_was_in_doubt_while_a_renewal_failed_grants_no_more_once_that_is_paid() -> None:
    failing = after(running(), failed("in_2", LATER, month=1), now=LATER)
    doubtful = paid("in_3", LATER, month=11, due=NOTHING, reason=OTHER, payment=None)

    healed = after(failing, doubtful, paid("in_2", LATER + DAY, month=1), now=LATER + DAY)

    assert healed.access == Access(active=True, until=NOON + 2 * MONTH, reason=AccessReason.PAID)


def test_a_change_within_a_trial_is_over_nothing_and_leaves_nothing_in_doubt() -> None:
    on_trial = after(subscription(has_trial=True), told(TRIALING, trial_end=NOON + MONTH))

    found = followed(on_trial, billed(invoice("in_c", due=NOTHING, reason=CHANGE)))

    assert found.raised == ()
    assert found.after.access == Access(active=True, until=NOON + MONTH, reason=AccessReason.TRIAL)


@pytest.mark.parametrize("then", [told(CANCELLED, LATER), told(TRIALING, LATER, trial_end=LATER)])
def test_a_trial_that_ends_early_puts_no_change_within_it_in_doubt(then: SubscriptionTold) -> None:
    change = billed(invoice("in_c", due=NOTHING, reason=CHANGE))
    on_trial = after(subscription(has_trial=True), told(TRIALING, trial_end=NOON + MONTH), change)

    over = followed(on_trial, then)
    renewed = followed(over.after, paid("in_2", LATER, month=1))

    assert (over.raised, renewed.raised) == ((), ())


def test_a_change_after_a_halt_that_a_renewal_has_overtaken_leaves_nothing_in_doubt() -> None:
    halted = after(running(), failed("in_2", LATER, month=1), paid("in_3", LATER, month=2), now=LATER)

    found = followed(halted, paid("in_c", LATER + DAY, month=3, reason=CHANGE), LATER + DAY)
    read = followed(found.after, told(ACTIVE, None), LATER + DAY, is_read=True)

    assert (found.wants_read, found.raised, read.raised) == (False, (), ())


# --- a month in place of a year ---

YEAR, GONE_OVER = 365 * DAY, NOON + 10 * DAY


def gone_over() -> Subscription:
    """Begun for a year, and gone over to a month on the tenth day, which was paid less what was left of the year."""
    yearly = after(subscription(), told(ACTIVE, period_end=NOON + YEAR), paid(period_end=NOON + YEAR))
    now = {"period_start": GONE_OVER, "period_end": GONE_OVER + MONTH}
    monthly = told(ACTIVE, GONE_OVER, price_id="price_2", **now)
    return after(yearly, monthly, paid("in_2", GONE_OVER, reason=CHANGE, has_proration=True, **now), now=GONE_OVER)


def test_a_month_that_has_replaced_a_year_is_paid_to_its_own_end() -> None:
    held = gone_over()

    paused = after(
        held, told(PAUSED, LATER + 10 * DAY, price_id="price_2", period_end=GONE_OVER + MONTH), now=GONE_OVER
    )
    over = keep_time(paused, DEFAULT, GONE_OVER + 2 * MONTH).after

    assert held.access == Access(active=True, until=GONE_OVER + MONTH, reason=AccessReason.PAID)
    assert (over.access.active, over.access.reason) == (False, AccessReason.PAUSED)


def test_a_year_that_a_month_has_replaced_overtakes_no_renewal_of_that() -> None:
    over = GONE_OVER + MONTH
    renewal = failed("in_3", over, reason=InvoiceReason.RENEWAL, period_start=over, period_end=over + MONTH)

    found = followed(gone_over(), replace(renewal, snapshot=snapshot(PAST_DUE, period_end=over + MONTH)), over)

    assert found.after.failing is not None
    assert (found.after.access.active, found.after.access.reason) == (False, AccessReason.PAYMENT_FAILED)
    assert Occurrence.RENEWAL_FAILED in kinds(found)
    assert found.next_step_at is not None


@pytest.mark.parametrize(
    ("name", "until", "later"),
    [
        ("in_1", GONE_OVER + MONTH, AccessReason.GRACE),
        ("in_2", GONE_OVER, AccessReason.REFUNDED),
    ],
)
def test_of_a_year_that_a_month_has_replaced_nothing_is_left_to_give_when_the_months_money_goes_back(
    name: str, until: datetime, later: AccessReason
) -> None:
    held = gone_over()
    refunded = held.invoice(name)
    assert refunded is not None

    held = held.with_invoice(replace(refunded, taken_back=TakenBack.REFUNDED))
    found = keep_time(held, DEFAULT, GONE_OVER).after
    over = keep_time(held, DEFAULT, GONE_OVER + MONTH).after

    assert found.access.until == until
    assert over.access.reason is later


# --- money after the end ---


@pytest.mark.parametrize(("at", "is_late"), [(LATER + DAY, True), (LATER - SECOND, False), (None, False)])
def test_a_renewal_that_is_paid_after_the_end_is_shown_to_a_person_and_announced_to_nobody(
    at: datetime | None, is_late: bool
) -> None:
    ended = after(running(), failed("in_2", NOON, month=1), told(CANCELLED, LATER), now=LATER)

    found = followed(ended, paid("in_2", at, month=1), LATER + DAY)
    again = followed(found.after, paid("in_2", at, month=1), LATER + DAY)

    assert [raised.kind for raised in found.raised] == [Difference.LATE_SUCCESS] * is_late
    assert kinds(found) == [Occurrence.RENEWED] * (not is_late)
    assert (found.after.access.active, again.raised) == (False, ())


@pytest.mark.parametrize(("taken_at", "is_late"), [(LATER + DAY, True), (LATER - SECOND, False)])
def test_money_taken_after_the_end_that_only_a_read_finds_is_the_same_difference_as_if_it_was_told(
    taken_at: datetime, is_late: bool
) -> None:
    ended = after(running(), told(CANCELLED, LATER), now=LATER)

    heard = followed(ended, paid("in_2", taken_at, month=1), LATER + DAY)
    found = followed(ended, paid("in_2", None, month=1, taken_at=taken_at), LATER + DAY, is_read=True)
    again = followed(found.after, paid("in_2", None, month=1, taken_at=taken_at), LATER + DAY, is_read=True)

    assert found.raised == heard.raised
    assert [raised.kind for raised in found.raised] == [Difference.LATE_SUCCESS] * is_late
    assert found.payment is not None
    assert found.payment.standing is (Standing.HELD if is_late else Standing.ACCEPTED)
    assert again.raised == ()


def test_late_money_whose_payment_gets_its_name_only_when_it_is_read_is_held_then_too() -> None:
    ended = after(running(), told(CANCELLED, LATER), now=LATER)
    unnamed = followed(ended, paid("in_2", LATER + DAY, month=1, payment=None), LATER + DAY)

    found = followed(unnamed.after, paid("in_2", None, month=1, taken_at=LATER + DAY), LATER + DAY, is_read=True)

    assert found.payment is not None
    assert found.payment.standing is Standing.HELD
    assert found.raised == unnamed.raised


def test_late_money_that_was_told_before_the_end_is_held_when_the_end_has_it_read() -> None:
    late = paid("in_2", LATER + DAY, month=1, taken_at=LATER + DAY)
    heard = followed(running(), late, LATER + DAY)

    ended = followed(heard.after, told(CANCELLED, LATER), LATER + DAY)
    read = followed(ended.after, replace(late, told_at=None), LATER + DAY, is_read=True)
    again = followed(read.after, replace(late, told_at=None), LATER + DAY, is_read=True)

    assert heard.payment is not None
    assert (ended.wants_read, ended.raised) == (True, ())
    assert read.payment == heard.payment._replace(standing=Standing.HELD)
    assert [raised.kind for raised in read.raised] == [Difference.LATE_SUCCESS]
    assert (again.payment, again.raised, again.wants_read) == (None, (), False)


@pytest.mark.parametrize(("heard_at", "wants_read"), [(NOON, False), (NOON + DAY, True)])
def test_an_end_has_only_money_read_that_was_heard_of_about_then_or_later(heard_at: datetime, wants_read: bool) -> None:
    renewed = after(running(), paid("in_2", heard_at, month=1), now=heard_at)

    found = followed(renewed, told(CANCELLED, NOON + DAY), NOON + 2 * DAY)

    assert found.wants_read is wants_read


def test_what_was_paid_before_the_end_and_is_told_again_after_it_is_not_late() -> None:
    ended = after(running(), told(CANCELLED, LATER), now=LATER)

    found = followed(ended, paid("in_1", LATER + DAY), LATER + DAY)

    assert (found.outcome, found.raised) == (STALE, ())


def test_what_we_gave_up_says_since_when_it_gives_nothing_and_goes_on_to_say_the_same() -> None:
    ended = abandon(subscription(order_is_settled=False), DEFAULT, NOON).after

    heard = followed(ended, told(ACTIVE, LATER))
    again = followed(heard.after, told(ACTIVE, LATER))

    assert ended.access == heard.after.access == again.after.access
    assert (ended.access.until, heard.after.snapshot and heard.after.snapshot.ended_at) == (NOON, NOON)


# --- what is told to whom ---


def test_what_lives_has_started_once_its_order_is_paid_and_not_before() -> None:
    waiting = after(subscription(order_is_settled=False), paid())
    unpaid = followed(waiting, told(ACTIVE))
    paid_then = keep_time(replace(unpaid.after, order_is_settled=True), DEFAULT, LATER)

    assert kinds(unpaid) == []
    assert kinds(paid_then) == [Occurrence.STARTED]
    assert kinds(keep_time(paid_then.after, DEFAULT, LATER)) == []


# fmt: off
#: What holds, what is told a minute later, and what that is announced as.
CHANGES: list[tuple[str, Snapshot | None, Snapshot, list[Occurrence]]] = [
    ("begun",                         None,                                   snapshot(TRIALING),                          [Occurrence.STARTED]),
    ("begun, after it was made",      snapshot(INCOMPLETE),                   snapshot(ACTIVE),                            [Occurrence.STARTED]),
    ("made",                          None,                                   snapshot(INCOMPLETE),                        []),
    ("never begun",                   snapshot(INCOMPLETE),                   snapshot(EXPIRED),                           []),
    ("come to its own end",           snapshot(ACTIVE),                       snapshot(EXPIRED),                           [Occurrence.CANCELLED]),
    ("deleted before we knew of it",  None,                                   snapshot(CANCELLED),                         [Occurrence.CANCELLED]),
    ("paused",                        snapshot(ACTIVE),                       snapshot(PAUSED),                            [Occurrence.PAUSED]),
    ("resumed",                       snapshot(PAUSED),                       snapshot(ACTIVE),                            [Occurrence.RESUMED]),
    ("resumed, and paying fails",     snapshot(PAUSED),                       snapshot(PAST_DUE),                          [Occurrence.RESUMED]),
    ("to be cancelled",               snapshot(),                             snapshot(cancel_at_period_end=True),         [Occurrence.CANCEL_SCHEDULED]),
    ("to be cancelled on a day",      snapshot(),                             snapshot(ends_at=NOON + DAY),                [Occurrence.CANCEL_SCHEDULED]),
    ("the same end in other words",   snapshot(cancel_at_period_end=True),    snapshot(cancel_at_period_end=True, ends_at=NOON + MONTH), []),
    ("not to be cancelled after all", snapshot(cancel_at_period_end=True),    snapshot(),                                  [Occurrence.RESUMED]),
    ("another plan",                  snapshot(),                             snapshot(price_id="price_2"),                [Occurrence.PLAN_CHANGED]),
    ("a plan that is not told",       snapshot(),                             snapshot(price_id=None),                     []),
    ("a change that waits",           snapshot(),                             snapshot(has_pending_change=True),           []),
]
# fmt: on


@pytest.mark.parametrize(("name", "held", "now", "owed"), CHANGES, ids=[case[0] for case in CHANGES])
def test_the_table_of_announcements(name: str, held: Snapshot | None, now: Snapshot, owed: list[Occurrence]) -> None:
    before = after(subscription(), told(held)) if held else subscription()

    assert kinds(followed(before, told(now, LATER))) == owed, name


def test_each_pause_has_a_notice_of_its_own() -> None:
    first = followed(running(), told(PAUSED, LATER))
    resumed = followed(first.after, told(ACTIVE, LATER + DAY), LATER + DAY)

    second = followed(resumed.after, told(PAUSED, LATER + 2 * DAY), LATER + 2 * DAY)

    assert kinds(first) == kinds(second) == [Occurrence.PAUSED]
    assert first.owed != second.owed


def test_pauses_that_are_worked_late_and_together_have_their_notices_all_the_same() -> None:
    held, owed = running(), list[Owed]()
    for minute, status in enumerate((PAUSED, ACTIVE, PAUSED)):
        found = followed(held, told(status, NOON + minute * 60 * SECOND), NOON + DAY)
        held, owed = found.after, [*owed, *found.owed]

    assert len({(each.kind, each.what) for each in owed}) == 3


def test_a_renewal_is_told_with_its_amount_and_its_end() -> None:
    [owed] = followed(running(), paid("in_2", LATER, month=1)).owed

    assert (owed.kind, owed.what, owed.invoice_id) == (Occurrence.RENEWED, "in_2", "in_2")
    assert (owed.at, owed.due) == (NOON + 2 * MONTH, TEN)


def upcoming(at: datetime | None) -> SubscriptionTold:
    return SubscriptionTold(LATER, upcoming=UpcomingInvoice(NINE, at))


@pytest.mark.parametrize("at", [None, NOON + MONTH, NOON + MONTH + timedelta(hours=1)])
def test_an_upcoming_invoice_is_told_once_for_its_period_whoever_tells_it(at: datetime | None) -> None:
    in_time = NOON + MONTH - timedelta(days=6)

    [told_of] = followed(running(), upcoming(at)).owed
    [by_clock] = keep_time(running(), DEFAULT, in_time).owed

    assert (told_of.kind, told_of.what) == (by_clock.kind, by_clock.what)
    assert (told_of.due, by_clock.due) == (NINE, TEN)


def test_an_upcoming_invoice_beyond_what_we_know_is_told_for_its_own_day() -> None:
    [owed] = followed(running(), upcoming(NOON + 2 * MONTH)).owed

    assert owed.at == NOON + 2 * MONTH


@pytest.mark.parametrize("held", [running(), subscription(), after(running(), told(CANCELLED, LATER))])
def test_an_upcoming_invoice_that_is_none_any_more_is_no_news(held: Subscription) -> None:
    assert Occurrence.UPCOMING_INVOICE not in kinds(followed(held, upcoming(NOON)))


# --- the failure cases ---


def test_f34_what_was_told_before_its_end_does_not_bring_it_back() -> None:
    gone = after(subscription(), told(CANCELLED, LATER))

    for late in (told(INCOMPLETE, NOON), told(ACTIVE, NOON + SECOND)):
        found = followed(gone, late)

        assert (found.outcome, found.after.status, found.after.access.active) == (STALE, CANCELLED, False)


@pytest.mark.parametrize("status", [*sorted(LIVING), INCOMPLETE])
@pytest.mark.parametrize("is_read", [False, True])
def test_f77_deleted_is_terminal_whatever_is_told_or_read_later(status: SubscriptionStatus, is_read: bool) -> None:
    gone = after(running(), told(CANCELLED, LATER))

    found = followed(gone, told(status, LATER + MONTH), LATER + MONTH, is_read=is_read)

    assert (found.after.status, found.after.access.reason) == (CANCELLED, AccessReason.CANCELLED)


TRIAL_END = NOON + 14 * DAY
ON_TRIAL = snapshot(TRIALING, trial_end=TRIAL_END, period_end=TRIAL_END)
BILLED_NOW = snapshot(ACTIVE, trial_end=LATER, period_start=LATER, period_end=LATER + MONTH)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_f78_a_trial_cut_short_in_one_second_ends_active_with_one_notice(order: tuple[int, ...]) -> None:
    tellings = [
        told(ON_TRIAL),
        SubscriptionTold(LATER, snapshot=replace(ON_TRIAL, trial_end=LATER), trial_ends=True),
        told(BILLED_NOW, LATER),
    ]
    held, owed = subscription(has_trial=True), list[Owed]()

    for index in order:
        found = followed(held, tellings[index])
        held, owed = found.after, [*owed, *found.owed]

    assert (held.status, held.snapshot) == (ACTIVE, BILLED_NOW)
    assert len({each.what for each in owed if each.kind is Occurrence.TRIAL_ENDING}) == 1


def test_f78_a_trial_whose_end_was_announced_and_is_cut_short_has_no_second_notice() -> None:
    eve = TRIAL_END - 2 * DAY
    announced = follow(after(subscription(has_trial=True), told(ON_TRIAL)), told(ON_TRIAL, eve), DEFAULT, eve)

    cut = follow(
        announced.after,
        SubscriptionTold(eve + DAY, snapshot=replace(ON_TRIAL, trial_end=eve + DAY), trial_ends=True),
        DEFAULT,
        eve + DAY,
    )

    assert kinds(announced) == [Occurrence.TRIAL_ENDING]
    assert Occurrence.TRIAL_ENDING not in kinds(cut)


def test_f78_a_trial_that_is_extended_is_announced_again() -> None:
    eve = TRIAL_END - 2 * DAY
    extended = replace(ON_TRIAL, trial_end=TRIAL_END + MONTH)
    held = after(subscription(has_trial=True), told(ON_TRIAL), told(extended, eve), now=eve)

    [again] = keep_time(held, DEFAULT, TRIAL_END + MONTH - DAY).owed

    assert (again.kind, again.at) == (Occurrence.TRIAL_ENDING, TRIAL_END + MONTH)


@pytest.mark.parametrize("status_of_a_pause", [snapshot(PAUSED), snapshot(PAUSED, period_end=None)])
def test_f79_a_pause_of_either_kind_is_a_pause_until_it_is_resumed(status_of_a_pause: Snapshot) -> None:
    paused = followed(running(), told(status_of_a_pause, LATER))
    ran_out = keep_time(paused.after, DEFAULT, NOON + MONTH)
    resumed = followed(ran_out.after, told(ACTIVE, NOON + MONTH + DAY), NOON + MONTH + DAY)

    assert (paused.after.access.active, kinds(paused)) == (True, [Occurrence.PAUSED])
    assert (ran_out.after.access.reason, kinds(ran_out)) == (AccessReason.PAUSED, [Occurrence.ACCESS_SUSPENDED])
    assert Occurrence.RESUMED in kinds(resumed)


def test_f79_what_a_gateway_cancels_when_it_is_asked_to_pause_is_cancelled() -> None:
    held = after(subscription(has_trial=True), told(ON_TRIAL))

    found = followed(held, told(CANCELLED, LATER))

    assert (found.after.status, kinds(found)) == (CANCELLED, [Occurrence.CANCELLED])


RENEWAL_DAY = NOON + MONTH


def failing_at(at: datetime, attempts: int = 1, **more: Any) -> SubscriptionTold:
    return failed("in_2", at, month=1, attempts=attempts, **more)


def test_a_failed_renewal_suspends_access_at_once_and_paying_restores_it() -> None:
    suspended = follow(running(), failing_at(RENEWAL_DAY), DEFAULT, RENEWAL_DAY)
    restored = follow(suspended.after, paid("in_2", RENEWAL_DAY + DAY, month=1, attempts=2), DEFAULT, RENEWAL_DAY + DAY)

    assert suspended.after.access == Access(active=False, until=RENEWAL_DAY, reason=AccessReason.PAYMENT_FAILED)
    assert kinds(suspended) == [Occurrence.RENEWAL_FAILED, Occurrence.ACCESS_SUSPENDED]
    assert restored.after.access == Access(active=True, until=NOON + 2 * MONTH, reason=AccessReason.PAID)
    assert kinds(restored) == [Occurrence.RENEWED, Occurrence.ACCESS_RESTORED]


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_renewals_failure_that_is_told_after_its_success_changes_nothing(attempts: int) -> None:
    renewed = after(running(), paid("in_2", RENEWAL_DAY + DAY, month=1, attempts=2), now=RENEWAL_DAY + DAY)

    found = follow(renewed, failing_at(RENEWAL_DAY, attempts), DEFAULT, RENEWAL_DAY + DAY)

    assert (found.outcome, found.after, found.owed) == (STALE, renewed, ())


def test_f82_and_f89_attempts_that_fail_again_and_repeats_owe_one_notice_at_the_first() -> None:
    held, owed = running(), list[Occurrence]()
    for hours, attempts in ((0, 1), (0, 1), (24, 2), (24, 2), (48, 3)):
        moment = RENEWAL_DAY + timedelta(hours=hours)
        found = follow(held, failing_at(moment, attempts), DEFAULT, moment)
        held, owed = found.after, [*owed, *kinds(found)]

    assert owed == [Occurrence.RENEWAL_FAILED, Occurrence.ACCESS_SUSPENDED]
    [failing] = [each for each in held.invoices if each.is_failing]
    assert (failing.attempts, failing.failing_since) == (3, RENEWAL_DAY)


def test_f82_what_a_halt_left_unpaid_stays_unpaid_and_keeps_nobody_out_who_has_paid_since() -> None:
    halted = after(running(), failing_at(RENEWAL_DAY, 4), told(UNPAID, RENEWAL_DAY), now=RENEWAL_DAY)

    moment = NOON + 2 * MONTH
    found = follow(after(halted, told(ACTIVE, moment), now=moment), paid("in_3", moment, month=2), DEFAULT, moment)

    left = found.after.invoice("in_2")
    assert left is not None
    assert (left.status, left.is_failing) == (InvoiceStatus.OPEN, True)
    assert found.after.access == Access(active=True, until=NOON + 3 * MONTH, reason=AccessReason.PAID)
    assert Occurrence.PAYMENT_REMINDER not in kinds(found)


@pytest.mark.parametrize(
    ("advice", "failure"),
    [
        (Advice.DO_NOT_TRY_AGAIN, DECLINED),
        (Advice.CONFIRM_CARD_DATA, DECLINED),
        (None, Failure(FailureCode.EXPIRED_CARD, "expired_card")),
    ],
)
def test_f88_a_decline_that_no_attempt_will_help_asks_for_a_card_at_once(
    advice: Advice | None, failure: Failure
) -> None:
    found = follow(running(), failing_at(RENEWAL_DAY, advice=advice, failure=failure), DEFAULT, RENEWAL_DAY)

    assert kinds(found) == [Occurrence.CARD_UPDATE_NEEDED, Occurrence.ACCESS_SUSPENDED]


def test_f88_a_later_attempt_that_says_so_asks_for_a_card_then_and_once() -> None:
    failing = after(running(), failing_at(RENEWAL_DAY, advice=Advice.TRY_AGAIN_LATER), now=RENEWAL_DAY)
    hard = failing_at(RENEWAL_DAY + DAY, 2, advice=Advice.DO_NOT_TRY_AGAIN)

    found = follow(failing, hard, DEFAULT, RENEWAL_DAY + DAY)
    again = follow(found.after, hard, DEFAULT, RENEWAL_DAY + DAY)

    assert (kinds(found), kinds(again)) == ([Occurrence.CARD_UPDATE_NEEDED], [])


def test_a_draft_that_cannot_be_finished_is_nobodys_failed_payment() -> None:
    stuck = invoice("in_2", InvoiceStatus.DRAFT, month=1, failure=Failure(FailureCode.GATEWAY_ERROR, "tax_location"))

    found = follow(running(), billed(stuck, RENEWAL_DAY), DEFAULT, RENEWAL_DAY)

    assert found.after.failing is None
    assert (found.after.access.reason, found.owed) == (AccessReason.GRACE, ())


def test_a_first_payment_or_a_change_that_fails_is_not_dunned() -> None:
    first = follow(subscription(), failed("in_1", NOON), DEFAULT, NOON)
    change = follow(running(), failed("in_c", LATER, month=1, reason=InvoiceReason.CHANGE), DEFAULT, LATER)

    assert (first.owed, change.owed) == ((), ())
    assert change.after.access.active


@pytest.mark.parametrize("order", list(itertools.permutations(range(5))))
def test_f90_any_order_of_changes_and_cancellations_comes_to_the_last_of_them(order: tuple[int, ...]) -> None:
    arrangements = [
        snapshot(),
        snapshot(price_id="price_2"),
        snapshot(price_id="price_2", cancel_at_period_end=True),
        snapshot(price_id="price_2"),
        snapshot(price_id="price_2", cancel_at_period_end=True, ends_at=NOON + MONTH),
    ]

    held = after(subscription(), *(told(arrangements[i], NOON + i * SECOND) for i in order), now=LATER)

    assert held.snapshot == arrangements[-1]


# --- the time ---


def test_a_renewal_of_which_nobody_has_told_is_asked_about_and_access_ends_with_the_grace() -> None:
    late = NOON + MONTH + timedelta(hours=2)

    over, asked, ended = (keep_time(running(), DEFAULT, moment) for moment in (NOON + MONTH, late, NOON + MONTH + DAY))

    assert (over.after.access.reason, over.wants_read, over.next_step_at) == (AccessReason.GRACE, False, late)
    assert (asked.after.access.active, asked.wants_read, asked.next_step_at) == (True, True, NOON + MONTH + DAY)
    assert (ended.after.access.reason, kinds(ended)) == (AccessReason.ENDED, [Occurrence.ACCESS_SUSPENDED])
    assert ended.next_step_at is None


@pytest.mark.parametrize(
    ("month", "is_set_to_end"), [(1, True), (2, False)], ids=["of that period", "of a period that followed after all"]
)
def test_f90_the_end_that_was_set_stands_where_the_gateway_never_shows_it(month: int, is_set_to_end: bool) -> None:
    held = after(running(), told(ACTIVE, LATER, cancel_at_period_end=True))

    now = after(held, told(ACTIVE, LATER + DAY, period_end=NOON + month * MONTH, tells_end=False))

    assert now.snapshot is not None
    assert (now.snapshot.set_to_end is not None) is is_set_to_end


def test_what_is_set_to_end_ends_by_our_clock_without_grace_and_is_asked_about() -> None:
    held = after(running(), told(ACTIVE, LATER, cancel_at_period_end=True))

    over = keep_time(held, DEFAULT, NOON + MONTH)
    asked = keep_time(over.after, DEFAULT, NOON + MONTH + timedelta(hours=2))

    assert (over.after.access, over.owed) == (
        Access(active=False, until=NOON + MONTH, reason=AccessReason.CANCELLED),
        (),
    )
    assert asked.wants_read


@pytest.mark.parametrize(
    "held",
    [
        after(subscription(), told(ACTIVE)),
        after(subscription(), paid()),
        after(running(), failing_at(NOON), told(ACTIVE, NOON)),
    ],
    ids=[
        "it lives, and nothing pays for it",
        "it is paid, and is not said to live",
        "it is active, and its renewal failed",
    ],
)
def test_what_cannot_be_is_asked_about(held: Subscription) -> None:
    soon = keep_time(held, DEFAULT, NOON + timedelta(hours=1))
    late = keep_time(held, DEFAULT, NOON + timedelta(hours=2))

    assert (soon.wants_read, soon.next_step_at) == (False, NOON + timedelta(hours=2))
    assert late.wants_read


def test_f85_the_policy_gives_up_on_its_day_and_not_one_attempt_early() -> None:
    held = after(running(), *(failing_at(RENEWAL_DAY, n) for n in range(1, 9)), now=RENEWAL_DAY)

    before = keep_time(held, DEFAULT, RENEWAL_DAY + 21 * DAY - SECOND)
    on_time = keep_time(held, DEFAULT, RENEWAL_DAY + 21 * DAY)

    assert (before.asks_cancel, before.next_step_at) == (False, RENEWAL_DAY + 21 * DAY)
    assert (on_time.asks_cancel, on_time.next_step_at) == (True, None)


def test_an_outage_of_ours_costs_nobody_a_day() -> None:
    late = RENEWAL_DAY + 40 * DAY

    found = follow(running(), failing_at(RENEWAL_DAY), DEFAULT, late)

    assert not found.asks_cancel
    assert keep_time(found.after, DEFAULT, late + 21 * DAY).asks_cancel


def test_what_is_paid_meanwhile_is_not_given_up() -> None:
    paid_late = after(
        running(), failing_at(RENEWAL_DAY), paid("in_2", RENEWAL_DAY + DAY, month=1), now=RENEWAL_DAY + DAY
    )

    assert not keep_time(paid_late, DEFAULT, RENEWAL_DAY + 21 * DAY).asks_cancel


@pytest.mark.parametrize("late", [timedelta(0), timedelta(hours=7), 2 * DAY])
def test_a_step_that_fell_due_before_a_telling_is_owed_by_it(late: timedelta) -> None:
    failing = after(running(), failing_at(RENEWAL_DAY), now=RENEWAL_DAY)
    moment = RENEWAL_DAY + 3 * DAY + late

    found = follow(failing, failing_at(moment, 2), DEFAULT, moment)

    assert kinds(found) == [Occurrence.PAYMENT_REMINDER]
    assert found.next_step_at == RENEWAL_DAY + 7 * DAY


def test_what_comes_to_its_own_end_gives_what_is_paid_until_then() -> None:
    last_cycle = followed(running(), told(EXPIRED, LATER, ended_at=NOON + MONTH))

    over = keep_time(last_cycle.after, DEFAULT, NOON + MONTH)

    assert last_cycle.after.access == Access(active=True, until=NOON + MONTH, reason=AccessReason.PAID)
    assert last_cycle.next_step_at == NOON + MONTH
    assert (over.after.access.active, over.owed, over.next_step_at) == (False, (), None)


@pytest.mark.parametrize("ended", [told(CANCELLED, LATER), told(EXPIRED, LATER)])
def test_of_what_has_ended_the_clock_wants_nothing(ended: SubscriptionTold) -> None:
    held = after(running(), failing_at(LATER), ended, now=LATER)

    found = keep_time(held, DEFAULT, LATER + MONTH)

    assert (found.outcome, found.owed, found.wants_read, found.next_step_at) == (STALE, (), False, None)


# --- any order of anything ---

SECONDS = [None, NOON, NOON + SECOND, NOON + 2 * SECOND]
MOMENTS = [None, NOON, NOON + DAY, NOON + MONTH, NOON + 2 * MONTH]


def any_snapshot(chance: Random, end: SubscriptionStatus) -> Snapshot:
    """Of one subscription, with one customer, and one end; all else is as hostile as it comes."""
    return Snapshot(
        "sub_gw",
        chance.choice([INCOMPLETE, TRIALING, ACTIVE, PAST_DUE, PAUSED, UNPAID, end]),
        customer_id=chance.choice([None, "cus_1"]),
        price_id=chance.choice([None, "price_1", "price_2"]),
        period_start=chance.choice(MOMENTS),
        period_end=chance.choice(MOMENTS),
        trial_end=chance.choice(MOMENTS),
        cancel_at_period_end=chance.random() < 0.3,
        ends_at=chance.choice([None, *MOMENTS]),
        ended_at=chance.choice([None, NOON]),
        has_pending_change=chance.random() < 0.3,
    )


#: Three invoices: what each is for, as far as a telling knows it, and what it came to when it was paid.
BILLS = {
    "in_1": ([InvoiceReason.FIRST], TEN),
    "in_2": ([InvoiceReason.RENEWAL, InvoiceReason.OTHER], NINE),
    "in_3": ([InvoiceReason.RENEWAL, InvoiceReason.CHANGE], EUROS),
}


def any_invoice(chance: Random) -> InvoiceSighting:
    """Of one of three invoices, which has one payment, one number and one page."""
    name, status = chance.choice(list(BILLS)), chance.choice(list(InvoiceStatus))
    reasons, due = BILLS[name]
    return invoice(
        name,
        status,
        due=due if status is InvoiceStatus.PAID else replace(due, minor=chance.choice([0, 500, 1000])),
        reason=chance.choice(reasons),
        period_start=chance.choice(MOMENTS),
        period_end=chance.choice(MOMENTS),
        number=chance.choice([None, f"NO-{name}"]),
        hosted_url=chance.choice([None, f"https://example.test/{name}"]),
        attempts=chance.randrange(4),
        next_attempt_at=chance.choice(MOMENTS),
        failure=chance.choice([None, DECLINED, Failure(FailureCode.UNKNOWN), Failure(FailureCode.EXPIRED_CARD, "x")]),
        advice=chance.choice([None, *Advice]),
        payment=chance.choice([None, InvoicePayment(f"pi_{name}", due)]),
    )


def any_telling(chance: Random, end: SubscriptionStatus) -> SubscriptionTold:
    """One that has no second says at least when it ended: else that is when we heard of it, which is a matter of order."""
    second, seen = chance.choice(SECONDS), any_snapshot(chance, end)
    if second is None:
        seen = replace(seen, ended_at=NOON)
    return SubscriptionTold(
        second,
        snapshot=seen if chance.random() < 0.7 else None,
        invoice=any_invoice(chance) if chance.random() < 0.7 else None,
        upcoming=UpcomingInvoice(TEN, chance.choice(MOMENTS)) if chance.random() < 0.2 else None,
        trial_ends=chance.random() < 0.2,
    )


#: Drawn from a pool, since a telling has more fields than a search for the smallest story has time for.
TELLINGS = {end: [any_telling(Random(seed), end) for seed in range(4000)] for end in ENDED}

STORIES = st.sampled_from(sorted(ENDED)).flatmap(
    lambda end: st.lists(st.sampled_from(TELLINGS[end]), min_size=1, max_size=6)
)
BEGUN = st.sampled_from(
    [subscription(has_trial=trial, order_is_settled=settled) for trial in (False, True) for settled in (True, False)]
)


def state(held: Subscription) -> object:
    return replace(held, invoices=()), {each.gateway_invoice_id: each for each in held.invoices}


@settings(max_examples=300, deadline=None)
@given(BEGUN, STORIES, st.randoms(use_true_random=False), st.sampled_from([3 * SECOND, DAY, 40 * DAY]))
def test_f27_any_order_of_any_tellings_each_also_twice_comes_to_the_same(
    held: Subscription, tellings: list[SubscriptionTold], chance: Random, passed: timedelta
) -> None:
    shuffled = tellings * 2
    chance.shuffle(shuffled)

    assert state(after(held, *shuffled, now=NOON + passed)) == state(after(held, *tellings, now=NOON + passed))


@settings(max_examples=200, deadline=None)
@given(BEGUN, STORIES, st.lists(st.integers(0, 60 * 24), min_size=6, max_size=6))
def test_every_telling_moves_legally_and_grants_only_what_is_paid_or_on_trial(
    held: Subscription, tellings: list[SubscriptionTold], hours: list[int]
) -> None:
    for telling, hour in zip(tellings, sorted(hours), strict=False):
        now = NOON + timedelta(hours=hour)
        found = follow(held, telling, DEFAULT, now)

        assert held.status is found.after.status or (held.status, found.after.status) in MOVES
        assert not found.after.access.active or is_bought(found.after)
        assert not found.after.access.active or found.after.status is not CANCELLED
        assert len({(owed.kind, owed.what) for owed in found.owed}) == len(found.owed)
        assert found.next_step_at is None or found.next_step_at > now
        assert found.after.status not in ENDED or not found.asks_cancel
        held = found.after


def is_bought(held: Subscription) -> bool:
    accepted = [each for each in held.invoices if held.terms.accepts(each)]
    return held.order_is_settled and (held.has_trial or bool(accepted))


@settings(max_examples=200, deadline=None)
@given(BEGUN, STORIES, st.integers(0, 90 * 24))
def test_between_two_steps_of_the_clock_nothing_changes(
    held: Subscription, tellings: list[SubscriptionTold], hours: int
) -> None:
    moment = NOON + 3 * SECOND
    asked_at = moment + timedelta(hours=hours)
    step = keep_time(after(held, *tellings, now=moment), DEFAULT, moment)

    while step.next_step_at is not None and step.next_step_at <= asked_at:
        step = keep_time(step.after, DEFAULT, step.next_step_at)
    later = keep_time(step.after, DEFAULT, asked_at)

    assert (later.outcome, later.after) == (STALE, step.after)


def test_no_move_leads_from_a_status_to_itself_out_of_an_end_or_back_to_incomplete() -> None:
    assert all(was is not now for was, now in MOVES)
    assert all(was not in ENDED and now is not INCOMPLETE for was, now in MOVES)
    assert {now for _, now in MOVES} == LIVING | ENDED
