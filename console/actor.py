"""Who acts at the desk: for the record of what was done by hand."""

from __future__ import annotations

import os
import pwd

from db.operator_actions import Operator


def operator(named: str | None) -> Operator:
    """Who was named, else the user of this machine: behind ``sudo``, the one who asked for it."""
    return Operator(named or _user(), "cli")


def _user() -> str:
    number = os.getuid()
    asked = os.environ.get("SUDO_USER") if number == 0 else None
    try:
        return asked or pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"
