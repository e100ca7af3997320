"""Ids that look like the gateways' own: a prefix that tells the kind, then letters and digits nobody can guess."""

from __future__ import annotations

import secrets
import string

ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str, length: int) -> str:
    """``prefix`` followed by ``length`` random letters and digits."""
    return prefix + "".join(secrets.choice(ALPHABET) for _ in range(length))
