"""Keep a stack's processes running: ready before we say so, back within a second when one dies, all gone at the end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import IO, Protocol

from local.command import CannotStart
from local.watchdog import Watchdog, signal_group

#: Between the last signal and being killed outright.
LAST_SECONDS = 2.0

#: How soon a readiness or a death is noticed.
POLL_SECONDS = 0.02

#: Before a dead process is started again; doubled each time that it dies young, so that a broken one does not spin.
RETRY_SECONDS = 0.1
RETRY_SECONDS_MOST = 10.0
YOUNG_SECONDS = 1.0

#: What an error shows of a process's output, and the longest line that is shown in one piece.
TAIL_LINES = 30
LINE_BYTES = 8192

Show = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a service may take: to become ready, and to end. What a worker cannot finish is owed by its row."""

    ready_seconds: float = 30.0
    grace_seconds: float = 10.0


class Service(Protocol):
    """What can be kept running: an embedded server, or a process of ours."""

    @property
    def name(self) -> str: ...

    @property
    def first_signal(self) -> signal.Signals: ...

    @property
    def last_signal(self) -> signal.Signals: ...

    def spawn(self, output: int | IO[bytes]) -> subprocess.Popen[bytes]: ...

    def is_ready(self, pid: int, *, announced: bool) -> bool:
        """``announced``: it has printed a line that begins with the word ``ready``."""

    def explain(self, said: str) -> CannotStart:
        """Why it ended during its start, given the last lines that it printed."""


