"""``counterfoil refunds``: money given back by a person, and how every refund stands, whoever began it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from console import development, tables
from console.options import As, AsJson, DataDir, Limit, plain_words, read_moment, refuse
from console.showing import ShowsByItself
from payments.money import exponent, written
from payments.refund import DisputeOpen, NothingToRefund, OverRefund, RefundReason, RefundStatus

if TYPE_CHECKING:
    from db.history import Cause
    from db.operator_actions import Operator
    from db.pool import Pool, Tx
    from db.refunds import Refund
    from workers.refund_requests import Answer, Asked, Wish

refunds_app = typer.Typer(cls=ShowsByItself, help="Money that goes back; alone, it lists.")

HEAD = ("id", "asked", "order", "payment", "amount", "status", "reason", "asked by", "gateway's id", "failure")

Note = Annotated[str | None, typer.Option(callback=plain_words, help="In your own words, for the record.")]
Key = Annotated[
    str | None,
    typer.Option(callback=plain_words, help="Your own name for this refund: said again, it finds the first one."),
]


@refunds_app.command("create")
def create_refund(
    context: typer.Context,
    order: Annotated[
        str,
        typer.Argument(metavar="ORDER", callback=plain_words, help="Its id; or a payment's, ours or the gateway's."),
    ],
    reason: Annotated[RefundReason, typer.Option(metavar="CODE", help=f"{', '.join(RefundReason)}.")],
    amount: Annotated[
        int | None, typer.Option(min=1, max=2**63 - 1, help="In minor units.", show_default="all that is left")
    ] = None,
    note: Note = None,
    key: Key = None,
    by: As = None,
    *,
    as_json: AsJson = False,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Give an order's money back, or a payment's: written down now, and sent by a worker."""
    from console.actor import operator
    from console.record import at_the_record
    from console.values import values_of
    from workers.refund_requests import Wish

    clock, who = values_of(context, data_dir).desk.book.clock, operator(by)
    wish = Wish(amount, reason, f"operator:{who.name}", key, note)
    refund = _granted(at_the_record(data_dir, lambda pool: _ask(pool, order, wish, who, clock())), order)
    if as_json:
        tables.show_json(refund)
    else:
        tables.show(HEAD, [_row(refund)], nothing="")


async def _ask(pool: Pool, name: str, wish: Wish, who: Operator, at: datetime) -> Answer | None:
    """None: there is nothing of that name. What is refused leaves no act behind."""
    try:
        async with pool.acquire() as connection, connection.transaction():
            return await _write(connection, name, wish, who, at)
    except _NotGranted as refused:
        return refused.answer


class _NotGranted(Exception):
    """Takes back what was written before it was known."""

    def __init__(self, answer: Answer | None) -> None:
        super().__init__()
        self.answer = answer


async def _write(tx: Tx, name: str, wish: Wish, who: Operator, at: datetime) -> Asked:
    """The act first, since the refund's history names it as its cause. Raises ``_NotGranted``."""
    from db import operator_actions
    from db.history import Cause
    from workers.refund_requests import Asked

    act = await operator_actions.record(
        tx,
        by=who,
        action="refunds.create",
        target={"of": name, "amount": wish.amount, "key": wish.asked_key},
        reason=wish.note or wish.reason.value,
    )
    answer = await _ask_for(tx, name, wish, Cause("operator", str(act)), at)
    if not isinstance(answer, Asked):
        raise _NotGranted(answer)
    return answer


async def _ask_for(tx: Tx, name: str, wish: Wish, cause: Cause, at: datetime) -> Answer | None:
    from db import refunds
    from workers.refund_requests import ask_for_order, ask_for_payment

    own = _id(name)
    if own is not None and await refunds.is_an_order(tx, own):
        return await ask_for_order(tx, own, wish, cause, at)
    match await refunds.find_payments(tx, name, own):
        case [payment_id]:
            return await ask_for_payment(tx, payment_id, wish, cause, at)
        case _:
            return None


