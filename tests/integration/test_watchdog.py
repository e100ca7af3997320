"""A blocked event loop ends its process, which says where it was blocked; one that is merely slow or frozen lives."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tests.blocking import MISSES
from tests.processes import ROOT, bury, first_line, output, until
from workers.watchdog import BLOCKED, Watchdog


@contextmanager
def process(how: str) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(
        [sys.executable, "-m", "tests.blocking", how],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert first_line(started) == "ready"
        yield started
    finally:
        bury(started)


def test_f133_a_blocked_loop_ends_its_process_with_a_code_of_its_own_and_tells_where() -> None:
    with process("sleep") as blocked:
        said = output(blocked, seconds=60)

    assert blocked.returncode == BLOCKED
    told = json.loads(said.splitlines()[-1])
    assert told["event"] == "watchdog.loop_blocked"
    assert told["stacks"]["MainThread"][-1].endswith(" sleep")
    assert "tests/blocking.py:" in told["stacks"]["MainThread"][-1]


def test_f133_one_that_holds_python_itself_is_ended_by_the_kernel() -> None:
    with process("compute") as blocked:
        output(blocked, seconds=60)

    assert blocked.returncode == -signal.SIGALRM


def test_a_process_that_was_frozen_for_longer_than_the_limit_lives_on() -> None:
    with process("freeze") as frozen:
        frozen.send_signal(signal.SIGSTOP)
        assert until(lambda: psutil.Process(frozen.pid).status() == psutil.STATUS_STOPPED)
        time.sleep(MISSES + 1)
        frozen.send_signal(signal.SIGCONT)
        time.sleep(1)
        frozen.send_signal(signal.SIGTERM)

        assert frozen.wait(30) == 0


async def test_it_tells_how_late_the_loop_is() -> None:
    watchdog = Watchdog(asyncio.get_running_loop())
    watchdog.start()

    await asyncio.to_thread(until, lambda: watchdog.lag_seconds > 0)
    lag = watchdog.lag_seconds
    watchdog.stop()

    assert 0 < lag < 5
