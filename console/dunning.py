"""``counterfoil dunning simulate``: the calendar that a policy gives to a subscription whose renewal fails."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from console import tables
from console.development import PROJECT
from console.options import AsJson, refuse
from console.simulated_life import Decline, Interval, Life, Moment, play
from payments.dunning import DEFAULT, Policy, PolicyError, read_policy

dunning_app = typer.Typer(help="What is done about renewals that fail.", no_args_is_help=True)

OUR_FILE = PROJECT / "dunning.toml"
FILE_BYTES = 64 * 1024

HEAD = ("date", "day", "the gateway says", "what is sent or done", "access", "until")


@dunning_app.callback()
def dunning() -> None:
    """What is done about renewals that fail."""


@dunning_app.command("simulate")
def simulate(
    *,
    policy: Annotated[
        Path | None,
        typer.Option(
            envvar="DUNNING_FILE",
            metavar="FILE",
            help="The policy.",
            show_default="dunning.toml in the project",
        ),
    ] = None,
    interval: Annotated[Interval, typer.Option(help="How long the plan's periods are.")] = Interval.MONTH,
    trial_days: Annotated[int, typer.Option(min=0, max=730, help="How long its trial is; 0 is none.")] = 0,
    fail_at: Annotated[int, typer.Option(min=1, max=24, help="The first renewal that nobody pays.")] = 1,
    decline: Annotated[Decline, typer.Option(help="Why.")] = Decline.CARD_DECLINED,
    as_json: AsJson = False,
) -> None:
    """The calendar that a policy gives: what is sent, when access ends, when it is cancelled. Nothing is sent."""
    start = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    moments = list(play(Life(start, interval, trial_days, fail_at, decline), _policy(policy)))
    if as_json:
        tables.show_json(moments)
    else:
        tables.show(HEAD, (_row(moment, start) for moment in moments), nothing="nothing happens")


def _policy(file: Path | None) -> Policy:
    """What the file says; the command ends where it cannot be one. Without a file, what holds without one."""
    file = file or OUR_FILE
    if file == OUR_FILE and not file.exists():
        return DEFAULT
    try:
        with file.open("rb") as opened:
            raw = opened.read(FILE_BYTES + 1)
        if len(raw) > FILE_BYTES:
            raise refuse(f"{file} is longer than a policy can be.")
        return read_policy(tomllib.loads(raw.decode()))
    except OSError as error:
        raise refuse(f"{file} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refuse(f"{file} is not TOML: {error}.") from error
    except PolicyError as error:
        raise refuse(f"{file}: {error}.") from error


def _row(moment: Moment, start: datetime) -> tuple[object, ...]:
    access = moment.access
    return (
        f"{moment.at:%Y-%m-%d}",
        (moment.at - start).days,
        moment.said,
        ", ".join(moment.effects),
        f"{'yes' if access.active else 'no'}: {access.reason}",
        f"{access.until:%Y-%m-%d}" if access.until else None,
    )
