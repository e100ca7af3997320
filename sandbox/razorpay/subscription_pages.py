"""A subscription's page: the first payment, and later, when a charge has failed, the next one with another card."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import pages
from sandbox.card_form import FormRefused, read_card_form
from sandbox.outcomes import NotPayable
from sandbox.pages import Ending, Line, Summary, Told
from sandbox.razorpay import charging, lifecycle, mandates, plans
from sandbox.razorpay.calls import GATEWAY
from sandbox.razorpay.cycles import INDIA
from sandbox.razorpay.money import show
from sandbox.razorpay.payments import Means
from sandbox.razorpay.resent_forms import is_repeated, last4_of, mark_of
from sandbox.razorpay.upi_form import VPAS, read_vpa
from sandbox.store import Json
from sandbox.world import World

_BASE = "/pay/razorpay/subscriptions"

_PERIODS = {"daily": "day", "weekly": "week", "monthly": "month", "quarterly": "quarter", "yearly": "year"}

#: What the page says where there is nothing to pay; a good end begins with thanks.
_ENDS = {
    "authenticated": ("Thank you", "Your subscription is set up. It starts on {start}.", "good"),
    "active": ("Thank you", "Your subscription is active. There is nothing to pay now.", "good"),
    "completed": ("Thank you", "Your subscription is complete.", "good"),
}


class SubscriptionPages:
    """The pages of all subscriptions, at their ``short_url``."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        return [
            Route(f"{_BASE}/{{id}}", self.open, methods=["GET"]),
            Route(f"{_BASE}/{{id}}", self.pay_by_card, methods=["POST"]),
            Route(f"{_BASE}/{{id}}/upi", self.open, methods=["GET"]),
            Route(f"{_BASE}/{{id}}/upi", self.pay_by_upi, methods=["POST"]),
            Route(f"{_BASE}/{{id}}/authenticate", self.authenticate, methods=["POST"]),
        ]

    async def open(self, request: Request) -> Response:
        subscription = self._find(request)
        if subscription is None:
            return pages.show_missing()
        return self._show(subscription, has_left_bank=pages.has_left_bank(request))

    async def pay_by_card(self, request: Request) -> Response:
        form, subscription = await pages.read_form(request), self._find(request)
        if subscription is None:
            return pages.show_missing()
        try:
            card = read_card_form(form, now=self._world.clock.now())
        except FormRefused as refused:
            return self._show(subscription, Told(mistakes=refused.mistakes))
        return self._attempt(subscription, form, Means(card=card))

    async def pay_by_upi(self, request: Request) -> Response:
        form, subscription = await pages.read_form(request), self._find(request)
        if subscription is None:
            return pages.show_missing()
        vpa = read_vpa(form)
        if isinstance(vpa, Told):
            return self._show(subscription, vpa)
        return self._attempt(subscription, form, Means(vpa=vpa))

    async def authenticate(self, request: Request) -> Response:
        form, subscription = await pages.read_form(request), self._find(request)
        if subscription is None:
            return pages.show_missing()
        waiting = charging.waiting(self._world, subscription["id"])
        if waiting is not None:
            with self._world.store.transaction():
                charging.authenticate(self._world, waiting["id"], pages.read_answer(form))
        return pages.go(_address(subscription))

    def _find(self, request: Request) -> Json | None:
        return self._world.store.find(GATEWAY, lifecycle.KIND, request.path_params["id"])

    def _attempt(self, subscription: Json, form: dict[str, str], means: Means) -> Response:
        """There is no way back to a shop: a subscription's link has none."""
        try:
            if not is_repeated(self._last(subscription), form, means):
                with self._world.store.transaction():
                    charging.attempt(self._world, subscription["id"], means)
        except NotPayable:
            # Paid or over meanwhile: the page that it leads to says which.
            return pages.go(_address(subscription))
        return pages.go(_address(subscription))

    def _show(self, subscription: Json, told: Told | None = None, *, has_left_bank: bool = False) -> Response:
        summary, address, last = self._summary(subscription), _address(subscription), self._last(subscription)
        if subscription["status"] not in charging.PAYABLE:
            return pages.show_ending(summary, _ending(subscription))
        if told is None and last.get("status") == "created":
            if not has_left_bank:
                return pages.show_bank(summary, address, last4_of(last))
            told = Told(bank_url=address)
        return pages.show(
            "razorpay_pay.html",
            summary=summary,
            address=address,
            told=told or Told(declined=last.get("error_description")),
            after=mark_of(last),
            vpas=VPAS if mandates.of(self._world, subscription["id"])["vpa"] is None else (),
            is_upi_open=bool(told and "vpa" in told.mistakes) or bool(last.get("vpa")),
            later_expiry=pages.later_expiry(self._world.clock.now()),
        )

    def _last(self, subscription: Json) -> Json:
        return mandates.last_attempt(self._world, subscription["id"]) or {}

    def _summary(self, subscription: Json) -> Summary:
        plan, is_open = plans.of(self._world, subscription), subscription["status"] in charging.PAYABLE
        item, status = plan["item"], subscription["status"]
        price = show(item["amount"] * subscription["quantity"], item["currency"])
        lines = [Line(item["name"], price, f"every {_period(plan)}, {subscription['total_count']} times")]
        if status == "created" and subscription["start_at"] is not None:
            lines.append(Line("Starts", _date(subscription["start_at"])))
            if charging.is_token_due(self._world, subscription):
                lines.append(Line("To try your card", "", "What you pay now goes back at once."))
        if status in {"pending", "halted"}:
            lines.append(Line("Your last payment failed", "", "Pay with another card, which is charged from then on."))
        asked = show(*charging.amount_due(self._world, subscription)) if is_open else price
        return Summary(
            gateway="razorpay", heading="Amount to pay" if is_open else "Subscription", amount=asked, lines=tuple(lines)
        )


def _ending(subscription: Json) -> Ending:
    status = subscription["status"]
    title, said, mood = _ENDS.get(status, ("This page is closed", f"This subscription is {status}.", "quiet"))
    return Ending(title, said.format(start=_date(subscription["start_at"] or 0)), mood)


def _address(subscription: Json) -> str:
    return f"{_BASE}/{subscription['id']}"


def _period(plan: Json) -> str:
    unit = _PERIODS[plan["period"]]
    return unit if plan["interval"] == 1 else f"{plan['interval']} {unit}s"


def _date(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC).astimezone(INDIA):%-d %B %Y}"
