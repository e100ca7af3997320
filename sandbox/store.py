"""What the stand-ins remember, in one SQLite file: it survives a restart, and a kill in the middle of anything.

Everything here is synchronous on purpose. A change reads, decides and writes without giving up the event loop, so no
other request can come between, and its transaction makes it whole on disk too.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]

SCHEMA = """
-- a gateway's own objects, in its newest shape; seq is the order of creation, which a clock with whole seconds is not
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, gateway TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
    created INTEGER NOT NULL, body TEXT NOT NULL, UNIQUE (gateway, kind, id));
CREATE INDEX IF NOT EXISTS objects_newest ON objects (gateway, kind, seq);
CREATE INDEX IF NOT EXISTS objects_reference ON objects (json_extract(body, '$.reference_id'));
CREATE INDEX IF NOT EXISTS objects_payment_intent ON objects (json_extract(body, '$.payment_intent'));
CREATE INDEX IF NOT EXISTS objects_charge ON objects (json_extract(body, '$.charge'));
CREATE INDEX IF NOT EXISTS objects_payment ON objects (json_extract(body, '$.payment_id'));
CREATE INDEX IF NOT EXISTS objects_order ON objects (json_extract(body, '$.order_id'));
-- one event on its way to one endpoint, as the exact bytes that every attempt sends
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, gateway TEXT NOT NULL, event_id TEXT NOT NULL, event_type TEXT NOT NULL,
    endpoint TEXT NOT NULL, url TEXT NOT NULL, body BLOB NOT NULL, state TEXT NOT NULL, next_at REAL NOT NULL,
    attempts TEXT NOT NULL DEFAULT '[]');
CREATE INDEX IF NOT EXISTS deliveries_pending ON deliveries (next_at) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS deliveries_event ON deliveries (event_id);
-- what will happen by itself when the clock gets there
CREATE TABLE IF NOT EXISTS agenda (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, what TEXT NOT NULL, subject TEXT NOT NULL,
    UNIQUE (what, subject));
-- the first answer to an idempotency key; of the request only a hash
CREATE TABLE IF NOT EXISTS idempotency_keys (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, request_id TEXT NOT NULL, status INTEGER NOT NULL,
    body BLOB NOT NULL, created REAL NOT NULL);
-- every call of either API, without what must not be kept; status is null while it is unanswered, or for good
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, real_time REAL NOT NULL, gateway TEXT NOT NULL,
    method TEXT NOT NULL, path TEXT NOT NULL, query TEXT NOT NULL, parameters TEXT NOT NULL, idempotency_key TEXT,
    version TEXT, request_id TEXT, status INTEGER, milliseconds INTEGER, answer TEXT,
    faults TEXT NOT NULL DEFAULT '[]');
