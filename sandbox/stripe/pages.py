"""Stripe's hosted checkout: the card form, 3-D Secure, a decline with another try, and the ends of a session."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import pages
from sandbox.cards import CardRefused, read_form
from sandbox.outcomes import NotPayable, Outcome
from sandbox.store import Json
from sandbox.stripe import payments
from sandbox.stripe.calls import GATEWAY
from sandbox.stripe.money import show
from sandbox.world import World

_COLOUR = "#4b45c6"


class CheckoutPages:
    """The pages of all sessions, under ``/pay/stripe``."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        return [
            Route("/pay/stripe/{id}", self.open, methods=["GET"]),
            Route("/pay/stripe/{id}", self.pay, methods=["POST"]),
            Route("/pay/stripe/{id}/authenticate", self.authenticate, methods=["POST"]),
        ]

    async def open(self, request: Request) -> Response:
        session = self._find(request)
        return pages.show_missing() if session is None else self._show(session)

    async def pay(self, request: Request) -> Response:
        form = await pages.read_form(request)
        session = self._find(request)
        if session is None:
            return pages.show_missing()
        try:
            now = self._world.clock.now()
            card = read_form(form.get("number", ""), form.get("expiry", ""), form.get("csc", ""), now=now)
            with self._world.store.transaction():
                paid = payments.attempt(self._world, session["id"], card, email=form.get("email", "")[:200] or None)
        except CardRefused as refused:
            return self._show(session, said=str(refused), email=form.get("email", ""))
        except NotPayable:
            return pages.go(str(request.url.path))
        return self._go_on(session, paid.outcome)

    async def authenticate(self, request: Request) -> Response:
        form = await pages.read_form(request)
        session = self._find(request)
        if session is None:
            return pages.show_missing()
        try:
            with self._world.store.transaction():
                paid = payments.authenticate(self._world, session["id"], pages.read_answer(form))
        except NotPayable:
            return pages.go(f"/pay/stripe/{session['id']}")
        return self._go_on(session, paid.outcome)

    def _find(self, request: Request) -> Json | None:
        return self._world.store.find(GATEWAY, "checkout.session", request.path_params["id"])

    def _go_on(self, session: Json, outcome: Outcome) -> Response:
        """To the shop when it is paid; else back to this session's page, which tells what is next."""
        return pages.go(_success_url(session) if outcome is Outcome.PAID else f"/pay/stripe/{session['id']}")

    def _show(self, session: Json, *, said: str | None = None, email: str | None = None) -> Response:
        summary = self._summary(session)
        if session["status"] == "complete":
            over = {"over": "Thank you", "said": "This payment is complete.", "mood": "good"}
            return pages.show("over.html", summary | over | {"onward_url": _success_url(session)})
        try:
            payments.find_open(self._world, session["id"])
        except NotPayable as reason:
            over = {"over": "This page is closed", "said": str(reason), "mood": "bad"}
            return pages.show("over.html", summary | over | {"onward_url": session["cancel_url"]})
        intent = self._world.store.find(GATEWAY, "payment_intent", session["payment_intent"] or "") or {}
        action = f"/pay/stripe/{session['id']}"
        if intent.get("status") == "requires_action":
            return pages.show("authenticate.html", summary | {"action": f"{action}/authenticate"})
        error = (intent.get("last_payment_error") or {}).get("message")
        form = {"action": action, "said": said or error, "back_url": session["cancel_url"]}
        form |= {"asks_email": True, "email": session["customer_email"] or email or ""}
        return pages.show("stripe_pay.html", summary | form)

    def _summary(self, session: Json) -> dict[str, object]:
        kept = self._world.store.find(GATEWAY, "line_items", session["id"])
        assert kept is not None, "a session and its lines are written together"
        currency = session["currency"]
        return {
            "title": "Checkout",
            "colour": _COLOUR,
            "heading": "To pay",
            "amount": show(session["amount_total"], currency),
            "lines": [
                (_line(item["description"], item["quantity"]), show(item["amount_total"], currency))
                for item in kept["list"]["data"]
            ],
        }


def _line(name: str, quantity: int) -> str:
    return name if quantity == 1 else f"{quantity} times {name}"


def _success_url(session: Json) -> str:
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])
