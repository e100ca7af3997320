"""One event's file as a person reads it, section by section."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from console import tables
from console.event_file import EventFile
from db.dead_letters import Letter
from db.story import OrderStory
from db.work_attempts import WorkAttempt
from payments.secrecy import conceal, mask

ATTEMPT_HEAD = ("started", "took", "life", "outcome", "class", "error", "worker")
LETTER_HEAD = ("id", "died", "state", "attempts", "class", "error", "closed by", "why")


def show(file: EventFile) -> None:
    """Everything but the payload, and that too where it was revealed."""
    tables.show(("", ""), _facts(file), nothing="", title="event")
    tables.show(("", "", ""), _orders(file), nothing="", title="orders")
    moved = ((m.at, m.subject, m.subject_id, f"{m.from_status} -> {m.to_status}") for m in file.moved)
    tables.show(("at", "what", "id", "move"), moved, nothing="", title="moved")
    tables.show(ATTEMPT_HEAD, map(attempt_row, file.attempts), nothing="", title="attempts")
    tables.show(LETTER_HEAD, map(letter_row, file.letters), nothing="", title="dead letters")
    acts = ((act.at, act.actor, act.action, act.reason) for act in file.acts)
    tables.show(("at", "who", "did", "why"), acts, nothing="", title="acts")
    show_last_traceback(file.attempts)
    if file.payload is not None:
        _show_lines("payload", conceal(file.payload))


def _facts(file: EventFile) -> Iterator[tuple[str, object]]:
    event = file.event
    yield "id", event.id
    yield "gateway", f"{event.gateway} {event.event_id}"
    yield "type", " ".join(filter(None, (event.event_type, event.api_version)))
    mode = {True: "live", False: "test", None: ""}[event.livemode]
    yield "account", " ".join(filter(None, (event.account, mode)))
    yield "status", " ".join(filter(None, (event.status, event.reason, event.error_class)))
    yield "came by", event.source
    yield "received", event.created_at
    yield "deliveries", f"{event.deliveries}, the last at {tables.moment(event.last_delivery_at)}"
    if event.processed_at:
        yield "worked", event.processed_at
    if event.next_attempt_at:
        yield "next attempt", event.next_attempt_at
    yield "queue", f"{event.queue}, life {event.epoch}, retries {event.retry_count}, crashes {event.crashes}"
    yield "sha-256", event.payload_hash
    if file.dashboard:
        yield "dashboard", file.dashboard


def _orders(file: EventFile) -> Iterator[tuple[object, ...]]:
    for order, told in file.orders.items():
        yield order, "status", f"{told.status}, with access" if told.has_access else told.status
        yield from ((order, *line) for line in _order_lines(told))


def _order_lines(told: OrderStory) -> Iterator[tuple[str, str]]:
    yield from (("payment", f"{name} {status}") for name, status in told.payments.items())
    yield from (("effect", f"{kind} {status}") for kind, status in told.effects.items())
    yield from (("discrepancy", kind) for kind in told.discrepancies)


def attempt_row(attempt: WorkAttempt) -> tuple[object, ...]:
    """As ``ATTEMPT_HEAD`` names it."""
    milliseconds = round((attempt.finished_at - attempt.started_at).total_seconds() * 1000)
    error = ": ".join(filter(None, (attempt.error_class, attempt.error)))
    return (
        *(attempt.started_at, f"{milliseconds} ms", attempt.epoch, attempt.outcome),
        *(attempt.trouble_class, error, attempt.worker),
    )


def letter_row(letter: Letter) -> tuple[object, ...]:
    """As ``LETTER_HEAD`` names it."""
    return (
        *(letter.id, letter.created_at, letter.state, letter.attempts, letter.trouble_class),
        *(f"{letter.error_class}: {letter.error}", letter.closed_by, letter.closed_reason),
    )


def show_last_traceback(attempts: list[WorkAttempt]) -> None:
    """The newest, which is the one that counts; all of them are in ``--json``."""
    last = next((attempt.traceback for attempt in reversed(attempts) if attempt.traceback), None)
    if last:
        _show_lines("traceback", mask(last))


def _show_lines(title: str, text: str) -> None:
    """Several lines as they are, without what would move the cursor."""
    typer.secho(f"\n{title}", bold=True)
    for line in text.splitlines():
        typer.echo("".join(character if character.isprintable() else " " for character in line))
