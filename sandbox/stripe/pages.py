"""Stripe's hosted checkout: the card form, 3-D Secure, a decline with another try, and the ends of a session."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import pages
from sandbox.card_form import FormRefused, read_card_form
from sandbox.cards import RENEWAL_CARDS, TEST_CARDS, Card
from sandbox.outcomes import NotPayable
from sandbox.pages import Ending, Line, Summary, Told
from sandbox.store import Json
from sandbox.stripe import payments, records
from sandbox.stripe.calls import GATEWAY
from sandbox.stripe.money import show
from sandbox.world import World

#: Cards for pages on which one may be kept, and charged again.
CARDS = TEST_CARDS + RENEWAL_CARDS


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
            if not is_repeated(form, self._last_method(session), card):
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

    def _last_method(self, session: Json) -> Json:
        return last_method(self._world, self._intent(session))

    def _intent(self, session: Json) -> Json:
        return payments.intent_of(self._world, session) or {}

    def _show(self, session: Json, told: Told | None = None, *, has_left_bank: bool = False) -> Response:
        summary, address = self._summary(session), _address(session)
        if (ending := self._ending(session)) is not None:
            return pages.show_ending(summary, ending)
        intent = self._intent(session)
        if told is None and intent.get("status") == "requires_action":
            if not has_left_bank:
                return pages.show_bank(summary, address, _last4(self._last_method(session)))
            told = Told(bank_url=address)
        return pages.show(
            "stripe_pay.html",
            summary=summary,
            address=address,
            told=told or Told(declined=payments.declined(self._world, session)),
            after=mark(self._last_method(session)),
            known_email=session["customer_email"] or self._find("customer", session["customer"]).get("email"),
            asks_for_email=True,
            cards=TEST_CARDS if session["mode"] == "payment" else CARDS,
            pay_label=_pay_label(session, summary),
            later_expiry=pages.later_expiry(self._world.clock.now()),
        )

    def _ending(self, session: Json) -> Ending | None:
        """What there is to say where nothing is to be paid any more."""
        if session["status"] == "complete":
            return _thanks(session, self._intent(session))
        try:
            payments.find_open(self._world, session["id"])
        except NotPayable as reason:
            return Ending("This page is closed", str(reason), onward_url=session["cancel_url"])
        return None

    def _summary(self, session: Json) -> Summary:
        items = records.kept_lines(self._world, session)["list"]["data"]
        lines = tuple(self._line(item) for item in items)
        recurring = next((item["price"]["recurring"] for item in items if item["price"]["recurring"]), None)
        total = show(session["amount_total"], session["currency"])
        return Summary(
            gateway="stripe",
            heading=f"{_verb(session)} {lines[0].name if recurring else pages.MERCHANT}",
            amount=total,
            lines=lines,
            total=total,
            per=_from_then_on(session, items, recurring) if recurring else "",
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


def mark(method: Json) -> str:
    """What a form carries, to know later whether anything was attempted since it was shown."""
    return str(method.get("id", "nothing"))


def is_repeated(form: dict[str, str], last: Json, card: Card) -> bool:
    """The form has been sent before, with this card: a button pressed twice, where no script could stop it."""
    return form.get("after") not in {None, mark(last)} and _last4(last) == card.last4


def last_method(world: World, intent: Json) -> Json:
    """The card of the newest attempt. Every attempt has its own, even with the same card."""
    refused = (intent.get("last_payment_error") or {}).get("payment_method") or {}
    named = intent.get("payment_method") or refused.get("id") or ""
    return world.store.find(GATEWAY, "payment_method", named) or {}


def _last4(method: Json) -> str | None:
    """A method that a call made for the session may be no card."""
    return (method.get("card") or {}).get("last4")


def _is_trial(session: Json) -> bool:
    return bool(session["mode"] == "subscription" and session["amount_total"] == 0)


def _verb(session: Json) -> str:
    if session["mode"] == "payment":
        return "Pay"
    return "Try" if _is_trial(session) else "Subscribe to"


def _pay_label(session: Json, summary: Summary) -> str:
    if session["mode"] == "payment":
        return f"Pay {summary.amount}"
    return "Start trial" if _is_trial(session) else "Subscribe"


def _from_then_on(session: Json, items: list[Json], recurring: Json) -> str:
    """What follows what is due today."""
    each = sum(item["price"]["unit_amount"] * item["quantity"] for item in items if item["price"]["recurring"])
    later = f"then {show(each, session['currency'])} {_period(recurring)}"
    return later if _is_trial(session) else _period(recurring)


def _thanks(session: Json, intent: Json) -> Ending:
    onward = _success_url(session)
    if session["mode"] == "subscription":
        said = "Your trial has begun." if _is_trial(session) else "Your subscription has begun."
        return Ending("Thank you", said, "good", onward)
    if session["payment_status"] != "unpaid":
        return Ending("Thank you", "This payment is complete.", "good", onward)
    if intent["status"] == "processing":
        return Ending("Payment on its way", "Your bank confirms this payment within some days.", onward_url=onward)
    return Ending("The payment did not go through", intent["last_payment_error"]["message"], "bad", onward)


def _period(recurring: Json) -> str:
    """``every month``, ``every 3 months``."""
    count, interval = recurring["interval_count"], recurring["interval"]
    return f"every {interval}" if count == 1 else f"every {count} {interval}s"
