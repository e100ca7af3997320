"""What the sandbox's page lists is what the sandbox knows. A failure says what to write or to take out."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.routing import Route

from sandbox.control import Control
from sandbox.deliveries import STATES
from sandbox.faults import KNOWN, OLD_SECRETS
from sandbox.world import Options, World
from tests.house.pages import DOCS, quoted, rows, section, text

PAGE = DOCS / "sandbox.md"


def _first_cells(title: str) -> list[str]:
    return [cells[0] for cells in rows(section(PAGE, title))]


def test_every_fault_is_in_the_table_in_the_order_in_which_it_is_shown() -> None:
    told_of = [word for cell in _first_cells("Faults") for word in quoted(cell)]

    assert [name for name in told_of if name in KNOWN] == list(dict.fromkeys(told_of))
    assert set(told_of) == set(KNOWN)


def test_every_route_of_the_controls_is_in_their_table(tmp_path: Path) -> None:
    world = World(Options(data_dir=tmp_path, url="http://127.0.0.1"))
    told_of = set(re.findall(r"/_control(/[a-z/]+)", " ".join(_first_cells("Controls"))))

    routes = {route.path for route in Control(world).app().routes if isinstance(route, Route)}
    world.store.close()

    assert told_of == routes


def test_every_state_and_every_variable_is_named() -> None:
    assert set(STATES) <= set(quoted(section(PAGE, "Webhooks")))
    assert all(variable in text(PAGE) for variable in OLD_SECRETS.values())
