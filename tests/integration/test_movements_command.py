"""`counterfoil movements`: a period for finance, added up, in the gateways' own decimals, safe in a spreadsheet."""

from __future__ import annotations

import csv
import io
import resource
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from console.ledgers import in_a_cell
from db.pool import Pool
from tests.builders import NOON
from tests.desk import Desk
from tests.stories import book, paid_order, payment_of

DAY = ("--since", "2026-11-22", "--until", "2026-11-23")


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Desk:
    return Desk(database_url, redis_url)


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


async def test_a_period_is_told_to_the_moment_and_added_up(pool: Pool, desk: Desk) -> None:
    for kind, minor, at in (
        ("payment", 1900, NOON),
        ("fee", -85, NOON),
        ("refund", -900, NOON + timedelta(hours=1)),
        ("payout", -500, NOON + timedelta(hours=2)),
        ("payment", 7777, NOON + timedelta(hours=12)),
        ("payment", 8888, NOON - timedelta(hours=12, microseconds=1)),
    ):
        await book(pool, kind, minor, at=at)

    told = desk("movements", *DAY, "--json").json

    assert [line["amount_minor"] for line in told["movements"]] == [1900, -85, -900, -500]
    assert {total["what"]: (total["count"], total["minor"], total["amount"]) for total in told["totals"]} == {
        "payment": (1, 1900, "19.00"),
        "fee": (1, -85, "-0.85"),
        "refund": (1, -900, "-9.00"),
        "payout": (1, -500, "-5.00"),
        "net": (3, 915, "9.15"),
        "balance": (4, 415, "4.15"),
    }


async def test_amounts_are_written_in_the_gateways_own_decimals_and_no_currencies_are_mixed(
    pool: Pool, desk: Desk
) -> None:
    await book(pool, "payment", 150000, currency="isk")
    await book(pool, "payment", 1500, currency="isk", gateway="razorpay")
    await book(pool, "payment", 1500, currency="jpy")
    await book(pool, "payment", 12340, currency="kwd")
    await book(pool, "refund", -5)

    rows = read(desk("movements", *DAY, "--csv").out)

    assert {(row["gateway"], row["currency"], row["amount"], row["amount_minor"]) for row in rows} == {
        ("stripe", "isk", "1500.00", "150000"),
        ("razorpay", "isk", "1500", "1500"),
        ("stripe", "jpy", "1500", "1500"),
        ("stripe", "kwd", "12.340", "12340"),
        ("stripe", "usd", "-0.05", "-5"),
    }


async def test_a_spreadsheet_takes_no_text_of_ours_for_a_formula(pool: Pool, desk: Desk) -> None:
    order = await paid_order(pool)
    await pool.execute("UPDATE payments SET gateway_payment_id = '=1+2'")
    await book(pool, "fee", -59, payment=await payment_of(pool, order))

    said = desk("movements", *DAY, "--csv")

    fee = next(row for row in read(said.out) if row["kind"] == "fee")
    assert (fee["gateway_payment_id"], fee["amount"]) == ("'=1+2", "-0.59")
    assert "stripe\tUSD\tnet" in said.err


FULL_WIDTH = [chr(0xFEE0 + ord(sign)) + "1" for sign in "=+-@"]


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@SUM(A1)", " =1", "  @1", *FULL_WIDTH])
def test_what_begins_like_a_formula_is_quoted(text: str) -> None:
    assert in_a_cell(text) == f"'{text}"


@pytest.mark.parametrize("blank", ["\t", "\r", "\n", "\x00"])
def test_nor_does_a_blank_hide_one(blank: str) -> None:
    assert in_a_cell(f"{blank}=1").startswith("'")


async def test_without_an_end_what_a_clock_that_was_moved_ahead_has_booked_is_told(pool: Pool, desk: Desk) -> None:
    await book(pool, "payment", 1900, at=datetime.now(UTC) + timedelta(days=40))

    told = desk("movements", "--json").json

    assert [line["amount_minor"] for line in told["movements"]] == [1900]


async def test_one_gateway_or_one_order_is_told_alone(pool: Pool, desk: Desk) -> None:
    order = await paid_order(pool)
    payment = await payment_of(pool, order)
    await book(pool, "fee", -59, order=order, payment=payment)
    await book(pool, "payment", 100, gateway="razorpay")

    def kinds(*words: object) -> set[str]:
        return {line["kind"] for line in desk("movements", *DAY, "--json", *words).json["movements"]}

    assert kinds("--gateway", "razorpay") == {"payment"}
    assert kinds("--order", order) == kinds("--order", f"pi_{order}") == {"payment", "fee"}
    missing = desk("movements", *DAY, "--order", "pi_nothing")
    assert (missing.code, missing.err) == (1, "counterfoil: There is no order pi_nothing.\n")


async def test_a_person_sees_lines_and_totals_and_is_told_of_the_rest(pool: Pool, desk: Desk) -> None:
    for n in range(3):
        await book(pool, "payment", 1000 + n)

    page = desk("movements", *DAY, "--limit", 2)
    nothing = desk("movements", "--since", "2020-01-01", "--until", "2020-01-02")
    seen = desk.on_a_terminal("movements", *DAY)

    assert [line[0] for line in page.lines] == ["movements"] * 2 + ["totals"] * 3
    assert page.lines[-1] == ["totals", "stripe", "USD", "balance", "3", "30.03"]
    assert page.err == "1 more: --limit, or --csv\n"
    assert nothing.out == ""
    assert "10.02 USD" in seen


async def test_a_long_period_is_written_in_bounded_memory(pool: Pool, desk: Desk) -> None:
    await _book_many(pool, 30_000)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss

    small = desk("movements", "--since", "2020-01-01", "--until", "2020-01-02", "--csv")
    after_small = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    large = desk("movements", *DAY, "--csv")
    after_large = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss

    assert small.code == 0
    assert large.out.count("\n") == 30_001
    # In kilobytes. The rows alone would take some 30 megabytes.
    assert after_large - max(before, after_small) < 15_000


async def _book_many(pool: Any, count: int) -> None:
    await pool.execute(
        """
        INSERT INTO movements (id, gateway, kind, amount, currency, cause, cause_id, fact, at)
        SELECT gen_random_uuid(), 'stripe', 'payment', n, 'usd', 'reconciliation', 'a run', 'payment:' || n, $2
          FROM generate_series(1, $1::integer) AS n
        """,
        count,
        NOON,
    )
