"""Pages of objects, newest first, with a cursor: an object's id, after or before which the page lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from sandbox.store import Created, Json
from sandbox.stripe.calls import GATEWAY, Call
from sandbox.stripe.errors import StripeError, no_such

DEFAULT_LIMIT = 10
LIMIT_MAX = 100
_STRIDE = 101

Keep = Callable[[Json], bool]


def page(
    call: Call, kind: str, url: str, *, matching: Mapping[str, object] | None = None, keep: Keep | None = None
) -> Json:
    """The page that the call asks for, of the objects whose fields equal ``matching`` and that pass ``keep``."""
    limit = _limit(call)
    created = call.parameters.created()
    after, before = _cursor(call, kind, "starting_after"), _cursor(call, kind, "ending_before")
    call.parameters.refuse_rest()
    if after is not None and before is not None:
        raise StripeError("You cannot use both starting_after and ending_before.", param="ending_before")
    found = _walk(call, kind, created, matching, after, before)
    page_and_one = list(islice(filter(keep, found) if keep else found, limit + 1))
    data = page_and_one[:limit]
    # A page before a cursor is walked to from the cursor, upwards.
    return {
        "object": "list",
        "data": data[::-1] if before is not None else data,
        "has_more": len(page_and_one) > limit,
        "url": url,
    }


def _walk(
    call: Call,
    kind: str,
    created: Created,
    matching: Mapping[str, object] | None,
    after: int | None,
    before: int | None,
) -> Iterator[Json]:
    skip = 0
    while True:
        stride = call.world.store.newest(
            GATEWAY, kind, limit=_STRIDE, skip=skip, matching=matching, created=created, below=after, above=before
        )
        yield from stride if before is None else stride[::-1]
        if len(stride) < _STRIDE:
            return
        skip += _STRIDE


def _limit(call: Call) -> int:
    limit = call.parameters.integer("limit")
    if limit is None:
        return DEFAULT_LIMIT
    if limit < 1:
        raise StripeError("This value must be greater than or equal to 1.", param="limit")
    if limit > LIMIT_MAX:
        raise StripeError(f"This value must be less than or equal to {LIMIT_MAX}.", param="limit")
    return limit


def _cursor(call: Call, kind: str, name: str) -> int | None:
    object_id = call.parameters.text(name)
    if object_id is None:
        return None
    place = call.world.store.place(GATEWAY, kind, object_id)
    if place is None:
        raise no_such(kind, object_id, name)
    return place
