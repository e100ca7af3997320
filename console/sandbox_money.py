"""``counterfoil sandbox refund``, ``dispute`` and ``payout``: what happens to money after a payment, by order."""

from __future__ import annotations

from typing import Annotated

import typer

from console import development, sandbox_client
from console import sandbox_tables as tables
from console.options import AsJson, DataDir
from console.sandbox_client import Json
from console.sandbox_words import Url, read_seconds
from console.tables import plain, show

money_app = typer.Typer()

Payment = Annotated[str, typer.Argument(help="A payment, or what one paid: a session, a link, an order, an invoice.")]
Amount = Annotated[int | None, typer.Option(min=1, help="In minor units; all that is left, unless it is said.")]


@money_app.command()
def refund(
    payment: Annotated[str, typer.Argument(help="A payment, or what one paid; or a refund, to bring it to its end.")],
    amount: Amount = None,
    ending: Annotated[str | None, typer.Option(help="Such as succeeds, fails or fails_after_success.")] = None,
    after: Annotated[str | None, typer.Option(help="How much later it ends; an hour, unless it is said.")] = None,
    *,
    as_json: AsJson = False,
    url: Url = None,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Refund a payment as in the gateway's dashboard, or end a refund that has been made."""
    is_end = payment.startswith(("re_", "rfnd_"))
    order: Json = {"refund" if is_end else "payment": payment, "amount": amount, "ending": ending}
    if after is not None:
        order["after"] = read_seconds(after, "--after")
    _order("refund", order, "refund", as_json=as_json, sandbox=sandbox_client.find(url, data_dir))


@money_app.command()
def dispute(
    payment: Payment,
    stage: Annotated[str, typer.Argument(help="inquiry, opened, funds_withdrawn, funds_reinstated, won, lost ...")],
    which: Annotated[str | None, typer.Option("--dispute", help="Of several: which one is meant.")] = None,
    amount: Amount = None,
    reason: Annotated[str | None, typer.Option(help="Of a new one, in the gateway's words.")] = None,
    *,
    money: Annotated[bool, typer.Option(help="Whether the end moves the money (Stripe).")] = True,
    as_json: AsJson = False,
    url: Url = None,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Bring a payment's dispute to a stage, as the customer's bank does."""
    order: Json = {"payment": payment, "stage": stage, "dispute": which, "amount": amount, "reason": reason}
    if not money:
        order["money"] = False
    _order("dispute", order, "dispute", as_json=as_json, sandbox=sandbox_client.find(url, data_dir))


@money_app.command()
def payout(
    what: Annotated[str, typer.Argument(metavar="GATEWAY|ID", help="stripe or razorpay; or a payout, to end it.")],
    ending: Annotated[str | None, typer.Option(help="Of one that has been made: paid or fails.")] = None,
    after: Annotated[str | None, typer.Option(help="How much later it arrives; a day, unless it is said.")] = None,
    *,
    as_json: AsJson = False,
    url: Url = None,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Bring all that a gateway holds to the bank; or say what the bank did with it."""
    is_end = what.startswith(("po_", "setl_"))
    order: Json = {"payout" if is_end else "gateway": what, "ending": ending}
    if after is not None:
        order["after"] = read_seconds(after, "--after")
    said = sandbox_client.find(url, data_dir).order("payout", _without_none(order))
    made = [said] if is_end else said["data"]
    if as_json:
        tables.show_json(made)
    else:
        show(tables.PAYOUT_HEAD, map(tables.payout_row, made), nothing="nothing is there to be paid out")


def _order(path: str, order: Json, name: str, *, as_json: bool, sandbox: sandbox_client.Sandbox) -> None:
    """Gives it, and says in one line what came of it."""
    said = sandbox.order(path, _without_none(order))
    if as_json:
        tables.show_json(said)
    else:
        typer.echo(plain(" ".join(str(part) for part in (said["status"], said["amount"], said[name]) if part)))


def _without_none(order: Json) -> Json:
    return {name: value for name, value in order.items() if value is not None}
