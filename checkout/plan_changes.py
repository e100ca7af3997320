"""Another plan for a subscription: which one it may be, and whether at once or from the next period on.

What costs more a month is charged for now, and in force when that is paid; what costs less comes when what is paid for
is used up, and so does a month that costs no more than the year that is. In a trial nothing is paid for yet, so that
any change is at once; and only to a plan whose own trial the user has not had, or the dearest would be free to the
trial's end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from checkout.record import Record
from db import catalogue, plan_prices, subscriptions
from db.own_subscriptions import OwnSubscription
from db.plans import Plan
from db.pool import Tx
from gateways.client import Client, Patience, Refused, Unknown
from gateways.gateway import Json
from gateways.reading import as_text
from payments.money import Money
from payments.subscription import SubscriptionStatus
from web.problems import Problem
from workers.apply import Book
from workers.preparing import publish
from workers.subscription_requests import Wish

#: To compare prices of different intervals without a fraction.
PERIODS_A_YEAR = {"month": 12, "year": 1}

PUBLISH_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class PlanChanges:
    record: Record
    clients: Mapping[str, Client]
    book: Book

    async def make_wish(self, own: OwnSubscription, said: Json) -> Wish:
        """Raises ``Problem``."""
        plan_id = as_text(said.get("planId"))
        if plan_id is None:
            raise Problem(400, "invalid_plan", "planId must be the id of a plan.")
        plan, price_id = await self._find(own, plan_id)
        request = {
            "planId": plan.id,
            "priceId": price_id or await self._publish(own, plan),
            "interval": plan.interval,
            "isImmediate": is_immediate(own, plan),
        }
        return Wish("change_plan", request)

    async def _find(self, own: OwnSubscription, plan_id: str) -> tuple[Plan, str | None]:
        async with self.record.transaction() as tx:
            plan = await catalogue.find(tx, plan_id)
            if plan is None or not plan.active or plan.interval is None or own.gateway not in plan.gateways:
                raise Problem(400, "invalid_plan", "There is no such plan on sale for this subscription.")
            if plan.currency != own.currency:
                raise Problem(400, "invalid_plan", "A subscription stays in its currency.")
            if plan.id == own.plan_id and not own.has_pending_change:
                raise Problem(409, "already_on_plan", "The subscription is on this plan.")
            if plan.id == own.plan_id and own.price_id is not None:
                # What undoes a change leaves the price as it is, whatever the plan costs by now.
                return replace(plan, price_cents=own.amount or 0, interval=own.interval), own.price_id
            if not plan.many and await subscriptions.find_open(tx, own.user_id, plan.id, but=own.id):
                raise Problem(409, "already_subscribed", "You have another subscription of this plan.")
            if _is_on_trial(own) and not await _has_trial_left(tx, own, plan):
                detail = "In its trial, a subscription can only go over to a plan with a trial that you have not had."
                raise Problem(409, "trial_running", detail)
            price = Money(plan.price_cents, plan.currency)
            return plan, await plan_prices.find(tx, plan.id, own.gateway or "", price, plan.interval)

    async def _publish(self, own: OwnSubscription, plan: Plan) -> str:
        client = self.clients.get(own.gateway or "")
        if client is None:
            raise Problem(502, "gateway_refused", "Its gateway is no longer set up here.")
        price = Money(plan.price_cents, plan.currency)
        match await publish(self.record.pool, client, plan, price, self.book.instance_id, Patience(PUBLISH_SECONDS)):
            case str(price_id):
                return price_id
            case Refused():
                raise Problem(502, "gateway_refused", "The payment provider refused. Please try again later.")
            case Unknown():
                raise Problem(504, "gateway_unknown", "The payment provider has not answered. Please try again.")


def _is_on_trial(own: OwnSubscription) -> bool:
    """Also of one that was paused in it."""
    is_paused_in_it = own.status == SubscriptionStatus.PAUSED and own.trial_end == own.current_period_end
    return own.status == SubscriptionStatus.TRIALING or (own.trial_end is not None and is_paused_in_it)


async def _has_trial_left(tx: Tx, own: OwnSubscription, plan: Plan) -> bool:
    return plan.trial_days > 0 and not await subscriptions.has_had_trial(tx, own.user_id, plan.id, but=own.id)


def is_immediate(own: OwnSubscription, plan: Plan) -> bool:
    """Also where it is not known what is paid now: the gateway works out what is owed."""
    if own.status == SubscriptionStatus.TRIALING or own.amount is None or own.interval is None:
        return True
    a_year = plan.price_cents * PERIODS_A_YEAR[plan.interval or "month"]
    is_dearer = a_year > own.amount * PERIODS_A_YEAR[own.interval]
    # A month that costs no more than the year before it would be set off against that, and leave a credit: at Stripe
    # that pays for whatever is billed to the customer next, of any plan, whose order would miss its money.
    return is_dearer and plan.price_cents > own.amount
