"""Events that a gateway has given us itself: kept like any other, by its API's word, until the signed bytes come.

Where a webhook says only that something happened, the errand here reads what. It keeps the event that was made beside
that one, unless we hold it already: of the two, one is worked (F17).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from db import backfilled, webhook_events
from db.effects import Effect
from db.pool import Pool
from db.webhook_events import Arrival
from gateways.client import BACKGROUND, Client, Gone, Refused, Unknown
from gateways.gateway import Gateway, Json
from gateways.registry import GATEWAYS
from gateways.snapshots import Snapshots
from workers.delivery.sender import SENT, NeverAgain, NotNow, Settled

#: What stands in the place of the secret that verified an event: its gateway's API told us, over our own key.
BY_API = "api"


@dataclass(frozen=True, slots=True)
class Fetches:
    """The sweep hints what was kept, within seconds."""

    pool: Pool
    clients: Mapping[str, Client]

    async def send(self, effect: Effect) -> Settled:
        name = effect.detail["gateway"]
        client = self.clients.get(name)
        if client is None or not isinstance(client, Snapshots):
            raise NotNow(f"nothing was fetched: {name} has no key here", needs_person=True)
        match await client.fetch_snapshot(effect.detail["eventId"], BACKGROUND):
            case Unknown(reason=reason):
                raise NotNow(f"the gateway's answer is unknown: {reason}")
            case Gone():
                raise NeverAgain("the gateway does not keep this event: too old, or another account's?")
            case Refused(code=code, reason=reason):
                raise NeverAgain(f"the gateway refused: {code}: {reason}")
            case told:
                await self._keep(as_arrival(GATEWAYS[name], told))
                return SENT

    async def _keep(self, arrival: Arrival) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await backfilled.mark(connection, await webhook_events.keep(connection, [arrival]))


def as_arrival(gateway: Gateway, event: Json) -> Arrival:
    """Our copy of an event: the gateway's words, in our bytes, which nobody has signed."""
    raw = json.dumps(event, separators=(",", ":")).encode()
    payload_hash = hashlib.sha256(raw).hexdigest()
    envelope = gateway.envelope({}, event)
    event_id = envelope.event_id or f"sha256:{payload_hash}"
    return Arrival(
        gateway=gateway.name,
        account=envelope.account,
        livemode=envelope.livemode,
        event_id=event_id,
        event_key=event_id,
        event_type=envelope.event_type,
        api_version=envelope.api_version,
        raw=raw,
        payload_hash=payload_hash,
        signature_headers={},
        secret_id=BY_API,
        gateway_created_at=envelope.created_at,
    )
