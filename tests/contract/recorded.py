"""Events that gateways really sent, or published as samples. They lie beside the project and are never copied into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures"

needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="the recorded fixtures are not beside the project")


def event_files(gateway: str) -> list[Path]:
    """Every recorded body of this gateway; captured headers lie beside some and are no bodies."""
    found = (FIXTURES / gateway / "events").glob("*.json")
    return sorted(path for path in found if not path.name.endswith(".headers.json"))


def load(path: Path) -> dict[str, Any]:
    event = json.loads(path.read_bytes())
    assert isinstance(event, dict)
    return event
