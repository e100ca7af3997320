"""Where tests put what nobody keeps: in memory where there is room, since a database is hundreds of small files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Where Linux keeps files in memory.
MEMORY = Path("/dev/shm")

#: Many times what the servers of a run hold at once; containers often have less, and then the disk serves.
ROOM_BYTES = 2 * 1024**3


@contextmanager
def passing(prefix: str) -> Iterator[Path]:
    """A directory that every user may pass through, as root's PostgreSQL asks, and that is gone afterwards."""
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=MEMORY if has_room else None, ignore_cleanup_errors=True
    ) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)
