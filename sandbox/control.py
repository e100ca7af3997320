"""``/_control``: what a customer, a bank or time would do, on order; and the gateways' own truth, to compare with."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox import wire
from sandbox.cards import Authenticate, Card, CardRefused, read_card
from sandbox.faults import FaultRefused
from sandbox.outcomes import NotPayable, Outcome, Paid
from sandbox.razorpay import payments as razorpay_payments
from sandbox.razorpay.payments import UPI_FAILURE, UPI_SUCCESS, Means
from sandbox.store import Json
from sandbox.stripe import payments as stripe_payments
from sandbox.world import World

#: A year and a day: the longest that one order may move the clock.
ADVANCE_SECONDS_MAX = 366 * 24 * 3600

#: What can be asked for under ``/_control/objects``, besides everything.
KINDS = {
    "stripe": (
        "product", "price", "customer", "checkout.session", "payment_intent", "payment_method", "charge", "event",
        "webhook_endpoint",
    ),
    "razorpay": ("customer", "payment_link", "order", "payment", "refund", "event"),
}  # fmt: skip

_SETTINGS = {"razorpayAutoCapture": "razorpay_auto_capture"}
_ANSWERS = {True: Authenticate.PASS, False: Authenticate.LEAVE, "fail": Authenticate.FAIL}


class Refused(Exception):
    """The order cannot be carried out; told to whoever gave it as a problem with a stable code."""

    def __init__(self, code: str, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.code, self.detail, self.status = code, detail, status


class Control:
    """The routes under ``/_control``."""

    def __init__(self, world: World) -> None:
        self._world = world

    def app(self) -> Starlette:
        orders: dict[str, Callable[[Json], Awaitable[Json]]] = {
            "/pay": self.pay,
            "/faults": self.set_faults,
            "/clock": self.advance,
            "/settings": self.set_settings,
        }
        questions: dict[str, Callable[[Request], Json]] = {
            "/faults": self.tell_faults,
            "/clock": self.tell_time,
            "/settings": self.tell_settings,
            "/objects": self.tell_objects,
            "/deliveries": self.tell_deliveries,
        }
        routes = [Route(path, _obeying(order), methods=["POST"]) for path, order in orders.items()]
        routes += [Route(path, _telling(question), methods=["GET"]) for path, question in questions.items()]
        return Starlette(routes=routes)

    async def pay(self, order: Json) -> Json:
        """What a customer does on the hosted page of a session, a payment link or an order."""
        session = _text(order, "session")
        _only(order, {"session", "card", "authenticate", "method", "vpa", "late", "settleAfter"})
        authenticate = _ANSWERS.get(order.get("authenticate", True))
        if authenticate is None:
            raise Refused("invalid_authenticate", 'authenticate must be true, false or "fail"')
        try:
            with self._world.store.transaction():
                if session.startswith("cs_"):
                    paid = self._pay_at_stripe(session, order, authenticate)
                elif session.startswith(("plink_", "order_")):
                    paid = self._pay_at_razorpay(session, order, authenticate)
                else:
                    raise Refused(
                        "unknown_session", "session must be a checkout session, a payment link or an order", 404
                    )
        except CardRefused as refused:
            raise Refused("invalid_card", str(refused)) from None
        except NotPayable as reason:
            raise Refused("not_payable", str(reason), 409) from None
        return {name: value for name, value in asdict(paid).items() if name != "message"}

    async def set_faults(self, order: Json) -> Json:
        """Replaces all faults by these; ``{}`` clears them."""
        try:
            self._world.faults.set(order)
        except FaultRefused as refused:
            raise Refused("invalid_faults", str(refused)) from None
        return self._world.faults.in_force()

    async def advance(self, order: Json) -> Json:
        """Moves the one clock. Answers when what fell due has happened, and its webhooks have been answered."""
        _only(order, {"advance"})
        await self._world.timekeeper.advance(_number(order, "advance", ADVANCE_SECONDS_MAX))
        return self._time()

    async def set_settings(self, order: Json) -> Json:
        """What one would set in a gateway's dashboard."""
        _only(order, set(_SETTINGS))
        for name, value in order.items():
            if not isinstance(value, bool):
                raise Refused("invalid_settings", f"{name} must be true or false")
            self._world.store.set_setting(_SETTINGS[name], value)
        return self._settings()

    def tell_faults(self, _: Request) -> Json:
        return self._world.faults.in_force()

    def tell_time(self, _: Request) -> Json:
        return self._time()

    def tell_settings(self, _: Request) -> Json:
        return self._settings()

    def tell_objects(self, request: Request) -> Json:
        """All objects of one kind, or of all kinds, oldest first, in the gateway's newest shape."""
        gateway, kind = request.query_params.get("gateway", ""), request.query_params.get("type")
        if gateway not in KINDS:
            raise Refused("invalid_gateway", f"gateway must be one of: {', '.join(KINDS)}")
        if kind is not None and kind not in KINDS[gateway]:
            raise Refused("invalid_type", f"type must be one of: {', '.join(KINDS[gateway])}")
        kinds = KINDS[gateway] if kind is None else (kind,)
        return {"data": [body for each in kinds for body in self._world.store.all(gateway, each)]}

    def tell_deliveries(self, _: Request) -> Json:
        return {"data": self._world.post.log()}

    def _pay_at_stripe(self, session: str, order: Json, authenticate: Authenticate) -> Paid:
        card, method = _card(order), order.get("method", "card")
        if method == "delayed":
            after = _number(order, "settleAfter", ADVANCE_SECONDS_MAX, stripe_payments.SETTLES_AFTER_SECONDS)
            return stripe_payments.attempt_delayed(self._world, session, card, after=int(after))
        if method != "card":
            raise Refused("invalid_method", "method must be card or delayed")
        paid = stripe_payments.attempt(self._world, session, card)
        if paid.outcome is Outcome.REQUIRES_ACTION:
            return stripe_payments.authenticate(self._world, session, authenticate)
        return paid

    def _pay_at_razorpay(self, session: str, order: Json, authenticate: Authenticate) -> Paid:
        late = int(_number(order, "late", ADVANCE_SECONDS_MAX)) if "late" in order else None
        paid = razorpay_payments.attempt(self._world, session, _means(order), late=late)
        if paid.outcome is Outcome.REQUIRES_ACTION and paid.payment is not None:
            return razorpay_payments.authenticate(self._world, paid.payment, authenticate)
        return paid

    def _time(self) -> Json:
        return {"now": self._world.clock.now(), "offset": round(self._world.clock.offset, 3)}

    def _settings(self) -> Json:
        return {"razorpayAutoCapture": razorpay_payments.captures_by_itself(self._world)}


