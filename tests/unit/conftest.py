"""A unit test opens no socket: whoever tries is told so."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

_FORBIDDEN = frozenset({"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto"})
_guarding = [False]


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    del arguments
    if event in _FORBIDDEN and _guarding[0]:
        raise AssertionError(f"{event}: a unit test opens no socket; this one belongs in tests/integration")


# An audit hook cannot be removed, so it is added once and switched.
sys.addaudithook(_refuse)


@pytest.fixture(autouse=True, scope="package")
def no_sockets() -> Iterator[None]:
    _guarding[0] = True
    yield
    _guarding[0] = False
