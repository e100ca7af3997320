"""All that there is to know of one kept event, gathered for one screen."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from console.dashboards import link
from console.tables import Revealed
from db import dead_letters, event_files, operator_actions, references, story, work_attempts
from db.dead_letters import Letter, Selection
from db.event_files import Moved
from db.event_search import Listed
from db.operator_actions import Operator, OperatorAction
from db.pool import Tx
from db.story import OrderStory
from db.work_attempts import WorkAttempt
from gateways import reading
from gateways.registry import GATEWAYS
from payments.events import Observed, References

#: One event is of one order; a contradiction names a few.
MOST_ORDERS = 10


@dataclass(frozen=True, slots=True)
class EventFile:
    """``orders`` are those that it names, as they stand now; ``moved`` is what it moved itself."""

    event: Listed
    dashboard: str | None
    orders: dict[UUID, OrderStory]
    moved: list[Moved]
    attempts: list[WorkAttempt]
    letters: list[Letter]
    acts: list[OperatorAction]
    payload: Revealed | None = field(repr=False)


async def gather(tx: Tx, event: Listed, *, reveal: bool = False) -> EventFile:
    """Open an event's file; its payload only where that was asked for, and recorded."""
    raw = await event_files.payload(tx, event.id)
    names = _names(event.gateway, raw) if raw else None
    return EventFile(
        event=event,
        dashboard=link(event, names),
        orders=await _orders(tx, event.gateway, names) if names else {},
        moved=await event_files.moved_by(tx, event.id),
        attempts=await work_attempts.of(tx, "webhook_event", event.id),
        letters=await dead_letters.find(tx, Selection(ids=(str(event.id),)), limit=50, state=None),
        acts=await event_files.acts_on(tx, event.id),
        payload=Revealed(raw.decode("utf-8", "backslashreplace")) if raw and reveal else None,
    )


async def record_reveal(tx: Tx, event: UUID, *, by: Operator, reason: str) -> None:
    """Somebody reads what a customer's payment says: in the transaction that shows it."""
    await operator_actions.record(tx, by=by, action="events.reveal", target={"event": str(event)}, reason=reason)


def _names(gateway: str, raw: bytes) -> References | None:
    """What it calls its order by; None where it says nothing that we understand."""
    try:
        observed = GATEWAYS[gateway].translate(reading.parse(raw))
    except Exception:  # noqa: BLE001 - an event that no worker can read is still one that a person looks at
        return None
    return observed.references if isinstance(observed, Observed) else None


async def _orders(tx: Tx, gateway: str, names: References) -> dict[UUID, OrderStory]:
    ours = []
    for name in names.order_ids:
        with suppress(ValueError):  # Another application's id has another shape.
            ours.append(UUID(name))
    found = await references.find_orders(tx, gateway, objects=names.objects, order_ids=ours)
    return {order: await story.of_order(tx, order) for order in sorted(found)[:MOST_ORDERS]}


def as_told(file: EventFile) -> dict[str, Any]:
    """The file, for programs."""
    return {
        **asdict(file.event),
        "dashboard": file.dashboard,
        "orders": [{"id": order, **asdict(told)} for order, told in file.orders.items()],
        "moved": [asdict(line) for line in file.moved],
        "attempts": [asdict(attempt) for attempt in file.attempts],
        "dead_letters": [letter_told(letter) for letter in file.letters],
        "acts": [asdict(act) for act in file.acts],
        "payload": file.payload,
    }


def letter_told(letter: Letter) -> dict[str, Any]:
    """A dead letter, for programs; not what a message carries."""
    return {name: value for name, value in asdict(letter).items() if name != "message"}
