"""What the pages list is what the code does. A failure names the page, and what to write or to take out."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import fields
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from pydantic_settings import BaseSettings

import checkout.app
import checkout.metrics
import schedules.metrics
import workers.metrics
from checkout.openapi import PATHS
from checkout.settings import CheckoutSettings
from console.plans import Entry, read
from db.pool import Pool
from gateways.gateway import Secret
from gateways.razorpay.events import _FACTS
from gateways.razorpay.settings import RazorpaySettings
from gateways.registry import GATEWAYS
from gateways.stripe.events import _CHAPTERS
from gateways.stripe.settings import StripeSettings
from ingress.app import PLAIN_PATHS
from ingress.metrics import Metrics
from payments.dispute import DisputeStatus
from payments.effects import EffectKind
from payments.events import Event
from payments.failure import REMEDIES
from payments.money import Money
from payments.order import LateSuccess, Move, OrderStatus, Outcome
from payments.refund import RefundStatus
from payments.subscription import MOVES, Difference, Followed, FollowOutcome, Subscription
from schedules.figures import RecordFigures
from schedules.redis_watch import RedisWatch
from settings import Settings
from tests.builders import keep
from tests.house.pages import DOCS, PAGES, ROOT, anchors, blocks, name, prose, quoted, rows, section, text
from web.watching import PLAIN_PATHS as WATCHED_PATHS
from workers.apply import NotSubscribed
from workers.hints import Hints
from workers.queues import QUEUES
from workers.webhook_events import told

EVENTS, DEPLOYMENT, RUNBOOK = DOCS / "events.md", DOCS / "deployment.md", DOCS / "runbook.md"
CHECKOUT = DOCS / "checkout.md"
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))


# --- the pages themselves ---


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        if link.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{name(page)}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{name(page)}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    named = {word for word in quoted(text(page)) if re.fullmatch(r"[\w.-]+(/[\w.-]+)*/([\w-]+\.\w+)?", word)}
    ours = {word for word in named if not word.startswith(".counterfoil/")}  # a running stack's own

    assert not [word for word in ours if not (ROOT / word).exists()], name(page)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_is_calm(page: Path) -> None:
    words = re.findall(r"\b(simply|just|obviously|easily|blazing|seamless\w*|powerful)\b", prose(page), re.IGNORECASE)

    assert not words, f"{name(page)}: {words} says nothing"
    assert "!" not in prose(page), f"{name(page)}: no exclamation marks"
    assert not re.findall(r"\b(?:TO" r"DO|FIX" r"ME|TB" r"D)\b", text(page)), name(page)


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [(page.parent / link).resolve() for link in re.findall(r"\]\(([^)#\s:]+)", text(page))]

    lost = {name(page) for page in PAGES} - {name(page) for page in reached}
    assert not lost, f"name it in the README's table, Where next: {lost}"


# --- README ---


def test_the_first_screen_has_the_two_commands_in_a_block_of_their_own() -> None:
    first, *_ = blocks("README.md", "")

    assert first == "make up\nmake test\n"
    assert text("README.md").index(first) < 1000


def test_the_processes_of_the_readme_are_those_of_the_procfile() -> None:
    bullets = re.findall(r"^- `(\w+)` ", section("README.md", "The processes"), re.MULTILINE)
    processes = [line.partition(":")[0] for line in text("Procfile").splitlines() if line]

    assert bullets == processes


def test_every_target_of_the_makefile_is_listed_by_make_itself() -> None:
    makefile = text("Makefile")
    targets = set(re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]
    # Started by make itself, as `make test` starts us, it would also tell of the directories it enters.
    listed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout

    assert {line.split()[1] for line in listed.splitlines()} == targets


def test_every_command_is_in_the_readme() -> None:
    told_of = {word for cells in rows(section("README.md", "The commands")) for word in quoted(cells[0])}

    assert told_of == set(_commands(typer.main.get_group(import_module("local.__main__").app)))


def _commands(group: Any, *words: str) -> Iterator[str]:
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, *words, word)
        else:
            yield " ".join((*words, word))


def test_the_changelog_knows_this_version() -> None:
    version = re.search(r'^version = "(.+)"', text("pyproject.toml"), re.MULTILINE)[1]  # type: ignore[index]

    assert re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", text("CHANGELOG.md"), re.MULTILINE)


# --- architecture and decisions ---


async def test_every_table_is_in_the_architecture(pool: Pool) -> None:
    tables = await pool.fetch(
        """
        SELECT relname FROM pg_class
         WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
        """
    )
    told_of = {word for cells in rows(section("ARCHITECTURE.md", "What is stored where")) for word in quoted(cells[0])}

    assert told_of == {row["relname"] for row in tables}


def test_the_twelve_promises_are_there_each_with_its_proof_or_a_plain_not_yet() -> None:
    promises = list(rows(section("ARCHITECTURE.md", "The promises")))

    assert [number for number, *_ in promises] == [str(n) for n in range(1, 13)]
    for number, _, held, proof in promises:
        assert quoted(proof) or "Not yet" in held, f"promise {number}"
        assert all(path.startswith("tests/") for path in quoted(proof)), f"promise {number}"


def test_the_layers_are_those_that_the_linter_holds() -> None:
    held = re.search(r"^layers = \[(.+)\]$", text("pyproject.toml"), re.MULTILINE)[1]  # type: ignore[index]
    drawn = next(block for block in blocks("ARCHITECTURE.md", "") if "payments" in block).strip()

    assert drawn.split(" ─▶ ") == re.findall(r'"([^"]+)"', held)


def test_every_folder_of_code_is_in_the_architecture() -> None:
    folders = {f"{path.parent.name}/" for path in ROOT.glob("*/__init__.py")} - {"tests/", "bench/"}
    told_of = {word for cells in rows(section("ARCHITECTURE.md", "Layers")) for word in quoted(cells[0])}

    assert told_of == folders


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: str(page.stem))
def test_a_decision_is_short_and_has_its_parts(page: Path) -> None:
    lines = text(page).splitlines()
    headings = [line for line in lines if line.startswith("## ")]

    assert lines[0].startswith(f"# {page.name[:4]}. ")
    assert lines[2].startswith("**Decision.** "), "the decision first, in words that can be quoted"
    assert headings == ["## Context", "## Consequences", "## Alternatives", "## Held by"]
    assert len(lines) <= 32
    assert "tests/" in section(page, "Held by"), "name the check that holds it"


def test_every_decision_is_in_the_list_and_numbered_without_a_gap() -> None:
    listed = re.findall(r"^\| \[\d{4}\]\((.+?)\)", text(DOCS / "decisions/README.md"), re.MULTILINE)

    assert listed == [page.name for page in DECISIONS]
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_the_glossary_is_sorted_and_says_each_word_once() -> None:
    words = [cells[0].strip("*").lower() for cells in rows(text(DOCS / "glossary.md"))]
    bare = [re.sub(r" \(.*", "", word) for word in words]

    assert len(set(words)) == len(words)
    assert bare == sorted(bare, key=lambda word: word.split())


# --- events ---


def test_the_handled_events_are_those_of_the_code() -> None:
    stripe = {kind: read for chapter in _CHAPTERS for kind, read in chapter.facts.items()}

    assert _told_facts("Stripe") == {kind: _facts_of(read) for kind, read in stripe.items()}
    assert _told_facts("Razorpay") == {kind: _facts_of(read) for kind, read in _FACTS.items()}


def _told_facts(title: str) -> dict[str, set[str]]:
    """By event type, our words for it; a row without a type speaks of the one above."""
    facts: dict[str, set[str]] = {}
    kind = ""
    for cells in rows(section(EVENTS, title)):
        kind = next(iter(quoted(cells[0])), kind)
        facts.setdefault(kind, set()).update(quoted(cells[2]))
    return facts


def _facts_of(read: Callable[..., Any]) -> set[str]:
    """The facts of ours that a function of translation can give."""
    return {fact.__name__ for fact in get_args(Event) if f"{fact.__name__}(" in inspect.getsource(read)}


def test_the_endpoints_are_told_to_subscribe_to_every_handled_event() -> None:
    told_of = {cells[0].lower(): set(quoted(cells[2])) for cells in rows(section(DEPLOYMENT, "The webhook endpoints"))}

    stripe, razorpay = _handled()
    assert told_of == {"stripe": stripe, "razorpay": razorpay}
    assert told_of.keys() == GATEWAYS.keys()


def _handled() -> tuple[set[str], set[str]]:
    """The event types that we translate, Stripe's and Razorpay's."""
    return {kind for chapter in _CHAPTERS for kind in chapter.facts}, set(_FACTS)


def test_every_reason_for_ignoring_an_event_is_told() -> None:
    assert _told_in("Reasons of `ignored`") == set(_ignored_because())


def _told_in(title: str) -> set[str]:
    return {word for cells in rows(section(EVENTS, title)) for word in quoted(cells[0])}


def _trees(*folders: str) -> Iterator[ast.AST]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield ast.parse(path.read_text(encoding="utf-8"))


def _calls(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in names:
            yield node


def _texts(nodes: list[ast.expr]) -> list[str]:
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def _ignored_because() -> Iterator[str]:
    for tree in _trees("gateways", "workers", "db", "ingress"):
        for call in _calls(tree, "Unhandled", "_ignore", "ignore"):
            yield from _texts(call.args)
        for call in _calls(tree, "replace", "Arrival"):
            yield from _texts([word.value for word in call.keywords if word.arg == "ignored_because"])
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == "_not_ours":
                yield from _texts(
                    [line.value for line in ast.walk(node) if isinstance(line, ast.Return) and line.value]
                )


def test_every_reason_of_a_done_event_is_told() -> None:
    reasons = {told(outcome) for kind in get_args(Outcome) for outcome in _outcomes(kind)}
    reasons |= {told(NotSubscribed()), *(told(followed) for followed in _followed())}
    reasons |= {f"refund_{status}" for status in RefundStatus} | {f"dispute_{status}" for status in DisputeStatus}
    reasons |= {*_booked()}

    # An early event is not done: it comes back, and in the end is dead. Names that conflict never reach the rules, nor
    # does what is told elsewhere.
    assert _told_in("Reasons of `done`") == reasons - {"early"} | {"reference_conflict", "fetching"}
    assert "early" in _told_in("Causes of `dead`")


def _outcomes(kind: type[Any]) -> list[Outcome]:
    """Samples of one kind of outcome; one for each status that an event leads to."""
    if kind is Move:
        return [Move(to) for to in (OrderStatus.PAID, OrderStatus.FAILED, OrderStatus.CANCELLED)]
    samples = {"Money": Money(1000, "usd"), "str": "", "Failure | None": None}
    return [kind(**{field.name: samples[str(field.type)] for field in fields(kind)})]


def _booked() -> Iterator[str]:
    for tree in _trees("workers"):
        for call in _calls(tree, "Booked"):
            yield from _texts(call.args)


def _followed() -> Iterator[Followed]:
    """Samples of what comes of a telling about a subscription; one for each status that it may move to."""
    for status in {to for _, to in MOVES}:
        after = Subscription("", status, "stripe", None, None, None, has_trial=False)
        yield from (Followed(after, outcome) for outcome in FollowOutcome)


async def test_every_status_of_an_event_is_told(pool: Pool) -> None:
    check = await pool.fetchval(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'webhook_events_status_check' LIMIT 1"
    )

    assert _told_in("What became of an event") >= set(check.split("'")[1::2])


def test_every_effect_is_told() -> None:
    assert _told_in("What follows a move") == {kind.value for kind in EffectKind}


def test_every_refusal_of_the_ingress_is_told() -> None:
    codes = {
        code for tree in _trees("ingress", "web") for call in _calls(tree, "Problem") for code in _texts(call.args[1:2])
    }
    told_of = {word for cells in rows(section(EVENTS, "What the ingress answers")) for word in quoted(cells[1])}

    assert told_of == codes | {"method_not_allowed"}  # which is the router's own


# --- checkout and plans ---


def test_the_routes_of_checkout_are_those_that_it_describes() -> None:
    described = {f"{method.upper()} {path}" for path, methods in PATHS.items() for method in methods}
    told_of = {cells[0].strip("`") for cells in rows(text(CHECKOUT)) if re.match(r"`[A-Z]+ /", cells[0])}

    assert told_of == described


def test_every_refusal_of_checkout_is_told() -> None:
    codes = {
        code
        for tree in _trees("checkout", "web")
        for call in _calls(tree, "Problem", "OrderProblem")
        for code in _texts(call.args[1:2])
    }
    told_of = {word for cells in rows(section(CHECKOUT, "Refusals")) for word in quoted(cells[1])}

    assert told_of == codes | {"not_found", "method_not_allowed"}  # which are the router's own


def test_every_failure_is_told_with_its_way_forward() -> None:
    cells = rows(section(CHECKOUT, "How an order stands"))

    assert {code.strip("`"): action.strip("`") for code, action, _ in cells} == {
        code.value: remedy.action.value for code, remedy in REMEDIES.items()
    }


def test_every_field_of_a_plan_is_told_with_its_default() -> None:
    told_of = {name.strip("`"): default for name, default, _ in rows(text(DOCS / "plans.md"))}

    assert told_of.keys() == Entry.model_fields.keys()
    assert {name for name, default in told_of.items() if default == "required"} == {
        name for name, field in Entry.model_fields.items() if field.is_required()
    }


def test_the_plans_that_are_shown_are_accepted(tmp_path: Path) -> None:
    [example] = blocks(DOCS / "plans.md", "toml")
    (tmp_path / "plans.toml").write_text(example, encoding="utf-8")

    assert [plan.id for plan in read(tmp_path / "plans.toml")] == ["lifetime", "team-monthly"]


# --- the runbook ---


def test_every_kind_of_discrepancy_is_in_the_runbook() -> None:
    told_of = {word for cells in rows(section(RUNBOOK, "Discrepancies are open")) for word in quoted(cells[0])}

    assert told_of == {*_discrepancies(), *(difference.value for difference in Difference)}


def _discrepancies() -> Iterator[str]:
    for tree in _trees("workers", "ingress", "schedules"):
        for call in _calls(tree, "open_discrepancy"):
            yield from _texts([word.value for word in call.keywords if word.arg == "kind"])
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == "_raised_as":
                pairs = [line.value for line in ast.walk(node) if isinstance(line, ast.Return)]
                yield from (kind for pair in pairs if isinstance(pair, ast.Tuple) for kind in _texts(pair.elts[:1]))


def test_every_log_line_that_the_runbook_looks_for_is_written() -> None:
    others = {"users.email", *(kind.value for kind in EffectKind), *(kind for kinds in _handled() for kind in kinds)}
    looked_for = {word for word in quoted(text(RUNBOOK)) if re.fullmatch(r"[a-z_]+\.[a-z_]+", word)} - others
    written = {
        line
        for tree in _trees("ingress", "checkout", "web", "workers", "schedules", "gateways")
        for call in _calls(tree, "info", "warning", "error", "critical", "exception")
        for line in _texts(call.args[:1])
    }

    assert looked_for
    assert looked_for <= written


#: What stands for a value that an operator sets.
SAMPLES = {"gateway": "stripe", "reference": "cs_1", "gateway_event": "evt_1"}
SOME_ID = "01a2042b-4d62-75c9-ab5e-11836a9c4c0c"


def _statements(block: str) -> list[str]:
    filled = re.sub(r":'(\w+)'", lambda found: f"'{SAMPLES.get(found[1], SOME_ID)}'", block)
    return [statement for statement in filled.split(";\n") if statement.strip()]


@pytest.mark.parametrize("block", blocks(RUNBOOK, "sql"), ids=lambda block: block.strip().splitlines()[0][:50])
async def test_what_the_runbook_says_to_run_can_be_run(pool: Pool, block: str) -> None:
    async with pool.acquire() as connection:
        # The one insert among them speaks of an order that somebody has.
        await connection.execute("INSERT INTO users (id) VALUES ('u')")
        await connection.execute("INSERT INTO orders (id, user_id, amount) VALUES ($1, 'u', 1)", SOME_ID)

        for statement in _statements(block):
            await connection.execute(statement)


# --- deployment ---


def _settings() -> Iterator[tuple[str, str]]:
    """Every variable with its default, as the table writes it."""
    for settings in (Settings, CheckoutSettings, StripeSettings, RazorpaySettings):
        yield from _variables(settings)


def _variables(settings: type[BaseSettings]) -> Iterator[tuple[str, str]]:
    for field, info in settings.model_fields.items():
        if field in {"stripe", "razorpay"}:
            continue
        alias = info.validation_alias if isinstance(info.validation_alias, str) else field
        yield alias.upper(), "required" if info.is_required() else _written(info.default)


def _written(default: object) -> str:
    match default:
        case None:
            return "unset"
        case "":
            return "empty"
        case Enum():
            return f"`{default.value}`"
        case _:
            return f"`{default}`"


def test_every_setting_is_told_with_its_default_and_no_other() -> None:
    told_of = {cells[0].strip("`"): cells[1] for cells in rows(section(DEPLOYMENT, "Settings"))}

    assert told_of == dict(_settings())


def test_every_choice_of_a_setting_is_told() -> None:
    meaning = {cells[0].strip("`"): cells[2] for cells in rows(section(DEPLOYMENT, "Settings"))}

    assert {choice.value for choice in LateSuccess} <= set(quoted(meaning["LATE_SUCCESS"]))
    assert all(f"`{queue}`" in text(DEPLOYMENT) for queue in QUEUES)


async def test_every_path_and_metric_that_watches_over_us_is_told(pool: Pool) -> None:
    told_of = [word for cells in rows(section(DEPLOYMENT, "TLS and proxies")) for word in quoted(cells[0])]
    metrics = {metric for registry in _registries(pool) for metric in _metrics(registry)}

    assert {word for word in told_of if word.startswith("/")} == PLAIN_PATHS | checkout.app.PLAIN_PATHS | WATCHED_PATHS
    assert {word.partition("{")[0] for word in told_of if word.startswith("counterfoil_")} == metrics


def _registries(pool: Pool) -> Iterator[CollectorRegistry]:
    """Of each kind of process."""
    nowhere = "redis://127.0.0.1:1/0"
    hints, redis = Hints(nowhere), RedisWatch(nowhere)
    yield Metrics(hints).registry
    yield checkout.metrics.Metrics().registry
    yield workers.metrics.Metrics(hints, in_hand=int, lag_seconds=float).registry
    yield schedules.metrics.Metrics(hints, RecordFigures(pool), redis, lag_seconds=float).registry


def _metrics(registry: CollectorRegistry) -> list[str]:
    exposed = generate_latest(registry).decode()
    return re.findall(r"^# TYPE (counterfoil_\w+(?<!_created)) ", exposed, re.MULTILINE)


def test_the_guides_fingerprint_of_a_secret_is_ours() -> None:
    [command] = blocks(DEPLOYMENT, "sh")

    said = subprocess.run(
        ["sh", "-c", command], check=True, env={"SECRET": "whsec_x", "PATH": "/usr/bin:/bin"}, capture_output=True
    )

    assert said.stdout.decode().strip() == Secret(b"whsec_x").id


async def test_a_month_is_dropped_and_a_secret_is_watched_as_the_guide_says(pool: Pool) -> None:
    await keep(pool, {"id": "evt_1"})
    month = await pool.fetchval("SELECT tableoid::regclass::text FROM webhook_events")

    for block in (block for block in blocks(DEPLOYMENT, "sql") if "ROLE" not in block and "GRANT" not in block):
        await pool.execute(block.replace(':"partition"', month))

    assert await pool.fetchval("SELECT to_regclass($1) IS NULL", month)
