"""``counterfoil sandbox``: the stand-in gateways' controls, for a terminal and for scripts.

Exit codes: 0 done; 1 refused, or a webhook that was sent by hand was not taken; 2 nobody to talk to, or a wrong word.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from console import development, sandbox_client
from console import sandbox_tables as tables
from console.options import AsJson, DataDir
from console.sandbox_client import LONG_SECONDS, Json, NoSandbox, Refused, Sandbox
from console.sandbox_faults import faults_app, shortcuts_app
from console.sandbox_money import money_app
from console.sandbox_words import Url, read_change, read_seconds
from console.tables import plain, show

PAYS = "4242424242424242"

#: What becomes of 3-D Secure, as ``/_control/pay`` takes it.
ANSWERS: dict[str, Any] = {"pass": True, "leave": False, "fail": "fail"}


class _Said(TyperGroup):
    """A failure is one sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except NoSandbox as error:
            sentence, code = str(error), 2
        except Refused as error:
            sentence, code = str(error), 1
        typer.echo(f"counterfoil: {plain(sentence)}", err=True)
        raise typer.Exit(code)


sandbox_app = typer.Typer(cls=_Said, help="The stand-in gateways: faults, time, payments.", no_args_is_help=True)
sandbox_app.add_typer(faults_app, name="faults")
# Without a name their commands are ours.
sandbox_app.add_typer(shortcuts_app)
sandbox_app.add_typer(money_app)


@sandbox_app.command()
def status(*, as_json: AsJson = False, url: Url = None, data_dir: DataDir = development.DATA_DIR) -> None:
    """What it is, what time it is there, and how much of everything there is."""
    sandbox = sandbox_client.find(url, data_dir)
    said = sandbox.ask("status")
    if as_json:
        tables.show_json({"url": sandbox.url, **said})
    else:
        show(("", ""), tables.status_rows(sandbox.url, said), nothing="")


@sandbox_app.command()
def advance(
    span: Annotated[str, typer.Argument(help="Such as 31m, 2h, 3d or 1h30m.")],
    url: Url = None,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Move the clock; what falls due on the way happens, and its webhooks are sent."""
    sandbox = sandbox_client.find(url, data_dir)
    clock = sandbox.order("clock", {"advance": read_seconds(span, "SPAN")}, seconds=LONG_SECONDS)
    typer.echo(tables.time_told(clock))


@sandbox_app.command()
def pay(
    session: Annotated[str, typer.Argument(help="A Checkout Session, a payment link or a Razorpay order.")],
    card: Annotated[str | None, typer.Option(help="A test card's number.", show_default=PAYS)] = None,
    upi: Annotated[str | None, typer.Option(help="success or failure, instead of a card (Razorpay).")] = None,
    authenticate: Annotated[str, typer.Option(help="What becomes of 3-D Secure: pass, fail or leave.")] = "pass",
    settle_after: Annotated[str | None, typer.Option(help="A delayed method, settled so much later (Stripe).")] = None,
    late: Annotated[str | None, typer.Option(help="It fails, and is authorised so much later (Razorpay).")] = None,
    *,
    as_json: AsJson = False,
    url: Url = None,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Do what a customer does on the hosted page."""
    if authenticate not in ANSWERS:
        raise typer.BadParameter(f"must be one of: {', '.join(ANSWERS)}", param_hint="--authenticate")
    order: Json = {"session": session}
    if upi is not None:
        order |= {"method": "upi", "vpa": upi if "@" in upi else f"{upi}@razorpay"}
    if card is not None or upi is None:
        order |= {"card": card or PAYS}
    if ANSWERS[authenticate] is not True:
        order |= {"authenticate": ANSWERS[authenticate]}
    if settle_after is not None:
        order |= {"method": "delayed", "settleAfter": read_seconds(settle_after, "--settle-after")}
    if late is not None:
        order |= {"late": read_seconds(late, "--late")}
    paid = sandbox_client.find(url, data_dir).order("pay", order)
    if as_json:
        tables.show_json(paid)
    else:
        typer.echo(plain(" ".join(filter(None, (paid["outcome"], paid["payment"])))))


@sandbox_app.command()
def subscription(
    named: Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="The gateway's id of one that runs.")],
    card: Annotated[str | None, typer.Option(help="Another card behind it from now on.")] = None,
    next_payment: Annotated[
        str | None, typer.Option(help="How its next payment ends: succeed, fail, or ask (Stripe).")
    ] = None,
    decline: Annotated[str | None, typer.Option(help="Why it fails, such as insufficient_funds (Stripe).")] = None,
    times: Annotated[int | None, typer.Option(help="And so many payments after one another (Stripe).")] = None,
    *,
    as_json: AsJson = False,
    url: Url = None,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """What happens behind a subscription without its customer."""
    changes = {"card": card, "nextPayment": next_payment, "decline": decline, "times": times}
    order = {"subscription": named, **{name: value for name, value in changes.items() if value is not None}}
    arranged = sandbox_client.find(url, data_dir).order("subscription", order)
    if as_json:
        tables.show_json(arranged)
    else:
        show(("", ""), tables.arrangement_rows(arranged), nothing="")


