"""`make demo`: the main job as a tour, headless, on all that ``counterfoil up`` starts. Ends 0 only if all is right.

First customers buy at the counter and pay at the stand-in gateways; then we speak as the gateways ourselves, to say
what they rarely do. Each scenario says what must have become of it.
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

from console import development
from db.pool import open_pool
from local import ports
from local.tour import HOUR_SECONDS, RENEWS, TRIES, Tour, until

#: Two of the sandbox's cards; every other number but its test cards is refused.
PAYS, NO_FUNDS = "4242424242424242", "4000000000009995"

PAID = "paid, access, 3 of 3 effects sent"

#: What a scenario saw, and what it should have seen: pairs of lines.
Seen = list[tuple[str, str]]


async def bought_at_stripe(tour: Tour) -> Seen:
    """Stripe: bought at the counter, paid on the hosted page"""
    order, session = await tour.buy("stripe")
    outcome = await tour.pay(session, PAYS)
    return [(outcome, "paid"), (await until(lambda: tour.order(order), PAID), PAID)]


async def bought_at_razorpay(tour: Tour) -> Seen:
    """Razorpay: bought at the counter, paid on the hosted page"""
    order, session = await tour.buy("razorpay")
    outcome = await tour.pay(session, PAYS)
    return [(outcome, "paid"), (await until(lambda: tour.order(order), PAID), PAID)]


async def declined_then_paid(tour: Tour) -> Seen:
    """Stripe: a card without funds, then another card"""
    order, session = await tour.buy("stripe")
    first = await tour.pay(session, NO_FUNDS)
    shown = await until(lambda: tour.order(order), "pending, insufficient_funds")
    second = await tour.pay(session, PAYS)
    return [
        (first, "declined"),
        (shown, "pending, insufficient_funds"),
        (second, "paid"),
        (await until(lambda: tour.order(order), PAID), PAID),
    ]


async def left_to_expire(tour: Tour) -> Seen:
    """Stripe: the customer leaves, and the session expires"""
    order, _ = await tour.buy("stripe")
    await tour.wait(HOUR_SECONDS)
    return [(await until(lambda: tour.order(order), "cancelled"), "cancelled")]


async def tried_then_charged(tour: Tour) -> Seen:
    """Stripe: a trial gives access, and the card is charged after it"""
    anna = await tour.subscribe("stripe", TRIES)
    outcome = await tour.pay(anna.session_id, PAYS)
    trial, charged = "trialing, access (trial), 0.00 USD paid", "active, access (paid), 49.00 USD paid"
    on_trial = await until(lambda: tour.subscription(anna), trial)
    await tour.wait_for_renewal(anna)
    after = await until(lambda: tour.subscription(anna), charged)
    return [(outcome, "paid"), (on_trial, trial), (after, charged)]


async def renewed(tour: Tour) -> Seen:
    """Razorpay: a subscription renews, and access goes on"""
    anna = await tour.subscribe("razorpay", RENEWS)
    outcome = await tour.pay(anna.session_id, PAYS)
    once, twice = "active, access (paid), 19.00 USD paid", "active, access (paid), 38.00 USD paid"
    first = await until(lambda: tour.subscription(anna), once)
    await tour.wait_for_renewal(anna)
    return [(outcome, "paid"), (first, once), (await until(lambda: tour.subscription(anna), twice), twice)]


async def failed_then_restored(tour: Tour) -> Seen:
    """Stripe: a renewal fails and access ends; paid by the link, it is back"""
    anna = await tour.subscribe("stripe", RENEWS)
    await tour.pay(anna.session_id, PAYS)
    once, twice = "active, access (paid), 19.00 USD paid", "active, access (paid), 38.00 USD paid"
    first = await until(lambda: tour.subscription(anna), once)
    await tour.run_out_of_money(anna)
    await tour.wait_for_renewal(anna)
    suspended = "past_due, no access (payment_failed), 19.00 USD paid"
    failed = await until(lambda: tour.subscription(anna), suspended)
    outcome = await tour.pay_what_is_open(anna, PAYS)
    restored = await until(lambda: tour.subscription(anna), twice)
    return [(first, once), (failed, suspended), (outcome, "paid"), (restored, twice)]


async def given_back(tour: Tour) -> Seen:
    """Razorpay: refunded by the application; the gateway confirms, and access ends"""
    order, session = await tour.buy("razorpay")
    await tour.pay(session, PAYS)
    paid = await until(lambda: tour.order(order), PAID)
    answer = await tour.give_back(order)
    refunded = "refunded, 6 of 6 effects sent"
    return [(paid, PAID), (str(answer), "202"), (await until(lambda: tour.order(order), refunded), refunded)]


async def disputed_and_won(tour: Tour) -> Seen:
    """Stripe: a bank takes the money and access with it; the dispute is won"""
    order, session = await tour.buy("stripe")
    await tour.pay(session, PAYS)
    paid = await until(lambda: tour.order(order), PAID)
    taken, restored = "disputed, 5 of 5 effects sent", "paid, access, 7 of 7 effects sent"
    await tour.have_the_bank(session, "funds_withdrawn")
    held = await until(lambda: tour.order(order), taken)
    await tour.have_the_bank(session, "won")
    return [(paid, PAID), (held, taken), (await until(lambda: tour.order(order), restored), restored)]


async def recovered(tour: Tour) -> Seen:
    """Razorpay: every webhook is lost, and recovery finds the payment"""
    await tour.lose_webhooks(rate=1)
    order, session = await tour.buy("razorpay")
    outcome = await tour.pay(session, PAYS)
    await tour.wait(HOUR_SECONDS + 60)
    await tour.run_job("recover_orphans")
    found = await until(lambda: tour.order(order), PAID)
    await tour.lose_webhooks(rate=0)
    return [(outcome, "paid"), (found, PAID)]


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
    bought_at_stripe,
    bought_at_razorpay,
    declined_then_paid,
    left_to_expire,
    tried_then_charged,
    renewed,
    failed_then_restored,
    given_back,
    disputed_and_won,
    recovered,
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
    table = Table("scenario", "what became of it", "", title=f"Counterfoil: {len(SCENARIOS)} scenarios")
    all_right = True
    async with (
        _stack(data_dir) as running,
        await open_pool(running["database_url"], name="demo") as pool,
        httpx.AsyncClient(base_url=running["ingress"], timeout=10) as http,
        httpx.AsyncClient(base_url=running["checkout"], timeout=30) as counter,
        httpx.AsyncClient(base_url=running["sandbox"], timeout=30) as sandbox,
    ):
        secret = development.read(data_dir / development.FILE)["AUTH_JWT_SECRET"]
        tour = Tour(pool, http, {**running["secrets"], "auth_jwt": secret}, counter, sandbox, data_dir)
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
