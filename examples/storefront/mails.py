"""The mails that would have reached a user's inbox: in development they lie as files in Counterfoil's outbox."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

#: The newest of the folder that are looked into, and the newest of a user's that are shown.
LOOKED_INTO, SHOWN = 300, 20

#: A mail of ours has some kilobytes; what is much longer is none.
BYTES_MAX = 256 * 1024


def mails_to(address: str, outbox: Path) -> list[dict[str, Any]]:
    """Newest first. Their text alone: a page that shows it as text can be told nothing else by it."""
    found: list[dict[str, Any]] = []
    for path in _newest(outbox):
        letter = _read(path)
        if letter is not None and address in _receivers(letter):
            found.append(_described(path.stem, letter))
        if len(found) == SHOWN:
            break
    return found


def _newest(outbox: Path) -> list[Path]:
    aged = []
    for path in outbox.glob("mail.*.eml"):  # a folder that is not there yet has none
        try:
            aged.append((path.stat().st_mtime_ns, path))
        except OSError:  # gone in this moment
            continue
    return [path for _, path in sorted(aged, reverse=True)[:LOOKED_INTO]]


def _read(path: Path) -> EmailMessage | None:
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError:
        return None
    # The policy decides the class of what comes back.
    return message_from_bytes(content, policy=default) if len(content) <= BYTES_MAX else None


def _receivers(letter: EmailMessage) -> set[str]:
    return {address.addr_spec.lower() for address in letter["To"].addresses} if letter["To"] else set()


def _described(name: str, letter: EmailMessage) -> dict[str, Any]:
    body = letter.get_body(("plain",))
    return {
        "id": name,
        "from": str(letter["From"] or ""),
        "subject": str(letter["Subject"] or ""),
        "sentAt": letter["Date"].datetime.isoformat() if letter["Date"] else None,
        "text": str(body.get_content()) if body is not None else "",
    }
