"""The legal moves are said twice, in Python and in SQL, and both say the same."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from db.pool import Pool
from payments import order, subscription
from payments.invoice import Advice, InvoiceReason, InvoiceStatus
from payments.order import OrderStatus
from payments.payment import PaymentStatus, Standing
from payments.snapshot import SubscriptionStatus


@pytest.mark.parametrize(("subject", "moves"), [("order", order.MOVES), ("subscription", subscription.MOVES)])
async def test_the_table_of_moves_and_the_rules_agree(
    pool: Pool, subject: str, moves: Iterable[tuple[OrderStatus | SubscriptionStatus, ...]]
) -> None:
    rows = await pool.fetch("SELECT from_status, to_status FROM moves WHERE subject = $1", subject)

    assert {(row["from_status"], row["to_status"]) for row in rows} == {(a.value, b.value) for a, b in moves}


async def test_the_statuses_of_the_schema_and_of_the_rules_agree(pool: Pool) -> None:
    checks = {
        row["conname"]: row["definition"]
        for row in await pool.fetch(
            "SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE contype = 'c'"
        )
    }

    assert _words(checks["orders_status_check"]) == {status.value for status in OrderStatus}
    assert _words(checks["payments_status_check"]) == {status.value for status in PaymentStatus}
    assert _words(checks["payments_standing_check"]) == {standing.value for standing in Standing}
    assert _words(checks["subscriptions_status_check"]) == {status.value for status in SubscriptionStatus}
    assert _words(checks["invoices_status_check"]) == {status.value for status in InvoiceStatus}
    assert _words(checks["invoices_reason_check"]) == {reason.value for reason in InvoiceReason}
    assert _words(checks["invoices_advice_check"]) == {advice.value for advice in Advice}


def _words(check: str) -> set[str]:
    return set(check.split("'")[1::2])
