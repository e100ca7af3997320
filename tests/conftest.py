"""What every test may ask for: a database of its own, an empty Redis, servers that it may kill, and async by itself."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

from db.pool import open_pool
from tests import servers

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from db.pool import Pool
    from local.postgres import Postgres
    from local.valkey import Valkey

#: What a developer's shell may hold and no test may see.
OURS = frozenset(
    {
        "DATABASE_URL",
        "DUNNING_FILE",
        "REDIS_URL",
        "RATE_LIMIT",
        "LATE_SUCCESS",
        "INSTANCE_ID",
        "HOST",
        "PORT",
        "RETURN_URL",
    }
)
OURS_BY_PREFIX = (
    *(
        "ANALYTICS_",
        "APP_",
        "AUTH_",
        "CORS_",
        "COUNTERFOIL_",
        "MAIL_",
        "NOTIFY_",
        "OUTBOX_",
        "PAGE_SECRET",
        "RAZORPAY_",
    ),
    *("SANDBOX_", "SMTP_", "STRIPE_", "TRUSTED_", "WORKER_"),
)


def pytest_configure(config: pytest.Config) -> None:
    config.option.anyio_mode = "auto"
    # A run that is told to end clears away as after Ctrl-C: its servers' data are many megabytes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name in list(os.environ):
        if name in OURS or name.startswith(OURS_BY_PREFIX):
            del os.environ[name]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[Postgres]:
    """One server for all tests, whose migrated database is the template of theirs; never to be stopped."""
    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def shared_valkey() -> Iterator[Valkey]:
    """One server for all tests, emptied before each; never to be stopped."""
    with servers.valkey() as server:
        yield server


@pytest.fixture
def database_url(shared_postgres: Postgres) -> Iterator[str]:
    """A migrated database for this test alone."""
    with servers.database(shared_postgres) as url:
        yield url


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Connections to this test's database."""
    opened = await open_pool(database_url, name="test")
    yield opened
    try:
        await asyncio.wait_for(opened.close(), 10)
    except TimeoutError:
        # A test that ran out of time has left a task behind, which holds a connection for ever.
        opened.terminate()


@pytest.fixture
def redis_url(shared_valkey: Valkey) -> str:
    """An empty Redis-compatible server."""
    servers.empty(shared_valkey)
    return shared_valkey.url


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A migrated server that this test may ``stop``, ``kill`` and ``start`` again: same port, same data."""
    with servers.postgres() as server:
        yield server


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A server that this test may ``stop``, ``kill`` and ``start`` again: same port, nothing kept."""
    with servers.valkey() as server:
        yield server


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for the tests of a module, each of which opens contexts of its own."""
    from tests.browsers import chromium

    async with chromium() as started:
        yield started
