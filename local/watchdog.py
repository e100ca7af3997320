"""Nothing outlives us: a small process that ends what we started when we die, even by SIGKILL.

It holds the reading end of a pipe whose writing end is ours alone, so our death, however it comes, is its end of
file. This file is both sides: imported, the owner's; run as a script, the watching process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

#: After the first signal, a process may finish what it is doing; after the last, it is killed outright.
GRACE_SECONDS = 5.0
LAST_SECONDS = 2.0


class Watchdog:
    """Ours to close when we end in order. Lives in its own session, so that Ctrl-C does not reach it."""

    def __init__(self, *, inherited: tuple[int, ...] = ()) -> None:
        self._inherited = inherited
        self._guarded: dict[int, str] = {}
        self._process = _spawn(inherited)

    @property
    def pid(self) -> int:
        return self._process.pid

    def guard(self, pid: int, *, first: signal.Signals, last: signal.Signals) -> None:
        """Answer for this process group from now on. ``pid`` leads the group."""
        self._guarded[pid] = f"guard {pid} {first.value} {last.value}"
        self._tell(self._guarded[pid])

    def release(self, pid: int) -> None:
        """It has ended: its number may soon be another's."""
        self._guarded.pop(pid, None)
        self._tell(f"release {pid} 0 0")

    def renew(self) -> bool:
        """Put another in its place if it has died; who watches the watchdog asks this now and then."""
        if self._process.poll() is None:
            return False
        _close_input(self._process)
        self._process = _spawn(self._inherited)
        for line in self._guarded.values():
            self._tell(line)
        return True

    def close(self) -> None:
        """Everything guarded has ended, and so may the watchdog."""
        self._process.kill()
        self._process.wait()
        _close_input(self._process)

    def _tell(self, line: str) -> None:
        if self._process.stdin:
            # A dead one hears nothing; the one that ``renew`` puts in its place is told everything.
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(f"{line}\n".encode())


def _spawn(inherited: tuple[int, ...]) -> subprocess.Popen[bytes]:
    import subprocess

    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
        pass_fds=inherited,
        bufsize=0,
    )


def _close_input(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def end(groups: dict[int, tuple[int, int]]) -> None:
    """First signal, grace, last signal, a moment, SIGKILL; stops as soon as nobody is left."""
    for pid, (first, _) in groups.items():
        signal_group(pid, first)
    _wait(groups, GRACE_SECONDS)
    for pid, (_, last) in groups.items():
        signal_group(pid, last)
    _wait(groups, LAST_SECONDS)
    for pid in groups:
        signal_group(pid, signal.SIGKILL)


def signal_group(pid: int, number: int) -> bool:
    """Whether anyone was there to receive it; 0 only asks."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _wait(groups: dict[int, tuple[int, int]], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(signal_group(pid, 0) for pid in groups) and time.monotonic() < deadline:
        time.sleep(0.05)


def watch() -> None:
    """Listen until the owner is gone, then end whatever it has not released."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, tuple[int, int]] = {}
    for line in sys.stdin.buffer:
        word, pid, first, last = line.split()
        groups.pop(int(pid), None)
        if word == b"guard":
            groups[int(pid)] = (int(first), int(last))
    end(groups)


if __name__ == "__main__":
    watch()
