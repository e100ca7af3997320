"""An embedded server that this process owns: prepared, started, waited for, stopped, and never left behind."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from local import lock, ports, private
from local.command import CannotStart, Command
from local.watchdog import Watchdog, signal_group

#: How long a start waits for a dead owner's server to be gone; its watchdog needs at most 7 seconds.
PATIENCE_SECONDS = 10.0

POLL_SECONDS = 0.02


class PortTaken(CannotStart):
    """Somebody else listens on the port."""


class Server(ABC):
    """What PostgreSQL and Valkey have in common.

    ``home`` is the directory that is its alone, and ``place`` where that lies once it has been started.
    Without a ``port`` it chooses a free one at the first start, and keeps it from then on.
    """

    name: str
    first_signal: signal.Signals
    last_signal: signal.Signals

    def __init__(self, home: Path, *, port: int | None = None, durable: bool = True) -> None:
        self.home = home.absolute()
        self.place = self.home
        self.durable = durable
        self.patience_seconds = PATIENCE_SECONDS
        self._chosen = port
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: Watchdog | None = None
        self._log: IO[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """How clients reach it, password included; never to be logged."""

    @abstractmethod
    def _prepare(self, inherited: tuple[int, ...]) -> None:
        """Make the data, once. Called under the lock."""

    @abstractmethod
    def _command(self) -> Command: ...

    @abstractmethod
    def is_ready(self, pid: int, *, announced: bool = False) -> bool:
        """Whether the process with this pid, and no other, answers."""

    def _settle(self) -> Path:
        """Where the data really lies."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.home

    @property
    def port(self) -> int:
        """Known from the first start on."""
        if self._port is None:
            raise CannotStart(f"{self.name} has no port before its first start.")
        return self._port

    @property
    def pid(self) -> int | None:
        """The process that ``start`` started, while it lives."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def spawn(self, output: int | IO[bytes]) -> subprocess.Popen[bytes]:
        """Start the process, whose caller guards it, waits for it, and reads what it says."""
        try:
            self.place = self._settle()
            held = lock.hold(self.place / "lock", patience_seconds=self.patience_seconds)
        except OSError as error:
            raise CannotStart(f"{self.name} cannot keep its data in {self.home}: {error.strerror}.") from error
        try:
            self._prepare((held,))
            if self._port is None:
                self._port = ports.choose()
            return self._command().spawn(output, inherited=(held,))
        finally:
            os.close(held)

    def start(self, *, seconds: float = 30) -> Self:
        """Start and wait until it answers. Our death, even by SIGKILL, ends it."""
        for _ in range(3):
            try:
                self._start(seconds)
            except PortTaken:
                if self._chosen is not None:
                    raise
                self._port = None
            else:
                return self
        raise CannotStart(f"{self.name} found no free port.")

    def _start(self, seconds: float) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by kill
        try:
            self._process = self.spawn(self._log)
            self._watchdog = Watchdog()
            self._watchdog.guard(self._process.pid, first=self.first_signal, last=self.last_signal)
            self._wait(self._process, seconds)
        except BaseException:
            self.kill()
            raise

    def _wait(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self.is_ready(process.pid):
            if process.poll() is not None:
                raise self.explain(self._said())
            if time.monotonic() > deadline:
                raise CannotStart(f"{self.name} was not ready within {seconds:g} s. It said: {self._said()}")
            time.sleep(POLL_SECONDS)

    def explain(self, said: str) -> CannotStart:
        """Why it ended during its start, in one sentence."""
        if not ports.is_free(self.port):
            return PortTaken(f"Port {self.port} is occupied, so {self.name} cannot listen there.")
        return CannotStart(f"{self.name} ended during its start. It said: {said or 'nothing'}")

    def stop(self, *, seconds: float = 15) -> None:
        """End it in order, keeping what it was told; by force after ``seconds``. Safe to repeat."""
        if self._process and self._process.poll() is None:
            signal_group(self._process.pid, self.first_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process:
            signal_group(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._watchdog:
            self._watchdog.close()
        if self._log:
            self._log.close()
        self._process = self._watchdog = self._log = None

    def remove(self) -> None:
        """Stop it and delete its data, wherever that lies."""
        self.stop()
        shutil.rmtree(self.place, ignore_errors=True)
        if self.home.is_symlink():
            self.home.unlink()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _said(self) -> str:
        if self._log is None:
            return ""
        self._log.seek(0)
        return self._log.read().decode(errors="replace").strip()[-2000:]


def password(path: Path) -> str:
    """The password in that file, made on first use; readable by its owner alone. Called under the lock."""
    if not path.exists():
        private.write(path, secrets.token_hex(24))
    return path.read_text(encoding="utf-8").strip()
