"""`counterfoil up`: everything on loopback, ready in order; on the way out, everything away again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncpg

from console.database import NotUpToDate, bring_up_to_date
from local import ports
from local.command import CannotStart
from local.demo_plans import put_on_sale
from local.postgres import Postgres
from local.printer import Printer
from local.programs import TABLE, Row, programs
from local.server import Server
from local.stack import Stack
from local.supervisor import Supervisor
from local.valkey import Valkey
from local.watchdog import Watchdog

#: Where the embedded servers listen if they can, so that a database browser finds them again tomorrow.
POSTGRES_OFFSET = 10
VALKEY_OFFSET = 11


#: How long nobody may answer for what we have started, should we be killed just after our watchdog.
WATCHDOG_SECONDS = 0.5


def up(data_dir: Path, *, port_base: int, without_sandbox: bool) -> None:
    """Run the stack until Ctrl-C or SIGTERM. ``CannotStart`` says what is in the way; nothing is left running then."""
    if os.environ.get("APP_ENV") == "production":
        raise CannotStart("APP_ENV is production, and `up` is for development: run the Procfile's processes instead.")
    table = [row for row in TABLE if not (without_sandbox and row.name == "sandbox")]
    with Stack(data_dir) as stack, Printer() as printer:
        _refuse_occupied_ports(table, port_base)
        asyncio.run(_run(stack, printer, table, port_base))


async def _run(stack: Stack, printer: Printer, table: Sequence[Row], port_base: int) -> None:
    _end_on_signals()
    watchdog = Watchdog(inherited=(stack.remains,))
    supervisor = Supervisor(watchdog, printer.show)
    try:
        await _start(stack, supervisor, table, port_base)
        while True:
            await asyncio.sleep(WATCHDOG_SECONDS)
            if watchdog.renew():
                printer.show("up", "the watchdog had died; another has taken its place")
    except asyncio.CancelledError:
        printer.show("up", "stopping")
    finally:
        stack.withdraw()
        await supervisor.stop()
        watchdog.close()


async def _start(stack: Stack, supervisor: Supervisor, table: Sequence[Row], port_base: int) -> None:
    """Servers, database, processes; each only once what it needs is ready."""
    servers = _missing_servers(stack.data_dir, port_base)
    await supervisor.start(list(servers.values()), aloud=False)
    settings = stack.decide(os.environ, port_base=port_base, with_sandbox=any(row.name == "sandbox" for row in table))
    for name in ("DATABASE_URL", "REDIS_URL"):
        settings[name] = servers[name].url if name in servers else os.environ[name]
    await _prepare_database(settings["DATABASE_URL"])
    stack.keep(settings)

    processes = programs(table, port_base, {**os.environ, **settings})
    await supervisor.start(processes)
    urls = {process.name: process.url for process in processes if process.url}
    supervisor.tell(lambda: stack.tell(settings, urls, supervisor.pids))
    print(_told(urls, settings["OUTBOX_DIR"]), flush=True)


def _told(urls: Mapping[str, str], outbox: str) -> str:
    """The line that says that all is ready. What a newcomer opens comes first."""
    others = {name: url for name, url in urls.items() if name != "storefront"}
    places = {"open": urls["storefront"], **others, "outbox": outbox}
    return " ".join(("ready", *(f"{name} {place}" for name, place in places.items())))


def _missing_servers(data_dir: Path, port_base: int) -> dict[str, Server]:
    """By the setting that would have made each unnecessary."""
    servers: dict[str, Server] = {}
    if not os.environ.get("DATABASE_URL"):
        servers["DATABASE_URL"] = Postgres(data_dir / "postgres", port=ports.choose(port_base + POSTGRES_OFFSET))
    if not os.environ.get("REDIS_URL"):
        servers["REDIS_URL"] = Valkey(data_dir / "valkey", port=ports.choose(port_base + VALKEY_OFFSET))
    return servers


async def _prepare_database(url: str) -> None:
    try:
        await bring_up_to_date(url)
        await put_on_sale(url)
    except (NotUpToDate, OSError, asyncpg.PostgresError) as error:
        raise CannotStart(str(error)) from error


def _refuse_occupied_ports(table: Sequence[Row], port_base: int) -> None:
    for row in table:
        if row.offset is not None and not ports.is_free(port_base + row.offset):
            raise CannotStart(
                f"Port {port_base + row.offset} is occupied, and the {row.name} needs it: "
                "stop what listens there, or choose another --port-base."
            )


def _end_on_signals() -> None:
    """The first signal ends us in order; while that is under way, further ones change nothing."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None

    def end() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
