"""What the sandbox tells, a row for each thing; ``console.tables`` writes the rows down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import typer

from console import tables
from console.tables import plain, span

Json = dict[str, Any]


def show_json(said: object) -> None:
    """All that the sandbox says, as it says it: it holds nobody's data, and has taken out what must not be kept."""
    typer.echo(json.dumps(said, indent=2))


def moment(seconds: float) -> str:
    return tables.moment(datetime.fromtimestamp(seconds, UTC))


def arrangement_rows(arranged: Json) -> list[tuple[str, str]]:
    """A card that is none is another means, or has never been given."""
    card, ending = arranged["last4"], arranged["nextPayment"]
    return [
        ("subscription", plain(arranged["subscription"])),
        ("card", f"ends in {plain(card)}" if card else "none"),
        ("next payment", plain(ending) if ending else "as the card does"),
    ]


def time_told(clock: Json) -> str:
    return f"{moment(clock['now'])} UTC, {span(clock['offset'])} ahead of real time"


def delivery_row(delivery: Json) -> tuple[object, ...]:
    attempts = delivery["attempts"]
    last = attempt_told(attempts[-1]) if attempts else ""
    return (
        delivery["id"],
        delivery["gateway"],
        delivery["type"],
        delivery["state"],
        len(attempts),
        last,
        delivery["event"],
    )


DELIVERY_HEAD = ("id", "gateway", "type", "state", "attempts", "last answer", "event")


def attempt_told(attempt: Json) -> str:
    """``200 in 12 ms``, or why there was no answer."""
    if attempt["status"] is None:
        return str(attempt["answer"])
    return f"{attempt['status']} in {attempt['milliseconds']} ms"


CALL_HEAD = ("id", "at", "gateway", "call", "status", "ms", "faults")


def call_row(call: Json) -> tuple[object, ...]:
    asked, status = f"{call['method']} {call['path']}", call["status"]
    faults = ", ".join(call["faults"])
    return (
        *(call["id"], moment(call["at"]), call["gateway"], asked),
        *("no answer" if status is None else status, call["milliseconds"], faults),
    )


OBJECT_HEAD = ("id", "status", "amount", "made")


def object_row(found: Json) -> tuple[object, ...]:
    """What most kinds have; ``--json`` shows all of it."""
    status = found.get("payment_status") if found.get("status") == "complete" else found.get("status")
    amount = next((found[name] for name in ("amount_total", "amount", "unit_amount") if name in found), None)
    made = found.get("created") or found.get("created_at")
    name = found.get("name") or found.get("event") or found.get("type")
    told = None if amount is None else f"{amount} {found.get('currency', '')}"
    return found.get("id"), status or name, told, moment(made) if isinstance(made, int) else None


def fault_rows(known: Mapping[str, Json], in_force: Json) -> list[tuple[object, ...]]:
    """Every fault there is, with its value if it is in force."""
    return [(name, _value(in_force.get(name)), fault["kind"], fault["says"]) for name, fault in known.items()]


FAULT_HEAD = ("fault", "now", "kind", "what it does")


def _value(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={part}" for name, part in value.items())
    return "" if value is None else str(value)


def faults_told(in_force: Json) -> str:
    """All that is in force, in one line."""
    return plain(", ".join(f"{name} {_value(value)}" for name, value in in_force.items())) or "no faults"


def setting_rows(settings: Json) -> list[tuple[object, ...]]:
    return [(name, json.dumps(value)) for name, value in settings.items()]


PAYOUT_HEAD = ("payout", "amount", "currency", "status")


def payout_row(payout: Json) -> tuple[object, ...]:
    return payout["payout"], payout["amount"], payout["currency"], payout["status"]


RESENT_HEAD = ("delivery", "event", "answer", "state")


def resent_row(resent: Json) -> tuple[object, ...]:
    return resent["delivery"], resent["event"], attempt_told(resent["attempt"]), resent["state"]


def status_rows(url: str, status: Json) -> list[tuple[object, ...]]:
    """The overview, a line for each thing that there is."""
    counts = {f"{gateway} {kind}": n for gateway, kinds in status["objects"].items() for kind, n in kinds.items() if n}
    return [
        ("url", url),
        ("version", status["version"]),
        ("time", time_told(status)),
        ("next", _next_told(status["next"])),
        ("faults", faults_told(status["faults"])),
        *((f"{endpoint['gateway']} webhooks", _endpoint_told(endpoint)) for endpoint in status["endpoints"]),
        *counts.items(),
        *((f"webhooks {state}", n) for state, n in status["deliveries"].items() if n),
        ("calls", status["calls"]),
    ]


def _next_told(entry: Json | None) -> str:
    return "nothing" if entry is None else f"{entry['what']} of {entry['subject']} at {moment(entry['at'])}"


def _endpoint_told(endpoint: Json) -> str:
    types = "every type" if "*" in endpoint["types"] else ", ".join(endpoint["types"])
    told = (endpoint["url"], types, endpoint["version"], None if endpoint["enabled"] else "disabled")
    return ", ".join(word for word in told if word)
