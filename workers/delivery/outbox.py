"""A folder that stands for the world on a developer's machine: what would be sent can be opened and read there."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from db.effects import Effect
from workers.delivery.mail import NO_ADDRESS, Letters
from workers.delivery.sender import SENT, NotNow, Settled

KIND = re.compile(r"[a-z_]+(\.[a-z_]+)*")


class Outbox:
    """One file per effect, named after it, so that a repeat overwrites itself. Owner only: it holds addresses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def keep(self, effect: Effect, suffix: str, content: bytes) -> None:
        if KIND.fullmatch(effect.kind) is None:
            raise ValueError("an effect's kind is not fit for a file name")
        try:
            await asyncio.to_thread(_write, self._folder / f"{effect.kind}-{effect.id}{suffix}", content)
        except OSError as error:
            raise NotNow(f"the outbox folder cannot be written ({type(error).__name__})") from None


def _write(path: Path, content: bytes) -> None:
    """All or nothing: a reader never sees half a file, and a crash leaves no more than a hidden temporary one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.touch(mode=0o600)
    temporary.write_bytes(content)
    temporary.replace(path)


class KeptMail:
    """Mails as ``.eml``, exactly as an SMTP server would get them."""

    def __init__(self, outbox: Outbox, letters: Letters) -> None:
        self._outbox = outbox
        self._letters = letters

    async def send(self, effect: Effect) -> Settled:
        letter = self._letters.write(effect)
        if letter is None:
            return NO_ADDRESS
        await self._outbox.keep(effect, ".eml", bytes(letter))
        return SENT


class KeptJson:
    """Notifications and analytics as ``.json``: the body that would be posted."""

    def __init__(self, outbox: Outbox, compose: Callable[[Effect], dict[str, Any]]) -> None:
        self._outbox = outbox
        self._compose = compose

    async def send(self, effect: Effect) -> Settled:
        await self._outbox.keep(effect, ".json", json.dumps(self._compose(effect), indent=2).encode())
        return SENT
