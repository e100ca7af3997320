"""The list of plans as a file (TOML): checked as a whole, then put on sale in one transaction.

The gateways' catalogues are shown the list afterwards (``console.shopwindow``); no sale depends on that.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

import asyncpg
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from db import catalogue, plans
from db.plans import Plan
from db.pool import UNAVAILABLE, Tx
from gateways.client import Refused, SessionOrder
from gateways.gateway import Json
from gateways.razorpay import freezing as razorpay
from gateways.registry import GATEWAYS
from gateways.stripe import freezing as stripe
from payments.money import Money, exponent, written

#: A request as each gateway would get it: who cannot be asked for this amount says so here (F65).
FREEZERS: Mapping[str, Callable[[SessionOrder], Json | Refused]] = {
    "stripe": stripe.freeze,
    "razorpay": razorpay.freeze,
}

FILE_BYTES = 1024 * 1024

#: No connection can be had: the address is wrong, or nobody is there.
AWAY: tuple[type[BaseException], ...] = (*UNAVAILABLE, asyncpg.PostgresError, ValueError)

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$")]
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$", max_length=100)]
Words = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=500)]


class PlansRefused(Exception):
    """Nothing was changed. One line for each thing that is wrong."""


class Entry(BaseModel):
    """One ``[[plans]]`` of the file. A name that is not listed here is refused: it is most likely a slip."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    id: Id
    name: Line
    description: Words = ""
    price_cents: int = Field(ge=0, lt=10**12)
    currency: Annotated[str, StringConstraints(pattern=r"^[a-z]{3}$")]
    interval: Literal["month", "year"] | None = None
    trial_days: int = Field(default=0, ge=0, le=730)
    gateways: list[str] = Field(default_factory=lambda: list(GATEWAYS), min_length=1)
    active: bool = True
    many: bool = False

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.trial_days and self.interval is None:
            raise ValueError("trial_days is for plans with an interval")
        if self.many and self.interval is None:
            raise ValueError("many is for plans with an interval: what is sold once can be bought again")
        unknown = [name for name in self.gateways if name not in GATEWAYS]
        if unknown or len(set(self.gateways)) != len(self.gateways):
            raise ValueError(f"gateways takes each of {', '.join(GATEWAYS)} once at most")
        for name in self.gateways:
            if (refused := _ask(name, self)) is not None:
                raise ValueError(f"{name} cannot be asked for this: {refused.reason}")
        return self

    def as_plan(self) -> Plan:
        return Plan(**{**self.model_dump(), "gateways": tuple(self.gateways)})


class File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    plans: list[Entry] = Field(min_length=1, max_length=1000)


@dataclass(frozen=True, slots=True)
class Change:
    """What a plan was before and is now: None where it is new."""

    before: Plan | None
    after: Plan

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.after.id}: new, {self.after.price_cents} {self.after.currency}"
        changed = (
            f"{field.name} {getattr(self.before, field.name)!r} -> {getattr(self.after, field.name)!r}"
            for field in fields(Plan)
            if getattr(self.before, field.name) != getattr(self.after, field.name)
        )
        return f"{self.after.id}: {', '.join(changed)}"


def read(file: Path) -> list[Plan]:
    """Raises ``PlansRefused``."""
    try:
        with file.open("rb") as opened:
            text = opened.read(FILE_BYTES + 1).decode()
        if len(text) > FILE_BYTES:
            raise PlansRefused(f"{file} is longer than a list of plans can be.")
        entries = File.model_validate(tomllib.loads(text)).plans
    except OSError as error:
        raise PlansRefused(f"{file} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PlansRefused(f"{file} is not TOML: {error}.") from error
    except ValidationError as error:
        raise PlansRefused("\n".join(_sentence(problem) for problem in error.errors(include_url=False))) from error
    ids = [entry.id for entry in entries]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise PlansRefused(f"There are several plans of the id {', '.join(twice)}.")
    return [entry.as_plan() for entry in entries]


async def sync(url: str, wanted: Sequence[Plan], *, prune: bool, dry_run: bool) -> list[Change]:
    """Put these on sale; with ``prune``, take all others off it. Orders keep the amounts they were written with."""
    async with _Database(url) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await catalogue.hold_list(connection)
        changes = _compare({plan.id: plan for plan in await catalogue.all_plans(connection)}, wanted, prune=prune)
        for change in changes:
            await plans.upsert(connection, change.after)
        await (transaction.rollback() if dry_run else transaction.commit())
    return changes


async def every_plan(url: str) -> list[Plan]:
    async with _Database(url) as connection:
        return await catalogue.all_plans(connection)


def table(found: Sequence[Plan]) -> str:
    """For people, with amounts as they are written at the plan's first gateway."""
    rows = [("ID", "NAME", "PRICE", "PAID", "TRIAL", "GATEWAYS", ""), *map(_row, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _row(plan: Plan) -> tuple[str, ...]:
    decimals = exponent(next(iter(plan.gateways), None), plan.currency)
    return (
        plan.id,
        plan.name,
        written(plan.price_cents, plan.currency, exponent=decimals),
        f"every {plan.interval}" if plan.interval else "once",
        f"{plan.trial_days} days" if plan.trial_days else "",
        ", ".join(plan.gateways),
        "" if plan.active else "not on sale",
    )


def _compare(known: Mapping[str, Plan], wanted: Sequence[Plan], *, prune: bool) -> list[Change]:
    changes = [Change(known.get(plan.id), plan) for plan in wanted]
    if prune:
        listed = {plan.id for plan in wanted}
        changes += [Change(plan, replace(plan, active=False)) for plan in known.values() if plan.id not in listed]
    return [change for change in changes if change.before != change.after]


class _Database:
    """One connection, and its absence as a sentence."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> Tx:
        try:
            self._connection = await asyncpg.connect(self._url, timeout=10, command_timeout=30)
        except AWAY as error:
            raise PlansRefused(f"The database does not answer as it should ({type(error).__name__}).") from error
        return self._connection

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        await self._connection.close()
        if isinstance(error, asyncpg.UndefinedTableError):
            raise PlansRefused("The database is not migrated: run counterfoil migrate first.") from error


def _ask(gateway: str, entry: Entry) -> Refused | None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    order = SessionOrder(
        order_id="0" * 36,
        plan_id=entry.id,
        plan_name=entry.name,
        description=entry.description,
        expected=Money(entry.price_cents, entry.currency),
        success_url="https://example.test/",
        cancel_url="https://example.test/",
        expires_at=moment,
        instance_id="counterfoil",
    )
    frozen = FREEZERS[gateway](order)
    return frozen if isinstance(frozen, Refused) else None


def _sentence(problem: Mapping[str, object]) -> str:
    location = problem["loc"]
    assert isinstance(location, tuple)
    place = ".".join(f"{part + 1}" if isinstance(part, int) else part for part in location)
    return f"{place or 'plans'}: {str(problem['msg']).removeprefix('Value error, ')}"
