"""One owner per directory: a lock that lives exactly as long as the processes that were given it."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from local.command import CannotStart


def hold(path: Path, *, patience_seconds: float) -> int:
    """Take the lock, waiting for a dying owner to let go; returns the descriptor that holds it.

    The lock belongs to the open file, not to a process: it is released when the last process that inherited
    the descriptor has closed it, so a server that outlived its owner is still seen.
    """
    deadline = time.monotonic() + patience_seconds
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while not _is_taken(descriptor):
        if time.monotonic() > deadline:
            os.close(descriptor)
            raise CannotStart(f"{path.parent} is in use by another running stack; stop that one first.")
        time.sleep(0.02)
    return descriptor


def _is_taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
