"""Rules of the house that a linter does not know. Each failure says what to do."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    if (ROOT / name).is_file()
)
SOURCES = [path for path in PYTHON if "tests" not in path.relative_to(ROOT).parts]

#: The files in which a process begins; they alone read settings and configure logs.
ROOTS = {
    "settings.py",
    "logs.py",
    *(f"{folder}/__main__.py" for folder in ("ingress", "checkout", "workers", "schedules", "console", "local")),
}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@dataclass(frozen=True, slots=True)
class Read:
    """What is asked of a file."""

    is_empty: bool
    opening: str | None
    imported: frozenset[str]
    texts: tuple[str, ...]


@cache
def _read(path: Path) -> Read:
    """Parsed once, for all that is asked of it; the tree itself, which is large, is not kept."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    return Read(
        is_empty=not source.strip(),
        opening=ast.get_docstring(tree),
        imported=frozenset(name.split(".")[0] for node in nodes for name in _imports(node)),
        texts=tuple(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)),
    )


@pytest.mark.parametrize("path", PYTHON, ids=_name)
def test_a_file_opens_with_the_sentence_that_says_what_it_is_for(path: Path) -> None:
    assert _read(path).is_empty or _read(path).opening, f"{_name(path)}: open it with its sentence"


@pytest.mark.parametrize("path", PYTHON, ids=_name)
def test_nothing_unfinished_is_kept(path: Path) -> None:
    marks = re.findall(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|NotImplemented" r"Error)\b", path.read_text(encoding="utf-8"))

    assert not marks, f"{_name(path)}: finish it, or say in a decision why not"


@pytest.mark.parametrize("path", PYTHON, ids=_name)
def test_a_name_says_more_than_that_it_is_useful(path: Path) -> None:
    assert path.stem not in {"utils", "util", "common", "helpers", "core", "base", "manager", "misc"}, _name(path)


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_settings_and_logs_are_read_by_process_roots_alone(path: Path) -> None:
    if _name(path) not in ROOTS:
        assert not _read(path).imported & {"settings", "logs"}, f"{_name(path)}: take the value as a parameter"


def _imports(node: ast.AST) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=str() as module, level=0):
            return [module]
        case _:
            return []


#: How a statement begins; a text that begins so outside db/ is SQL that has lost its way.
SQL = re.compile(r"\s*(SELECT\s.+\sFROM|INSERT INTO|UPDATE\s+\w+\s+SET|DELETE FROM|CREATE (TABLE|INDEX))\b", re.DOTALL)


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.relative_to(ROOT).parts[0] not in {"db", "sandbox"}], ids=_name
)
def test_sql_lives_in_db_alone(path: Path) -> None:
    assert not [text for text in _read(path).texts if SQL.match(text)], f"{_name(path)}: move the statement into db/"


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_no_code_outside_patches_or_mocks(path: Path) -> None:
    assert "unittest.mock" not in path.read_text(encoding="utf-8"), _name(path)


@pytest.mark.parametrize("path", sorted((ROOT / "db/migrations").glob("*.sql")), ids=_name)
def test_a_migration_opens_with_what_it_is_for_and_has_its_place(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("-- "), f"{_name(path)}: open it with its sentence"
    assert re.fullmatch(r"\d{4}_[a-z_]+\.sql", path.name), path.name


def test_migrations_are_numbered_without_a_gap() -> None:
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "db/migrations").glob("*.sql"))]

    assert numbers == list(range(1, len(numbers) + 1))


def test_the_constraints_pin_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {_package(line) for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]}
    pinned = {_package(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split("\n") if line}

    assert wanted <= pinned, f"add to constraints.txt: {sorted(wanted - pinned)}"


def _package(line: str) -> str:
    return re.split(r"[^A-Za-z0-9_.-]", line, maxsplit=1)[0].lower().replace("_", "-")


def test_no_host_of_a_package_index_is_named() -> None:
    assert "://" not in (ROOT / "constraints.txt").read_text(encoding="utf-8")