@sandbox_app.command()
def deliveries(
    state: Annotated[str | None, typer.Option(help="withheld, pending, sending, delivered or failed.")] = None,
    event: Annotated[str | None, typer.Option(help="Those of one event.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 20,
    *,
    as_json: AsJson = False,
    url: Url = None,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Every webhook, sent or withheld, with the last answer to it; the newest last."""
    found = sandbox_client.find(url, data_dir).ask("deliveries", state=state, event=event, limit=limit)["data"]
    if as_json:
        tables.show_json(found)
    else:
        show(tables.DELIVERY_HEAD, map(tables.delivery_row, found), nothing="no webhooks")


@sandbox_app.command()
def deliver(
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID...", help="Deliveries, by their numbers.")] = None,
    *,
    withheld: Annotated[bool, typer.Option("--withheld", help="Every one that was withheld.")] = False,
    url: Url = None,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Send what was withheld, in the order of its making."""
    if bool(ids) == withheld:
        raise typer.BadParameter("name deliveries, or say --withheld", param_hint="ID...")
    sandbox = sandbox_client.find(url, data_dir)
    if withheld:
        ids = [delivery["id"] for delivery in sandbox.ask("deliveries", state="withheld")["data"]]
    _send(sandbox, [{"delivery": number} for number in ids or ()])


@sandbox_app.command()
def resend(
    what: Annotated[str, typer.Argument(metavar="ID|EVENT", help="A delivery's number, or an event's id.")],
    url: Url = None,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Send a webhook again, whatever became of it: the same bytes, signed anew."""
    order = {"delivery": int(what)} if what.isascii() and what.isdecimal() else {"event": what}
    _send(sandbox_client.find(url, data_dir), [order])


@sandbox_app.command()
def calls(
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 20,
    *,
    as_json: AsJson = False,
    url: Url = None,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """What was asked of both APIs, and what was answered; the newest last."""
    found = sandbox_client.find(url, data_dir).ask("calls", limit=limit)["data"]
    if as_json:
        tables.show_json(found)
    else:
        show(tables.CALL_HEAD, map(tables.call_row, found), nothing="no calls")


@sandbox_app.command()
def objects(
    gateway: Annotated[str, typer.Argument(help="stripe or razorpay.")],
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="Such as checkout.session or payment_link.")],
    *,
    as_json: AsJson = False,
    url: Url = None,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """The gateway's own truth, to compare with; the newest last."""
    found = sandbox_client.find(url, data_dir).ask("objects", gateway=gateway, type=kind)["data"]
    if as_json:
        tables.show_json(found)
    else:
        show(tables.OBJECT_HEAD, map(tables.object_row, found), nothing="none")


@sandbox_app.command()
def settings(
    changes: Annotated[list[str] | None, typer.Argument(metavar="NAME=VALUE...", help="Changes them.")] = None,
    *,
    as_json: AsJson = False,
    url: Url = None,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """What one sets in a gateway's dashboard, such as razorpayAutoCapture=false."""
    sandbox = sandbox_client.find(url, data_dir)
    order = dict(map(read_change, changes or ()))
    said = sandbox.order("settings", order) if order else sandbox.ask("settings")
    if as_json:
        tables.show_json(said)
    else:
        show(("setting", "now"), tables.setting_rows(said), nothing="none")


@sandbox_app.command()
def reset(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = None,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Forget every object, webhook, call and fault. The clock stays."""
    sandbox = sandbox_client.find(url, data_dir)
    if not yes:
        typer.confirm(f"Forget everything in the sandbox at {sandbox.url}?", abort=True)
    sandbox.order("reset", {})
    typer.echo("nothing is remembered")


def _send(sandbox: Sandbox, orders: list[Json]) -> None:
    """One after the other, so that they arrive in that order."""
    rows = [row for order in orders for row in sandbox.order("resend", order, seconds=LONG_SECONDS)["data"]]
    show(tables.RESENT_HEAD, map(tables.resent_row, rows), nothing="nothing was withheld")
    if any(row["state"] != "delivered" for row in rows):
        raise typer.Exit(1)
