"""`make demo`: the main job as a tour, headless, on all that ``counterfoil up`` starts. Ends 0 only if all is right.

Each scenario places a pending order, speaks as a gateway would, and says what must have become of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from db.pool import open_pool
from local import ports
from local.tour import PRICE, Tour, until

PAID = "paid, access, 3 of 3 effects sent"

#: What a scenario saw, and what it should have seen: pairs of lines.
Seen = list[tuple[str, str]]


async def paid_once(tour: Tour) -> Seen:
    """Stripe: a paid session pays its order"""
    order = await tour.place_order()
    answer = await tour.post(tour.stripe(order).completed())
    return [(str(answer), "200"), (await until(lambda: tour.order(order), PAID), PAID)]


async def eight_at_once(tour: Tour) -> Seen:
    """Stripe: the same event, eight at once"""
    order = await tour.place_order()
    event = tour.stripe(order).completed()
    answers = await asyncio.gather(*(tour.post(event) for _ in range(8)))
    kept = "done (moved_to_paid), 8 delivered"
    return [
        (str(set(answers)), "{200}"),
        (await until(lambda: tour.order(order), PAID), PAID),
        (await until(lambda: tour.event(event), kept), kept),
    ]


async def told_twice(tour: Tour) -> Seen:
    """Razorpay: one payment, told by two event types"""
    order = await tour.place_order()
    voice = tour.razorpay(order)
    captured, link_paid = voice.captured(), voice.link_paid()
    await asyncio.gather(tour.post(captured), tour.post(link_paid))

    async def reasons() -> str:
        return " + ".join(sorted([await tour.event(captured), await tour.event(link_paid)]))

    once = "done (moved_to_paid), 1 delivered + done (stale), 1 delivered"
    return [(await until(lambda: tour.order(order), PAID), PAID), (await until(reasons, once), once)]


async def declined(tour: Tour) -> Seen:
    """Stripe: declined, then the session expires"""
    order = await tour.place_order()
    voice = tour.stripe(order)
    await tour.post(voice.declined("insufficient_funds"))
    shown = await until(lambda: tour.order(order), "pending, insufficient_funds")
    await tour.post(voice.expired())
    closed = await until(lambda: tour.order(order), "failed, insufficient_funds")
    return [(shown, "pending, insufficient_funds"), (closed, "failed, insufficient_funds")]


async def abandoned(tour: Tour) -> Seen:
    """Razorpay: the payment link expires untouched"""
    order = await tour.place_order()
    await tour.post(tour.razorpay(order).link_expired())
    return [(await until(lambda: tour.order(order), "cancelled"), "cancelled")]


async def wrong_amount(tour: Tour) -> Seen:
    """Stripe: one cent paid, 49 dollars owed"""
    order = await tour.place_order()
    await tour.post(tour.stripe(order, amount=1).completed())
    return [(await until(lambda: tour.order(order), "pending, amount_mismatch"), "pending, amount_mismatch")]


async def paid_twice(tour: Tour) -> Seen:
    """Stripe: a second payment of a paid order"""
    order = await tour.place_order()
    await tour.post(tour.stripe(order).completed())
    await until(lambda: tour.order(order), PAID)
    await tour.post(tour.stripe(order).completed())
    surplus = f"{PAID}, duplicate_payment"
    return [(await until(lambda: tour.order(order), surplus), surplus)]


async def unknown_type(tour: Tour) -> Seen:
    """Stripe: a type that nobody handles"""
    order = await tour.place_order()
    event = tour.stripe(order).say("climate.order.delivered", {"id": "climorder_1", "object": "climate.order"})
    answer = await tour.post(event)
    kept = "ignored (unhandled_type), 1 delivered"
    return [(str(answer), "200"), (await until(lambda: tour.event(event), kept), kept)]


async def bad_signature(tour: Tour) -> Seen:
    """Stripe: a body that was changed on the way"""
    order = await tour.place_order()
    event = tour.stripe(order).completed()
    forged = dataclasses.replace(event, body=event.body.replace(b'"paid"', b'"paid" '))
    answer = await tour.post(forged)
    return [(str(answer), "400"), (await tour.event(forged), "no row"), (await tour.order(order), "pending")]


SCENARIOS: list[Callable[[Tour], Awaitable[Seen]]] = [
    paid_once,
    eight_at_once,
    told_twice,
    declined,
    abandoned,
    wrong_amount,
    paid_twice,
    unknown_type,
    bad_signature,
]


@contextlib.asynccontextmanager
async def _stack(data_dir: Path) -> AsyncIterator[dict[str, Any]]:
    """A stack of its own, on free ports, ended with us whatever happens."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local", "up", "--data-dir", str(data_dir), "--port-base", str(ports.choose_base())),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        while line := await process.stdout.readline():
            if line.startswith(b"ready"):
                break
        else:
            raise SystemExit("demo: the stack did not start; see above")
        yield json.loads((data_dir / "running.json").read_text(encoding="utf-8"))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def run(data_dir: Path) -> bool:
    """Go through all scenarios and print what became of each; True if every one ended as it should."""
    table = Table("scenario", "what became of it", "", title=f"Counterfoil: {len(SCENARIOS)} scenarios, {PRICE} each")
    all_right = True
    async with (
        _stack(data_dir) as running,
        await open_pool(running["database_url"], name="demo") as pool,
        httpx.AsyncClient(base_url=running["ingress"], timeout=10) as http,
    ):
        tour = Tour(pool, http, running["secrets"])
        for scenario in SCENARIOS:
            seen = await scenario(tour)
            right = all(actual == wanted for actual, wanted in seen)
            all_right &= right
            told = "\n".join(a if a == w else f"{a}  (should be: {w})" for a, w in seen)
            table.add_row(scenario.__doc__, told, "[green]ok[/]" if right else "[red]WRONG[/]")
    Console().print(table)
    return all_right


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="counterfoil-demo-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL of root's runs as another user, who must get through
        return 0 if asyncio.run(run(Path(folder) / "data")) else 1


if __name__ == "__main__":
    sys.exit(main())
