"""Razorpay's payment link page: card, UPI, the bank's question, a failure with another try, and the ends of a link."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import pages
from sandbox.cards import CardRefused, read_form
from sandbox.outcomes import NotPayable, Outcome, Paid
from sandbox.razorpay import payments
from sandbox.razorpay.api import KeyRing
from sandbox.razorpay.calls import GATEWAY
from sandbox.razorpay.money import show
from sandbox.razorpay.payments import UPI_FAILURE, UPI_SUCCESS, Means
from sandbox.store import Json
from sandbox.world import World

_COLOUR = "#1f5fd1"


class LinkPages:
    """The pages of all payment links, under ``/pay/razorpay``."""

    def __init__(self, world: World, keys: KeyRing) -> None:
        self._world, self._keys = world, keys

    def routes(self) -> list[Route]:
        return [
            Route("/pay/razorpay/{id}", self.open, methods=["GET"]),
            Route("/pay/razorpay/{id}", self.pay_by_card, methods=["POST"]),
            Route("/pay/razorpay/{id}/upi", self.pay_by_upi, methods=["POST"]),
            Route("/pay/razorpay/{id}/authenticate", self.authenticate, methods=["POST"]),
        ]

    async def open(self, request: Request) -> Response:
        link = self._find(request)
        return pages.show_missing() if link is None else self._show(link)

    async def pay_by_card(self, request: Request) -> Response:
        form = await pages.read_form(request)
        link = self._find(request)
        if link is None:
            return pages.show_missing()
        try:
            now = self._world.clock.now()
            card = read_form(form.get("number", ""), form.get("expiry", ""), form.get("csc", ""), now=now)
        except CardRefused as refused:
            return self._show(link, said=str(refused))
        return self._attempt(link, Means(card=card))

    async def pay_by_upi(self, request: Request) -> Response:
        form = await pages.read_form(request)
        link = self._find(request)
        if link is None:
            return pages.show_missing()
        vpa = form.get("vpa", "").strip()
        if vpa not in {UPI_SUCCESS, UPI_FAILURE}:
            return self._show(link, said=f"Only {UPI_SUCCESS} and {UPI_FAILURE} work here.")
        return self._attempt(link, Means(vpa=vpa))

    async def authenticate(self, request: Request) -> Response:
        form = await pages.read_form(request)
        link = self._find(request)
        if link is None:
            return pages.show_missing()
        waiting = payments.waiting(self._world, link)
        if waiting is None:
            return pages.go(f"/pay/razorpay/{link['id']}")
        with self._world.store.transaction():
            paid = payments.authenticate(self._world, waiting["id"], pages.read_answer(form))
        return self._go_on(link, paid)

    def _find(self, request: Request) -> Json | None:
        return self._world.store.find(GATEWAY, "payment_link", request.path_params["id"])

    def _attempt(self, link: Json, means: Means) -> Response:
        try:
            with self._world.store.transaction():
                paid = payments.attempt(self._world, link["id"], means)
        except NotPayable:
            return pages.go(f"/pay/razorpay/{link['id']}")
        return self._go_on(link, paid)

    def _go_on(self, link: Json, paid: Paid) -> Response:
        """To the shop when it is paid; else back to this link's page, which tells what is next."""
        now = self._world.store.find(GATEWAY, "payment_link", link["id"]) or link
        onward = self._callback(now, paid.payment) if paid.outcome in {Outcome.PAID, Outcome.AUTHORIZED} else None
        return pages.go(onward or f"/pay/razorpay/{link['id']}")

    def _callback(self, link: Json, payment_id: str | None) -> str | None:
        """The shop's address with Razorpay's signed word about the payment: a hint, not a proof of anything."""
        if "callback_url" not in link or payment_id is None:
            return None
        told = {
            "razorpay_payment_id": payment_id,
            "razorpay_payment_link_id": link["id"],
            "razorpay_payment_link_reference_id": link["reference_id"],
            "razorpay_payment_link_status": link["status"],
        }
        secret = self._world.options.razorpay_key_secret or self._keys.secret
        if secret is not None:
            signed = "|".join((link["id"], link["reference_id"], link["status"], payment_id))
            told["razorpay_signature"] = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
        joint = "&" if "?" in link["callback_url"] else "?"
        return f"{link['callback_url']}{joint}{urlencode(told)}"

    def _show(self, link: Json, *, said: str | None = None) -> Response:
        summary = self._summary(link)
        last = self._last_payment(link)
        if link["status"] == "paid" or last.get("status") == "authorized":
            over = {"over": "Thank you", "said": "This payment is complete.", "mood": "good"}
            return pages.show("over.html", summary | over | {"onward_url": self._callback(link, last.get("id"))})
        if link["status"] != "created":
            over = {"over": "This page is closed", "said": f"This payment link is {link['status']}.", "mood": "bad"}
            return pages.show("over.html", summary | over)
        action = f"/pay/razorpay/{link['id']}"
        if last.get("status") == "created":
            return pages.show("authenticate.html", summary | {"action": f"{action}/authenticate"})
        form = {"action": action, "upi_action": f"{action}/upi", "said": said or last.get("error_description")}
        return pages.show("razorpay_pay.html", summary | form)

    def _last_payment(self, link: Json) -> Json:
        if "order_id" not in link:
            return {}
        found = self._world.store.newest(GATEWAY, "payment", limit=1, matching={"order_id": link["order_id"]})
        return found[0] if found else {}

    def _summary(self, link: Json) -> dict[str, object]:
        amount = show(link["amount"], link["currency"])
        lines = [(link["description"] or "Payment", amount)]
        if link["reference_id"]:
            lines.append(("Reference", link["reference_id"]))
        return {"title": "Payment link", "colour": _COLOUR, "heading": "To pay", "amount": amount, "lines": lines}
