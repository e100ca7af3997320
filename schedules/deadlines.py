"""Alarm a person before the day by which a bank wants evidence: who does not answer has lost.

Evidence is given, or the claim accepted, in the gateway's own dashboard; the alarm says where. It is cured by the
answer, whoever tells us of it, and comes back where more is asked. Another day is another alarm: what a person has
closed was of that day. A bank that only asks has a day too, and disputes what nobody answers.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from db import discrepancies, dispute_deadlines
from db.dispute_deadlines import Due
from db.pool import Pool, Tx
from gateways.dashboards import dispute_page
from schedules.job import Report

#: Time to find the papers, with a weekend in between.
BEFORE = timedelta(days=3)

BATCH = 200


async def alarm(pool: Pool, now: datetime) -> Report:
    """``now`` is business time."""
    by, due, news, reached = now + BEFORE, 0, 0, None
    while found := await _next(pool, by, reached):
        async with pool.acquire() as connection, connection.transaction():
            news += sum([await _open(connection, each) for each in found])
        due, reached = due + len(found), found[-1].id
    async with pool.acquire() as connection, connection.transaction():
        over = await dispute_deadlines.answered(connection, by)
        cured = sum([await discrepancies.cure(connection, fingerprint) for fingerprint in over])
    return Report({"due": due, "news": news, "cured": cured})


async def _next(pool: Pool, by: datetime, reached: UUID | None) -> list[Due]:
    async with pool.acquire() as connection:
        return await dispute_deadlines.due(connection, by, limit=BATCH, after=reached)


async def _open(tx: Tx, due: Due) -> bool:
    """Whether it is news: it was not open before, and no person has closed it."""
    fingerprint = dispute_deadlines.fingerprint_of(due)
    was_open = await discrepancies.opened_at(tx, fingerprint) is not None
    await discrepancies.open_discrepancy(
        tx,
        kind="dispute_evidence_due",
        gateway=due.gateway,
        order_id=due.order_id,
        payment_id=due.payment_id,
        amount_at_risk=due.amount,
        currency=due.currency,
        evidence={
            "dispute": due.gateway_dispute_id,
            "payment": due.gateway_payment_id,
            "reason": due.reason,
            "evidenceDueAt": due.evidence_due_at.isoformat(),
            "dashboard": dispute_page(due.gateway, due.gateway_dispute_id),
        },
        proposed_action="answer_in_dashboard",
        fingerprint=fingerprint,
    )
    await discrepancies.reopen(tx, fingerprint)
    return not was_open and await discrepancies.opened_at(tx, fingerprint) is not None
