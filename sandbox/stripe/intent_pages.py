"""The bank's page of a PaymentIntent that a call confirmed: where its ``next_action`` sends the customer."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import pages
from sandbox.pages import Ending, Line, Summary
from sandbox.store import Json
from sandbox.stripe import charging, collecting, payments
from sandbox.stripe.calls import GATEWAY
from sandbox.stripe.charging import KIND
from sandbox.stripe.money import show
from sandbox.world import World

_ENDINGS = {
    "succeeded": Ending("Thank you", "This payment is complete.", "good"),
    "requires_capture": Ending("Thank you", "The amount is set aside for the shop.", "good"),
    "requires_confirmation": Ending("Thank you", "Your bank has let the shop go on.", "good"),
    "requires_payment_method": Ending("The payment did not go through", "The shop can try another card.", "bad"),
    "canceled": Ending("This payment was cancelled", "Nothing has been taken."),
}
_NOTHING_ASKED = Ending("There is nothing to confirm", "Your bank asks nothing about this payment.")
_STILL_OPEN = Ending("The question is still open", "Nothing is taken until you answer your bank.")

#: What the shop is told in the address of the way back.
_STATUSES = {"requires_payment_method": "failed", "requires_confirmation": "pending"}


class IntentPages:
    """The pages of all intents, under ``/stripe/intents``."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        return [
            Route("/intents/{id}", self.ask, methods=["GET"]),
            Route("/intents/{id}/authenticate", self.answer, methods=["POST"]),
        ]

    async def ask(self, request: Request) -> Response:
        intent = self._find(request)
        if intent is None:
            return pages.show_missing()
        if intent["status"] != "requires_action":
            return pages.show_ending(_summary(intent), _ENDINGS.get(intent["status"], _NOTHING_ASKED))
        if pages.has_left_bank(request):
            return pages.show_ending(_summary(intent), _STILL_OPEN)
        method = self._world.store.find(GATEWAY, "payment_method", intent["payment_method"])
        assert method is not None, "only a method that was named can be asked about"
        return pages.show_bank(_summary(intent), _address(intent), method["card"]["last4"])

    async def answer(self, request: Request) -> Response:
        form = await pages.read_form(request)
        intent = self._find(request)
        if intent is None:
            return pages.show_missing()
        if intent["status"] != "requires_action":
            return pages.go(_address(intent))
        way_back = (intent["next_action"].get("redirect_to_url") or {}).get("return_url")
        with self._world.store.transaction():
            charging.authenticate(self._world, intent, pages.read_answer(form))
            collecting.follow(self._world, intent)
        return pages.go(_address(intent) if way_back is None else _told(way_back, intent))

    def _find(self, request: Request) -> Json | None:
        """An intent that a call made; Checkout has its own page for its own."""
        intent = self._world.store.find(GATEWAY, KIND, request.path_params["id"])
        return None if intent is None or payments.session_of(self._world, intent) else intent


def _address(intent: Json) -> str:
    return f"/stripe/intents/{intent['id']}"


def _told(way_back: str, intent: Json) -> str:
    """The shop's address, with what Stripe adds to it."""
    told = {
        "payment_intent": intent["id"],
        "payment_intent_client_secret": intent["client_secret"],
        "redirect_status": _STATUSES.get(intent["status"], "succeeded"),
    }
    address, hash_mark, fragment = way_back.partition("#")
    return f"{address}{'&' if '?' in address else '?'}{urlencode(told)}{hash_mark}{fragment}"


def _summary(intent: Json) -> Summary:
    amount = show(intent["amount"], intent["currency"])
    line = Line(intent["description"] or "Payment", amount)
    return Summary(gateway="stripe", heading=f"Pay {pages.MERCHANT}", amount=amount, lines=(line,), total=amount)
