"""The sandbox as the desk's commands reach it: where it is, its ``/_control``, and each failure in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Json = dict[str, Any]

#: For whatever answers at once.
SECONDS = 30.0
#: A long advance waits for the answer to every webhook that falls due on its way.
LONG_SECONDS = 3600.0


class NoSandbox(Exception):
    """There is nobody to talk to. The message says where we looked; start one, or name it."""


class Refused(Exception):
    """The sandbox said no. The message is its own; change the order."""


class Sandbox:
    """A running one, by its address."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    @property
    def url(self) -> str:
        return self._url

    def ask(self, path: str, **query: object) -> Json:
        """What is so; a question without a value is left out."""
        given = {name: str(value) for name, value in query.items() if value is not None}
        return self._exchange("GET", path, SECONDS, params=given)

    def order(self, path: str, order: Json, *, seconds: float = SECONDS) -> Json:
        """Has it done, and gives what came of it."""
        return self._exchange("POST", path, seconds, json=order)

    def _exchange(self, method: str, path: str, seconds: float, **what: Json) -> Json:
        import httpx  # here, since it takes as long to load as all other commands together

        request = httpx.Request(method, f"{self._url}/_control/{path}", **what)  # type: ignore[arg-type]
        try:
            # It is on this machine: no proxy of whoever runs this leads there.
            with httpx.Client(trust_env=False, timeout=seconds) as client:
                answer = client.send(request)
            said = answer.json()
        except httpx.TimeoutException as error:
            raise NoSandbox(f"The sandbox at {self._url} has not answered within {seconds:g} s.") from error
        except httpx.HTTPError as error:
            raise NoSandbox(f"No sandbox answers at {self._url} ({type(error).__name__}).") from error
        except ValueError as error:
            raise NoSandbox(f"What answers at {self._url} is not a sandbox.") from error
        if answer.is_success and isinstance(said, dict):
            return said
        if not isinstance(said, dict) or not isinstance(said.get("detail"), str):
            raise NoSandbox(f"What answers at {self._url} is not a sandbox.")
        raise Refused(f"The sandbox refuses: {said['detail'].rstrip('.')}.")


def find(url: str | None, data_dir: Path) -> Sandbox:
    """The one that was named, else the one of the stack that runs in this directory."""
    import httpx

    if url is None:
        url = _running_in(data_dir)
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise NoSandbox(f"{url!r} is not an address.") from error
    if address.scheme not in {"http", "https"} or not address.host:
        raise NoSandbox(f"{url!r} is not an address; one looks like http://127.0.0.1:8003.")
    return Sandbox(url)


def _running_in(data_dir: Path) -> str:
    try:
        running = json.loads((data_dir / "running.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NoSandbox(
            f"No stack runs in {data_dir}: start one with `counterfoil up`, or name a sandbox by --url or SANDBOX_URL."
        ) from error
    if not isinstance(running, dict) or not isinstance(running.get("sandbox"), str):
        raise NoSandbox(f"The stack in {data_dir} runs without a sandbox: name one by --url or SANDBOX_URL.")
    return str(running["sandbox"])
