"""What a gateway pays out to our bank: told by a webhook, and its parts read and matched with what we have booked.

A payout is no order's: it is never foreign and waits for nothing. Its parts are; those that are nobody's of ours are
another application's on the account, or the gateway's own, and are counted without alarm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db import discrepancies, effects, movements, payouts
from db.effects import Effect
from db.history import Cause
from db.payouts import Match
from db.pool import Pool, Tx
from gateways.client import BACKGROUND, Client, PayoutPart, Refused, Unknown
from payments import effects as rules
from payments.effects import EffectKind
from payments.events import PayoutTold
from payments.money import Flow
from workers.delivery.sender import SENT, NeverAgain, NotNow, Settled
from workers.subscription_effects import Line

#: What gateways call the part that a payment is; a part of any other kind may name a payment without being one.
PAYMENTS = frozenset({"charge", "payment"})

#: A gateway may list the parts of a payout hours after it told of it: read so often until they add up to it.
LAGS = 12

#: Matched together, while the list goes on.
BATCH = 200


async def tell_payout(tx: Tx, told: PayoutTold, line: Line) -> tuple[UUID, ...]:
    """The same in the end whatever is told first, or twice: a payout that failed has gone, and come back."""
    payout = await payouts.tell(tx, line.gateway, told)
    if told.is_paid:
        await _book(tx, line, "payout", payout.id, Flow(-payout.minor, payout.currency))
    if payout.has_failed and await payouts.was_paid(tx, payout.id):
        await _book(tx, line, "payout_reversal", payout.id, Flow(payout.minor, payout.currency))
    return await _owe_match(tx, payout.id, told, line) if told.is_paid else ()


async def _book(tx: Tx, line: Line, kind: movements.Kind, payout: UUID, flow: Flow) -> None:
    await movements.book(
        tx,
        fact=f"{kind}:{payout}",
        kind=kind,
        gateway=line.gateway,
        flow=flow,
        cause=line.cause,
        at=line.at,
        payout_id=payout,
    )


async def _owe_match(tx: Tx, payout: UUID, told: PayoutTold, line: Line) -> tuple[UUID, ...]:
    kind = EffectKind.GATEWAY_MATCH_PAYOUT
    owed = await effects.add(
        tx,
        kind=kind.value,
        idempotency_key=rules.idempotency_key(kind, str(payout)),
        detail={"payoutId": str(payout), "gateway": line.gateway, "gatewayPayoutId": told.gateway_payout_id},
    )
    return (owed,) if owed else ()


@dataclass(frozen=True, slots=True)
class Payouts:
    """Read what a payout consists of, and match it. Safe to repeat: what is booked is not booked twice."""

    pool: Pool
    clients: Mapping[str, Client]
    clock: Callable[[], datetime]

    async def send(self, effect: Effect) -> Settled:
        gateway, payout = effect.detail["gateway"], UUID(effect.detail["payoutId"])
        client = self.clients.get(gateway)
        if client is None:
            return Settled(f"nothing was matched: {gateway} has no key here")
        line = Line(gateway, Cause("effect", str(effect.id)), self.clock())
        parts = matched = 0
        listed: Counter[str] = Counter()
        async for batch in _in_batches(client.list_payout_parts(effect.detail["gatewayPayoutId"], BACKGROUND)):
            matched += sum([await self._match(line, payout, part) for part in batch])
            parts += len(batch)
            for part in batch:
                listed[part.currency] += part.minor - part.fee_minor
        async with self.pool.acquire() as connection, connection.transaction():
            await payouts.count_parts(connection, payout, parts=parts, matched=matched)
            adds_up = await _add_up(connection, line, effect, listed)
        if not adds_up and effect.attempts < LAGS:
            raise NotNow("its parts do not add up to it yet")
        return SENT

    async def _match(self, line: Line, payout: UUID, part: PayoutPart) -> bool:
        """In a transaction of its own: locks of two payments at once would have to be taken in everybody's order."""
        async with self.pool.acquire() as connection, connection.transaction():
            return await match_part(connection, line, payout, part)


