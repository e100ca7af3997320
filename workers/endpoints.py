"""Do the gateways still tell us? Two ways to learn that they do not, before a customer has to.

``endpoint_disabled``: the gateway says itself that it sends nothing to us, or not all that we work.
``gateway_silent``: we had to fetch what a webhook should have brought, and none has come since.

Both are closed again by the clock, once they have passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import structlog

from db import discrepancies, hearing
from db.pool import Pool, Tx
from gateways.client import BACKGROUND, Client, Endpoint, Refused, Unknown
from gateways.registry import GATEWAYS

log = structlog.get_logger(__name__)

#: A webhook that is a quarter of an hour behind what we have fetched is not late any more.
SILENT_SECONDS = 15 * 60.0


@dataclass(frozen=True, slots=True)
class Watched:
    """Which gateways do not tell us, and how it shows. ``complete``: each that knows its endpoints has said so."""

    disabled: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    complete: bool = True


async def watch_gateways(
    pool: Pool, clients: Mapping[str, Client], *, silent_seconds: float = SILENT_SECONDS
) -> Watched:
    """Look at each gateway's endpoints, and at when it was heard last."""
    disabled, silent, complete = [], [], True
    for name, client in clients.items():
        endpoints = await client.list_endpoints(BACKGROUND)
        if isinstance(endpoints, Refused | Unknown):
            complete = False
        async with pool.acquire() as connection, connection.transaction():
            if isinstance(endpoints, tuple) and await _judge_endpoints(connection, name, endpoints):
                disabled.append(name)
            if await _judge_silence(connection, name, silent_seconds):
                silent.append(name)
    return Watched(tuple(disabled), tuple(silent), complete)


async def _judge_endpoints(tx: Tx, gateway: str, endpoints: Sequence[Endpoint]) -> bool:
    """Whether no enabled endpoint of ours hears all that we work. Without any endpoint of ours nothing can be said:
    a proxy may have given us another path, and silence would show it."""
    ours = [endpoint for endpoint in endpoints if urlsplit(endpoint.url).path.endswith(f"/webhooks/{gateway}")]
    fingerprint = f"endpoint_disabled:{gateway}"
    if not ours or any(endpoint.is_enabled and not unheard(gateway, endpoint) for endpoint in ours):
        await discrepancies.cure(tx, fingerprint)
        return False
    log.error("gateway.endpoint_disabled", gateway=gateway, endpoints=[endpoint.id for endpoint in ours])
    await discrepancies.open_discrepancy(
        tx,
        kind="endpoint_disabled",
        gateway=gateway,
        evidence={
            "theirs": [
                {"endpoint": endpoint.id, "enabled": endpoint.is_enabled, "unheard": unheard(gateway, endpoint)}
                for endpoint in ours
            ]
        },
        proposed_action="enable_endpoint",
        fingerprint=fingerprint,
    )
    await discrepancies.reopen(tx, fingerprint)
    return True


def unheard(gateway: str, endpoint: Endpoint) -> list[str]:
    """The event types that we work and that are not sent there."""
    return sorted(
        event_type
        for event_type in GATEWAYS[gateway].event_types
        if not any(fnmatchcase(event_type, pattern) for pattern in endpoint.event_types)
    )


async def _judge_silence(tx: Tx, gateway: str, seconds: float) -> bool:
    fingerprint = f"gateway_silent:{gateway}"
    fetched_at = await hearing.last_fetched(tx, gateway, seconds=seconds)
    if fetched_at is None or await hearing.was_heard_since(tx, gateway, fetched_at):
        # That there is nothing to hear is no proof of hearing: only a webhook is.
        opened_at = await discrepancies.opened_at(tx, fingerprint)
        if opened_at is not None and await hearing.was_heard_since(tx, gateway, opened_at):
            await discrepancies.cure(tx, fingerprint)
        return False
    log.error("gateway.silent", gateway=gateway, fetched_at=fetched_at.isoformat())
    await discrepancies.open_discrepancy(
        tx,
        kind="gateway_silent",
        gateway=gateway,
        evidence={"ours": {"webhooks_since": 0}, "theirs": {"fetched_at": fetched_at.isoformat()}},
        proposed_action="check_endpoint",
        fingerprint=fingerprint,
    )
    await discrepancies.reopen(tx, fingerprint)
    return True