class Supervisor:
    """Owns its processes until ``stop``; if we are killed first, the watchdog ends them.

    ``show(name, line)`` gets every line they print.
    """

    def __init__(self, watchdog: Watchdog, show: Show, patience: Patience = Patience()) -> None:
        self._watchdog = watchdog
        self._show = show
        self._patience = patience
        self._changed: Callable[[], None] = lambda: None
        self._stages: list[list[_Keeper]] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def pids(self) -> dict[str, int]:
        """Each service's process, or its last one while the next is being started."""
        return {k.service.name: k.process.pid for stage in self._stages for k in stage if k.process}

    def tell(self, changed: Callable[[], None]) -> None:
        """Call it now, and again whenever ``pids`` is new."""
        self._changed = changed
        changed()

    def _report(self) -> None:
        self._changed()

    async def start(self, services: Sequence[Service], *, aloud: bool = True) -> None:
        """Start them at once, wait until all are ready, and keep them so. ``CannotStart`` says which was not.

        What they print is shown as it comes, or, if not ``aloud``, only once they have died of it.
        """
        keepers = [
            _Keeper(service, self._watchdog, self._show, self._report, self._patience, aloud=aloud)
            for service in services
        ]
        self._stages.append(keepers)
        try:
            async with asyncio.TaskGroup() as starts:
                for keeper in keepers:
                    starts.create_task(keeper.begin())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # the first to fail; the others were called off, or failed as it did
        self._tasks += [asyncio.create_task(keeper.keep()) for keeper in keepers]

    async def stop(self) -> None:
        """End everything, the stage that was started last first: no process outlives what it needs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stage in reversed(self._stages):
            await asyncio.gather(*(keeper.end() for keeper in stage))


class _Keeper:
    """One service, and whichever process serves at the moment."""

    def __init__(
        self,
        service: Service,
        watchdog: Watchdog,
        show: Show,
        changed: Callable[[], None],
        patience: Patience,
        *,
        aloud: bool,
    ) -> None:
        self.service = service
        self.process: subprocess.Popen[bytes] | None = None
        self._watchdog = watchdog
        self._show = show
        self._changed = changed
        self._patience = patience
        self._aloud = aloud
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._announced = False
        self._listening: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Start it and wait until it is ready."""
        self._tail.clear()
        self._announced = False
        process = await self._spawn()
        self._listening = asyncio.create_task(self._listen(process))
        self._changed()
        try:
            await self._until_ready(process)
        except CannotStart:
            self._bury(process)
            raise

    async def keep(self) -> None:
        """Whenever it dies, start it again; for ever, and never in silence."""
        pause = RETRY_SECONDS
        while True:
            lived = await self._outlive()
            pause = RETRY_SECONDS if lived >= YOUNG_SECONDS else min(2 * pause, RETRY_SECONDS_MOST)
            if not self._aloud:
                self._show_all("\n".join(self._tail))
            self._show_all(f"{self._how_it_ended()}; starting it again in {pause:.1f} s")
            await asyncio.sleep(pause)
            try:
                await self.begin()
            except Exception as error:  # noqa: BLE001 - whatever went wrong is said, and tried again
                self._show_all(str(error))

    async def end(self) -> None:
        """Ask it, wait, insist; then kill whatever is left of its group."""
        if self.process is None:
            return
        requests = (
            (self.service.first_signal, self._patience.grace_seconds),
            (self.service.last_signal, LAST_SECONDS),
        )
        for number, seconds in requests:
            if self.process.poll() is None:
                signal_group(self.process.pid, number)
                await self._until_dead(self.process, seconds)
        self._bury(self.process)
        await self._hear_out()
        if self.process.stdout:
            self.process.stdout.close()

    async def _spawn(self) -> subprocess.Popen[bytes]:
        """In a thread, since a server may prepare its data first. A cancellation waits for it: no process is lost."""
        starting = asyncio.ensure_future(asyncio.to_thread(self.service.spawn, subprocess.PIPE))
        try:
            return self._take(await asyncio.shield(starting))
        except asyncio.CancelledError:
            with contextlib.suppress(CannotStart):
                self._take(await starting)
            raise

    def _take(self, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        self.process = process
        self._watchdog.guard(process.pid, first=self.service.first_signal, last=self.service.last_signal)
        return process

    async def _until_ready(self, process: subprocess.Popen[bytes]) -> None:
        seconds = self._patience.ready_seconds
        deadline = time.monotonic() + seconds
        while not await asyncio.to_thread(self.service.is_ready, process.pid, announced=self._announced):
            if process.poll() is not None:
                await self._hear_out()
                raise self.service.explain("\n".join(self._tail))
            if time.monotonic() > deadline:
                said = "\n".join(self._tail)
                raise CannotStart(f"{self.service.name} was not ready within {seconds:g} s. It said: {said}")
            await asyncio.sleep(POLL_SECONDS)

    async def _outlive(self) -> float:
        """How long it lived, once it is dead and nothing is left of its group."""
        since = time.monotonic()
        if self.process:
            await self._until_dead(self.process, float("inf"))
            self._bury(self.process)
        lived = time.monotonic() - since
        await self._hear_out()
        return lived

    async def _until_dead(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)

    def _bury(self, process: subprocess.Popen[bytes]) -> None:
        """Its children may outlive it, holding its port or its messages."""
        signal_group(process.pid, signal.SIGKILL)
        process.wait()
        self._watchdog.release(process.pid)

    def _how_it_ended(self) -> str:
        code = self.process.returncode if self.process else None
        if code is None or code >= 0:
            return f"ended with exit code {code}"
        return f"ended by {signal.Signals(-code).name}"

    async def _listen(self, process: subprocess.Popen[bytes]) -> None:
        async for line in _lines(process):
            self._announced = self._announced or line.partition(" ")[0] == "ready"
            self._tail.append(line)
            if self._aloud:
                self._show(self.service.name, line)

    def _show_all(self, text: str) -> None:
        for line in text.splitlines():
            self._show(self.service.name, line)

    async def _hear_out(self) -> None:
        """A dead process's last words are still on their way; a child of its own that lives on has no more time."""
        if self._listening:
            await asyncio.wait({self._listening}, timeout=0.5)
            self._listening.cancel()
            await asyncio.wait({self._listening})


async def _lines(process: subprocess.Popen[bytes]) -> AsyncIterator[str]:
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), process.stdout
    )
    try:
        while line := await _line(reader):
            yield line.decode(errors="replace").rstrip()
    finally:
        transport.close()


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Up to a line's end; a line that is too long comes in pieces, and b"" is the end."""
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError as error:
        return await reader.readexactly(min(error.consumed, LINE_BYTES))
