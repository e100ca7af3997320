"""The supervisor, with stand-ins for its services: ready in order, back after a death, and nothing left at the end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

from local.command import CannotStart, Command
from local.supervisor import Patience, Supervisor
from local.watchdog import Watchdog
from tests import processes

QUICK = Patience(ready_seconds=20, grace_seconds=5)

#: Says that it is ready, and stays until it is told otherwise.
STAYS = "print('ready', flush=True); import time; time.sleep(600)"

#: The same, with a child in its group, whose pid it says first.
STAYS_WITH_CHILD = (
    "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid); "
    + STAYS
)

#: Will not be asked to leave.
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + STAYS

FAILS = "raise SystemExit('the reason')"

#: Owns a supervised process and its child, says their pids, and waits to be killed.
OWNER = """
import asyncio
from tests.integration.test_supervisor import STAYS_WITH_CHILD, StandIn
from local.supervisor import Supervisor
from local.watchdog import Watchdog
async def own():
    supervisor = Supervisor(Watchdog(), lambda name, line: line.isdigit() and print(line))
    await supervisor.start([StandIn("one", STAYS_WITH_CHILD)])
    print(supervisor.pids["one"], flush=True)
    await asyncio.sleep(600)
asyncio.run(own())
"""


@dataclass
class StandIn:
    """A service that is a few words of Python; it is ready when it says so."""

    name: str
    code: str
    first_signal: signal.Signals = signal.SIGTERM
    last_signal: signal.Signals = signal.SIGKILL
    spawned: list[int] = field(default_factory=list)

    def spawn(self, output: int | IO[bytes]) -> subprocess.Popen[bytes]:
        process = Command((sys.executable, "-c", self.code), {"PATH": os.defpath}).spawn(output)
        self.spawned.append(process.pid)
        return process

    def is_ready(self, pid: int, *, announced: bool) -> bool:
        return announced and pid == self.spawned[-1]

    def explain(self, said: str) -> CannotStart:
        return CannotStart(f"{self.name} ended. It said: {said}")


@dataclass
class Heard:
    """Every line that was shown."""

    lines: list[str] = field(default_factory=list)

    def show(self, name: str, line: str) -> None:
        self.lines.append(f"{name}: {line}")

    def says(self, part: str) -> bool:
        return any(part in line for line in self.lines)

    def number(self) -> int:
        """The last line that is nothing but a number."""
        words = [line.split(": ", maxsplit=1)[1] for line in self.lines]
        return int(next(word for word in reversed(words) if word.isdigit()))


@asynccontextmanager
async def supervised(heard: Heard, patience: Patience = QUICK) -> AsyncIterator[Supervisor]:
    watchdog = Watchdog()
    supervisor = Supervisor(watchdog, heard.show, patience)
    try:
        yield supervisor
    finally:
        await supervisor.stop()
        watchdog.close()


async def eventually(fact: Callable[[], bool]) -> bool:
    return await asyncio.to_thread(processes.until, fact)


async def test_a_dead_process_is_back_with_another_pid_and_we_are_told() -> None:
    heard, told = Heard(), []
    async with supervised(heard) as supervisor:
        await supervisor.start([StandIn("one", STAYS)])
        supervisor.tell(lambda: told.append(supervisor.pids["one"]))
        first = supervisor.pids["one"]

        os.kill(first, signal.SIGKILL)

        assert await eventually(lambda: supervisor.pids["one"] != first)
        assert await eventually(lambda: told == [first, supervisor.pids["one"]])
        assert heard.says("one: ended by SIGKILL; starting it again in 0.")


async def test_what_a_dead_process_left_behind_is_ended_before_it_is_started_again() -> None:
    heard = Heard()
    async with supervised(heard) as supervisor:
        await supervisor.start([StandIn("one", STAYS_WITH_CHILD)])
        first, child = supervisor.pids["one"], heard.number()

        os.kill(first, signal.SIGKILL)

        assert await eventually(lambda: supervisor.pids["one"] != first)
        assert not processes.living([child])


async def test_what_dies_young_is_started_again_ever_later_and_never_in_silence() -> None:
    heard = Heard()
    service = StandIn("one", "print('ready')")
    async with supervised(heard) as supervisor:
        await supervisor.start([service])

        assert await eventually(lambda: heard.says("ended with exit code 0; starting it again in 0.8 s"))
        assert heard.says("starting it again in 0.2 s")
        assert heard.says("starting it again in 0.4 s")
        assert len(service.spawned) >= 3


async def test_all_of_a_group_end_when_told_to_and_the_stubborn_are_killed() -> None:
    heard = Heard()
    async with supervised(heard, Patience(grace_seconds=0.2)) as supervisor:
        await supervisor.start([StandIn("polite", STAYS_WITH_CHILD), StandIn("stubborn", STUBBORN)])
        pids = {*supervisor.pids.values(), heard.number()}

        await supervisor.stop()

        assert not processes.living(pids)


async def test_a_start_that_fails_says_what_the_process_said_and_leaves_nothing() -> None:
    good, bad, worse = StandIn("good", STAYS), StandIn("bad", FAILS), StandIn("worse", FAILS)
    async with supervised(Heard()) as supervisor:
        with pytest.raises(CannotStart, match=r"(bad|worse) ended\. It said: the reason"):
            await supervisor.start([good, bad, worse])

    assert not processes.living([*good.spawned, *bad.spawned, *worse.spawned])


async def test_a_start_that_takes_too_long_says_what_the_process_said() -> None:
    dawdler = StandIn("one", "print('not quite', flush=True); import time; time.sleep(600)")
    async with supervised(Heard(), Patience(ready_seconds=3)) as supervisor:
        with pytest.raises(CannotStart, match=r"one was not ready within 3 s\. It said: not quite"):
            await supervisor.start([dawdler])

    assert not processes.living(dawdler.spawned)


async def test_a_new_process_is_ready_only_once_it_says_so_itself(tmp_path: Path) -> None:
    heard = Heard()
    once = f"import os, time; print('wait' if os.path.exists({str(tmp_path / 'mark')!r}) else 'ready', flush=True);"
    service = StandIn("one", f"{once} open({str(tmp_path / 'mark')!r}, 'w').close(); time.sleep(600)")
    async with supervised(heard, Patience(ready_seconds=3)) as supervisor:
        await supervisor.start([service])

        os.kill(supervisor.pids["one"], signal.SIGKILL)

        assert await eventually(lambda: heard.says("one was not ready within 3 s. It said: wait"))


async def test_a_start_that_is_interrupted_loses_no_process() -> None:
    reached = threading.Event()

    class Slow(StandIn):
        def spawn(self, output: int | IO[bytes]) -> subprocess.Popen[bytes]:
            reached.set()
            time.sleep(0.2)
            return super().spawn(output)

    service = Slow("one", STAYS)
    async with supervised(Heard()) as supervisor:
        start = asyncio.create_task(supervisor.start([service]))
        await asyncio.to_thread(reached.wait, 10)
        start.cancel()
        await asyncio.wait({start})

    assert service.spawned
    assert not processes.living(service.spawned)


async def test_what_is_not_shown_aloud_is_shown_once_it_died_of_it() -> None:
    heard = Heard()
    async with supervised(heard) as supervisor:
        await supervisor.start([StandIn("one", f"print('last words'); {STAYS}")], aloud=False)
        spoke_aloud = heard.says("last words")

        os.kill(supervisor.pids["one"], signal.SIGKILL)

        assert not spoke_aloud
        assert await eventually(lambda: heard.says("one: last words"))


async def test_a_line_without_an_end_comes_in_pieces() -> None:
    heard = Heard()
    async with supervised(heard) as supervisor:
        await supervisor.start([StandIn("one", f"print('x' * 100_000); {STAYS}")])

    assert sum(line.count("x") for line in heard.lines) == 100_000
    assert max(map(len, heard.lines)) < 20_000


def test_after_a_kill_of_the_owner_nothing_stays() -> None:
    owner = processes.python(OWNER)
    child, process = int(processes.first_line(owner)), int(processes.first_line(owner))

    processes.bury(owner)

    assert processes.until(lambda: not processes.living([child, process]))


def test_who_does_not_read_what_is_printed_holds_nothing_up() -> None:
    speak = """
import sys
from local.printer import Printer
with Printer() as printer:
    for number in range(50_000):
        printer.show("one", f"line {number}")
print("done", flush=True)
"""
    unread, writing = os.pipe()

    speaker = subprocess.Popen(
        [sys.executable, "-c", speak], env={"PYTHONPATH": str(processes.ROOT)}, stdout=subprocess.PIPE, stderr=writing
    )

    assert speaker.communicate(timeout=20)[0] == b"done\n"
    os.close(unread)
    os.close(writing)
