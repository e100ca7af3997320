"""A whole stack of its own, ``counterfoil up`` on free ports: looked into, struck, and gone at the end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis.asyncio
import redis.exceptions

from console import development
from db import plans
from db.plans import Plan
from db.pool import UNAVAILABLE, Pool, open_pool
from local import ports
from local.watchdog import Watchdog
from tests.folders import passing

ROOT = Path(__file__).parents[2]

#: A machine under load takes its time to start eight processes.
START_SECONDS = 90.0

#: Longer than the counter's own 25 seconds, and than any answer that the sandbox withholds.
ANSWER_SECONDS = 40.0

#: All that a stack inherits from whoever runs the simulation. Settings of a developer's shell are none of it.
INHERITED = ("PATH", "HOME", "TMPDIR", "LANG", "NO_PROXY")

#: What is sold, in currencies of two decimals and of none.
ON_SALE = (
    Plan("sim-usd", "Dollars", "Sold once.", 4900, "usd"),
    Plan("sim-inr", "Rupees", "Sold once.", 129900, "inr"),
    Plan("sim-eur", "Euros", "Sold once.", 1999, "eur"),
    Plan("sim-jpy", "Yen", "Sold once.", 5800, "jpy"),
)

#: What is subscribed to. None may be bought twice, so that a click too many would show.
SUBSCRIBED = (
    Plan("sim-pro", "Pro", "Every month.", 1900, "usd", interval="month"),
    Plan("sim-team", "Team", "Every month, after a trial.", 4900, "usd", interval="month", trial_days=14),
    Plan("sim-year", "Pro by the year", "Every year.", 19000, "usd", interval="year"),
    Plan("sim-basic", "Basic", "Every month.", 49900, "inr", interval="month"),
    Plan("sim-plus", "Plus", "Every month.", 99900, "inr", interval="month"),
)


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack. Pids change when processes are restarted: ``pid`` reads them anew."""

    data_dir: Path
    supervisor: asyncio.subprocess.Process
    pool: Pool
    clients: Mapping[str, httpx.AsyncClient]
    settings: Mapping[str, str] = field(repr=False)

    @property
    def checkout(self) -> httpx.AsyncClient:
        return self.clients["checkout"]

    @property
    def sandbox(self) -> httpx.AsyncClient:
        return self.clients["sandbox"]

    def pid(self, name: str) -> int:
        return int(_told(self.data_dir)["processes"][name])

    @property
    def names(self) -> list[str]:
        """Everything that runs in it."""
        return sorted(_told(self.data_dir)["processes"])

    def strike(self, name: str, number: signal.Signals) -> int:
        """Send one process a signal; returns its pid."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    @asynccontextmanager
    async def frozen(self, name: str) -> AsyncIterator[None]:
        """Nothing of it moves meanwhile: neither the process nor its children, as on a machine that hangs."""
        root = psutil.Process(self.pid(name))
        held = [root, *root.children(recursive=True)]
        try:
            for process in held:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
            yield
        finally:
            for process in held:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    async def until_replaced(self, name: str, dead: int, *, seconds: float = 60.0) -> None:
        """Until another process serves in the place of the one that died."""
        async with asyncio.timeout(seconds):
            while self.pid(name) == dead or not await self.serves(name):
                await asyncio.sleep(0.05)

    async def serves(self, name: str) -> bool:
        """Whether it answers, as far as anybody can ask it."""
        match name:
            case "postgres":
                return await _asks(self.pool.fetchval("SELECT 1"))
            case "valkey":
                return await _asks(self._ping())
            case "ingress" | "checkout" | "sandbox":
                with suppress(httpx.TransportError):
                    return (await self.clients[name].get("/readyz", timeout=2)).is_success
                return False
            case _:
                return psutil.pid_exists(self.pid(name))

    async def forget_all_hints(self) -> None:
        """FLUSHALL."""
        async with redis.asyncio.Redis.from_url(self.settings["REDIS_URL"]) as client:
            await client.flushall()

    async def _ping(self) -> object:
        async with redis.asyncio.Redis.from_url(self.settings["REDIS_URL"], socket_timeout=2) as client:
            return await client.ping()

    async def order(self, what: str, **fields: Any) -> httpx.Response:
        """What one orders of the sandbox."""
        return await self.sandbox.post(f"/_control/{what}", json=fields)

    async def ask(self, what: str, **query: Any) -> Any:
        """What the sandbox tells; None where it does not know the question."""
        answer = await self.sandbox.get(f"/_control/{what}", params=query)
        return answer.json() if answer.is_success else None

    async def objects(self, gateway: str, kind: str) -> list[dict[str, Any]]:
        """The gateway's own truth."""
        answer = await self.sandbox.get("/_control/objects", params={"gateway": gateway, "type": kind}, timeout=300)
        found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]
        return found


async def _asks(question: Any) -> bool:
    with suppress(redis.exceptions.RedisError, *UNAVAILABLE):
        await question
        return True
    return False


def _told(data_dir: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((data_dir / "running.json").read_text(encoding="utf-8"))
    return told


@asynccontextmanager
async def started(data_dir: Path) -> AsyncIterator[Stack]:
    """A stack in that folder, and everything to reach it with. What it prints is kept beside it, in ``log``."""
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    # As many customers as there are come from one address.
    environment["RATE_LIMIT"] = "100000000/15minutes"
    async with AsyncExitStack() as opened:
        log = opened.enter_context((data_dir.parent / "log").open("wb"))
        words = ("-m", "local", "up", "--data-dir", str(data_dir), "--port-base", str(ports.choose_base()))
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        # Should we be killed, it ends all the same.
        watchdog = opened.enter_context(closing(Watchdog()))
        watchdog.guard(process.pid, first=signal.SIGTERM, last=signal.SIGTERM)
        opened.push_async_callback(_end, process)
        await _until_ready(data_dir, process)
        told = _told(data_dir)
        pool = await open_pool(told["database_url"], name="simulation", command_seconds=120)
        opened.push_async_callback(_close, pool)
        # Let go before the servers do, who close after 5 seconds: a request would go out as its connection goes away.
        limits = httpx.Limits(max_connections=200, keepalive_expiry=2)
        clients = {
            name: await opened.enter_async_context(
                httpx.AsyncClient(base_url=told[name], timeout=ANSWER_SECONDS, limits=limits)
            )
            for name in ("ingress", "checkout", "sandbox")
        }
        await _put_on_sale(pool)
        yield Stack(data_dir, process, pool, clients, development.read(data_dir / development.FILE))


@asynccontextmanager
async def a_folder(kept: Path | None) -> AsyncIterator[Path]:
    """A data directory that PostgreSQL may pass through, whoever it runs as; temporary unless it is to be kept."""
    with passing("counterfoil-sim-") as temporary:
        folder = kept.absolute() if kept else temporary
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)
        yield folder / "data"


async def _until_ready(data_dir: Path, process: asyncio.subprocess.Process) -> None:
    log = data_dir.parent / "log"
    try:
        async with asyncio.timeout(START_SECONDS):
            while not (data_dir / "running.json").exists():
                if process.returncode is not None:
                    raise RuntimeError(f"the stack did not start: {log.read_text(encoding='utf-8')}")
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise RuntimeError(f"the stack was not ready in time: {log.read_text(encoding='utf-8')}") from None


async def _put_on_sale(pool: Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        for plan in (*ON_SALE, *SUBSCRIBED):
            await plans.upsert(connection, plan)


async def _close(pool: Pool) -> None:
    try:
        async with asyncio.timeout(5):
            await pool.close()
    except UNAVAILABLE:
        pool.terminate()


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    await process.wait()
