"""No webhook arrives, and every order comes to its end all the same: through the real processes and the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import ROOT, Stack
from tests.acceptance.test_counter import Customer, customer
from tests.waiting import until

__all__ = ["customer"]

HOUR = 3600


async def run_job(stack: Stack, name: str) -> str:
    """As an operator does, again if the clock is at it this moment; what it printed."""
    command = [sys.executable, "-m", "local", "jobs", "run", name, "--data-dir", str(stack.running.data_dir)]
    said: list[str] = []

    async def is_done() -> bool:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        if "under way already" in done.stderr + done.stdout:
            return False
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stdout)
        return True

    await until(is_done, seconds=120)
    return said[-1]


async def advance(customer: Customer, seconds: int) -> None:
    answer = await customer.sandbox.post("/_control/clock", json={"advance": seconds}, timeout=120)
    assert answer.status_code == 200, answer.text


def mails_about(stack: Stack, order_id: str) -> list[Path]:
    kept = [path for path in Path(stack.running.told["outbox"]).rglob("*.eml") if path.is_file()]
    return [path for path in kept if order_id in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
async def test_scenario_9_an_orphan_is_recovered_without_its_webhook(customer: Customer, gateway: str) -> None:
    stack = customer.stack
    await customer.faults(drop=1)
    created = await customer.bought(gateway)
    await customer.pay(created["sessionId"])
    await advance(customer, HOUR + 60)

    said = await run_job(stack, "recover_orphans")
    shown = await customer.until_status(created["orderId"], "paid")
    again = await run_job(stack, "recover_orphans")

    async def has_its_mail() -> bool:
        return bool(mails_about(stack, created["orderId"]))

    await until(has_its_mail, seconds=40)
    access = (await customer.checkout.get("/access")).json()
    effects = "SELECT count(*) FROM effects WHERE order_id = $1::text::uuid"
    assert said.startswith("recover_orphans done")
    assert "paid=0" in again
    assert (shown["amount"], "failure" in shown) == (4900, False)
    assert [(row["planId"], row["active"]) for row in access] == [("lifetime", True)]
    assert await stack.database.fetchval(effects, created["orderId"]) == 3
    assert len(mails_about(stack, created["orderId"])) == 1


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
async def test_f108_what_was_missed_is_fetched_by_the_backfill_and_a_second_one_does_nothing(
    customer: Customer, gateway: str
) -> None:
    stack = customer.stack
    await customer.faults(drop=1)
    created = await customer.bought(gateway)
    await customer.pay(created["sessionId"])
    await advance(customer, 120)

    await run_job(stack, "backfill_events")
    await customer.until_status(created["orderId"], "paid")
    again = await run_job(stack, "backfill_events")

    assert "kept=0" in again


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
async def test_f122_the_customers_own_page_heals_the_order(customer: Customer, gateway: str) -> None:
    """Polled as the frontend does. The clock's jobs have not come round yet."""
    await customer.faults(drop=1)
    created = await customer.bought(gateway)
    await customer.pay(created["sessionId"])
    await advance(customer, 30)

    await customer.until_status(created["orderId"], "paid")
