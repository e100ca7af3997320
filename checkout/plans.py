"""GET /plans: what is for sale, and where it can be paid."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from checkout.callers import Callers
from checkout.record import Record
from db import catalogue
from db.plans import Plan
from gateways.gateway import Json


@dataclass(frozen=True, slots=True)
class Plans:
    """``gateways`` are those that can be called: a plan is sold at no other, whatever its row says."""

    record: Record
    callers: Callers
    gateways: Collection[str]

    async def list_plans(self, request: Request) -> Response:
        await self.callers.identify(request)
        async with self.record.transaction() as tx:
            plans = await catalogue.on_sale(tx)
        return JSONResponse([self._describe(plan) for plan in plans])

    def _describe(self, plan: Plan) -> Json:
        return {
            "id": plan.id,
            "name": plan.name,
            "description": plan.description,
            "priceCents": plan.price_cents,
            "currency": plan.currency,
            "interval": plan.interval,
            "trialDays": plan.trial_days,
            "gateways": [name for name in self.gateways if name in plan.gateways],
        }
