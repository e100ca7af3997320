"""Which TCP ports on loopback are free."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"

#: Below every usual ephemeral range (Linux begins at 32768): a client that retries a port inside that range while
#: its server is down can be given the very port as its own, connect to itself, and keep the server from coming back.
CHOICES = range(20_000, 32_000)

#: How many ports a stack takes from its base on: its services', and its embedded servers' behind them.
STACK_PORTS = 12


def is_free(port: int) -> bool:
    """Whether a server could listen there now. Connections that are still closing do not count, as for a server."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def choose(preferred: int | None = None) -> int:
    """The preferred port if it is free, else any that is. Nothing reserves it: the caller must still cope."""
    if preferred is not None and is_free(preferred):
        return preferred
    return next(port for port in random.sample(CHOICES, k=len(CHOICES)) if is_free(port))


def choose_base() -> int:
    """A port whose successors are free too, for all that a stack listens on."""
    bases = random.sample(CHOICES[::STACK_PORTS], k=len(CHOICES) // STACK_PORTS)
    return next(base for base in bases if all(is_free(base + offset) for offset in range(STACK_PORTS)))
