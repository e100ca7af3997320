"""Everything that is true in here: objects, time, faults and the post, handed to whoever needs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.clock import Agenda, Clock, Timekeeper
from sandbox.faults import Faults
from sandbox.store import Store
from sandbox.webhooks import Post


@dataclass(frozen=True, slots=True)
class Options:
    """What a start decides. Secrets come from the environment alone and are never written down."""

    data_dir: Path
    url: str
    stripe_webhook_url: str | None = None
    stripe_webhook_secret: str | None = field(default=None, repr=False)
    razorpay_webhook_url: str | None = None
    razorpay_webhook_secret: str | None = field(default=None, repr=False)
    razorpay_key_secret: str | None = field(default=None, repr=False)


class World:
    """One set of stand-ins: both gateways over one store, with one clock."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._woken = asyncio.Event()
        self.store = Store(options.data_dir / "sandbox.sqlite3")
        self.clock = Clock(self.store, options.data_dir / "clock")
        self.faults = Faults(self.store)
        self.agenda = Agenda(self.store, self.clock, self._woken.set)
        self.post = Post(self.store, self.clock, self.faults, self._woken.set)
        self.timekeeper = Timekeeper(self.clock, self.agenda, self.post, self._woken)

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """Time passes and mail is sent while this is open."""
        self.post.open()
        keeping = asyncio.create_task(self.timekeeper.run())
        try:
            yield
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping
            await self.post.close()
            self.store.close()
