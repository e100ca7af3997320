"""Stripe's hosted checkout: the card form, 3-D Secure, a decline with another try, and the ends of a session."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import pages
from sandbox.card_form import FormRefused, read_card_form
from sandbox.cards import Card
from sandbox.outcomes import NotPayable
from sandbox.pages import Ending, Line, Summary, Told
from sandbox.store import Json
from sandbox.stripe import payments
from sandbox.stripe.calls import GATEWAY
from sandbox.stripe.money import show
from sandbox.world import World


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
        session = self._find("checkout.session", request.path_params["id"])
        return self._show(session, has_left_bank=pages.has_left_bank(request)) if session else pages.show_missing()

    async def pay(self, request: Request) -> Response:
        form = await pages.read_form(request)
        session = self._find("checkout.session", request.path_params["id"])
        if not session:
            return pages.show_missing()
        email = form.get("email", "")
        try:
            card = read_card_form(form, now=self._world.clock.now())
            if not self._is_repeated(session, form, card):
                with self._world.store.transaction():
                    payments.attempt(self._world, session["id"], card, email=email.strip() or None)
        except FormRefused as refused:
            return self._show(session, Told(mistakes=refused.mistakes, kept=pages.keep(email=email)))
        except NotPayable:
            # Paid or over meanwhile: the page that it leads to says which.
            return self._go_on(session)
        return self._go_on(session)

    async def authenticate(self, request: Request) -> Response:
        form = await pages.read_form(request)
        session = self._find("checkout.session", request.path_params["id"])
        if not session:
            return pages.show_missing()
        try:
            with self._world.store.transaction():
                payments.authenticate(self._world, session["id"], pages.read_answer(form))
        except NotPayable:
            # Answered already, by the same button pressed twice or on another page.
            return self._go_on(session)
        return self._go_on(session)

    def _find(self, kind: str, object_id: str | None) -> Json:
        """The object, or nothing of it."""
        return self._world.store.find(GATEWAY, kind, object_id or "") or {}

    def _go_on(self, session: Json) -> Response:
        """To the shop when it is paid; else back to this session's page, which tells what is next."""
        now = self._find("checkout.session", session["id"])
        return pages.go(_success_url(now) if now["status"] == "complete" else _address(now))

    def _is_repeated(self, session: Json, form: dict[str, str], card: Card) -> bool:
        """The form has been sent before, with this card: a button pressed twice, where no script could stop it."""
        last = self._last_method(session)
        return form.get("after") not in {None, _mark(last)} and _last4(last) == card.last4

    def _last_method(self, session: Json) -> Json:
        """The card of the newest attempt. Every attempt has its own, even with the same card."""
        intent = self._find("payment_intent", session["payment_intent"])
        refused = (intent.get("last_payment_error") or {}).get("payment_method") or {}
        return self._find("payment_method", intent.get("payment_method") or refused.get("id"))

    def _show(self, session: Json, told: Told | None = None, *, has_left_bank: bool = False) -> Response:
        summary, address = self._summary(session), _address(session)
        intent = self._find("payment_intent", session["payment_intent"])
        if (ending := self._ending(session, intent)) is not None:
            return pages.show_ending(summary, ending)
        if told is None and intent.get("status") == "requires_action":
            if not has_left_bank:
                return pages.show_bank(summary, address, _last4(self._last_method(session)))
            told = Told(bank_url=address)
        return pages.show(
            "stripe_pay.html",
            summary=summary,
            address=address,
            told=told or Told(declined=(intent.get("last_payment_error") or {}).get("message")),
            after=_mark(self._last_method(session)),
            known_email=session["customer_email"] or self._find("customer", session["customer"]).get("email"),
            later_expiry=pages.later_expiry(self._world.clock.now()),
        )

    def _ending(self, session: Json, intent: Json) -> Ending | None:
        """What there is to say where nothing is to be paid any more."""
        if session["status"] == "complete":
            return _thanks(session, intent)
        try:
            payments.find_open(self._world, session["id"])
        except NotPayable as reason:
            title = "This cannot be paid here" if session["mode"] == "subscription" else "This page is closed"
            return Ending(title, str(reason), onward_url=session["cancel_url"])
        return None

    def _summary(self, session: Json) -> Summary:
        items = self._find("line_items", session["id"])["list"]["data"]
        lines = tuple(self._line(item) for item in items)
        recurring = next((item["price"]["recurring"] for item in items if item["price"]["recurring"]), None)
        total = show(session["amount_total"], session["currency"])
        return Summary(
            gateway="stripe",
            heading=f"{'Subscribe to' if recurring else 'Pay'} {lines[0].name if recurring else pages.MERCHANT}",
            amount=total,
            lines=lines,
            total=total,
            per=_period(recurring) if recurring else "",
            back_url=session["cancel_url"] if session["status"] == "open" else None,
        )

    def _line(self, item: Json) -> Line:
        currency, price = item["currency"], item["price"]
        each = f"{item['quantity']} at {show(price['unit_amount'], currency)} each" if item["quantity"] > 1 else ""
        period = f"billed {_period(price['recurring'])}" if price["recurring"] else ""
        about = self._find("product", price["product"]).get("description") or ""
        detail = ", ".join(filter(None, (each, period)))
        return Line(item["description"], show(item["amount_total"], currency), detail or about)


def _address(session: Json) -> str:
    return f"/pay/stripe/{session['id']}"


def _success_url(session: Json) -> str:
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _mark(method: Json) -> str:
    """What a form carries, to know later whether anything was attempted since it was shown."""
    return str(method.get("id", "nothing"))


def _last4(method: Json) -> str | None:
    """A method that a call made for the session may be no card."""
    return (method.get("card") or {}).get("last4")


def _thanks(session: Json, intent: Json) -> Ending:
    onward = _success_url(session)
    if session["payment_status"] != "unpaid":
        return Ending("Thank you", "This payment is complete.", "good", onward)
    if intent["status"] == "processing":
        return Ending("Payment on its way", "Your bank confirms this payment within some days.", onward_url=onward)
    return Ending("The payment did not go through", intent["last_payment_error"]["message"], "bad", onward)


def _period(recurring: Json) -> str:
    """``every month``, ``every 3 months``."""
    count, interval = recurring["interval_count"], recurring["interval"]
    return f"every {interval}" if count == 1 else f"every {count} {interval}s"
