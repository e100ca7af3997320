"""The channel ``gateway.*``: what has to be asked of a gateway because of something that has become true.

Each errand about an order or a subscription looks at our record once more before it calls; every answer goes through
the same rules as a webhook.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from db import subscriptions
from db.effects import Effect
from db.history import Cause
from db.pool import Pool
from db.subscriptions import Locked
from gateways.client import BACKGROUND, Client, Gone, Refused, SubscriptionState, Unknown
from payments.effects import EffectKind
from payments.subscription import ENDED, SubscriptionStatus, keep_time
from workers.apply import Book, apply_answer
from workers.call_record import calls_kept
from workers.captures import Captures
from workers.delivery.sender import SENT, NeverAgain, NotNow, Sender, Settled
from workers.fetched_events import Fetches
from workers.money_reads import MoneyReads
from workers.payouts import Payouts
from workers.refunds import Refunds

#: A subscription that is told of again while it is read is read again, so often at once.
READS = 3

#: Only what its gateway itself holds to be unpaid is ended for that.
OWING = frozenset({SubscriptionStatus.PAST_DUE, SubscriptionStatus.UNPAID})

NOTHING_CANCELLED = Settled("nothing was cancelled: it has ended, or is paid for")


@dataclass(frozen=True, slots=True)
class Errands:
    """Every errand by its kind. What each calls is kept with its effect."""

    pool: Pool
    by_kind: Mapping[str, Sender]

    @classmethod
    def of(cls, pool: Pool, clients: Mapping[str, Client], book: Book) -> Errands:
        return cls(
            pool,
            {
                EffectKind.GATEWAY_CAPTURE_PAYMENT: Captures(pool, clients, book),
                EffectKind.GATEWAY_REFUND_PAYMENT: Refunds(pool, clients, book),
                EffectKind.GATEWAY_MATCH_PAYOUT: Payouts(pool, clients, book.clock),
                EffectKind.GATEWAY_READ_MONEY_BACK: MoneyReads(pool, clients, book),
                EffectKind.GATEWAY_READ_SUBSCRIPTION: Reads(pool, clients, book),
                EffectKind.GATEWAY_CANCEL_SUBSCRIPTION: Cancellations(pool, clients, book),
                EffectKind.GATEWAY_FETCH_EVENT: Fetches(pool, clients),
            },
        )

    async def send(self, effect: Effect) -> Settled:
        errand = self.by_kind.get(effect.kind)
        if errand is None:
            raise NotNow(f"this version of the workers knows no errand {effect.kind!r}")
        async with calls_kept(self.pool, "effect", effect.id):
            return await errand.send(effect)


@dataclass(frozen=True, slots=True)
class Reads:
    """Read a subscription at its gateway: what was told of it does not say which of two states is the newer."""

    pool: Pool
    clients: Mapping[str, Client]
    book: Book

    async def send(self, effect: Effect) -> Settled:
        client = self.clients.get(effect.detail["gateway"])
        if client is None:
            return Settled(f"nothing was read: {effect.detail['gateway']} has no key here")
        await _read(self.pool, client, effect, self.book)
        return SENT


@dataclass(frozen=True, slots=True)
class Cancellations:
    """End a subscription that nobody has paid for, as the policy says; unless somebody has, meanwhile.

    The gateway is asked before it is told: of a payment there nobody may have told us.
    """

    pool: Pool
    clients: Mapping[str, Client]
    book: Book

    async def send(self, effect: Effect) -> Settled:
        client = self.clients.get(effect.detail["gateway"])
        if client is None:
            return Settled(f"nothing was cancelled: {effect.detail['gateway']} has no key here")
        if not self._is_wanted(await _look(self.pool, effect)):
            return NOTHING_CANCELLED
        await _read(self.pool, client, effect, self.book)
        held = await _look(self.pool, effect)
        if held.subscription.status not in OWING or not self._is_wanted(held):
            return NOTHING_CANCELLED
        answer = await client.cancel_subscription(
            effect.detail["gatewaySubscriptionId"], effect.idempotency_key, BACKGROUND, at_period_end=False
        )
        if not await _keep(self.pool, effect, _believed(answer), held.version, self.book):
            # Done at the gateway. How it stands there now, the next attempt is told when it asks for the same again.
            raise NotNow("it was told of while it was cancelled")
        return SENT

    def _is_wanted(self, held: Locked) -> bool:
        if held.subscription.status in ENDED:
            return False
        return keep_time(held.subscription, self.book.dunning, self.book.clock()).asks_cancel


def _believed(answer: SubscriptionState | Gone | Refused | Unknown) -> SubscriptionState:
    match answer:
        case SubscriptionState():
            return answer
        case Unknown(reason=reason):
            raise NotNow(f"the gateway's answer is unknown: {reason}")
        case Gone():
            raise NeverAgain("the gateway does not know this subscription: another account or mode?")
        case Refused(code=code, reason=reason):
            raise NeverAgain(f"the gateway refused: {code}: {reason}")


async def _read(pool: Pool, client: Client, effect: Effect, book: Book) -> None:
    """Write how its gateway holds it. Raises ``NotNow`` where nothing could be learnt."""
    for _ in range(READS):
        version = (await _look(pool, effect)).version
        answer = await client.fetch_subscription(effect.detail["gatewaySubscriptionId"], BACKGROUND)
        if await _keep(pool, effect, _believed(answer), version, book):
            return
    raise NotNow("it was told of again each time that it was read")


async def _look(pool: Pool, effect: Effect) -> Locked:
    """How it stands in our record before the call; the lock is let go of again."""
    async with pool.acquire() as connection, connection.transaction():
        return await subscriptions.lock(connection, UUID(effect.detail["subscriptionId"]))


async def _keep(pool: Pool, effect: Effect, state: SubscriptionState, version: int, book: Book) -> bool:
    """Write the answer, unless the subscription was written meanwhile; whether it was kept."""
    async with pool.acquire() as connection, connection.transaction():
        cause, subscription = Cause("effect", str(effect.id)), UUID(effect.detail["subscriptionId"])
        return await apply_answer(connection, subscription, state.observed, version, cause, book) is not None