def _obeying(order: Callable[[Json], Awaitable[Json]]) -> Callable[[Request], Awaitable[Response]]:
    """An order comes as JSON and says so: a form on some web page cannot send that without being asked first."""

    async def serve(request: Request) -> Response:
        try:
            return JSONResponse(await order(await _read(request)))
        except Refused as refused:
            return _problem(refused)

    return serve


def _telling(question: Callable[[Request], Json]) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        try:
            return JSONResponse(question(request))
        except Refused as refused:
            return _problem(refused)

    return serve


async def _read(request: Request) -> Json:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused("not_json", "orders are JSON, with the content type application/json", 415)
    try:
        order = json.loads(await wire.read_body(request))
    except wire.TooLarge:
        raise Refused("too_large", "the order is too large", 413) from None
    except (ValueError, RecursionError):
        raise Refused("not_json", "the order is not JSON") from None
    if not isinstance(order, dict):
        raise Refused("not_json", "the order is not a JSON object")
    return order


def _problem(refused: Refused) -> Response:
    problem = {"type": "about:blank", "status": refused.status, "code": refused.code, "detail": refused.detail}
    return JSONResponse(problem, refused.status, media_type="application/problem+json")


def _only(order: Json, known: set[str]) -> None:
    unknown = sorted(set(order) - known)
    if unknown:
        raise Refused("unknown_fields", f"unknown: {', '.join(unknown)}; known are {', '.join(sorted(known))}")


def _text(order: Json, name: str) -> str:
    value = order.get(name)
    if not isinstance(value, str) or not value.isprintable():
        raise Refused(f"invalid_{name}", f"{name} must be a text")
    return value


def _number(order: Json, name: str, highest: float, default: float | None = None) -> float:
    value: Any = order.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
        raise Refused(f"invalid_{name}", f"{name} must be a number of seconds from 0 to {highest:g}")
    return float(value)


def _card(order: Json) -> Card:
    return read_card(_text(order, "card"))


def _means(order: Json) -> Means:
    method = order.get("method", "card")
    if method == "card":
        return Means(card=_card(order))
    if method == "upi":
        vpa = _text(order, "vpa")
        if vpa not in {UPI_SUCCESS, UPI_FAILURE}:
            raise Refused("invalid_vpa", f"vpa must be {UPI_SUCCESS} or {UPI_FAILURE}")
        return Means(vpa=vpa)
    raise Refused("invalid_method", "method must be card or upi")
