"""Subscriptions of which nobody has told us what we should have heard: a look at each, by the same rules as a webhook.

| it                                          | what is asked                                                         |
|---------------------------------------------|-----------------------------------------------------------------------|
| lives, and its period is long over, or its  | the subscription, with all its invoices                               |
| renewal fails                               |                                                                       |
| is incomplete, though its order is paid     | the page that began it, which names it                                |
| is incomplete, and no page is left to pay   | nothing: it never began; unless money is on its way, which its order  |
|                                             | is asked about                                                        |
| was asked for something, without an answer  | the same once more, under the same key                                |

Those that wait for their first payment are looked at with their orders (``workers.recovery``): Razorpay tells nobody
of one that was never authorised (F81).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

import structlog

from db import attempts, discrepancies, orders, overdue_subscriptions, subscription_requests, subscriptions
from db.history import Cause
from db.overdue_subscriptions import Overdue
from db.pool import Pool, Tx
from db.subscription_requests import Request
from gateways.client import BACKGROUND, Client, Gone, SessionState, SubscriptionState
from payments.events import Observed
from payments.order import SETTLED
from workers.apply import Book, apply_answer
from workers.giving_up import end_unmade, may_yet_be_paid
from workers.subscription_requests import LEASE_SECONDS, Done, Impossible, carry_out
from workers.two_clocks import set_right

log = structlog.get_logger(__name__)

#: Taken in one step; what is left is still due.
AT_ONCE = 20

#: Steps of one run.
STEPS = 50


@dataclass(frozen=True, slots=True)
class Looked:
    """``effects`` were committed, and want a hint. ``in_vain``: no answer could be had, or it could not be written."""

    asked: int = 0
    in_vain: int = 0
    effects: tuple[UUID, ...] = ()

    def __add__(self, other: Looked) -> Looked:
        return Looked(self.asked + other.asked, self.in_vain + other.in_vain, self.effects + other.effects)


async def recover_subscriptions(pool: Pool, clients: Mapping[str, Client], book: Book, cause: Cause) -> Looked:
    """Ask about every one that is due. Any number of runs at once: each is taken by one of them."""
    looked = Looked()
    for _ in range(STEPS):
        step = await _repeat_requests(pool, clients, book, cause) + await _look_at_overdue(pool, clients, book, cause)
        if not step.asked:
            break
        looked += step
    return looked


async def _repeat_requests(pool: Pool, clients: Mapping[str, Client], book: Book, cause: Cause) -> Looked:
    async with pool.acquire() as connection, connection.transaction():
        taken = await subscription_requests.claim_unsettled(
            connection, list(clients), lease_seconds=LEASE_SECONDS, limit=AT_ONCE
        )
    looked = Looked()
    for request in taken:
        looked += await _repeat_safely(pool, clients, book, request, cause)
    return looked


async def _repeat_safely(
    pool: Pool, clients: Mapping[str, Client], book: Book, request: Request, cause: Cause
) -> Looked:
    try:
        return await _repeat(pool, clients, book, request, cause)
    except Exception as error:  # noqa: BLE001 - one request must not end the look at the others; its turn comes again
        log.error("subscription_request.repeat_failed", request_id=str(request.id), error_class=type(error).__name__)  # noqa: TRY400
        return Looked(1, 1)


async def _repeat(pool: Pool, clients: Mapping[str, Client], book: Book, request: Request, cause: Cause) -> Looked:
    async with pool.acquire() as connection, connection.transaction():
        gateway = (await subscriptions.lock(connection, request.subscription_id)).subscription.gateway
    ending = await carry_out(pool, clients[gateway], book, request, cause, patience=BACKGROUND)
    log.info("subscription_request.repeated", request_id=str(request.id), ending=type(ending).__name__)
    effects = ending.effects if isinstance(ending, Done) else ()
    return Looked(1, int(not isinstance(ending, Done | Impossible)), effects)


async def _look_at_overdue(pool: Pool, clients: Mapping[str, Client], book: Book, cause: Cause) -> Looked:
    async with pool.acquire() as connection, connection.transaction():
        now = (await set_right(connection, book)).clock()
        taken = await overdue_subscriptions.claim(connection, now, list(clients), limit=AT_ONCE)
    looked = Looked()
    for overdue in taken:
        looked += await _look_safely(pool, clients[overdue.gateway], book, overdue, cause)
    return looked


async def _look_safely(pool: Pool, client: Client, book: Book, overdue: Overdue, cause: Cause) -> Looked:
    try:
        return await _look_at(pool, client, book, overdue, cause)
    except Exception as error:  # noqa: BLE001 - one subscription must not end the look at the others; its turn comes again
        log.error("subscription.look_failed", subscription_id=str(overdue.id), error_class=type(error).__name__)  # noqa: TRY400
        return Looked(1, 1)


async def _look_at(pool: Pool, client: Client, book: Book, overdue: Overdue, cause: Cause) -> Looked:
    if overdue.name is not None:
        return await _read(pool, client, book, overdue, overdue.name, cause)
    if overdue.order_is_settled and overdue.session_id is not None:
        return await _read_page(pool, client, book, overdue, overdue.session_id, cause)
    async with pool.acquire() as connection, connection.transaction():
        return Looked(1, 0, await _give_up(connection, overdue, book, cause))


async def _read(pool: Pool, client: Client, book: Book, overdue: Overdue, name: str, cause: Cause) -> Looked:
    version = await _version(pool, overdue)
    match await client.fetch_subscription(name, BACKGROUND):
        case SubscriptionState(observed=observed):
            return await _keep(pool, book, overdue, observed, version, cause)
        case Gone():
            async with pool.acquire() as connection, connection.transaction():
                await _raise_not_found(connection, overdue, name)
    return Looked(1, 1)


async def _read_page(pool: Pool, client: Client, book: Book, overdue: Overdue, session_id: str, cause: Cause) -> Looked:
    version = await _version(pool, overdue)
    answer = await client.fetch_session(session_id, BACKGROUND)
    if not isinstance(answer, SessionState):
        return Looked(1, 1)
    return await _keep(pool, book, overdue, answer.observed, version, cause)


async def _version(pool: Pool, overdue: Overdue) -> int:
    async with pool.acquire() as connection, connection.transaction():
        return (await subscriptions.lock(connection, overdue.id)).version


async def _keep(
    pool: Pool, book: Book, overdue: Overdue, observed: Iterable[Observed], version: int, cause: Cause
) -> Looked:
    """Told of meanwhile, it needs no look: whatever is left open then, is read for its own reason."""
    async with pool.acquire() as connection, connection.transaction():
        effects = await apply_answer(connection, overdue.id, observed, version, cause, book)
    return Looked(1, 0, effects or ())


async def _give_up(tx: Tx, overdue: Overdue, book: Book, cause: Cause) -> tuple[UUID, ...]:
    """Looked at again under lock: a customer may have come back for another page."""
    assert overdue.order_id is not None, "only what an order began can be incomplete"
    held = await orders.lock(tx, overdue.order_id)
    if held.order.page_is_open or held.order.status in SETTLED:
        return ()
    if may_yet_be_paid(held.order, await attempts.newest(tx, held.id)):
        return ()
    return await end_unmade(tx, held, overdue.gateway, cause, book)


async def _raise_not_found(tx: Tx, overdue: Overdue, name: str) -> None:
    """Usually another account's key, or a test key for a live subscription. It says nothing of the money (F113)."""
    await discrepancies.open_discrepancy(
        tx,
        kind="subscription_not_found",
        gateway=overdue.gateway,
        order_id=overdue.order_id,
        subscription_id=overdue.id,
        evidence={"ours": {"subscription": name}, "theirs": None},
        proposed_action="check_account_and_mode",
        fingerprint=f"subscription_not_found:{name}",
    )
