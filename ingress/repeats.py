"""A delivery that we seem to hold already: is it the same event told again, or another one under the same id?

| same bytes      | same event: counted                                                                            |
| same id, and    |                                                                                                |
|   our own copy  | same event: counted; what its gateway signed takes the place of what we fetched                |
|   a redelivery  | same event: counted (the gateway rendered it anew, say for another API version)                |
|   id is signed  | the gateway contradicts itself: both are kept, the second for a person to look at (F60)        |
|   id unsigned   | anyone could have written that id beside it: kept and worked, the signed body is what counts   |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from db import backfilled, webhook_events
from db.discrepancies import open_discrepancy
from db.pool import Tx
from db.webhook_events import Arrival, Twin
from gateways.gateway import Gateway, Json
from gateways.reading import NotAnEvent, parse


@dataclass(frozen=True, slots=True)
class Kept:
    """We hold it, and the transaction that says so has committed. ``owed``: its work is not done, so wake it."""

    id: UUID
    duplicate: bool
    owed: bool


async def recognise(tx: Tx, gateway: Gateway, arrival: Arrival, event: Json) -> Kept | None:
    """Count the repeat or keep the other event; None when what it met has changed meanwhile: begin again."""
    twin = await webhook_events.twin(tx, arrival)
    if twin is None:
        return None
    if twin.same_body or await _replaces_copy(tx, gateway, twin, arrival) or _is_told_again(gateway, twin, event):
        delivery = await webhook_events.count_delivery(tx, twin.id)
        return Kept(delivery.id, duplicate=True, owed=delivery.owed)
    if gateway.signs_event_id:
        return await _keep_contradiction(tx, arrival, twin)
    return await _keep_by_body(tx, arrival)


async def _replaces_copy(tx: Tx, gateway: Gateway, twin: Twin, arrival: Arrival) -> bool:
    """We had fetched this event ourselves, and hold it in bytes of our own. Signed bytes are the better evidence."""
    return gateway.signs_event_id and await backfilled.replace(tx, twin.id, arrival)


def _is_told_again(gateway: Gateway, twin: Twin, event: Json) -> bool:
    if twin.raw is None:
        # Pruned: nothing is left to compare with. A signed id says enough; an unsigned one says nothing.
        return gateway.signs_event_id
    try:
        return gateway.is_redelivery(parse(twin.raw), event)
    except NotAnEvent:
        return False


async def _keep_contradiction(tx: Tx, arrival: Arrival, twin: Twin) -> Kept | None:
    kept = await _keep_by_body(tx, replace(arrival, ignored_because="conflicting_content"))
    if kept is not None:
        await open_discrepancy(
            tx,
            kind="conflicting_content",
            gateway=arrival.gateway,
            fingerprint=f"conflicting_content:{arrival.gateway}:{arrival.event_id}:{arrival.payload_hash}",
            evidence={"event_id": arrival.event_id, "held": str(twin.id), "conflicting": str(arrival.id)},
            proposed_action="compare_with_gateway",
        )
    return kept


async def _keep_by_body(tx: Tx, arrival: Arrival) -> Kept | None:
    """Under a key of its own bytes, since the key of its id is taken; None if the same bytes arrive this moment."""
    arrival = replace(arrival, event_key=body_key(arrival.payload_hash))
    if not await webhook_events.keep(tx, [arrival]):
        return None
    return Kept(arrival.id, duplicate=False, owed=arrival.ignored_because is None)


def body_key(payload_hash: str) -> str:
    """What recognises an event that has no id of its own."""
    return f"sha256:{payload_hash}"
