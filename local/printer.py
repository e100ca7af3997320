"""What the stack's processes say, on our stderr; who does not read it never holds anything up."""

from __future__ import annotations

import os
import queue
import threading
from typing import Self

#: Lines that wait for a slow reader. When they are full, further ones are dropped: a terminal is no record.
BACKLOG_LINES = 2000

STDERR = 2


class Printer:
    """Writes in a thread of its own: a pipe that nobody empties blocks that thread, and never the supervisor."""

    def __init__(self) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue(BACKLOG_LINES)
        self._thread = threading.Thread(target=self._write, name="printer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._put(None)
        self._thread.join(timeout=1)

    def show(self, name: str, line: str) -> None:
        """One line, behind the name of who said it."""
        self._put(f"{name:10} | {line}\n")

    def _put(self, line: str | None) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            return

    def _write(self) -> None:
        # Not through sys.stderr: at its end the interpreter would wait for the lock that a blocked write holds.
        while (line := self._lines.get()) is not None:
            rest = line.encode()
            try:
                while rest:
                    rest = rest[os.write(STDERR, rest) :]
            except OSError:  # nobody reads any more
                return
