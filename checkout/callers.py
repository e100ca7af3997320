"""The caller of a request, or a refusal: 401 without a good token, 403 without the scope, 503 if nobody can tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from checkout.tokens import Caller, KeysAway, NotBelieved, Tokens
from web.problems import Problem, unavailable


@dataclass(frozen=True, slots=True)
class Callers:
    tokens: Tokens

    async def identify(self, request: Request, *, scope: str | None = None, or_scope: str | None = None) -> Caller:
        """Raises ``Problem``. With ``scope``, the caller must have it, or the other one where that serves too."""
        token = _bearer(request)
        try:
            caller = await self.tokens.read(token)
        except NotBelieved as error:
            raise Problem(
                401, "invalid_token", f"The token is refused: {error}.", headers=_challenge("invalid_token")
            ) from None
        except KeysAway:
            raise unavailable("The keys that could verify the token cannot be reached.") from None
        if scope is not None and not {scope, or_scope} & caller.scopes:
            challenge = _challenge("insufficient_scope", scope=scope)
            raise Problem(403, "insufficient_scope", f"This needs the scope {scope}.", headers=challenge)
        return caller


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Problem(
            401, "unauthenticated", "Send the user's token: Authorization: Bearer ...", headers=_challenge(None)
        )
    return token.strip()


def _challenge(error: str | None, **more: str) -> Mapping[str, str]:
    """RFC 6750, 3: what kind of token is wanted, and what was wrong with the one that came."""
    parts = {"realm": "counterfoil", **({"error": error} if error else {}), **more}
    return {"WWW-Authenticate": "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parts.items())}
