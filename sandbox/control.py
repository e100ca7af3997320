"""``/_control``: what a customer, a bank or time would do, on order; and the gateways' own truth, to compare with."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict

from starlette.applications import Starlette
from starlette.routing import Route

from sandbox import __version__, call_log, dashboards, deliveries, faults, payout_days, refund_endings
from sandbox.cards import Authenticate, Card, CardRefused, read_card
from sandbox.deliveries import Delivery
from sandbox.faults import FaultRefused
from sandbox.orders import Refused, obeying, one_of, only, seconds, telling, text, whole
from sandbox.outcomes import NotPayable, Outcome, Paid
from sandbox.razorpay import changes, charging, mandates
from sandbox.razorpay import events as razorpay_events
from sandbox.razorpay import payments as razorpay_payments
from sandbox.razorpay.payments import UPI_FAILURE, UPI_SUCCESS, Means
from sandbox.refund_endings import Ending
from sandbox.store import Json
from sandbox.stripe import arrangements, billing_settings, hosted_invoices, portal
from sandbox.stripe import endpoints as stripe_endpoints
from sandbox.stripe import payments as stripe_payments
from sandbox.world import World

#: A year and a day: the longest that one order may move the clock.
ADVANCE_SECONDS_MAX = 366 * 24 * 3600

#: How many calls are told, unless the question says how many.
CALLS_TOLD = 100
DELIVERIES_TOLD_MAX = 10_000
#: SQLite counts no further.
ID_MAX = 2**63 - 1

#: What can be asked for under ``/_control/objects``, besides everything.
KINDS = {
    "stripe": (
        "product", "price", "customer", "checkout.session", "payment_intent", "payment_method", "charge",
        "refund", "dispute", "radar.early_fraud_warning", "balance_transaction", "payout",
        "subscription", "subscription_schedule", "invoiceitem", "invoice", "invoice_payment", "billing_portal.session",
        "billing_portal.configuration", "event", "webhook_endpoint",
    ),
    "razorpay": (
        "customer", "payment_link", "plan", "subscription", "invoice", "order", "payment", "refund", "dispute",
        "settlement", "event",
    ),
}  # fmt: skip

#: By the names under which they are stored.
_SWITCHES = {
    "razorpayAutoCapture": "razorpay_auto_capture",
    "razorpayDomesticCards": "razorpay_domestic_cards",
    "dailyPayouts": payout_days.SETTING,
}
_CHOICES = {
    **billing_settings.SETTINGS,
    "refundEnding": billing_settings.Setting(
        refund_endings.SETTING,
        Ending.SUCCEEDS,
        [ending.value for ending in Ending if ending is not Ending.ASKS_CUSTOMER].__contains__,
        "one of: " + ", ".join(ending for ending in Ending if ending is not Ending.ASKS_CUSTOMER),
    ),
}

#: What says how a customer pays, by gateway and method. Anything else would be passed over in silence.
_WAYS: dict[str, dict[str, tuple[str, ...]]] = {
    "Stripe": {"card": ("card", "authenticate"), "delayed": ("card", "settleAfter")},
    "Razorpay": {"card": ("card", "authenticate", "late"), "upi": ("vpa", "late")},
}
_NOT_HERE = {"upi": "no UPI", "delayed": "no delayed method"}
_ANSWERS = {True: Authenticate.PASS, False: Authenticate.LEAVE, "fail": Authenticate.FAIL}


class Control:
    """The routes under ``/_control``."""

    def __init__(self, world: World) -> None:
        self._world = world

    def app(self) -> Starlette:
        orders: dict[str, Callable[[Json], Awaitable[Json]]] = {
            "/pay": self.pay,
            "/faults": self.set_faults,
            "/subscription": self.arrange,
            "/refund": self._having(dashboards.refund),
            "/dispute": self._having(dashboards.dispute),
            "/payout": self._having(dashboards.pay_out),
            "/clock": self.advance,
            "/settings": self.set_settings,
            "/resend": self.resend,
            "/reset": self.reset,
        }
        questions: dict[str, Callable[[Json], Json]] = {
            "/status": self.tell_status,
            "/faults": self.tell_faults,
            "/faults/known": self.tell_known_faults,
            "/clock": self.tell_time,
            "/settings": self.tell_settings,
            "/objects": self.tell_objects,
            "/deliveries": self.tell_deliveries,
            "/calls": self.tell_calls,
        }
        routes = [Route(path, obeying(order), methods=["POST"]) for path, order in orders.items()]
        routes += [Route(path, telling(question), methods=["GET"]) for path, question in questions.items()]
        return Starlette(routes=routes)

    async def pay(self, order: Json) -> Json:
        """What a customer does on the hosted page of a session, a payment link, a subscription or an order."""
        session = text(order, "session")
        only(order, {"session", "card", "authenticate", "method", "vpa", "late", "settleAfter"})
        answer = order.get("authenticate", True)
        if not isinstance(answer, bool | str) or answer not in _ANSWERS:
            raise Refused("invalid_authenticate", 'authenticate must be true, false or "fail"')
        authenticate = _ANSWERS[answer]
        try:
            with self._world.store.transaction():
                if session.startswith(("cs_", "in_", "bps_")):
                    paid = self._pay_at_stripe(session, order, authenticate)
                elif session.startswith(("plink_", "order_")) or _is_razorpay_subscription(session):
                    paid = self._pay_at_razorpay(session, order, authenticate)
                else:
                    known = "a checkout or portal session, an invoice, a payment link, a subscription or an order"
                    raise Refused("unknown_session", f"session must be {known}", 404)
        except CardRefused as refused:
            raise Refused("invalid_card", str(refused)) from None
        except NotPayable as reason:
            raise Refused("not_payable", str(reason), 409) from None
        return {name: value for name, value in asdict(paid).items() if name != "message"}

    async def arrange(self, order: Json) -> Json:
        """Another card behind a subscription, or how its next payment ends: what happens without the customer."""
        only(order, {"subscription", "card", "nextPayment", "decline", "times"})
        subscription = text(order, "subscription")
        is_stripes = arrangements.is_known(self._world, subscription)
        endings = arrangements.NEXT_PAYMENTS if is_stripes else mandates.NEXT_PAYMENTS
        next_payment = one_of(order, "nextPayment", endings) if "nextPayment" in order else None
        try:
            card = _card(order) if "card" in order else None
            with self._world.store.transaction():
                if is_stripes:
                    return self._arrange_at_stripe(subscription, card, next_payment, order)
                only(order, {"subscription", "card", "nextPayment"})
                if _is_razorpay_subscription(subscription):
                    return mandates.arrange(self._world, subscription, card, next_payment)
                raise Refused("unknown_subscription", "there is no such subscription", 404)
        except CardRefused as refused:
            raise Refused("invalid_card", str(refused)) from None
        except NotPayable as reason:
            raise Refused("not_payable", str(reason), 409) from None

    async def set_faults(self, order: Json) -> Json:
        """Replaces all faults by these; ``{}`` clears them."""
        try:
            self._world.faults.set(order)
        except FaultRefused as refused:
            raise Refused("invalid_faults", str(refused)) from None
        return self._world.faults.in_force()

    async def advance(self, order: Json) -> Json:
        """Moves the one clock. Answers when what fell due has happened, and its webhooks have been answered."""
        only(order, {"advance"})
        await self._world.timekeeper.advance(seconds(order, "advance", ADVANCE_SECONDS_MAX))
        return self._time()

    async def set_settings(self, order: Json) -> Json:
        """What one would set in a gateway's dashboard."""
        only(order, {*_SWITCHES, *_CHOICES})
        for name, value in order.items():
            choice = _CHOICES.get(name)
            if choice is not None and not choice.accepts(value):
                raise Refused("invalid_settings", f"{name} must be {choice.wants}")
            if choice is None and not isinstance(value, bool):
                raise Refused("invalid_settings", f"{name} must be true or false")
        for name, value in order.items():
            self._world.store.set_setting(_SWITCHES.get(name) or _CHOICES[name].stored, value)
        payout_days.follow(self._world)
        return self._settings()

    async def resend(self, order: Json) -> Json:
        """Sends one delivery, or all of one event, again; answers with what came of it."""
        only(order, {"delivery", "event"})
        wanted = self._wanted(order)
        attempts = await asyncio.gather(*(self._world.post.resend(delivery) for delivery in wanted))
        if None in attempts:
            raise Refused("endpoint_gone", "the endpoint is gone or disabled: nothing is sent to it", 409)
        return {"data": [self._resent(delivery, attempt) for delivery, attempt in zip(wanted, attempts, strict=True)]}

    async def reset(self, order: Json) -> Json:
        """Forgets everything but the time, as on the first day."""
        only(order, ())
        self._world.forget()
        stripe_endpoints.configure(self._world)
        return self._status()

    def tell_status(self, asked: Json) -> Json:
        only(asked, ())
        return self._status()

    def tell_faults(self, asked: Json) -> Json:
        only(asked, ())
        return self._world.faults.in_force()

    def tell_known_faults(self, asked: Json) -> Json:
        """What can be ordered: name to kind of value and what it does."""
        only(asked, ())
        return faults.known()

    def tell_time(self, asked: Json) -> Json:
        only(asked, ())
        return self._time()

    def tell_settings(self, asked: Json) -> Json:
        only(asked, ())
        return self._settings()

    def tell_objects(self, asked: Json) -> Json:
        """All objects of one kind, or of all kinds, oldest first, in the gateway's newest shape."""
        only(asked, {"gateway", "type"})
        gateway = one_of(asked, "gateway", KINDS)
        kinds = (one_of(asked, "type", KINDS[gateway]),) if "type" in asked else KINDS[gateway]
        return {"data": [body for each in kinds for body in self._world.store.all(gateway, each)]}

    def tell_deliveries(self, asked: Json) -> Json:
        """Every webhook, or those in one state, of one event, the newest so many; oldest first."""
        only(asked, {"state", "event", "limit"})
        found = self._world.post.book.listed(
            state=one_of(asked, "state", deliveries.STATES) if "state" in asked else None,
            event_id=text(asked, "event") if "event" in asked else None,
            limit=whole(asked, "limit", DELIVERIES_TOLD_MAX) if "limit" in asked else None,
        )
        return {"data": found}

    def tell_calls(self, asked: Json) -> Json:
        """The newest calls of both APIs, the newest last."""
        only(asked, {"limit"})
        return {"data": self._world.calls.newest(whole({"limit": CALLS_TOLD, **asked}, "limit", call_log.KEPT_MAX))}

    def _having(self, done: Callable[[World, Json], Json]) -> Callable[[Json], Awaitable[Json]]:
        """Something that is done in a gateway's dashboard, or at a bank."""

        async def obey(order: Json) -> Json:
            with self._world.store.transaction():
                return done(self._world, order)

        return obey

    def _arrange_at_stripe(self, subscription: str, card: Card | None, ending: str | None, order: Json) -> Json:
        decline = one_of({"decline": "generic_decline", **order}, "decline", arrangements.DECLINES)
        times = whole({"times": 1, **order}, "times", arrangements.TIMES_MAX)
        if card is not None:
            arrangements.swap_card(self._world, subscription, card)
        if ending is not None:
            arrangements.order_payments(self._world, subscription, ending, decline, times)
        return arrangements.tell(self._world, subscription, ending)

    def _pay_at_stripe(self, session: str, order: Json, authenticate: Authenticate) -> Paid:
        method, card = _method("Stripe", order), _card(order)
        if method != "card" and not session.startswith("cs_"):
            raise Refused("invalid_method", "an invoice and a portal session take cards alone")
        if session.startswith("bps_"):
            return portal.use_card(self._world, session, card)
        if session.startswith("in_"):
            paid = hosted_invoices.attempt(self._world, session, card)
            if paid.outcome is Outcome.REQUIRES_ACTION:
                return hosted_invoices.authenticate(self._world, session, authenticate)
            return paid
        if method == "delayed":
            after = seconds(order, "settleAfter", ADVANCE_SECONDS_MAX, stripe_payments.SETTLES_AFTER_SECONDS)
            return stripe_payments.attempt_delayed(self._world, session, card, after=int(after))
        paid = stripe_payments.attempt(self._world, session, card)
        if paid.outcome is Outcome.REQUIRES_ACTION:
            return stripe_payments.authenticate(self._world, session, authenticate)
        return paid

    def _pay_at_razorpay(self, session: str, order: Json, authenticate: Authenticate) -> Paid:
        means = _means(order)
        late = int(seconds(order, "late", ADVANCE_SECONDS_MAX)) if "late" in order else None
        if late is not None and not means.pays:
            raise Refused(
                "invalid_late", "late is for what pays by itself: what fails, or asks, is not authorised later"
            )
        if _is_razorpay_subscription(session):
            paid, answer = charging.attempt(self._world, session, means, late=late), charging.authenticate
        else:
            paid = razorpay_payments.attempt(self._world, session, means, late=late)
            answer = razorpay_payments.authenticate
        if paid.outcome is Outcome.REQUIRES_ACTION and paid.payment is not None:
            return answer(self._world, paid.payment, authenticate)
        return paid

    def _wanted(self, order: Json) -> list[Delivery]:
        """The deliveries that an order to resend means."""
        if len(order) != 1:
            raise Refused("invalid_resend", "name either a delivery or an event")
        if "event" in order:
            event = text(order, "event")
            if found := self._world.post.book.of_event(event):
                return found
            raise Refused("unknown_event", "there is no such event, or nobody listened for it", 404)
        delivery = self._world.post.book.find(whole(order, "delivery", ID_MAX))
        if delivery is None:
            raise Refused("unknown_delivery", "there is no such delivery", 404)
        return [delivery]

    def _resent(self, delivery: Delivery, attempt: Json | None) -> Json:
        now = self._world.post.book.find(delivery.id) or delivery
        return {"delivery": delivery.id, "event": delivery.event_id, "state": now.state, "attempt": attempt}

    def _time(self) -> Json:
        return {"now": self._world.clock.now(), "offset": round(self._world.clock.offset, 3)}

    def _settings(self) -> Json:
        return {
            "razorpayAutoCapture": razorpay_payments.captures_by_itself(self._world),
            "razorpayDomesticCards": changes.are_cards_domestic(self._world),
            **{name: billing_settings.read(self._world, name) for name in billing_settings.SETTINGS},
            "dailyPayouts": payout_days.are_daily(self._world),
            "refundEnding": refund_endings.usual(self._world),
        }

    def _status(self) -> Json:
        world = self._world
        return {
            "version": __version__,
            **self._time(),
            "next": world.agenda.first(),
            "seed": world.options.seed,
            "faults": world.faults.in_force(),
            "settings": self._settings(),
            "endpoints": [*stripe_endpoints.told(world), *razorpay_events.told(world)],
            "objects": {
                gateway: {kind: world.store.counts(gateway).get(kind, 0) for kind in KINDS[gateway]}
                for gateway in KINDS
            },
            "deliveries": world.post.book.counts(),
            "calls": world.calls.count(),
        }


