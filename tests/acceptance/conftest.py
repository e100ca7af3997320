"""The real processes: ``counterfoil up`` on free ports, and a way to speak to it as the gateways and to look inside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from local import ports
from tests.folders import passing
from tests.signed import razorpay_headers, stripe_headers

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0

#: So much of a stack's log is told with a test that fails.
LOG_LINES = 200


@dataclass
class Running:
    """A stack that runs. ``told`` reads ``running.json`` anew, since pids change when processes are restarted."""

    data_dir: Path
    process: subprocess.Popen[bytes]

    @property
    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((self.data_dir / "running.json").read_text(encoding="utf-8"))
        return told

    @property
    def last_lines(self) -> str:
        lines = (self.data_dir.parent / "log").read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_LINES:])

    def pid(self, name: str) -> int:
        return int(self.told["processes"][name])

    def kill(self, name: str) -> int:
        """End one process as a crash would; returns its pid."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid


@dataclass
class Stack:
    """The stack as a test uses it."""

    running: Running
    http: httpx.AsyncClient
    database: asyncpg.Connection[asyncpg.Record]

    async def post(self, gateway: str, body: bytes, **more: Any) -> httpx.Response:
        """Deliver a body, signed as its gateway would sign it this moment."""
        secrets = self.running.told["secrets"]
        if gateway == "stripe":
            headers = stripe_headers(body, secrets["stripe_webhook"], int(time.time()))
        else:
            headers = razorpay_headers(body, secrets["razorpay_webhook"], more.pop("event_id", None))
        return await self.http.post(f"/webhooks/{gateway}", content=body, headers=headers)

    async def place_order(self, amount: int = 1000, currency: str = "usd") -> str:
        """By SQL alone, as the outside may: only the guide's columns."""
        await self.database.execute(
            "INSERT INTO users (id, email) VALUES ('u', 'u@example.com') ON CONFLICT DO NOTHING"
        )
        order_id = await self.database.fetchval(
            "INSERT INTO orders (user_id, amount, currency) VALUES ('u', $1, $2) RETURNING id::text", amount, currency
        )
        return str(order_id)

    async def status(self, order_id: str) -> str:
        return str(await self.database.fetchval("SELECT status FROM orders WHERE id = $1::text::uuid", order_id))


@contextmanager
def started(**settings: str) -> Iterator[Running]:
    """A stack of one's own, which has these settings in its environment."""
    base = ports.choose_base()
    with passing("counterfoil-up-") as folder:
        data_dir = folder / "data"
        log = (folder / "log").open("w+b")
        process = subprocess.Popen(
            [sys.executable, "-m", "local", "up", "--data-dir", str(data_dir), "--port-base", str(base)],
            cwd=ROOT,
            env=os.environ | settings,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not (data_dir / "running.json").exists():
                assert process.poll() is None, (folder / "log").read_text(encoding="utf-8")
                assert time.monotonic() < deadline, (folder / "log").read_text(encoding="utf-8")
                time.sleep(0.05)
            yield Running(data_dir, process)
        finally:
            process.terminate()
            process.wait(30)
            log.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails tells what its stack wrote."""
    report = yield
    stack = getattr(item, "funcargs", {}).get("running")
    if report.failed and isinstance(stack, Running):
        report.sections.append(("the stack's log", stack.last_lines))
    return report


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """One stack for the tests of a module; a test that stops something starts it again."""
    with started() as stack:
        yield stack


@pytest.fixture
async def stack(running: Running) -> AsyncIterator[Stack]:
    """The module's stack, open to look into."""
    told = running.told
    database = await asyncpg.connect(told["database_url"])
    async with httpx.AsyncClient(base_url=told["ingress"], timeout=20) as http:
        yield Stack(running, http, database)
    await database.close()
