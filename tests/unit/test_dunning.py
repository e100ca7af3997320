"""The policy as a file says it, and the steps that follow from it."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from payments.dunning import DEFAULT, FIELDS, Period, Policy, PolicyError, due, next_step_at, read_policy, steps
from payments.invoice import Invoice, InvoiceReason, InvoiceStatus
from payments.occurrence import Occurrence
from payments.snapshot import ENDED, SubscriptionStatus
from tests.subscribed import DAY, MONTH, NOON, NOTHING, TEN, snapshot

FILE = Path(__file__).parents[2] / "dunning.toml"
TRIALING, ACTIVE, PAST_DUE = SubscriptionStatus.TRIALING, SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE
PAUSED = SubscriptionStatus.PAUSED
FAILING = Invoice("in_2", InvoiceStatus.OPEN, InvoiceReason.RENEWAL, TEN, NOTHING, attempts=1, failing_since=NOON)


# --- the file ---


def test_the_file_says_what_holds_without_it_in_every_field() -> None:
    told = tomllib.loads(FILE.read_text(encoding="utf-8"))

    assert read_policy(told) == read_policy({}) == DEFAULT
    assert set(told) == set(FIELDS)


def test_every_field_of_the_policy_has_its_name_in_the_file() -> None:
    assert {field for field, _ in FIELDS.values()} == set(Policy.__slots__)


def test_what_is_said_is_read() -> None:
    told = {
        "suspend_after_days": 5,
        "remind_after_days": [],
        "cancel_after_days": False,
        "grace_hours": 1,
        "pause_keeps_paid_time": False,
        "trial_notice_days": False,
        "renewal_notice_days": 30,
        "refunded_invoice": "keep",
        "disputed_invoice": "keep",
    }

    assert read_policy(told) == Policy(
        suspend_after=5 * DAY,
        remind_after=(),
        cancel_after=None,
        grace=timedelta(hours=1),
        pause_keeps_paid_time=False,
        trial_notice=None,
        renewal_notice=30 * DAY,
        refunded_invoice=Period.KEEP,
        disputed_invoice=Period.KEEP,
    )


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"suspend_days": 1}, "suspend_days is not a field"),
        ({"suspend_after_days": -1}, "suspend_after_days takes"),
        ({"suspend_after_days": True}, "suspend_after_days takes"),
        ({"suspend_after_days": 1.5}, "suspend_after_days takes"),
        ({"cancel_after_days": "never"}, "cancel_after_days takes"),
        ({"cancel_after_days": 366}, "cancel_after_days takes"),
        ({"grace_hours": False}, "grace_hours takes"),
        ({"grace_hours": 721}, "grace_hours takes"),
        ({"remind_after_days": 3}, "remind_after_days takes"),
        ({"remind_after_days": [7, 3]}, "remind_after_days takes"),
        ({"remind_after_days": [3, 3]}, "remind_after_days takes"),
        ({"remind_after_days": [0, 3]}, "remind_after_days takes"),
        ({"remind_after_days": [None]}, "remind_after_days takes"),
        ({"remind_after_days": list(range(1, 22))}, "remind_after_days takes"),
        ({"pause_keeps_paid_time": 1}, "pause_keeps_paid_time takes"),
        ({"trial_notice_days": {}}, "trial_notice_days takes"),
        ({"renewal_notice_days": None}, "renewal_notice_days takes"),
        ({"refunded_invoice": "suspend"}, "refunded_invoice takes revoke or keep"),
        ({"disputed_invoice": []}, "disputed_invoice takes suspend or keep"),
        ({"cancel_after_days": 7}, "cancel_after_days must be more than the last of remind_after_days"),
        ({"cancel_after_days": 0, "remind_after_days": []}, "cancel_after_days must be more"),
        ({"suspend_after_days": 22}, "suspend_after_days must not be more"),
    ],
)
def test_what_is_wrong_is_named(told: dict[str, object], words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        read_policy(told)


# --- the steps ---


def found(after_failure: timedelta, policy: Policy = DEFAULT, **more: Any) -> list[str]:
    fields: dict[str, Any] = {"status": PAST_DUE, "snapshot": None, "failing": FAILING, **more}
    return [f"{owed.kind} {owed.what}" for owed in due(steps(policy=policy, **fields), NOON + after_failure)]


@pytest.mark.parametrize(
    ("days", "owed"),
    [
        (0, []),
        (2, []),
        (3, ["payment_reminder in_2:3d"]),
        (7, ["payment_reminder in_2:7d"]),
        (20, ["payment_reminder in_2:7d"]),
        (21, ["given_up in_2"]),
        (300, ["given_up in_2"]),
    ],
)
def test_a_failed_renewal_is_reminded_of_and_then_given_up(days: int, owed: list[str]) -> None:
    assert found(days * DAY) == owed


def test_a_clock_that_comes_back_sends_one_letter_and_not_those_that_it_missed() -> None:
    assert found(8 * DAY, replace(DEFAULT, remind_after=(DAY, 3 * DAY, 7 * DAY))) == ["payment_reminder in_2:7d"]


def test_without_an_end_it_is_never_given_up() -> None:
    assert found(300 * DAY, replace(DEFAULT, cancel_after=None)) == ["payment_reminder in_2:7d"]
    assert found(300 * DAY, replace(DEFAULT, cancel_after=None, remind_after=())) == []


@pytest.mark.parametrize("status", [*sorted(ENDED), PAUSED])
def test_what_has_ended_or_is_paused_is_owed_nothing(status: SubscriptionStatus) -> None:
    assert found(21 * DAY, status=status, snapshot=snapshot(status)) == []


TRIAL_END = NOON + 14 * DAY

# fmt: off
NOTICES: list[tuple[str, SubscriptionStatus, dict[str, Any], timedelta, list[str]]] = [
    ("long before a trial's end",       TRIALING, {"trial_end": TRIAL_END},                     10 * DAY, []),
    ("three days before",               TRIALING, {"trial_end": TRIAL_END},                     11 * DAY, [f"trial_ending {TRIAL_END.isoformat()}"]),
    ("when it is over",                 TRIALING, {"trial_end": TRIAL_END},                     14 * DAY, []),
    ("a trial that will not renew",     TRIALING, {"trial_end": TRIAL_END, "ends_at": TRIAL_END}, 11 * DAY, []),
    ("a trial without an end",          TRIALING, {},                                           11 * DAY, []),
    ("long before a renewal",           ACTIVE,   {},                                           22 * DAY, []),
    ("seven days before",               ACTIVE,   {},                                           23 * DAY, [f"upcoming_invoice {(NOON + MONTH).isoformat()}"]),
    ("when it is due",                  ACTIVE,   {},                                           30 * DAY, []),
    ("one that will not renew",         ACTIVE,   {"cancel_at_period_end": True},               23 * DAY, []),
    ("a period without an end",         ACTIVE,   {"period_end": None},                         23 * DAY, []),
    ("while a payment fails",           PAST_DUE, {},                                           23 * DAY, []),
]
# fmt: on


@pytest.mark.parametrize(("name", "status", "more", "passed", "owed"), NOTICES, ids=[case[0] for case in NOTICES])
def test_what_is_said_beforehand(
    name: str, status: SubscriptionStatus, more: dict[str, Any], passed: timedelta, owed: list[str]
) -> None:
    assert found(passed, status=status, snapshot=snapshot(status, **more), failing=None) == owed, name


def test_a_policy_that_says_nothing_beforehand_says_nothing() -> None:
    silent = replace(DEFAULT, trial_notice=None, renewal_notice=None)

    assert steps(TRIALING, snapshot(TRIALING, trial_end=TRIAL_END), None, silent) == ()
    assert steps(ACTIVE, snapshot(), None, silent) == ()


def test_the_next_step_is_the_first_that_lies_ahead() -> None:
    ahead = steps(PAST_DUE, snapshot(PAST_DUE), FAILING, DEFAULT)

    assert next_step_at(ahead, NOON) == NOON + 3 * DAY
    assert next_step_at(ahead, NOON + 3 * DAY) == NOON + 7 * DAY
    assert next_step_at(ahead, NOON + 21 * DAY) is None


def test_a_notice_tells_the_moment_and_the_price() -> None:
    [step] = steps(ACTIVE, snapshot(), None, DEFAULT, TEN)

    assert (step.owed.kind, step.owed.at, step.owed.due) == (Occurrence.UPCOMING_INVOICE, NOON + MONTH, TEN)
