"""The project's pages as tests read them: their links, their tables, their blocks of code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

#: What people read. Every claim in them that code can check is checked.
PAGES = [*(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md")), *sorted(DOCS.rglob("*.md"))]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def text(path: str | Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(page: str | Path) -> str:
    """The page without its blocks of code, its quoted words, and the mark that makes a link a picture."""
    return re.sub(r"`[^`\n]*`|!(?=\[)", "", FENCE.sub("", text(page)))


def blocks(page: str | Path, language: str) -> list[str]:
    """The page's blocks of code in that language, in their order; '' is a block that names none."""
    return [block for found, block in FENCE.findall(text(page)) if found == language]


def section(page: str | Path, title: str) -> str:
    """What stands below this heading, up to the next of its rank or a higher one."""
    lines = iter(FENCE.sub(lambda found: re.sub("^#", " #", found[0], flags=re.MULTILINE), text(page)).splitlines())
    rank = next(len(line) - len(line.lstrip("#")) for line in lines if line.lstrip("#") == f" {title}")
    kept: list[str] = []
    for line in lines:
        if re.match(rf"#{{1,{rank}}} ", line):
            break
        kept.append(line)
    return "\n".join(kept)


def rows(markdown: str) -> Iterator[list[str]]:
    """The cells of every row of every table in it, heads and rules left out."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if not _is_rule(line) and not _is_rule(following):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _is_rule(line: str) -> bool:
    return bool(line) and set(line) <= set("|-: ")


def quoted(markdown: str) -> list[str]:
    """The words in backquotes."""
    return re.findall(r"`([^`\n]+)`", markdown)


def anchors(page: Path) -> set[str]:
    """What a link may name after ``#``: the headings, as they are written in addresses."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
