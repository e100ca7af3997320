"""What to run: the words, the environment, the user and the standard input of one process that we own."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO


class CannotStart(Exception):
    """One sentence that says what is in the way. A person must clear it; trying again changes nothing."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The unprivileged user that a process of root's runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Command:
    """Secrets go into ``env`` or ``stdin``, never into ``argv``, which every user of the machine can read."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    stdin: bytes = field(default=b"", repr=False)
    identity: Identity | None = None
    #: A server runs where every user may be; our own processes where we are, or relative paths would mislead them.
    cwd: Path = Path("/")

    def spawn(self, output: int | IO[bytes], *, inherited: Sequence[int] = ()) -> subprocess.Popen[bytes]:
        """Start it as the leader of its own session, so that Ctrl-C reaches us and not it.

        The process keeps the ``inherited`` descriptors open for as long as it, or a child of its own, lives.
        """
        with tempfile.TemporaryFile() as stdin:
            stdin.write(self.stdin)
            stdin.seek(0)
            try:
                return subprocess.Popen(
                    self.argv,
                    env=dict(self.env),
                    cwd=self.cwd,
                    stdin=stdin,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=tuple(inherited),
                    user=self.identity.uid if self.identity else None,
                    group=self.identity.gid if self.identity else None,
                    extra_groups=[] if self.identity else None,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise CannotStart(f"{self.argv[0]} cannot be run: {error}.") from error
