"""The development stack's settings file: what is written is read back, and the environment goes first."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from console import development

NAMES = st.from_regex(r"[A-Z][A-Z_]{0,20}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=50)


@given(st.dictionaries(NAMES, VALUES))
def test_what_is_written_is_read_back(settings: dict[str, str]) -> None:
    assert development.parsed(development.written(settings)) == settings


def test_without_a_file_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert development.read(tmp_path / "settings.env") == {}


def test_the_environment_goes_first(tmp_path: Path) -> None:
    (tmp_path / "settings.env").write_text("DATABASE_URL=ours\nREDIS_URL=ours\n")
    environment = {"DATABASE_URL": "theirs"}

    development.adopt(tmp_path, environment)

    assert environment == {"DATABASE_URL": "theirs", "REDIS_URL": "ours"}


def test_in_production_the_environment_alone_counts(tmp_path: Path) -> None:
    (tmp_path / "settings.env").write_text("DATABASE_URL=ours\n")
    environment = {"APP_ENV": "production"}

    development.adopt(tmp_path, environment)

    assert environment == {"APP_ENV": "production"}
