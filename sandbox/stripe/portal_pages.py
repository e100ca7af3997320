"""The hosted page of the customer portal: a form for a new card, and what there is still to pay."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import pages
from sandbox.card_form import FormRefused, read_card_form
from sandbox.outcomes import NotPayable, Outcome
from sandbox.pages import Ending, Line, Summary, Told
from sandbox.store import Json
from sandbox.stripe import portal, standing
from sandbox.stripe.invoice_lines import names_of
from sandbox.stripe.money import show
from sandbox.stripe.pages import CARDS
from sandbox.world import World

_KEPT = "Your new card is saved, and pays from now on."


class PortalPages:
    """The pages of all portal sessions, under ``/stripe/p/session``."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        return [
            Route("/p/session/{id}", self.open, methods=["GET"]),
            Route("/p/session/{id}", self.save, methods=["POST"]),
        ]

    async def open(self, request: Request) -> Response:
        session = portal.find_session(self._world, request.path_params["id"])
        if session is None:
            return pages.show_missing()
        if request.query_params.get("saved") == "yes":
            return self._show_saved(session)
        return self._show(session, Told())

    async def save(self, request: Request) -> Response:
        form = await pages.read_form(request)
        session = portal.find_session(self._world, request.path_params["id"])
        if session is None:
            return pages.show_missing()
        try:
            card = read_card_form(form, now=self._world.clock.now())
            with self._world.store.transaction():
                saved = portal.use_card(self._world, session["id"], card)
        except FormRefused as refused:
            return self._show(session, Told(mistakes=refused.mistakes))
        except NotPayable:
            return pages.show_missing()
        if saved.outcome is not Outcome.PAID:
            return self._show(session, Told(declined=saved.message))
        way_back = ((session["flow"] or {}).get("after_completion") or {}).get("redirect")
        return pages.go(way_back["return_url"] if way_back else f"{_address(session)}?saved=yes")

    def _show(self, session: Json, told: Told) -> Response:
        return pages.show(
            "stripe_card.html",
            summary=self._summary(session),
            address=_address(session),
            told=told,
            cards=CARDS,
            later_expiry=pages.later_expiry(self._world.clock.now()),
        )

    def _show_saved(self, session: Json) -> Response:
        invoice = portal.open_invoice(self._world, session)
        if invoice is None:
            ending = Ending("Thank you", _KEPT, "good", session["return_url"])
        else:
            amount = show(invoice["amount_due"], invoice["currency"])
            said = f"{_KEPT} {amount} of invoice {invoice['number']} is still to be paid."
            ending = Ending("Your card is saved", said, "quiet", invoice["hosted_invoice_url"])
        return pages.show_ending(self._summary(session), ending)

    def _summary(self, session: Json) -> Summary:
        customer = portal.customer_of(self._world, session)
        subscriptions = standing.of_customer(self._world, session["customer"])
        lines = tuple(self._line(subscription) for subscription in subscriptions)
        return Summary(
            gateway="stripe",
            heading=customer.get("email") or pages.MERCHANT,
            amount="Your billing",
            lines=lines or (Line("No subscriptions"),),
            back_url=session["return_url"],
        )

    def _line(self, subscription: Json) -> Line:
        item = subscription["items"]["data"][0]
        price = item["price"]
        name = names_of(self._world, [item])[price["product"]]
        amount = show(price["unit_amount"] * item["quantity"], price["currency"])
        status = subscription["status"].replace("_", " ")
        return Line(name, amount, f"{status}, billed every {price['recurring']['interval']}")


def _address(session: Json) -> str:
    return f"/stripe/p/session/{session['id']}"
