"""``Idempotency-Key``: the caller's own name for a request, under which a repeat gets the first answer.

A gateway's failure is no answer: the key keeps the order, and the same request goes on with it. So is nothing that was
refused before an order was written: the key is free again.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from db import idempotency_keys
from db.idempotency_keys import Answered, Claimed, InFlight, Reused
from db.pool import Tx
from web.problems import Problem

HEADER = "Idempotency-Key"
KEY = re.compile(r"[\x21-\x7e]{1,255}")

#: Longer than an answer may take. Who dies under a key keeps others from it for so long.
LEASE_SECONDS = 30.0

#: When it pays to ask again while the first request runs: gateways answer within a second or two.
RETRY_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Question:
    """A request under its key. Two with the same hash are the same request."""

    user_id: str
    key: str
    request_hash: str


def question(request: Request, body: bytes, user_id: str) -> Question | None:
    """None without a key. Raises ``Problem`` 400 for one that is none."""
    match request.headers.getlist(HEADER):
        case []:
            return None
        case [key] if KEY.fullmatch(key):
            route = f"{request.method} {request.url.path}\n"
            return Question(user_id, key, hashlib.sha256(route.encode() + body).hexdigest())
        case _:
            raise Problem(400, "invalid_idempotency_key", f"{HEADER} takes 1 to 255 visible ASCII characters, once.")


async def claim(tx: Tx, asked: Question) -> Claimed | Response:
    """Take the key, or give the answer that it got. Raises ``Problem`` 409 where neither can be. The user has a row."""
    found = await idempotency_keys.claim(
        tx, user_id=asked.user_id, key=asked.key, request_hash=asked.request_hash, lease_seconds=LEASE_SECONDS
    )
    match found:
        case Claimed():
            return found
        case Answered(status=status, body=body):
            return Response(body, status, headers={"Idempotent-Replayed": "true"}, media_type="application/json")
        case InFlight():
            raise Problem(
                409,
                "key_in_use",
                "A request with this key is still being answered.",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
        case Reused():
            raise Problem(409, "key_reused", "This key was used for another request. A new request needs a new key.")


async def keep_order(tx: Tx, asked: Question, order_id: UUID) -> None:
    await idempotency_keys.keep_order(tx, user_id=asked.user_id, key=asked.key, order_id=order_id)


async def keep_answer(tx: Tx, asked: Question, response: Response) -> None:
    """From now on this is the answer."""
    await idempotency_keys.keep_answer(
        tx, user_id=asked.user_id, key=asked.key, status=response.status_code, body=bytes(response.body).decode()
    )


async def release(tx: Tx, asked: Question, held_until: datetime) -> None:
    """There was no answer: the next request under this key goes on at once."""
    await idempotency_keys.release(tx, user_id=asked.user_id, key=asked.key, held_until=held_until)