def _is_razorpay_subscription(subject: str) -> bool:
    """By its length: Stripe's begin alike."""
    return re.fullmatch(r"sub_[A-Za-z0-9]{14}", subject) is not None


def _card(order: Json) -> Card:
    return read_card(text(order, "card"))


def _means(order: Json) -> Means:
    if _method("Razorpay", order) == "card":
        return Means(card=_card(order))
    vpa = text(order, "vpa")
    if vpa not in {UPI_SUCCESS, UPI_FAILURE}:
        raise Refused("invalid_vpa", f"vpa must be {UPI_SUCCESS} or {UPI_FAILURE}")
    return Means(vpa=vpa)


def _method(gateway: str, order: Json) -> str:
    """How the customer pays, where this gateway takes it, and nothing was said that belongs to another way."""
    ways, method = _WAYS[gateway], text({"method": "card", **order}, "method")
    if method not in ways:
        takes = _NOT_HERE.get(method, "no such method")
        raise Refused("invalid_method", f"{gateway} takes {takes}: method must be {' or '.join(ways)}")
    if said := sorted(set(order) - {"session", "method", *ways[method]}):
        verb, named, taken = "means" if len(said) == 1 else "mean", " and ".join(said), " and ".join(ways[method])
        raise Refused(
            "meaningless_fields", f"{named} {verb} nothing at {gateway} with method {method}: it takes {taken}"
        )
    return method
