"""One run: customers come while everything breaks; then it settles, and both sides' books are compared."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from db.invariants import find_violations, load
from tests.simulation import books, given_back, promises, subscribed
from tests.simulation.books import Books, Worked
from tests.simulation.chaos import Chaos
from tests.simulation.customers import Street, Visit
from tests.simulation.figures import Meter, Slowest, Stopwatch, slowest_after
from tests.simulation.jobs import a_clock, run
from tests.simulation.money_back import Contested, GivenBack
from tests.simulation.promises import Broken
from tests.simulation.settling import settle
from tests.simulation.stack import Stack, started
from tests.simulation.truth import Mail, Truth, read_mail, read_truth
from tests.simulation.visits import MONEY_BACK, SUBSCRIBERS, plan_visit, serve

#: Customers who are being served at once.
AT_ONCE = 32

#: Nobody else comes in while so much is owed: a shop that is overrun measures its queue and not its faults.
CROWDED = 400

#: More visits than payments are needed: some leave.
VISITS_PER_PAYMENT = 1.15

#: Where nearly nobody can pay there is nothing to wait for.
VISITS_MOST = 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to run. ``minutes`` spreads the customers over so long; 0: as fast as they are served. ``subscribers``: how
    many of them come for a subscription; ``money_back``: of how many the money goes back."""

    seed: int
    payments: int
    minutes: float
    gap_seconds: float
    subscribers: float = SUBSCRIBERS
    money_back: float = MONEY_BACK


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    wanted: Wanted
    visits: list[Visit]
    broken: list[Broken]
    slowest: list[Slowest]
    books: Books
    truth: Truth
    mail: Mail
    worked: list[Worked]
    chaos: Chaos
    meter: Meter
    drive_seconds: float
    settle_seconds: float
    check_seconds: float = 0.0
    story: str = ""
    injected: Counter[str] = field(default_factory=Counter)


async def simulate(wanted: Wanted, data_dir: Path) -> Outcome:
    """Start a stack, let the run happen on it, check, and end the stack."""
    async with AsyncExitStack() as opened:
        stack = await opened.enter_async_context(started(data_dir))
        clock = await opened.enter_async_context(a_clock(stack.settings))
        meter = Meter(stack)
        metering = asyncio.create_task(meter.run())
        opened.callback(metering.cancel)

        async def run_job(name: str) -> str:
            return await run(clock, name)

        street = Street(stack, wanted.seed, at_once=AT_ONCE)
        chaos = Chaos(stack, street, wanted.gap_seconds, run_job)
        driving = Stopwatch()
        visits = await _drive(wanted, street, chaos, meter)
        drive_seconds = driving.seconds
        _say(f"{len(visits)} visits, {street.sold} paid or to be paid, in {drive_seconds:.0f} s; settling")
        settling = Stopwatch()
        owed = await settle(stack, street, run_job)
        _say(f"settled in {settling.seconds:.0f} s; comparing")
        checking = Stopwatch()
        outcome = await _compare(wanted, stack, visits, owed, chaos, meter, drive_seconds, settling.seconds)
        if outcome.broken:
            outcome.story = await _tell_first(stack, outcome)
        kept = await books.read_kept(stack.pool)
    outcome.mail = await asyncio.to_thread(read_mail, data_dir)
    outcome.broken += promises.check_mail(outcome.mail, kept)
    outcome.injected = outcome.mail.faults + chaos.called
    outcome.check_seconds = checking.seconds
    return outcome


