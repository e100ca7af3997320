"""The sandbox as the tests of its two APIs meet it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import stripe

from tests.sandboxes import Sandbox, running_sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox") as running:
        yield running


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One for all tests that leave nothing behind."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[stripe.StripeClient]:
    """Stripe's asynchronous client; the tests of Razorpay's API have a client of their own."""
    async with sandbox.stripe() as connected:
        yield connected
