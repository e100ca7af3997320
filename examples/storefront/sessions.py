"""Who is signed in: demo users without passwords, and the tokens with which their browsers call Counterfoil.

In your application the session is the one that you have, and the token is made from it: short-lived, and in production
signed with your own key, which Counterfoil learns by AUTH_JWKS_URL.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

import jwt

DEMO_USERS = ("anna@example.com", "ben@example.com", "chandra@example.com")

#: Under example.com no mail ever reaches anybody (RFC 2606).
DEMO_ADDRESS = re.compile(r"[a-z0-9][a-z0-9._+-]{0,62}@example\.com")

#: A user's token is a morning's work; the shop's own is made for one call.
SECONDS, OWN_SECONDS = 4 * 3600, 60

#: As whom the shop's backend asks for itself. No user has this id: it is no address.
SHOP = "storefront"


@dataclass(frozen=True, slots=True)
class Sessions:
    """HS256 with the secret that the checkout knows; ``audience`` and ``issuer`` as it wants them named."""

    secret: str = field(repr=False)
    audience: str | None = None
    issuer: str | None = None

    def open(self, email: str) -> str:
        """A token for that demo user, whose id is the address, as `counterfoil token` has it."""
        return self._sign({"sub": email, "email": email}, SECONDS)

    def speak_for_shop(self) -> str:
        """A token for a call of our own."""
        return self._sign({"sub": SHOP}, OWN_SECONDS)

    def user_of(self, authorization: str) -> str | None:
        """The address of who sends this ``Authorization`` header, or None: not signed in, or not any longer."""
        try:
            claims = jwt.decode(
                authorization.removeprefix("Bearer "),
                self.secret,
                algorithms=["HS256"],
                audience=self.audience,
                issuer=self.issuer,
                options={"require": ["exp", "email"]},
            )
        except jwt.InvalidTokenError:
            return None
        return str(claims["email"])

    def _sign(self, claims: dict[str, Any], seconds: int) -> str:
        named = {"aud": self.audience, "iss": self.issuer}
        whole = {**claims, "exp": int(time.time()) + seconds, **{key: value for key, value in named.items() if value}}
        return jwt.encode(whole, self.secret, algorithm="HS256")


def demo_address(text: object) -> str | None:
    """The address of a demo user, in small letters; None for every other."""
    address = text.strip().lower() if isinstance(text, str) else ""
    return address if DEMO_ADDRESS.fullmatch(address) else None
