"""What `make setup` needs beyond pip: what to install, and the launcher. Standard library only: nothing is there yet.

The folders are run in place and never installed: a package called ``db`` or ``workers`` in site-packages would
win over ours, or lose to the next one.
"""

from __future__ import annotations

import shlex
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1]

LAUNCHER = """\
#!/bin/sh
# Written by `make setup`. Runs this project's code from any directory, whatever that directory holds.
export PYTHONPATH={project} PYTHONSAFEPATH=1
exec {python} -m local "$@"
"""


def requirements() -> list[str]:
    """Everything that a laptop needs; production installs the dependencies alone."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["dev"]]


def write_launcher(path: Path, python: Path) -> None:
    """Replace it whole: somebody may be starting it."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(
        LAUNCHER.format(project=shlex.quote(str(PROJECT)), python=shlex.quote(str(python))), encoding="utf-8"
    )
    fresh.chmod(0o755)
    fresh.replace(path)


def main() -> int:
    match sys.argv[1:]:
        case ["requirements"]:
            print("\n".join(requirements()))
        case ["launcher", path]:
            write_launcher(Path(path).absolute(), Path(sys.executable))
        case _:
            print("usage: setup.py requirements | launcher PATH", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
