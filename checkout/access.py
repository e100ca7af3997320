"""GET /access and GET /users/{userId}/access: what a user may use now, and why."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from checkout.callers import Callers
from checkout.record import Record
from db import access
from gateways.reading import as_text
from workers.apply import Clock

SUPPORT = "support"


@dataclass(frozen=True, slots=True)
class Access:
    """``clock`` is business time."""

    record: Record
    callers: Callers
    clock: Clock

    async def show_own(self, request: Request) -> Response:
        caller = await self.callers.identify(request)
        return await self._of(caller.user_id)

    async def show_users(self, request: Request) -> Response:
        """For the application's backend. A user that we have never seen may use nothing, which is an answer too."""
        await self.callers.identify(request, scope=SUPPORT)
        user_id = as_text(request.path_params["user_id"])
        return await self._of(user_id) if user_id else JSONResponse([])

    async def _of(self, user_id: str) -> Response:
        async with self.record.transaction() as tx:
            found = await access.of_user(tx, user_id, self.clock())
        return JSONResponse(
            [
                {
                    "planId": one.plan_id,
                    "active": one.active,
                    "until": one.until.isoformat() if one.until else None,
                    "reason": one.reason,
                }
                for one in found
            ]
        )
