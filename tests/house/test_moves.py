"""The legal moves are said twice, in Python and in SQL, and both say the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from enum import StrEnum
from typing import get_args

import pytest

from db.movements import Kind
from db.pool import Pool
from payments import order, refund, subscription
from payments.dispute import DisputeStatus
from payments.disputing import Dispute
from payments.invoice import Advice, InvoiceReason, InvoiceStatus, TakenBack
from payments.money import Money
from payments.order import OrderStatus
from payments.payment import PaymentStatus, Standing
from payments.refund import RefundReason, RefundStatus
from payments.snapshot import SubscriptionStatus


@pytest.mark.parametrize(
    ("subject", "moves"),
    [
        ("order", order.MOVES),
        ("subscription", subscription.MOVES),
        ("refund", refund.MOVES),
        ("dispute", [*itertools.permutations(DisputeStatus, 2)]),
    ],
)
async def test_the_table_of_moves_and_the_rules_agree(
    pool: Pool, subject: str, moves: Iterable[tuple[StrEnum, ...]]
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
    assert _words(checks["refunds_status_check"]) == {status.value for status in RefundStatus}
    assert _words(checks["refunds_reason_code_check"]) == {reason.value for reason in RefundReason}
    assert _words(checks["disputes_status_check"]) == {status.value for status in DisputeStatus}
    assert _words(checks["movements_kind_check"]) == set(get_args(Kind))
    assert _words(checks["invoices_status_check"]) == {status.value for status in InvoiceStatus}
    assert _words(checks["invoices_reason_check"]) == {reason.value for reason in InvoiceReason}
    assert _words(checks["invoices_taken_back_check"]) == {how.value for how in TakenBack}
    assert _words(checks["invoices_advice_check"]) == {advice.value for advice in Advice}


def _words(check: str) -> set[str]:
    return set(check.split("'")[1::2])


async def test_whether_a_dispute_holds_the_money_is_said_twice_and_both_say_the_same(pool: Pool) -> None:
    for status, withdrawn, reinstated in itertools.product(DisputeStatus, (0, 400, 1000), (0, 400, 1000)):
        dispute = Dispute("dp_1", Money(1000, "usd"), status, "", None, withdrawn=withdrawn, reinstated=reinstated)

        said = await pool.fetchval(
            """
            SELECT holds_money(jsonb_populate_record(NULL::disputes,
                       jsonb_build_object('status', $1::text, 'withdrawn', $2::bigint, 'reinstated', $3::bigint)))
            """,
            status.value,
            withdrawn,
            reinstated,
        )

        assert said == dispute.holds, (status, withdrawn, reinstated)
