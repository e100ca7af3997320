"""``counterfoil movements``: what money did in a period, for finance; as a table, as CSV, or for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from console import development
from console.options import AsJson, DataDir, plain_words, read_moment, refuse

if TYPE_CHECKING:
    from console.ledgers import Ledger
    from db.movement_lists import Period
    from db.pool import Pool

movements_app = typer.Typer()

Since = Annotated[str, typer.Option(metavar="WHEN", help="From then on: 30d ago, a day, or a day and a time.")]
Until = Annotated[str | None, typer.Option(metavar="WHEN", help="Before then.", show_default="no end")]
Gateway = Annotated[str | None, typer.Option(callback=plain_words, help="Of this one alone.")]
Order = Annotated[str | None, typer.Option(metavar="ID", callback=plain_words, help="Of one order, by any of its ids.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="For a spreadsheet; totals go to stderr.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="So many lines of the table at most.")]


@movements_app.command("movements")
def show_movements(
    since: Since = "30d",
    until: Until = None,
    gateway: Gateway = None,
    order: Order = None,
    as_csv: AsCsv = False,  # noqa: FBT002
    limit: Limit = 200,
    *,
    as_json: AsJson = False,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Every movement of money that a gateway has confirmed in a period, with totals and what stays of it in net."""
    from console.ledgers import CsvLedger, JsonLedger, TableLedger
    from console.record import at_the_record
    from db.movement_lists import Period

    if as_csv and as_json:
        raise typer.BadParameter("is one way to write it, and --json another", param_hint="--csv")
    # Not the present: a development clock that was moved ahead has booked things later than that.
    last = read_moment(until, "--until") if until is not None else datetime.max.replace(tzinfo=UTC)
    period = Period(read_moment(since, "--since"), last, gateway)
    ledger: Ledger = CsvLedger() if as_csv else JsonLedger() if as_json else TableLedger(limit)
    at_the_record(data_dir, lambda pool: _write(pool, period, order, ledger))


async def _write(pool: Pool, period: Period, order: str | None, ledger: Ledger) -> None:
    from dataclasses import replace

    from db import movement_lists, timeline_subjects
    from gateways.registry import GATEWAYS

    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        if order is not None:
            found = await timeline_subjects.find_orders(connection, order, list(GATEWAYS))
            if len(found) != 1:
                raise refuse(f"There is no order {order}." if not found else f"{order} names several orders.")
            period = replace(period, order_id=found[0])
        ledger.begin()
        async for booked in movement_lists.stream(connection, period):
            ledger.write(booked)
        ledger.end()