def _granted(answer: Answer | None, name: str) -> Refund:
    """The refund; or the command ends with a sentence."""
    from workers.refund_requests import Asked, Elsewhere, KeyReused

    match answer:
        case Asked(refund=refund):
            return refund
        case OverRefund(remaining=remaining):
            raise refuse(f"That is more than is left: {remaining} can still be refunded.")
        case DisputeOpen():
            raise refuse("A dispute holds this money: a refund would give it back twice.")
        case NothingToRefund():
            raise refuse("No money was taken, or all of it has gone back.")
        case Elsewhere(payments=payments):
            raise refuse(
                f"Nothing is left of what paid it. Of other money of it there is: name {' or '.join(payments)}."
            )
        case KeyReused():
            raise refuse("You gave this --key to another refund.")
        case None:
            raise refuse(f"There is no order and no payment {name}, or more than one.")


@refunds_app.command("list")
def list_refunds(
    order: Annotated[str | None, typer.Option(metavar="ID", help="Of this order, and of what it began.")] = None,
    status: Annotated[RefundStatus | None, typer.Option(help=f"{', '.join(RefundStatus)}.", metavar="STATUS")] = None,
    since: Annotated[str | None, typer.Option(metavar="24h|DAY", help="Asked for so long ago at most.")] = None,
    limit: Limit = 50,
    *,
    as_json: AsJson = False,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Those that fit everything that is said, the newest first; those of the gateway's own page too."""
    from console.record import at_the_record

    order_id = _id(order) if order else None
    if order and order_id is None:
        raise typer.BadParameter("takes the id of an order", param_hint="--order")
    moment = read_moment(since, "--since") if since else None
    found = at_the_record(data_dir, lambda pool: _newest(pool, order_id, status, moment, limit))
    if as_json:
        tables.show_json(found)
    else:
        tables.show(HEAD, map(_row, found), nothing="no refunds")
    if len(found) == limit:
        typer.echo("there may be more: --limit", err=True)


async def _newest(
    pool: Pool, order_id: UUID | None, status: RefundStatus | None, since: datetime | None, limit: int
) -> list[Refund]:
    from db import refunds

    async with pool.acquire() as connection:
        return await refunds.newest(connection, order_id=order_id, status=status, since=since, limit=limit)


@refunds_app.command("show")
def show_refund(
    name: Annotated[str, typer.Argument(metavar="ID", callback=plain_words, help="Ours.")],
    *,
    as_json: AsJson = False,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """One, whole."""
    from console.record import at_the_record

    refund_id = _id(name)
    refund = at_the_record(data_dir, lambda pool: _find(pool, refund_id)) if refund_id else None
    if refund is None:
        raise refuse(f"There is no refund {name}.")
    if as_json:
        tables.show_json(refund)
    else:
        tables.show(("", ""), _facts(refund), nothing="", title="refund")


async def _find(pool: Pool, refund_id: UUID) -> Refund | None:
    from db import refunds

    async with pool.acquire() as connection:
        return await refunds.find(connection, refund_id)


def _facts(refund: Refund) -> list[tuple[str, object]]:
    facts: dict[str, Any] = {
        "id": refund.id,
        "amount": _amount(refund),
        "status": refund.status.value,
        "reason": refund.reason_code.value,
        "asked by": refund.asked_by,
        "note": refund.note,
        "order": refund.order_id,
        "payment": f"{refund.gateway} {refund.gateway_payment_id}",
        "gateway's id": refund.gateway_refund_id,
        "our key there": refund.idempotency_key,
        "failure": refund.failure_reason,
        "asked": refund.created_at,
        "sent": refund.sent_at,
        "settled": refund.settled_at,
    }
    return [(name, value) for name, value in facts.items() if value is not None]


def _row(refund: Refund) -> tuple[object, ...]:
    return (
        *(refund.id, refund.created_at, refund.order_id, refund.gateway_payment_id, _amount(refund)),
        *(refund.status.value, refund.reason_code.value, refund.asked_by, refund.gateway_refund_id),
        refund.failure_reason,
    )


def _amount(refund: Refund) -> str:
    return written(refund.amount, refund.currency, exponent=exponent(refund.gateway, refund.currency))


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
