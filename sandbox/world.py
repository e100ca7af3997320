"""Everything that is true in here: objects, time, faults and the post, handed to whoever needs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sandbox import ids
from sandbox.call_log import CallLog
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
    stripe_old_webhook_secret: str | None = field(default=None, repr=False)
    razorpay_old_webhook_secret: str | None = field(default=None, repr=False)
    seed: int | None = None

    @property
    def old_secrets(self) -> dict[str, bool]:
        """At which gateways a secret from before a rotation is known."""
        return {
            "stripe": self.stripe_old_webhook_secret is not None,
            "razorpay": self.razorpay_old_webhook_secret is not None,
        }


class World:
    """One set of stand-ins: both gateways over one store, with one clock."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._woken = asyncio.Event()
        self.store = Store(options.data_dir / "sandbox.sqlite3")
        self.clock = Clock(self.store, options.data_dir / "clock")
        if options.seed is not None:
            ids.repeat(f"{options.seed}:{self._count_start()}")
        self.faults = Faults(self.store, seed=options.seed, has_old_secret=any(options.old_secrets.values()))
        self.calls = CallLog(self.store, self.clock)
        self.agenda = Agenda(self.store, self.clock, self._woken.set)
        self.post = Post(self.store, self.clock, self.faults, self._woken.set)
        self.timekeeper = Timekeeper(self.clock, self.agenda, self.post, self._woken)

    def forget(self) -> None:
        """Begins anew, except that the clock stays where it is."""
        self.post.call_back()
        with self.store.transaction():
            self.store.forget()
            self.faults.set({})

    def _count_start(self) -> int:
        """How often this data was served before: a seed's next start makes other ids than the ones there are."""
        starts = int(self.store.setting("starts") or 0)
        self.store.set_setting("starts", starts + 1)
        return starts

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
