"""The log of calls: each one to either gateway's API as it was asked, answered, and gone wrong on purpose.

A row is written when the question has been read and completed when the answer has left, so that a call that hangs, or
is cut off, is there to be seen. What must not be kept of a call is taken out before it is written.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.clock import Clock
from sandbox.faults import Faults
from sandbox.redaction import readable, readable_answer, readable_parameters
from sandbox.store import Json, Store

#: How many calls are kept, the newest of them.
KEPT_MAX = 10_000
#: How much of a body is read for the log; the parameters of a longer one are not kept at all.
BODY_BYTES_MAX = 64 * 1024
#: How much of an answer is kept; a little more is read, so that what must be hidden is seen whole.
ANSWER_CHARACTERS_MAX = 1024
ANSWER_BYTES_READ = ANSWER_CHARACTERS_MAX + 128
HEADER_CHARACTERS_MAX = 255

_JSON = "application/json"
_FIELDS_MAX = 1000

#: Reads a form into what the gateway makes of it; raises ``ValueError`` where nobody could.
ReadForm = Callable[[str], Json]


def read_flat(text: str) -> Json:
    """A form whose names mean nothing more."""
    return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS_MAX))


class CallLog:
    """The rows."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def begin(self, gateway: str, method: str, path: str, said: Json) -> int:
        """Somebody asks. ``said`` holds query, parameters, idempotency key and version."""
        with self._store.transaction():
            rows = self._store.run(
                "INSERT INTO calls (at, real_time, gateway, method, path, query, parameters, idempotency_key, version)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                *(self._clock.now(), round(time.time(), 3), gateway, method, path),
                *(json.dumps(said["query"]), json.dumps(said["parameters"]), said["key"], said["version"]),
            )
            call_id = int(rows[0]["id"])
            self._store.run("DELETE FROM calls WHERE id <= ?", call_id - KEPT_MAX)
        return call_id

    def complete(self, call_id: int, *, told: Json, milliseconds: int, faults: list[str]) -> None:
        """It has been answered, or not: ``told`` holds status, request id, version and the answer's beginning."""
        self._store.run(
            "UPDATE calls SET status = ?, request_id = ?, version = coalesce(?, version), answer = ?,"
            " milliseconds = ?, faults = ? WHERE id = ?",
            *(told["status"], told["request_id"], told["version"], told["answer"]),
            *(milliseconds, json.dumps(faults), call_id),
        )

    def newest(self, limit: int) -> list[Json]:
        """The newest calls, the newest of them last."""
        rows = self._store.run("SELECT * FROM calls ORDER BY id DESC LIMIT ?", limit)
        return [_entry(row) for row in reversed(rows)]

    def count(self) -> int:
        return int(self._store.run("SELECT count(*) AS n FROM calls")[0]["n"])


class Recorded:
    """A gateway's API, with every call to it written down."""

    def __init__(
        self, app: ASGIApp, gateway: str, log: CallLog, faults: Faults, read_form: ReadForm = read_flat
    ) -> None:
        self._app, self._gateway, self._log, self._faults = app, gateway, log, faults
        self._read_form = read_form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Pages that a gateway shows are not calls.
        if scope["type"] != "http" or not _path(scope).startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        listener = _Listener(scope, receive, send, self._begin)
        began = time.monotonic()
        with self._faults.noted() as struck:
            try:
                await self._app(scope, listener.receive, listener.send)
            finally:
                milliseconds = int((time.monotonic() - began) * 1000)
                # A call that outlasts the process finds the book closed.
                with suppress(sqlite3.ProgrammingError):
                    self._log.complete(listener.begin(), told=listener.told(), milliseconds=milliseconds, faults=struck)

    def _begin(self, scope: Scope, body: bytes | None) -> int:
        headers = Headers(scope=scope)
        query = scope["query_string"].decode("ascii", "replace")
        said = {
            "query": readable_parameters(self._form(query)),
            "parameters": readable_parameters(self._parameters(headers, body)),
            "key": _header(headers, "idempotency-key") or _header(headers, "x-refund-idempotency"),
            "version": _header(headers, "stripe-version"),
        }
        return self._log.begin(self._gateway, scope["method"], readable(_path(scope)), said)

    def _parameters(self, headers: Headers, body: bytes | None) -> Json:
        if body is None:
            return {"[cut]": f"a body of more than {BODY_BYTES_MAX} bytes"}
        if not headers.get("content-type", "").lower().startswith(_JSON):
            return self._form(body.decode("utf-8", "replace"))
        try:
            fields = json.loads(body or b"{}")
        except (ValueError, RecursionError):
            return {}
        return fields if isinstance(fields, dict) else {}

    def _form(self, text: str) -> Json:
        """What cannot be read is not kept."""
        try:
            return self._read_form(text)
        except ValueError:
            return {}


class _Listener:
    """Hears one call's question and answer as they pass, up to what the log keeps of them."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, write: Callable[[Scope, bytes | None], int]) -> None:
        self._scope, self._receive, self._send, self._write = scope, receive, send, write
        self._body: bytes | None = b""
        self._call_id: int | None = None
        self._status: int | None = None
        self._headers = Headers()
        self._answer = b""

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._hear(message.get("body", b""))
            if not message.get("more_body", False):
                self.begin()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], Headers(raw=message["headers"])
        elif (left := ANSWER_BYTES_READ - len(self._answer)) > 0:
            self._answer += message.get("body", b"")[:left]
        await self._send(message)

    def begin(self) -> int:
        """The call's row, written now at the latest."""
        if self._call_id is None:
            self._call_id = self._write(self._scope, self._body)
        return self._call_id

    def told(self) -> Json:
        answer = self._answer.decode("utf-8", "replace")
        return {
            "status": self._status,
            "request_id": _header(self._headers, "request-id"),
            "version": _header(self._headers, "stripe-version"),
            "answer": None if self._status is None else readable_answer(answer, ANSWER_CHARACTERS_MAX),
        }

    def _hear(self, part: bytes) -> None:
        if self._body is not None:
            self._body += part
        if self._body is not None and len(self._body) > BODY_BYTES_MAX:
            self._body = None


def _path(scope: Scope) -> str:
    """The path as the gateway's documentation writes it."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


def _header(headers: Headers, name: str) -> str | None:
    value = headers.get(name)
    return None if value is None else readable(value, HEADER_CHARACTERS_MAX)


def _entry(row: sqlite3.Row) -> Json:
    return {
        "id": row["id"],
        "at": row["at"],
        "realTime": row["real_time"],
        "gateway": row["gateway"],
        "method": row["method"],
        "path": row["path"],
        "query": json.loads(row["query"]),
        "parameters": json.loads(row["parameters"]),
        "idempotencyKey": row["idempotency_key"],
        "version": row["version"],
        "requestId": row["request_id"],
        "status": row["status"],
        "milliseconds": row["milliseconds"],
        "faults": json.loads(row["faults"]),
        "answer": row["answer"],
    }
