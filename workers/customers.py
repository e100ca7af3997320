"""A user as a gateway's customer: made once, however many ask for it at once, and whatever becomes of the asking.

The intent is a row with its key before the call, and one caller at a time has the turn. Who dies with it lets go by the
clock, and the next one asks under the same key.
"""

from __future__ import annotations

import structlog

from db import gateway_customers
from db.pool import Pool
from gateways.client import Client, Patience, Refused, Unknown
from gateways.customers import KEY_LIVES, Customer, Customers, NewCustomer

log = structlog.get_logger(__name__)

#: Longer than any call may take with its retries.
LEASE_SECONDS = 30.0


class Waiting:
    """Another has the turn this moment; their answer will be ours."""


async def find_or_make(
    pool: Pool, client: Client, wanted: NewCustomer, patience: Patience
) -> str | Waiting | Refused | Unknown | None:
    """The gateway's id of this user; None where the gateway keeps its customers by itself."""
    if not isinstance(client, Customers):
        return None
    async with pool.acquire() as connection, connection.transaction():
        turn = await gateway_customers.claim(connection, wanted.user_id, client.name, lease_seconds=LEASE_SECONDS)
    if turn is None:
        return Waiting()
    if turn.id is not None:
        return turn.id
    answer = await _ask(client, wanted, turn, patience)
    async with pool.acquire() as connection, connection.transaction():
        if isinstance(answer, Customer):
            return await gateway_customers.keep(connection, wanted.user_id, client.name, answer.id)
        await gateway_customers.let_go(connection, wanted.user_id, client.name)
    log.warning("customer.not_made", gateway=client.name, answer=type(answer).__name__)
    return answer


async def _ask(
    client: Customers, wanted: NewCustomer, turn: gateway_customers.Customer, patience: Patience
) -> Customer | Refused | Unknown:
    """Look first where an earlier call may have made the customer under a key that is forgotten by now.

    Where looking is refused, as Stripe does to accounts in India, another one is made: better than none.
    """
    if turn.calls > 1 and turn.wanted_for >= KEY_LIVES:
        found = await client.find_customer(wanted, patience)
        if isinstance(found, Customer | Unknown):
            return found
    return await client.make_customer(wanted, turn.idempotency_key, patience)
