"""The door frame itself: what stands around every HTTP service of ours, in its order."""

from __future__ import annotations

from starlette.middleware import Middleware

from web.bodies import HangUp
from web.problems import LastResort
from web.request_ids import RequestIds
from web.transport import RequireTls, SecurityHeaders


def frame(*, production: bool, plain_paths: frozenset[str]) -> list[Middleware]:
    """Outermost first, so that even a failure has an id and the headers. ``plain_paths`` answer without TLS."""
    around = [
        Middleware(RequestIds),
        Middleware(SecurityHeaders),
        Middleware(HangUp),
        Middleware(LastResort),
    ]
    if production:
        around.append(Middleware(RequireTls, plain_paths=plain_paths))
    return around
