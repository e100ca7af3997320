"""The calendar that ``counterfoil dunning simulate`` prints: by the real rules, for any policy."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from console.cli import app
from console.simulated_life import Decline, Interval, Life, Moment, play
from payments.access import AccessReason
from payments.dunning import DEFAULT, Policy, read_policy

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


def dated(moments: list[Moment]) -> list[tuple[int, str | None, tuple[str, ...]]]:
    return [((moment.at - START).days, moment.said, moment.follows) for moment in moments]


def test_the_calendar_of_a_month_with_a_trial_that_fails_at_its_second_renewal() -> None:
    moments = list(play(Life(START, trial_days=14, fail_at=2), DEFAULT))

    assert dated(moments) == [
        (0, "begun, on trial", ("started",)),
        (11, None, ("trial_ending",)),
        (14, "renewal 1 paid", ("renewed",)),
        (35, None, ("upcoming_invoice",)),
        (42, "renewal 2 failed, attempt 1", ("renewal_failed", "access_suspended")),
        (45, "renewal 2 failed, attempt 2", ("payment_reminder",)),
        (47, "renewal 2 failed, attempt 3", ()),
        (49, "renewal 2 failed, attempt 4", ("payment_reminder",)),
        (63, None, ("given_up",)),
        (63, "cancelled", ("cancelled",)),
    ]
    assert [moment.access.active for moment in moments] == [True] * 4 + [False] * 6


def test_a_month_is_as_long_as_the_gateway_makes_it() -> None:
    life = Life(START)

    assert [f"{life.renewal(number):%Y-%m-%d}" for number in range(4)] == [
        "2026-01-31",
        "2026-02-28",
        "2026-03-31",
        "2026-04-30",
    ]
    assert Life(START, Interval.YEAR, trial_days=14).renewal(2) == datetime(2027, 2, 14, 12, tzinfo=UTC)


@pytest.mark.parametrize("decline", list(Decline))
def test_what_no_attempt_will_help_asks_for_a_card(decline: Decline) -> None:
    [failure] = [
        moment for moment in play(Life(START, decline=decline), DEFAULT) if moment.said and "attempt 1" in moment.said
    ]

    wants_card = decline in {Decline.DO_NOT_TRY_AGAIN, Decline.EXPIRED_CARD}
    assert failure.follows[0] == ("card_update_needed" if wants_card else "renewal_failed")


@pytest.mark.parametrize(
    ("told", "last_access"),
    [
        ({"suspend_after_days": 5, "cancel_after_days": False}, AccessReason.PAYMENT_FAILED),
        ({"suspend_after_days": False, "cancel_after_days": False}, AccessReason.GRACE),
        ({"suspend_after_days": False}, AccessReason.CANCELLED),
    ],
)
def test_any_policy_comes_to_an_end(told: dict[str, object], last_access: AccessReason) -> None:
    *_, last = play(Life(START), read_policy(told))

    assert last.access.reason is last_access


def test_a_policy_that_suspends_later_says_when() -> None:
    moments = list(play(Life(START), Policy(suspend_after=timedelta(days=5))))

    [suspended] = [moment for moment in moments if "access_suspended" in moment.follows]
    assert suspended.at == Life(START).renewal(1) + timedelta(days=5)


# --- the command ---


def run(*words: str, **environment: str) -> Result:
    return CliRunner(env={"COLUMNS": "250", **environment}).invoke(app, ["dunning", "simulate", *words])


def test_the_command_prints_a_line_for_each_moment_for_people_and_programs() -> None:
    lines = run("--trial-days", "14").stdout.splitlines()
    told = json.loads(run("--trial-days", "14", "--json").stdout)

    assert len(lines) == len(told)
    assert lines[0].split("\t")[1:3] == ["0", "begun, on trial"]
    assert told[0]["effects"] == ["mail.subscription_started", "notify.subscription.started"]
    assert told[0]["access"]["reason"] == "trial"


def test_another_policy_is_named_by_its_file_or_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "patient.toml"
    file.write_text("cancel_after_days = false\n", encoding="utf-8")

    for said in (run("--policy", str(file)), run(DUNNING_FILE=str(file))):
        assert said.exit_code == 0
        assert "gateway.cancel_subscription" not in said.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"cancel_after_days = -1", "cancel_after_days takes a whole number from 0 to 365"),
        (b"cancel_after = 1", "cancel_after is not a field"),
        (b"= 1", "is not TOML"),
        (b"\xff", "is not TOML"),
        (b"#" * 65537, "is longer than a policy can be"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_policy_is_refused_with_a_sentence(tmp_path: Path, text: bytes | None, words: str) -> None:
    file = tmp_path / "dunning.toml"
    if text is not None:
        file.write_bytes(text)

    said = run("--policy", str(file))

    assert said.exit_code == 1
    assert words in said.stderr
    assert said.stdout == ""
