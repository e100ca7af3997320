"""`counterfoil migrate`: on the database of the environment, else of the development stack; each refusal one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from local.ports import choose
from local.postgres import Postgres
from tests.processes import ROOT


def _migrate(*words: str, module: str = "local", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, "migrate", *words],
        cwd="/",
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_says_what_it_applied_and_then_that_nothing_is_missing(own_postgres: Postgres) -> None:
    empty = own_postgres.url_of("postgres")

    first = _migrate(module="console", DATABASE_URL=empty, APP_ENV="production")
    second = _migrate(DATABASE_URL=empty)

    assert first.returncode == second.returncode == 0
    assert first.stdout.split() == sorted(path.name for path in (ROOT / "db/migrations").glob("*.sql"))
    assert second.stdout == "nothing is missing\n"


def test_without_a_database_it_says_what_is_not_set(tmp_path: Path) -> None:
    refused = _migrate("--data-dir", str(tmp_path))

    assert refused.returncode == 2
    assert refused.stderr == (
        f"counterfoil: DATABASE_URL is not set, and no development stack was ever started in {tmp_path}.\n"
    )


def test_the_data_directory_may_come_from_the_environment(tmp_path: Path, database_url: str) -> None:
    (tmp_path / "settings.env").write_text(f"DATABASE_URL={database_url}\n")

    done = _migrate(COUNTERFOIL_DATA_DIR=str(tmp_path))

    assert done.stdout == "nothing is missing\n"


def test_a_database_that_is_away_is_told_of_without_its_password() -> None:
    refused = _migrate(DATABASE_URL=f"postgresql://us:a-password@127.0.0.1:{choose()}/ours")

    assert refused.returncode == 1
    assert refused.stderr.startswith("counterfoil: The database does not answer as it should: ConnectionRefusedError")
    assert refused.stderr.count("\n") == 1
    assert "a-password" not in refused.stderr


def test_an_address_that_is_none_is_not_repeated() -> None:
    refused = _migrate(DATABASE_URL="mysql://us:a-password@host:many/ours")

    assert refused.returncode == 1
    assert (
        refused.stderr == "counterfoil: DATABASE_URL is not an address that can be used (ClientConfigurationError).\n"
    )
