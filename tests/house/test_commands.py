"""What the pages say of the commands is what the commands are: names, options, filters, fields, exit codes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from console import dead_batches, event_file, jobs, rehearsals, status_page
from console.dead import FILTERS
from console.health import PostgresState
from console.ledgers import COLUMNS
from console.queue_lines import QueueLine, Rest
from console.verdict import Problem, Verdict
from db.dead_letters import Group, Letter
from db.event_search import Listed
from db.ids import new_id
from db.refunds import Refund
from payments.totals import Total
from tests.house.pages import DOCS, FENCE, PAGES, name, quoted, rows, section, text
from tests.unit.test_verdict import WELL, job
from workers.redis_state import RedisState
from workers.replays import Batch, Rehearsal, Replayed
from workers.webhook_events import Worked

OPERATIONS = DOCS / "operations.md"

ROOT: Any = typer.main.get_group(import_module("local.__main__").app)


def _lines(page: Path) -> Iterator[str]:
    """Every command of ours that the page shows, whether alone in a line or within a sentence."""
    whole = [line.removeprefix("$ ") for _, block in FENCE.findall(text(page)) for line in block.splitlines()]
    told = re.findall(r"`(counterfoil [^`\n]+)`", text(page))
    for line in (*whole, *told):
        if re.match(r"(\.venv/bin/)?counterfoil [a-z]", line):
            yield line.partition(" | ")[0].partition("; ")[0].partition(" <(")[0]


SHOWN = [(page, line) for page in PAGES for line in _lines(page)]


def test_the_pages_show_commands() -> None:
    assert len(SHOWN) > 30


@pytest.mark.parametrize(("page", "line"), SHOWN, ids=[f"{name(page)}: {line}" for page, line in SHOWN])
def test_a_command_that_a_page_shows_is_one(page: Path, line: str) -> None:
    command, words = ROOT, shlex.split(line)[1:]
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}

    if hasattr(command, "commands"):
        assert not words, f"{name(page)}: {line}"
    assert {word for word in words if word.startswith("--")} <= options, f"{name(page)}: {line}"


def test_every_filter_is_told() -> None:
    told_of = {word for cells in rows(section(OPERATIONS, "Dead letters")) for word in quoted(cells[0])}

    assert told_of == set(FILTERS)


def test_every_verdict_is_told_with_its_code() -> None:
    told_of = {cells[0].strip("`"): int(cells[1]) for cells in rows(section(OPERATIONS, "Is all well?"))}

    assert told_of == {verdict.value: verdict.exit_code for verdict in Verdict}


def names_of(*kinds: type[Any]) -> set[str]:
    return {field.name for kind in kinds for field in fields(kind)}


def told_fields(command: str) -> set[str]:
    cells = next(cells for cells in rows(section(OPERATIONS, "What programs get")) if f"`{command}`" in cells[0])
    return set(quoted(cells[1])) - {"--group"}


LETTER = names_of(Letter) - {"message"}
EVENT = Listed(**dict.fromkeys(names_of(Listed)))  # type: ignore[arg-type]  # its names alone are asked for
REHEARSAL = Rehearsal(new_id(), Worked.DONE, None)


def test_every_field_that_programs_get_is_told() -> None:
    health = status_page.as_told(WELL, Verdict.HEALTHY, [])
    parts = names_of(Problem, PostgresState, RedisState) | {"advice", "open", "causes", "kinds"}

    assert told_fields("status") == {*health, *parts, *health["gateways"][0]}
    assert told_fields("events list") == names_of(Listed)
    assert told_fields("events show") == names_of(event_file.EventFile) - {"event", "letters"} | {"dead_letters"}
    assert told_fields("events replay") == names_of(Replayed) | set(rehearsals.as_told(EVENT, REHEARSAL))
    line = {"recorded_at", "at", "kind", "id", "subject", "subject_id", "says", "detail", "hidden"}
    assert told_fields("explain order") == {"user", "orders", "subscriptions", "timeline", "next"} | line
    assert told_fields("movements") == {*COLUMNS, "movements", "totals", "amount"} | names_of(Total)
    assert told_fields("dead list") == LETTER | names_of(Group)
    assert told_fields("dead show") == {"message", "tried"}
    assert told_fields("dead retry") == set(dead_batches.Done("retry", 0, Batch(None, ())).told())
    assert told_fields("refunds list") == names_of(Refund)
    assert told_fields("queues list") == names_of(QueueLine, Rest)
    assert told_fields("jobs list") == set(jobs.as_told(job("sweep")))
