"""Razorpay's payment link page: card, UPI, the bank's question, a failure with another try, and the ends of a link."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import pages
from sandbox.card_form import FormRefused, read_card_form
from sandbox.outcomes import NotPayable
from sandbox.pages import Ending, Line, Summary, Told
from sandbox.razorpay import payments
from sandbox.razorpay.api import KeyRing
from sandbox.razorpay.calls import GATEWAY
from sandbox.razorpay.money import show
from sandbox.razorpay.payments import Means
from sandbox.razorpay.resent_forms import is_repeated, last4_of, mark_of
from sandbox.razorpay.subscription_pages import SubscriptionPages
from sandbox.razorpay.upi_form import VPAS, read_vpa
from sandbox.store import Json
from sandbox.world import World


class LinkPages:
    """The pages of all payment links, under ``/pay/razorpay``, and those of subscriptions below them."""

    def __init__(self, world: World, keys: KeyRing) -> None:
        self._world, self._keys = world, keys

    def routes(self) -> list[Route]:
        return [
            Route("/pay/razorpay/{id}", self.open, methods=["GET"]),
            Route("/pay/razorpay/{id}", self.pay_by_card, methods=["POST"]),
            # Reached by loading anew what a mistake was shown on.
            Route("/pay/razorpay/{id}/upi", self.open, methods=["GET"]),
            Route("/pay/razorpay/{id}/upi", self.pay_by_upi, methods=["POST"]),
            Route("/pay/razorpay/{id}/authenticate", self.authenticate, methods=["POST"]),
            *SubscriptionPages(self._world).routes(),
        ]

    async def open(self, request: Request) -> Response:
        link = self._find(request)
        return self._show(link, has_left_bank=pages.has_left_bank(request)) if link else pages.show_missing()

    async def pay_by_card(self, request: Request) -> Response:
        form = await pages.read_form(request)
        link = self._find(request)
        if not link:
            return pages.show_missing()
        try:
            card = read_card_form(form, now=self._world.clock.now())
        except FormRefused as refused:
            return self._show(link, Told(mistakes=refused.mistakes))
        return self._attempt(link, form, Means(card=card))

    async def pay_by_upi(self, request: Request) -> Response:
        form = await pages.read_form(request)
        link = self._find(request)
        if not link:
            return pages.show_missing()
        vpa = read_vpa(form)
        return self._show(link, vpa) if isinstance(vpa, Told) else self._attempt(link, form, Means(vpa=vpa))

    async def authenticate(self, request: Request) -> Response:
        form = await pages.read_form(request)
        link = self._find(request)
        if not link:
            return pages.show_missing()
        waiting = payments.waiting(self._world, link)
        if waiting is not None:
            with self._world.store.transaction():
                payments.authenticate(self._world, waiting["id"], pages.read_answer(form))
        return self._go_on(link)

    def _find(self, request: Request) -> Json:
        """The link, or nothing of it."""
        return self._world.store.find(GATEWAY, "payment_link", request.path_params["id"]) or {}

    def _attempt(self, link: Json, form: dict[str, str], means: Means) -> Response:
        try:
            if not self._is_repeated(link, form, means):
                with self._world.store.transaction():
                    payments.attempt(self._world, link["id"], means)
        except NotPayable:
            # Paid or over meanwhile: the page that it leads to says which.
            return self._go_on(link)
        return self._go_on(link)

    def _is_repeated(self, link: Json, form: dict[str, str], means: Means) -> bool:
        """The form has been sent before, with this card: a button pressed twice, where no script could stop it."""
        return is_repeated(self._last_payment(link), form, means)

    def _go_on(self, link: Json) -> Response:
        """To the shop when it is paid; else back to this link's page, which tells what is next."""
        now = self._world.store.find(GATEWAY, "payment_link", link["id"]) or link
        return pages.go(self._callback(now) or _address(now))

    def _callback(self, link: Json) -> str | None:
        """The shop's address with Razorpay's signed word about the payment: a hint, not a proof of anything."""
        payment_id = self._received(link).get("id")
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

    def _show(self, link: Json, told: Told | None = None, *, has_left_bank: bool = False) -> Response:
        summary, address, last = _summary(link), _address(link), self._last_payment(link)
        if self._received(link):
            thanks = Ending("Thank you", "This payment is complete.", "good", self._callback(link))
            return pages.show_ending(summary, thanks)
        if link["status"] != "created":
            closed = Ending("This page is closed", f"This payment link is {link['status']}.")
            return pages.show_ending(summary, closed)
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
            vpas=VPAS,
            is_upi_open=bool(told and "vpa" in told.mistakes) or bool(last.get("vpa")),
            later_expiry=pages.later_expiry(self._world.clock.now()),
        )

    def _last_payment(self, link: Json) -> Json:
        return self._newest_payment(link, {})

    def _received(self, link: Json) -> Json:
        """The payment that the customer is done with; whether the merchant captures it is not theirs to know."""
        return self._newest_payment(link, {"status": "captured"}) or self._newest_payment(
            link, {"status": "authorized"}
        )

    def _newest_payment(self, link: Json, matching: dict[str, str]) -> Json:
        if "order_id" not in link:
            return {}
        matching = {"order_id": link["order_id"], **matching}
        found = self._world.store.newest(GATEWAY, "payment", limit=1, matching=matching)
        return found[0] if found else {}


def _address(link: Json) -> str:
    return f"/pay/razorpay/{link['id']}"


def _summary(link: Json) -> Summary:
    amount, is_open = show(link["amount"], link["currency"]), link["status"] == "created"
    lines = [Line(link["description"] or "Payment", amount)]
    if link["reference_id"]:
        lines.append(Line("Reference", link["reference_id"]))
    if link["expire_by"] and is_open:
        lines.append(Line("Pay by", f"{datetime.fromtimestamp(link['expire_by'], UTC):%-d %B %Y, %H:%M} UTC"))
    return Summary(
        gateway="razorpay", heading="Amount to pay" if is_open else "Amount", amount=amount, lines=tuple(lines)
    )
