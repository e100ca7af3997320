"""Access as a table: what a subscription can point to, the moment, and what it gives then."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.access import NONE_YET, Access, AccessReason, Claim, best_claim, decide_access, turning_points
from payments.dunning import DEFAULT, Policy
from payments.invoice import TakenBack
from payments.snapshot import SubscriptionStatus
from tests.subscribed import DAY, MONTH, NOON

INCOMPLETE, TRIALING, ACTIVE = SubscriptionStatus.INCOMPLETE, SubscriptionStatus.TRIALING, SubscriptionStatus.ACTIVE
PAST_DUE, PAUSED, UNPAID = SubscriptionStatus.PAST_DUE, SubscriptionStatus.PAUSED, SubscriptionStatus.UNPAID
CANCELLED, EXPIRED = SubscriptionStatus.CANCELLED, SubscriptionStatus.EXPIRED

END = NOON + MONTH
SOON, LATE = END - DAY, END + 2 * DAY
HOUR = timedelta(hours=1)
PATIENT = replace(DEFAULT, suspend_after=timedelta(days=5))
ENDLESS = replace(DEFAULT, suspend_after=None)
STRICT = replace(DEFAULT, pause_keeps_paid_time=False, grace=timedelta(0))

REFUNDED, DISPUTED = TakenBack.REFUNDED, TakenBack.DISPUTED


def claim(status: SubscriptionStatus = ACTIVE, **more: Any) -> Claim:
    return Claim(status, **{"paid_until": END, **more})


def gives(reason: AccessReason, until: datetime | None) -> Access:
    return Access(active=True, until=until, reason=reason)


def refuses(reason: AccessReason, until: datetime | None) -> Access:
    return Access(active=False, until=until, reason=reason)


# fmt: off
CASES: list[tuple[str, Claim, Policy, datetime, Access]] = [
    # Nothing is paid.
    ("incomplete is not paid",              Claim(INCOMPLETE),                          DEFAULT, NOON, NONE_YET),
    ("a status alone gives nothing",        Claim(ACTIVE),                              DEFAULT, NOON, NONE_YET),
    ("nor does a trial that was not sold",  Claim(TRIALING),                            DEFAULT, NOON, NONE_YET),
    ("nor does a debt",                     Claim(UNPAID, failing_since=NOON),          ENDLESS, NOON, NONE_YET),
    # It is paid, or on trial.
    ("on trial",                            Claim(TRIALING, trial_end=END),             DEFAULT, SOON, gives(AccessReason.TRIAL, END)),
    ("paid",                                claim(),                                    DEFAULT, SOON, gives(AccessReason.PAID, END)),
    ("paid beyond its trial",               claim(trial_end=NOON),                      DEFAULT, SOON, gives(AccessReason.PAID, END)),
    ("its trial is over, and it is active", Claim(ACTIVE, trial_end=END),               DEFAULT, SOON, gives(AccessReason.PAID, END)),
    ("paid, and not said to live yet",      claim(INCOMPLETE),                          DEFAULT, SOON, gives(AccessReason.PAID, END)),
    ("a payment failed, which is not said", claim(PAST_DUE),                            DEFAULT, SOON, gives(AccessReason.PAID, END)),
    # The period is over.
    ("its renewal is on its way",           claim(),                                    DEFAULT, END + HOUR, gives(AccessReason.GRACE, END + DAY)),
    ("its first charge is on its way",      Claim(TRIALING, trial_end=END),             DEFAULT, END, gives(AccessReason.GRACE, END + DAY)),
    ("no renewal came",                     claim(),                                    DEFAULT, LATE, refuses(AccessReason.ENDED, END + DAY)),
    ("no renewal came, and no grace",       claim(),                                    STRICT,  END,  refuses(AccessReason.ENDED, END)),
    ("a debt has no grace",                 claim(PAST_DUE),                            DEFAULT, END,  refuses(AccessReason.PAYMENT_FAILED, END)),
    # Its money went back.
    ("all of it",                           Claim(ACTIVE, taken_back=REFUNDED),         DEFAULT, SOON, refuses(AccessReason.REFUNDED, None)),
    ("after a month that stays paid",       claim(taken_back=REFUNDED),                 DEFAULT, END,  refuses(AccessReason.REFUNDED, END)),
    ("within a month that stays paid",      claim(taken_back=DISPUTED),                 DEFAULT, SOON, gives(AccessReason.PAID, END)),
    ("or a bank has it",                    claim(taken_back=DISPUTED),                 DEFAULT, END,  refuses(AccessReason.DISPUTED, END)),
    # It is set to end.
    ("to the end that it is set to",        claim(ends_at=END),                         DEFAULT, SOON, gives(AccessReason.PAID, END)),
    ("which comes without grace",           claim(ends_at=END),                         DEFAULT, END,  refuses(AccessReason.CANCELLED, END)),
    ("set to end within its period",        claim(ends_at=SOON),                        DEFAULT, SOON, refuses(AccessReason.CANCELLED, SOON)),
    ("set to end after one more renewal",   claim(ends_at=END + MONTH),                 DEFAULT, END,  gives(AccessReason.GRACE, END + DAY)),
    ("set to end within the grace",         claim(ends_at=END + HOUR),                  DEFAULT, END,  gives(AccessReason.GRACE, END + HOUR)),
    # Its renewal failed.
    ("suspended at once",                   claim(PAST_DUE, failing_since=END),         DEFAULT, END,  refuses(AccessReason.PAYMENT_FAILED, END)),
    ("also if its status is not told yet",  claim(failing_since=END),                   DEFAULT, END,  refuses(AccessReason.PAYMENT_FAILED, END)),
    ("and if the gateway gave it up",       claim(UNPAID, failing_since=END),           DEFAULT, LATE, refuses(AccessReason.PAYMENT_FAILED, END)),
    ("suspended after some days",           claim(PAST_DUE, failing_since=END),         PATIENT, LATE, gives(AccessReason.GRACE, END + 5 * DAY)),
    ("which are over",                      claim(PAST_DUE, failing_since=END),         PATIENT, END + 5 * DAY, refuses(AccessReason.PAYMENT_FAILED, END + 5 * DAY)),
    ("never suspended",                     claim(PAST_DUE, failing_since=END),         ENDLESS, LATE, gives(AccessReason.GRACE, None)),
    ("not beyond the end it is set to",     claim(failing_since=END, ends_at=LATE),     ENDLESS, LATE, refuses(AccessReason.PAYMENT_FAILED, LATE)),
    # It is paused.
    ("paused, in paid time",                claim(PAUSED),                              DEFAULT, SOON, gives(AccessReason.PAID, END)),
    ("paused, and no paid time left",       claim(PAUSED),                              DEFAULT, END,  refuses(AccessReason.PAUSED, END)),
    ("paused, where a pause ends access",   claim(PAUSED),                              STRICT,  SOON, refuses(AccessReason.PAUSED, None)),
    ("paused, whatever failed before",      claim(PAUSED, failing_since=NOON),          DEFAULT, SOON, gives(AccessReason.PAID, END)),
    # It has ended.
    ("cancelled, in paid time",             claim(CANCELLED, ended_at=NOON),            DEFAULT, SOON, refuses(AccessReason.CANCELLED, NOON)),
    ("come to its own end, which is ahead", claim(EXPIRED, ended_at=END),               DEFAULT, SOON, gives(AccessReason.PAID, END)),
    ("come to its own end",                 claim(EXPIRED, ended_at=END),               DEFAULT, END,  refuses(AccessReason.ENDED, END)),
    ("expired before it was paid",          Claim(EXPIRED, ended_at=END),               DEFAULT, SOON, refuses(AccessReason.ENDED, END)),
]
# fmt: on


@pytest.mark.parametrize(("name", "held", "policy", "now", "access"), CASES, ids=[case[0] for case in CASES])
def test_f76_access_follows_the_policy_and_not_the_status(
    name: str, held: Claim, policy: Policy, now: datetime, access: Access
) -> None:
    assert decide_access(held, policy, now) == access, name


MOMENTS = st.none() | st.integers(0, 90).map(lambda days: NOON + days * DAY)
CLAIMS = st.builds(
    Claim,
    status=st.sampled_from(SubscriptionStatus),
    paid_until=MOMENTS,
    trial_end=MOMENTS,
    ends_at=MOMENTS,
    ended_at=MOMENTS,
    failing_since=MOMENTS,
)
POLICIES = st.sampled_from([DEFAULT, PATIENT, ENDLESS, STRICT])


@settings(max_examples=150, deadline=None)
@given(CLAIMS, POLICIES, st.integers(0, 120), st.integers(1, 30))
def test_access_changes_at_its_turning_points_alone(held: Claim, policy: Policy, day: int, more: int) -> None:
    was, now = NOON + day * DAY + HOUR, NOON + (day + more) * DAY + HOUR
    before, after = decide_access(held, policy, was), decide_access(held, policy, now)

    if not any(was < moment <= now for moment in turning_points(held, policy)):
        assert (before.active, before.reason) == (after.active, after.reason)


@settings(max_examples=100, deadline=None)
@given(CLAIMS, POLICIES, st.integers(0, 120))
def test_nobody_has_access_who_has_neither_paid_nor_a_trial(held: Claim, policy: Policy, day: int) -> None:
    access = decide_access(held, policy, NOON + day * DAY)

    assert not access.active or held.covered_until is not None
    assert not access.active or access.until is None or access.until > NOON + day * DAY


def test_the_clock_comes_when_a_patient_policy_has_waited_long_enough() -> None:
    assert END + 5 * DAY in turning_points(claim(PAST_DUE, failing_since=END), PATIENT)
    assert list(turning_points(claim(CANCELLED, ended_at=NOON), PATIENT)) == []
    assert list(turning_points(Claim(INCOMPLETE), PATIENT)) == []


def test_f75_the_end_of_an_older_subscription_takes_nothing_from_a_newer_one() -> None:
    older = decide_access(claim(CANCELLED, ended_at=NOON), DEFAULT, SOON)
    newer = decide_access(claim(), DEFAULT, SOON)

    assert best_claim([newer, older]) == best_claim([older, newer]) == newer
    assert best_claim([]) is None


def test_of_two_that_give_access_the_longer_one_counts() -> None:
    month, year, ever = (gives(AccessReason.PAID, until) for until in (END, NOON + 365 * DAY, None))

    assert best_claim([year, month]) == year
    assert best_claim([ever, year]) == ever
