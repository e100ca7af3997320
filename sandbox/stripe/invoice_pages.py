"""The hosted page of an invoice: what it is for, a card form while it is open, and what became of it after."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import pages
from sandbox.card_form import FormRefused, read_card_form
from sandbox.outcomes import NotPayable
from sandbox.pages import Ending, Line, Summary, Told
from sandbox.store import Json
from sandbox.stripe import hosted_invoices, invoicing
from sandbox.stripe.calls import GATEWAY
from sandbox.stripe.money import show
from sandbox.stripe.pages import CARDS, is_repeated, last_method, mark
from sandbox.world import World

_ENDINGS = {
    "paid": Ending("Thank you", "This invoice is paid.", "good"),
    "void": Ending("This invoice is void", "Nothing is to be paid."),
    "draft": Ending("This invoice is not ready", "It can be paid once it is finalised."),
}


class InvoicePages:
    """The pages of all invoices, under ``/stripe/i``."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        return [
            Route("/i/{id}", self.open, methods=["GET"]),
            Route("/i/{id}", self.pay, methods=["POST"]),
            Route("/i/{id}/authenticate", self.authenticate, methods=["POST"]),
        ]

    async def open(self, request: Request) -> Response:
        invoice = self._find(request)
        if invoice is None:
            return pages.show_missing()
        return self._show(invoice, has_left_bank=pages.has_left_bank(request))

    async def pay(self, request: Request) -> Response:
        form = await pages.read_form(request)
        invoice = self._find(request)
        if invoice is None:
            return pages.show_missing()
        try:
            card = read_card_form(form, now=self._world.clock.now())
            if not is_repeated(form, self._last_method(invoice), card):
                with self._world.store.transaction():
                    hosted_invoices.attempt(self._world, invoice["id"], card)
        except FormRefused as refused:
            return self._show(invoice, Told(mistakes=refused.mistakes))
        except NotPayable:
            # Paid or over meanwhile: its page says which.
            return pages.go(_address(invoice))
        return pages.go(_address(invoice))

    async def authenticate(self, request: Request) -> Response:
        form = await pages.read_form(request)
        invoice = self._find(request)
        if invoice is None:
            return pages.show_missing()
        try:
            with self._world.store.transaction():
                hosted_invoices.authenticate(self._world, invoice["id"], pages.read_answer(form))
        except NotPayable:
            # Answered already, by the same button pressed twice.
            return pages.go(_address(invoice))
        return pages.go(_address(invoice))

    def _find(self, request: Request) -> Json | None:
        return self._world.store.find(GATEWAY, invoicing.KIND, request.path_params["id"])

    def _last_method(self, invoice: Json) -> Json:
        return last_method(self._world, invoicing.intent_of(self._world, invoice) or {})

    def _show(self, invoice: Json, told: Told | None = None, *, has_left_bank: bool = False) -> Response:
        summary, address = _summary(invoice), _address(invoice)
        if invoice["status"] in _ENDINGS:
            return pages.show_ending(summary, _ENDINGS[invoice["status"]])
        intent = invoicing.intent_of(self._world, invoice) or {}
        method = self._last_method(invoice)
        if told is None and intent.get("status") == "requires_action":
            if not has_left_bank:
                return pages.show_bank(summary, address, (method.get("card") or {}).get("last4"))
            told = Told(bank_url=address)
        return pages.show(
            "stripe_pay.html",
            summary=summary,
            address=address,
            told=told or Told(declined=(intent.get("last_payment_error") or {}).get("message")),
            after=mark(method),
            known_email=invoice["customer_email"],
            asks_for_email=False,
            cards=CARDS,
            pay_label=f"Pay {summary.amount}",
            later_expiry=pages.later_expiry(self._world.clock.now()),
        )


def _address(invoice: Json) -> str:
    return f"/stripe/i/{invoice['id']}"


def _summary(invoice: Json) -> Summary:
    amount = show(invoice["amount_due"], invoice["currency"])
    lines = tuple(
        Line(line["description"], show(line["amount"], line["currency"])) for line in invoice["lines"]["data"]
    )
    return Summary(
        gateway="stripe",
        heading=f"Invoice {invoice['number'] or ''} from {pages.MERCHANT}",
        amount=amount,
        lines=lines,
        total=amount,
    )