-- webhook secrets that the stand-in made itself; one given by the environment is never written down
CREATE TABLE IF NOT EXISTS secrets (endpoint TEXT PRIMARY KEY, secret TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


#: What outlives ``forget``: the clock only grows, an account stays who it is, and no id is ever made twice.
LASTING = ("clock_offset", "razorpay_account", "starts")


@dataclass(frozen=True, slots=True)
class Created:
    """Bounds on an object's time of creation, both included."""

    since: int = 0
    until: int = 2**62


class Store:
    """The file, the transactions, and the objects; other tables belong to the modules that run SQL on them."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its journal files the rights of the database file.
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        # Two processes on one file would both send every webhook: the second is refused.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing of it; inside another one, its own part or nothing of that. Nothing may be awaited."""
        begin, undo, end = ("SAVEPOINT inner_part", "ROLLBACK TO inner_part", "RELEASE inner_part")
        if not self._db.in_transaction:
            begin, undo, end = ("BEGIN IMMEDIATE", "ROLLBACK", "COMMIT")
        self._db.execute(begin)
        try:
            yield
        except BaseException:
            self._db.execute(undo)
            raise
        self._db.execute(end)

    def run(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """One statement, all its rows."""
        return self._db.execute(sql, values).fetchall()

    def changes(self) -> int:
        """How many rows have been written so far: tells whether a request changed anything."""
        return self._db.total_changes

    def put(self, gateway: str, kind: str, body: Json, *, created: int) -> None:
        """Writes an object, new or changed."""
        self.run(
            "INSERT INTO objects (gateway, kind, id, created, body) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (gateway, kind, id) DO UPDATE SET body = excluded.body",
            gateway,
            kind,
            body["id"],
            created,
            json.dumps(body),
        )

    def find(self, gateway: str, kind: str, object_id: str) -> Json | None:
        """The object, as a copy that the caller may change and put back."""
        sql = "SELECT body FROM objects WHERE gateway = ? AND kind = ? AND id = ?"
        rows = self.run(sql, gateway, kind, object_id)
        return json.loads(rows[0]["body"]) if rows else None

    def remove(self, gateway: str, kind: str, object_id: str) -> None:
        self.run("DELETE FROM objects WHERE gateway = ? AND kind = ? AND id = ?", gateway, kind, object_id)

    def place(self, gateway: str, kind: str, object_id: str) -> int | None:
        """Where the object stands in the order of creation."""
        sql = "SELECT seq FROM objects WHERE gateway = ? AND kind = ? AND id = ?"
        rows = self.run(sql, gateway, kind, object_id)
        return int(rows[0]["seq"]) if rows else None

    def newest(
        self,
        gateway: str,
        kind: str,
        *,
        limit: int,
        skip: int = 0,
        matching: Mapping[str, object] | None = None,
        created: Created | None = None,
        below: int | None = None,
        above: int | None = None,
    ) -> list[Json]:
        """Objects, newest first, whose fields equal ``matching`` (field name to value).

        ``below`` and ``above`` are places. With ``above`` the ones next to that place are taken, still newest first.
        """
        created = created or Created()
        where = ["gateway = ?", "kind = ?", "created BETWEEN ? AND ?", "seq < ?", "seq > ?"]
        values: list[object] = [gateway, kind, created.since, created.until, below or 2**62, above or 0]
        for field, value in (matching or {}).items():
            where.append(f"json_extract(body, '$.{field}') = ?")
            values.append(value)
        order = "ASC" if above is not None else "DESC"
        sql = f"SELECT body FROM objects WHERE {' AND '.join(where)} ORDER BY seq {order} LIMIT ? OFFSET ?"  # noqa: S608 - field names are the code's own
        found = [json.loads(row["body"]) for row in self.run(sql, *values, limit, skip)]
        return found[::-1] if above is not None else found

    def all(self, gateway: str, kind: str) -> list[Json]:
        """Every object of a kind, oldest first."""
        sql = "SELECT body FROM objects WHERE gateway = ? AND kind = ? ORDER BY seq"
        return [json.loads(row["body"]) for row in self.run(sql, gateway, kind)]

    def counts(self, gateway: str) -> dict[str, int]:
        """How many objects there are of each kind."""
        sql = "SELECT kind, count(*) AS n FROM objects WHERE gateway = ? GROUP BY kind"
        return {row["kind"]: int(row["n"]) for row in self.run(sql, gateway)}

    def forget(self) -> None:
        """Everything but the settings that are named in ``LASTING``."""
        for table in ("objects", "deliveries", "agenda", "idempotency_keys", "calls", "secrets"):
            self.run(f"DELETE FROM {table}")  # noqa: S608 - the tables are the code's own
        places = ", ".join("?" * len(LASTING))
        self.run(f"DELETE FROM settings WHERE name NOT IN ({places})", *LASTING)  # noqa: S608 - question marks alone

    def setting(self, name: str) -> Any:
        """A remembered setting, or None."""
        rows = self.run("SELECT value FROM settings WHERE name = ?", name)
        return json.loads(rows[0]["value"]) if rows else None

    def set_setting(self, name: str, value: object) -> None:
        self.run("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", name, json.dumps(value))