async def _add_up(tx: Tx, line: Line, effect: Effect, listed: Mapping[str, int]) -> bool:
    """Whether all that is listed comes to what was paid out; what has not after the last reading is for a person."""
    payout, name = UUID(effect.detail["payoutId"]), effect.detail["gatewayPayoutId"]
    minor, currency = await payouts.read(tx, payout)
    fingerprint = f"payout_total_mismatch:{line.gateway}:{name}"
    if not listed.keys() - {currency} and listed.get(currency, 0) == minor:
        await discrepancies.cure(tx, fingerprint)
        return True
    if effect.attempts >= LAGS:
        await discrepancies.open_discrepancy(
            tx,
            kind="payout_total_mismatch",
            gateway=line.gateway,
            amount_at_risk=abs(minor - listed.get(currency, 0)),
            currency=currency,
            evidence={
                "ours": {"payout": str(payout), "amount": minor, "currency": currency},
                "theirs": {"payout": name, "amount": listed.get(currency, 0), "currencies": sorted(listed)},
            },
            proposed_action="compare_with_gateway",
            fingerprint=fingerprint,
        )
    return False


async def _in_batches(
    found: AsyncIterator[PayoutPart | Refused | Unknown],
) -> AsyncIterator[Sequence[PayoutPart]]:
    """Raises ``NotNow`` or ``NeverAgain`` where the list was cut short; what came before is kept."""
    batch: list[PayoutPart] = []
    async for part in found:
        match part:
            case Unknown(reason=reason):
                raise NotNow(f"the gateway's answer is unknown: {reason}")
            case Refused(code=code, reason=reason):
                raise NeverAgain(f"the gateway refused: {code}: {reason}")
            case PayoutPart():
                batch.append(part)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def match_part(tx: Tx, line: Line, payout: UUID, part: PayoutPart) -> bool:
    """Whether the part is of ours. Its fee is booked unless it was; an amount that is not ours is for a person."""
    found = await payouts.match(tx, line.gateway, part.names, is_payment=part.kind in PAYMENTS)
    if found is None:
        return False
    await payouts.lock_order(tx, found)
    await _book_fee(tx, line, payout, part, found)
    await _compare(tx, line, part, found)
    return True


async def _book_fee(tx: Tx, line: Line, payout: UUID, part: PayoutPart, found: Match) -> None:
    if not part.fee_minor:
        return
    kind: movements.Kind = "dispute_fee" if found.what == "dispute" else "fee"
    # What a bank decides for us may bring its fee back: that is another fact.
    fact = f"{kind}:{found.id}" if part.fee_minor > 0 else f"{kind}:{found.id}:returned"
    await movements.book(
        tx,
        fact=fact,
        kind=kind,
        gateway=line.gateway,
        flow=Flow(-part.fee_minor, part.currency),
        cause=line.cause,
        at=line.at,
        payment_id=found.payment_id,
        order_id=found.order_id,
        refund_id=found.id if found.what == "refund" else None,
        dispute_id=found.id if found.what == "dispute" else None,
        payout_id=payout,
    )


async def _compare(tx: Tx, line: Line, part: PayoutPart, found: Match) -> None:
    """An account may settle in another currency than the customer paid in: such amounts say nothing of each other."""
    fingerprint = f"payout_part_mismatch:{line.gateway}:{part.id}"
    if part.currency != found.currency:
        return
    if abs(part.minor) in found.amounts:
        await discrepancies.cure(tx, fingerprint)
        return
    await discrepancies.open_discrepancy(
        tx,
        kind="payout_part_mismatch",
        gateway=line.gateway,
        order_id=found.order_id,
        payment_id=found.payment_id,
        amount_at_risk=abs(abs(part.minor) - found.amounts[0]),
        currency=part.currency,
        evidence={
            "ours": {found.what: str(found.id), "amounts": list(found.amounts), "currency": found.currency},
            "theirs": {"part": part.id, "kind": part.kind, "names": list(part.names), "amount": part.minor},
        },
        proposed_action="compare_with_gateway",
        fingerprint=fingerprint,
    )
