"""One call of Stripe's API: who asks, for what, in which version of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.store import Json
from sandbox.stripe.errors import no_such
from sandbox.stripe.parameters import Parameters
from sandbox.world import World

GATEWAY = "stripe"


@dataclass(frozen=True, slots=True)
class Cause:
    """The call that an event came from; both None where a customer or the clock caused it."""

    request_id: str | None = None
    idempotency_key: str | None = None


NOBODY = Cause()


@dataclass(frozen=True, slots=True)
class Call:
    """A call with its parameters read into a tree; ``ids`` are those in its URL.

    ``names_version`` is False where the caller left the version to the account, as the command-line tool does.
    """

    world: World
    parameters: Parameters
    ids: Mapping[str, str]
    version: str
    cause: Cause
    names_version: bool = True

    def find(self, kind: str, object_id: str, param: str = "id") -> Json:
        """The object, or Stripe's error that there is none."""
        found = self.world.store.find(GATEWAY, kind, object_id)
        if found is None:
            raise no_such(kind, object_id, param)
        return found

    def keep(self, kind: str, body: Json) -> Json:
        """Writes the object and gives it back."""
        self.world.store.put(GATEWAY, kind, body, created=body["created"])
        return body
