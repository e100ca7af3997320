"""Tokens for trying things out, as an application would sign them for its users; never for production."""

from __future__ import annotations

import re

from checkout.tokens import Caller, SharedSecret, issue
from gateways.reading import as_text

ADMIN_SCOPES = frozenset({"refunds", "support"})

#: What looks like an address. Whether mail can go there is for the checkout to judge.
ADDRESS = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,189}")

#: A day's work, and then another is made.
LIFETIME_SECONDS = 12 * 3600


class NoToken(Exception):
    """None is made, and the text says why."""


def development_token(
    secret: str, email: str, *, user_id: str | None = None, is_admin: bool = False, in_production: bool = False
) -> str:
    """For the user of that address, whose id is the address itself unless another is given."""
    if in_production:
        raise NoToken("APP_ENV is production, where the application alone makes tokens.")
    if not ADDRESS.fullmatch(email):
        raise NoToken("--email takes an e-mail address.")
    subject = as_text(email if user_id is None else user_id)
    if subject is None:
        raise NoToken("--user takes 1 to 255 characters.")
    caller = Caller(subject, email, ADMIN_SCOPES if is_admin else frozenset())
    return issue(SharedSecret(secret.encode()).secret, caller, lifetime_seconds=LIFETIME_SECONDS)
