"""The settings of the development stack, in its own file, so that a command talks to the stack that ``up`` started."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, MutableMapping
from pathlib import Path

PROJECT = Path(__file__).parents[1]
DATA_DIR = PROJECT / ".counterfoil"

FILE = "settings.env"


def written(settings: Mapping[str, str]) -> str:
    """The file's text: one ``NAME=value`` a line, quoted as a shell would read it."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())


def parsed(text: str) -> dict[str, str]:
    """What ``written`` wrote; people may add comments."""
    pairs = (word.partition("=") for word in shlex.split(text, comments=True))
    return {name: value for name, _, value in pairs}


def read(path: Path) -> dict[str, str]:
    """What the file says; nothing where there is no file."""
    try:
        return parsed(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def adopt(data_dir: Path, environment: MutableMapping[str, str]) -> None:
    """Fill in what the environment leaves open. In production the environment alone counts."""
    if environment.get("APP_ENV") == "production":
        return
    for name, value in read(data_dir / FILE).items():
        environment.setdefault(name, value)
