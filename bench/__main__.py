"""``python -m bench``: each of our ways against its baseline, on servers of its own with honest fsync."""

from __future__ import annotations

import tempfile
from pathlib import Path

import uvloop

from bench import bell, hints, ingest
from db.migrate import migrate
from local.postgres import Postgres
from local.valkey import Valkey


async def measure(database_url: str, redis_url: str) -> None:
    await migrate(database_url)
    print(await ingest.measure(database_url, redis_url), flush=True)
    print(await hints.measure(redis_url), flush=True)
    print(await bell.measure(redis_url), flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="counterfoil-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        postgres, valkey = Postgres(Path(folder) / "postgres"), Valkey(Path(folder) / "valkey")
        try:
            uvloop.run(measure(postgres.start().url, valkey.start().url))
        finally:
            valkey.remove()
            postgres.remove()


if __name__ == "__main__":
    main()