async def _drive(wanted: Wanted, street: Street, chaos: Chaos, meter: Meter) -> list[Visit]:
    stopping = asyncio.Event()
    raging = asyncio.create_task(chaos.rage(stopping))
    visits: list[Visit] = []
    pause = wanted.minutes * 60 / (wanted.payments * VISITS_PER_PAYMENT)
    stopwatch, told = Stopwatch(), 0.0
    async with asyncio.TaskGroup() as group:
        while street.sold < wanted.payments and len(visits) < VISITS_MOST * wanted.payments:
            if raging.done():
                raging.result()
            if street.room.locked() or meter.owed > CROWDED or stopwatch.seconds < len(visits) * pause:
                await asyncio.sleep(0.01)
                continue
            visit, wish = plan_visit(wanted.seed, len(visits), wanted.subscribers, wanted.money_back)
            visits.append(visit)
            group.create_task(serve(street, visit, wish))
            await asyncio.sleep(0)
            if stopwatch.seconds > told + 30:
                told = stopwatch.seconds
                _say(
                    f"{told:5.0f} s: {len(visits)} visits, {street.sold} paid, {meter.owed} owed, {len(chaos.struck)} blows"
                )
        stopping.set()
        await raging
        await street.close()
    return visits


async def _compare(
    wanted: Wanted,
    stack: Stack,
    visits: list[Visit],
    owed: list[books.Row],
    chaos: Chaos,
    meter: Meter,
    drive_seconds: float,
    settle_seconds: float,
) -> Outcome:
    truth = await read_truth(stack)
    async with stack.pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        ours = await books.read_books(connection)
        worked = await books.read_worked(connection)
        violated = [
            Broken("invariants are silent", f"{invariant.says} {each.subject}: {each.evidence}", str(each.order_id))
            for invariant in load()
            for each in await find_violations(connection, invariant, seconds=60)
        ]
    broken = [
        *promises.check_money(ours, truth),
        *promises.check_orders(ours, truth),
        *promises.check_differences(ours),
        *promises.check_effects(ours, Path(stack.settings["OUTBOX_DIR"])),
        *promises.check_captures(ours),
        *promises.check_histories(ours),
        *promises.check_pages(ours, truth),
        *promises.check_work(owed, ours),
        *promises.check_visits(visits, ours),
        *subscribed.check_all(ours, truth.billing, truth.money_back),
        *given_back.check_all(ours, truth, visits),
        *violated,
    ]
    slowest = slowest_after(chaos.struck, worked)
    return Outcome(
        wanted, visits, broken, slowest, ours, truth, Mail(set(), set()), worked, chaos, meter, drive_seconds,
        settle_seconds,
    )  # fmt: skip


async def _tell_first(stack: Stack, outcome: Outcome) -> str:
    """The story of the first order that is wrong: what the customer did, what the gateway holds, what we hold."""
    order_id = next((each.order_id for each in outcome.broken if each.order_id not in (None, "None")), None)
    if order_id is None:
        return "(no order is named)"
    lines = [f"The story of order {order_id}:"]
    lines += [f"  {each.promise}: {each.says}" for each in outcome.broken if each.order_id == order_id]
    for visit in outcome.visits:
        if order_id in visit.orders:
            lines.append(f"  visit {visit.number}: {visit.user} wants {visit.plan} at {visit.gateway}, {visit.wish}")
            lines += [f"    {line}" for line in visit.diary]
    lines += [f"  at the gateway: {taken}" for taken in outcome.truth.taken if taken.order_id == order_id]
    lines += [f"  at the gateway: {each}" for each in _went_back(outcome.truth, order_id)]
    lines += [f"  at the gateway: {page}" for page in outcome.truth.pages if page.order_id == order_id]
    lines += [f"  at the gateway: {each}" for each in outcome.truth.billing.subscriptions if each.order_id == order_id]
    lines.append(await books.tell(stack.pool, order_id))
    return "\n".join(lines)


def _went_back(truth: Truth, order_id: str) -> list[GivenBack | Contested]:
    payments = {(taken.gateway, taken.payment_id) for taken in truth.taken if taken.order_id == order_id}
    found: list[GivenBack | Contested] = [*truth.money_back.refunds, *truth.money_back.disputes]
    return [each for each in found if (each.gateway, each.payment) in payments]


def _say(text: str) -> None:
    sys.stderr.write(f"simulation: {text}\n")
