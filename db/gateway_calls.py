"""Calls to gateways by the row that they were made for: what their support asks for when something is in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from db.ids import new_id
from db.pool import Tx

Source = Literal["payment_attempt", "subscription_request", "effect", "order"]

#: Gateways' ids are short; a text that is none is not kept whole.
LONGEST_ID = 200


class Call(Protocol):
    """One attempt at one call, and how it ended."""

    @property
    def gateway(self) -> str: ...
    @property
    def operation(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def request_id(self) -> str | None: ...
    @property
    def milliseconds(self) -> int: ...
    @property
    def ended_at(self) -> datetime: ...


async def keep(tx: Tx, source: Source, source_id: UUID, calls: Sequence[Call]) -> None:
    await tx.executemany(
        """
        INSERT INTO gateway_calls (id, source, source_id, gateway, operation, outcome, request_id, milliseconds, at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        [
            (
                *(new_id(), source, source_id, call.gateway, call.operation, call.outcome),
                *((call.request_id or "").replace("\0", "")[:LONGEST_ID] or None, call.milliseconds, call.ended_at),
            )
            for call in calls
        ],
    )
