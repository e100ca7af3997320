"""The desk's commands, each a few lines over what the rest of the house can do."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from console import development
from console.dead import dead_app
from console.dunning import dunning_app
from console.events import events_app
from console.explain import explain_app
from console.jobs import jobs_app
from console.movements import movements_app
from console.options import DataDir, refuse, setting
from console.queues import queues_app
from console.refunds import refunds_app
from console.sandbox import sandbox_app
from console.status import status_app

app = typer.Typer(
    help="A self-hosted payments backend: the desk.",
    no_args_is_help=True,
    add_completion=False,
    # A traceback that shows its locals shows secrets.
    pretty_exceptions_enable=False,
)

plans_app = typer.Typer(help="What is for sale.", no_args_is_help=True)
app.add_typer(plans_app, name="plans")
# Without a name its command is ours.
app.add_typer(status_app)
app.add_typer(movements_app)
app.add_typer(queues_app, name="queues")
app.add_typer(events_app, name="events")
app.add_typer(explain_app, name="explain")
app.add_typer(refunds_app, name="refunds")
app.add_typer(dead_app, name="dead")
app.add_typer(jobs_app, name="jobs")
app.add_typer(dunning_app, name="dunning")
app.add_typer(sandbox_app, name="sandbox")


@app.callback()
def desk() -> None:
    """A self-hosted payments backend: the desk."""


@app.command()
def migrate(data_dir: DataDir = development.DATA_DIR) -> None:
    """Apply what the database is missing, in order, under a lock."""
    from console.database import NotUpToDate, bring_up_to_date

    url = setting("DATABASE_URL", data_dir)
    try:
        names = asyncio.run(bring_up_to_date(url))
    except NotUpToDate as error:
        raise refuse(str(error)) from error
    typer.echo("\n".join(names) or "nothing is missing")


@app.command()
def token(
    email: Annotated[str, typer.Option(help="The user's address, and their id unless --user gives another.")],
    user: Annotated[str | None, typer.Option(help="The application's id of the user.")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="With the scopes refunds and support.")] = False,  # noqa: FBT002
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """A user's token (JWT) for development, signed as an application would sign it."""
    from checkout.wrong_setting import WrongSetting
    from console.tokens import NoToken, development_token

    secret, in_production = setting("AUTH_JWT_SECRET", data_dir), os.environ.get("APP_ENV") == "production"
    try:
        made = development_token(secret, email, user_id=user, is_admin=admin, in_production=in_production)
    except (NoToken, WrongSetting) as error:
        raise refuse(str(error)) from error
    typer.echo(made)


@plans_app.command("sync")
def sync_plans(
    file: Annotated[Path, typer.Argument(help="A TOML file with one [[plans]] for each.")],
    prune: Annotated[bool, typer.Option("--prune", help="Take plans that are not in the file off sale.")] = False,  # noqa: FBT002
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,  # noqa: FBT002
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Put the plans of a file on sale. Orders keep the amounts they were written with."""
    from console import plans

    url = setting("DATABASE_URL", data_dir)
    try:
        changes = asyncio.run(plans.sync(url, plans.read(file), prune=prune, dry_run=dry_run))
    except plans.PlansRefused as error:
        raise refuse(str(error)) from error
    typer.echo("\n".join(map(str, changes)) or "nothing has changed")
    if not dry_run:
        _show_in_catalogues(url)


def _show_in_catalogues(url: str) -> None:
    """At every gateway that has a key here. Our own list stands whatever a gateway says; the exit code tells."""
    import structlog
    from pydantic import ValidationError

    from console import plans, shopwindow
    from gateways.clients import build_clients
    from gateways.razorpay.settings import RazorpaySettings
    from gateways.stripe.settings import StripeSettings

    # What the clients log of their calls is not this command's output.
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=sys.stderr))

    async def publish() -> list[shopwindow.Shown]:
        clients = build_clients({"stripe": StripeSettings(), "razorpay": RazorpaySettings()})
        try:
            instance_id = os.environ.get("INSTANCE_ID") or "counterfoil"
            return await shopwindow.publish(url, await plans.every_plan(url), clients, instance_id)
        finally:
            for client in clients.values():
                await client.aclose()

    try:
        shown = asyncio.run(publish())
    except ValidationError as error:
        raise refuse(f"a gateway's settings are wrong: {error.errors(include_input=False)[0]['msg']}") from error
    for line in shown:
        typer.echo(str(line))
    if any(line.problem for line in shown):
        raise typer.Exit(1)


@plans_app.command("list")
def list_plans(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,  # noqa: FBT002
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Every plan, those that are no longer sold too."""
    from console import plans

    try:
        found = asyncio.run(plans.every_plan(setting("DATABASE_URL", data_dir)))
    except plans.PlansRefused as error:
        raise refuse(str(error)) from error
    typer.echo(json.dumps([asdict(plan) for plan in found], indent=2) if as_json else plans.table(found))
