"""The words of the desk's commands: what is wrong with one is said before anything is asked of anybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import typer
from typer.testing import CliRunner

from console.cli import app
from console.dead import FILTERS, STATES, select
from console.options import read_moment, read_span
from db.dead_letters import Selection
from workers import replays

WRONG = [
    ("queues pause webhook --reason r", "webhooks, effects, reconcile, bulk"),
    ("queues pause webhooks", "--reason"),
    ("queues pause webhooks --reason ''", "--reason"),
    ("queues pause webhooks --reason 'two\nlines'", "--reason"),
    (f"queues pause webhooks --reason {'r' * 501}", "--reason"),
    ("queues pause webhooks --reason half-\udcff", "--reason"),
    ("queues pause webhooks --reason r --for soon", "--for"),
    ("queues pause webhooks --reason r --for 0s", "--for"),
    ("queues pause webhooks --reason r --as ' '", "--as"),
    ("queues resume webhook", "NAME"),
    ("jobs run prun", "prune"),
    ("events list --status waiting", "received, retry, done, ignored, dead"),
    ("events list --since yesterday", "--since"),
    ("events list --order 17", "--order"),
    ("events list --before 17", "--before"),
    ("events list --limit 0", "--limit"),
    ("events list --limit 1001", "--limit"),
    ("events show evt_1 --reveal", "--reason"),
    ("events replay", "ID"),
    ("events replay evt_1", "--reason"),
    (f"events replay {'evt_1 ' * 501} --reason r", "at most 500"),
    ("dead list --group --filter gateway=stripe", "--group"),
    ("dead list --state closed", "--state"),
    ("dead list --after 17", "--after"),
    ("dead list --filter gateway", "--filter"),
    ("dead list --filter error=x", ", ".join(FILTERS)),
    ("dead list --filter since=soon", "--filter"),
    ("dead retry --reason r", "--all"),
    ("dead retry evt_1 --all --reason r", "--all"),
    ("dead retry evt_1", "--reason"),
    ("dead retry evt_1 --reason r --max 0", "--max"),
    ("dead retry evt_1 --reason r --max 10001", "--max"),
    ("dead retry evt_1 --reason r --rate 0", "--rate"),
    ("dead discard --reason r", "--all"),
    ("dead discard evt_1", "--reason"),
]


@pytest.mark.parametrize(("line", "named"), WRONG, ids=[line[:50] for line, _ in WRONG])
def test_a_wrong_word_ends_with_2_and_is_named(line: str, named: str) -> None:
    ended = CliRunner(env={"COLUMNS": "250", "COUNTERFOIL_DATA_DIR": "/nowhere"}).invoke(app, split(line))

    assert ended.exit_code == 2
    assert named in ended.output


def split(line: str) -> list[str]:
    """As a shell would: quoted words stay one."""
    parts = line.split("'")
    return [word for place, part in enumerate(parts) for word in ([part] if place % 2 else part.split())]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("31m", 1860), ("1h30m", 5400), ("2d", 172800), ("1w", 604800)]
)
def test_a_span_is_read(text: str, seconds: int) -> None:
    assert read_span(text, "--for") == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "1", "h", "1.5h", "-1h", "1h ", "1y", "٣h", "1234567s"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        read_span(text, "--for")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-22T10:30", datetime(2026, 11, 22, 10, 30, tzinfo=UTC)),
        ("2026-11-22T10:30:00+05:30", datetime(2026, 11, 22, 5, 0, tzinfo=UTC)),
    ],
)
def test_a_moment_is_utc_unless_it_says_otherwise(text: str, moment: datetime) -> None:
    assert read_moment(text, "--since") == moment


def test_a_span_ago_is_a_moment_too() -> None:
    before = datetime.now(UTC)

    moment = read_moment("24h", "--since")

    assert before <= moment + timedelta(hours=24) <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["now", "22.11.2026", "999999w", "0001-01-01T00:00+14:00", "2026-13-01"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        read_moment(text, "--since")


def test_letters_are_named_by_ids_and_by_what_fits() -> None:
    named = select(["evt_1"], ["gateway=stripe", "type=a=b", "class=permanent", "cause=0123", "source=effect"])

    assert named == Selection(
        ids=("evt_1",), gateway="stripe", what="a=b", trouble_class="permanent", fingerprint="0123", source="effect"
    )


def test_all_letters_are_meant_only_where_that_is_said() -> None:
    assert select(None, None, everything=True).is_everything
    with pytest.raises(typer.BadParameter):
        select(None, None, everything=False)


def test_a_batch_is_as_large_and_as_quick_as_its_worker_takes_it_to_be() -> None:
    help_ = CliRunner(env={"COLUMNS": "250"}).invoke(app, ["dead", "retry", "--help"]).output

    assert f"[default: {replays.CAP}]" in help_
    assert f"[default: {replays.PER_SECOND}]" in help_
    assert STATES[0] == "open"
