"""Who is asking: the application's bearer tokens (JWT), believed only when everything about them is right.

The algorithms are pinned by the kind of key that we hold and never taken from the token. A token that names an
audience is refused unless it is ours: it was written for somebody else (RFC 7519, 4.1.3).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import jwt

from checkout.wrong_setting import WrongSetting
from gateways.reading import as_text

#: RFC 7518, 3.2: a key of the hash's size or larger.
SECRET_BYTES_MIN = 32

#: Between the application's clock and ours.
LEEWAY_SECONDS = 10

#: One mailbox in ASCII, at a domain with a dot, as every gateway takes it. Another claim is no reason to refuse a
#: customer, or to let a gateway refuse them: they get no mail.
MAILBOX = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,63}"
)


class NotBelieved(Exception):
    """The token is not good: forged, expired, for somebody else, or none at all. The text is for the caller."""


class KeysAway(Exception):
    """The keys that could tell cannot be had now: ask again later."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the application says: its own user id, an address if it gave a usable one, and what they may do."""

    user_id: str
    email: str | None = field(default=None, repr=False)
    scopes: frozenset[str] = frozenset()


class Keys(Protocol):
    """Where the key comes from that a token must be signed with, and the algorithms that such a key may serve."""

    @property
    def algorithms(self) -> Sequence[str]: ...

    async def find(self, token: str) -> bytes | jwt.PyJWK:
        """Raises ``NotBelieved`` where there is no such key, ``KeysAway`` where nobody can say."""
        ...


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """A secret that the application signs with, too."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < SECRET_BYTES_MIN:
            raise WrongSetting(f"AUTH_JWT_SECRET must have at least {SECRET_BYTES_MIN} bytes")

    @property
    def algorithms(self) -> Sequence[str]:
        return ("HS256",)

    async def find(self, token: str) -> bytes:
        del token
        return self.secret


@dataclass(frozen=True, slots=True)
class Tokens:
    """Reads tokens. With ``audience`` or ``issuer`` set, a token must carry it."""

    keys: Keys
    audience: str | None = None
    issuer: str | None = None

    async def read(self, token: str) -> Caller:
        """Raises ``NotBelieved``, or ``KeysAway``."""
        try:
            claims = jwt.decode(
                token,
                await self.keys.find(token),
                algorithms=self.keys.algorithms,
                audience=self.audience,
                issuer=self.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": self._required()},
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            # PyJWT lets some of Python's own errors through, for numbers that are none and claims of another type.
            raise NotBelieved(_reason(error)) from None
        return _caller(claims)

    def _required(self) -> list[str]:
        return ["exp", "sub", *(["aud"] if self.audience else []), *(["iss"] if self.issuer else [])]


def issue(secret: bytes, caller: Caller, *, lifetime_seconds: int) -> str:
    """A token as an application would write it; for development and tests."""
    now = int(time.time())
    claims = {"sub": caller.user_id, "iat": now, "exp": now + lifetime_seconds}
    if caller.email:
        claims["email"] = caller.email
    if caller.scopes:
        claims["scope"] = " ".join(sorted(caller.scopes))
    return jwt.encode(claims, secret, algorithm="HS256")


def _caller(claims: dict[str, Any]) -> Caller:
    user_id = as_text(claims["sub"])
    if user_id is None:
        raise NotBelieved("its subject is no user id: a text of 1 to 255 characters")
    return Caller(user_id, _email(claims.get("email")), frozenset(_scopes(claims.get("scope"))))


def _email(claim: object) -> str | None:
    text = as_text(claim)
    return text if text is not None and MAILBOX.fullmatch(text) else None


def _scopes(claim: object) -> Iterable[str]:
    return claim.split() if isinstance(claim, str) else ()


def _reason(error: Exception) -> str:
    match error:
        case jwt.ExpiredSignatureError():
            return "it has expired"
        case jwt.InvalidAudienceError():
            return "it was written for another audience"
        case jwt.InvalidIssuerError():
            return "it comes from another issuer"
        case jwt.MissingRequiredClaimError(claim=claim):
            return f"it has no {claim} claim"
        case _:
            return "it is not a token of ours"
