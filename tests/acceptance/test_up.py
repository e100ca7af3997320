"""`counterfoil up`, as its user meets it: everything is there, comes back when killed, and is gone at the end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
import redis

from local import ports
from tests import processes
from tests.folders import passing

pytestmark = pytest.mark.acceptance


#: Where each service listens, from the base: a promise to whoever uses the stack.
OFFSETS = {"ingress": 0, "checkout": 1, "sandbox": 3, "storefront": 4}


class Up:
    """One `counterfoil up`, started in another directory than the project's."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self.base = ports.choose_base()
        self.process: subprocess.Popen[str] | None = None
        self.ready = ""

    def run(self, **environment: str) -> subprocess.Popen[str]:
        self.process = counterfoil(
            *("up", "--data-dir", str(self.data_dir), "--port-base", str(self.base)), **environment
        )
        return self.process

    def start(self) -> Up:
        """Start it and wait for the line that says that all is ready."""
        self.ready = processes.first_line(self.run())
        assert self.ready.startswith("ready "), "it did not start; run it by hand to see why"
        return self

    def end(self, number: signal.Signals) -> int:
        """Signal it and wait for its end; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.communicate(timeout=30)
        return self.process.returncode

    def told(self) -> dict[str, Any]:
        running: dict[str, Any] = json.loads((self.data_dir / "running.json").read_text())
        return running

    def pid(self, name: str) -> int:
        return int(self.told()["processes"][name])

    def is_well(self) -> bool:
        """Whether its ingress answers and reaches the database, and Redis answers."""
        try:
            with (
                redis.Redis.from_url(self.told()["redis_url"]) as client,
                urllib.request.urlopen(f"{self.told()['ingress']}/readyz", timeout=5) as answer,
            ):
                return bool(client.ping()) and answer.status == 200
        except (OSError, redis.RedisError):
            return False


def counterfoil(*words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "local", *words],
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(processes.ROOT), "PYTHONSAFEPATH": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refusal(process: subprocess.Popen[str]) -> str:
    """What it said on stderr when it refused: one line, and nothing on stdout."""
    said, complaint = process.communicate(timeout=60)
    assert process.returncode != 0
    assert said == ""
    assert complaint.count("\n") == 1
    return complaint.strip()


@contextmanager
def stack() -> Iterator[Up]:
    with passing("counterfoil-test-") as path:
        up = Up(path)
        try:
            yield up
        finally:
            if up.process and up.process.poll() is None:
                up.end(signal.SIGTERM)


@pytest.fixture(scope="module")
def running() -> Iterator[Up]:
    """Up and ready; it may be hurt, but not ended."""
    with stack() as up:
        yield up.start()


@pytest.fixture
def own() -> Iterator[Up]:
    """Not started yet."""
    with stack() as up:
        yield up


def test_it_tells_where_everything_is_to_its_owner_alone(running: Up) -> None:
    told = running.told()

    urls = {name: f"http://127.0.0.1:{running.base + offset}" for name, offset in OFFSETS.items()}
    others = " ".join(f"{name} {url}" for name, url in urls.items() if name != "storefront")
    assert running.ready == f"ready open {urls['storefront']} {others} outbox {running.data_dir}/outbox"
    assert {name: told[name] for name in urls} == urls
    assert told["data_dir"] == str(running.data_dir)
    assert told["outbox"] == f"{running.data_dir}/outbox"
    assert set(told["processes"]) >= {*OFFSETS, "postgres", "valkey", "worker-1", "worker-2", "schedules"}
    assert set(told["secrets"]) == {"stripe_webhook", "razorpay_webhook"}
    for name in ("running.json", "settings.env", "secrets.env"):
        assert (running.data_dir / name).stat().st_mode & 0o777 == 0o600


def test_what_it_tells_of_is_there(running: Up) -> None:
    assert running.is_well()
    assert processes.living(running.told()["processes"].values()) == set(running.told()["processes"].values())


async def test_there_are_three_plans_to_try_things_with(running: Up) -> None:
    connection = await asyncpg.connect(running.told()["database_url"])
    plans = await connection.fetch('SELECT id, interval, trial_days FROM plans ORDER BY id COLLATE "C"')
    await connection.close()

    assert [tuple(plan) for plan in plans] == [
        ("lifetime", None, 0),
        ("pro-monthly", "month", 0),
        ("team-monthly", "month", 14),
    ]


@pytest.mark.parametrize("name", ["worker-1", "schedules", "ingress", "valkey", "postgres"])
def test_f135_what_is_killed_is_back_and_running_json_knows(running: Up, name: str) -> None:
    before = running.told()

    os.kill(before["processes"][name], signal.SIGKILL)

    assert processes.until(lambda: running.pid(name) != before["processes"][name])
    assert processes.until(running.is_well)
    after = running.told()
    assert {**after, "processes": None} == {**before, "processes": None}


def test_a_second_start_on_the_same_data_is_refused_and_harms_nothing(running: Up) -> None:
    before = running.told()
    second = Up(running.data_dir.parent)

    assert refusal(second.run()) == (
        f"counterfoil: {running.data_dir} is in use by another running stack; stop that one first."
    )
    assert running.told() == before
    assert running.is_well()


def test_the_command_line_talks_to_the_stack_that_runs(running: Up) -> None:
    asked = counterfoil("migrate", "--data-dir", str(running.data_dir))

    assert asked.communicate(timeout=30) == ("nothing is missing\n", "")


def test_sigterm_ends_everything_in_order(own: Up) -> None:
    family = processes.family(own.start().told()["processes"].values())

    code = own.end(signal.SIGTERM)

    assert code == 0
    assert not processes.living(family)
    assert not (own.data_dir / "running.json").exists()


def test_ctrl_c_while_it_starts_leaves_nothing(own: Up) -> None:
    pid_file = own.data_dir / "postgres" / "cluster" / "postmaster.pid"
    own.run()
    assert processes.until(lambda: pid_file.exists() and pid_file.read_text().count("\n") > 1)
    postgres = int(pid_file.read_text().split("\n")[0])

    code = own.end(signal.SIGINT)

    assert code == 0
    assert not processes.living([postgres])


def test_after_kill_9_nothing_stays_and_the_next_start_is_clean(own: Up) -> None:
    before = own.start().told()
    family = processes.family(before["processes"].values())

    own.end(signal.SIGKILL)
    own.start()

    assert not processes.living(family)
    assert own.told()["secrets"] == before["secrets"]
    assert own.told()["database_url"] == before["database_url"]
    assert own.is_well()


def _watchdogs(of: int) -> list[int]:
    children = [psutil.Process(pid) for pid in processes.living(child.pid for child in psutil.Process(of).children())]
    return [child.pid for child in children if any("watchdog" in word for word in child.cmdline())]


def test_a_watchdog_that_dies_is_replaced_and_still_nothing_stays_after_kill_9(own: Up) -> None:
    before = own.start().told()
    family = processes.family(before["processes"].values())
    assert own.process is not None
    owner = own.process.pid
    (watchdog,) = _watchdogs(owner)

    os.kill(watchdog, signal.SIGKILL)
    is_replaced = processes.until(lambda: [pid for pid in _watchdogs(owner) if pid != watchdog] != [])
    own.end(signal.SIGKILL)

    assert is_replaced
    assert processes.until(lambda: not processes.living(family))


def test_an_occupied_port_is_named_and_nothing_is_left(own: Up) -> None:
    with socket.socket() as other:
        other.bind((ports.LOOPBACK, own.base))
        other.listen()

        complaint = refusal(own.run())

    assert complaint.startswith(f"counterfoil: Port {own.base} is occupied, and the ingress needs it")
    assert not (own.data_dir / "postgres").exists()


def test_a_process_that_cannot_start_says_why_and_nothing_is_left(own: Up) -> None:
    process = own.run(RAZORPAY_WEBHOOK_SECRET=" ")
    said, complaint = process.communicate(timeout=60)

    assert process.returncode != 0
    assert said == ""
    assert "ended during its start" in complaint
    assert "RAZORPAY_WEBHOOK_SECRET" in complaint
    assert "Traceback" not in complaint
    assert not (own.data_dir / "postgres" / "cluster" / "postmaster.pid").exists()


def test_a_data_directory_that_cannot_be_made_is_named(own: Up) -> None:
    own.data_dir.write_text("a file")
    own.data_dir /= "below"

    assert refusal(own.run()) == f"counterfoil: {own.data_dir} cannot hold the stack's data: Not a directory."


def test_production_is_refused(own: Up) -> None:
    assert refusal(own.run(APP_ENV="production")).startswith("counterfoil: APP_ENV is production, and `up` is for")


def test_a_database_that_is_away_is_told_of_without_its_password(own: Up) -> None:
    complaint = refusal(own.run(DATABASE_URL=f"postgresql://us:a-password@127.0.0.1:{ports.choose()}/ours"))

    assert complaint.startswith("counterfoil: The database does not answer as it should: ConnectionRefusedError")
    assert "a-password" not in complaint


async def test_servers_that_are_given_are_used_and_none_is_embedded(own: Up, database_url: str, redis_url: str) -> None:
    own.ready = processes.first_line(own.run(DATABASE_URL=database_url, REDIS_URL=redis_url))

    assert own.told()["database_url"] == database_url
    assert own.told()["redis_url"] == redis_url
    assert not own.told()["processes"].keys() & {"postgres", "valkey"}
    assert own.is_well()
