"""What the pages tell of the timetable, the invariants and the retention is what the code does."""

from __future__ import annotations

import re

from db import invariants
from schedules.job import CatchUp
from schedules.listing import in_words
from schedules.timetable import TIMETABLE
from tests.house.pages import DOCS, quoted, rows, section, text

DEPLOYMENT, RUNBOOK = DOCS / "deployment.md", DOCS / "runbook.md"

AFTER_A_GAP = {CatchUp.SKIP: "goes on", CatchUp.LATEST: "one run", CatchUp.ALL: "every slot"}

#: Names that users and their scripts rely on.
PROMISED = {"sweep", "recover_orphans", "backfill_events", "dunning", "invariants", "prune"}


def test_every_job_is_told_with_its_period_and_what_becomes_of_a_gap() -> None:
    told_of = [
        (cells[0].strip("`"), f"every {cells[1]}", cells[2]) for cells in rows(section(DEPLOYMENT, "The timetable"))
    ]

    assert sorted(told_of) == sorted((job.name, in_words(job.every), AFTER_A_GAP[job.catch_up]) for job in TIMETABLE)


def test_the_names_that_are_promised_are_jobs() -> None:
    assert {job.name for job in TIMETABLE} >= PROMISED


def test_a_job_says_what_it_does_in_one_sentence() -> None:
    assert all(re.fullmatch(r"[A-Z][^.]+\.", job.says) for job in TIMETABLE)


def test_every_invariant_is_in_the_runbook() -> None:
    told_of = [word for cells in rows(section(RUNBOOK, "An invariant is broken")) for word in quoted(cells[0])]

    assert sorted(told_of) == sorted(invariant.kind for invariant in invariants.load())


def test_an_invariant_opens_with_the_sentence_that_it_holds() -> None:
    for invariant in invariants.load():
        assert re.fullmatch(r"[A-Z].* (never|always) .*\.", invariant.says), invariant.name


def test_what_the_pages_say_of_pruning_is_what_the_statements_say() -> None:
    source = text("db/pruning.py")
    told = section(DEPLOYMENT, "Retention")

    for interval, words in (
        ("48 hours", "48 hours"),
        ("30 days", "30 days"),
        ("90 days", "90"),
        ("7 days", "a week"),
    ):
        assert f"interval '{interval}'" in source
        assert words in told
