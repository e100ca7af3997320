"""A server that ends as soon as it is told to: uvicorn looks ten times a second, and every test would wait for that."""

from __future__ import annotations

import asyncio
import socket

import uvicorn

LOOK_SECONDS = 0.01


class PromptServer(uvicorn.Server):
    """uvicorn with shorter looks; what is open gets the same grace, and is cut off in the same order."""

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            await asyncio.sleep(LOOK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in self.servers:
            listener.close()
        for listening in sockets or []:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while self.server_state.connections or self.server_state.tasks:
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            for task in self.server_state.tasks:
                task.cancel("the grace is over")
        await self.lifespan.shutdown()
