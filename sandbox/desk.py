"""The desk: a page that shows everything in here and gives every order, for whoever tests against the stand-ins.

The page does its work through ``/_control``, as any program may. Only what is to be paid, and when something happens
next, it asks here.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from sandbox import desk_afterwards
from sandbox.cards import TEST_CARDS
from sandbox.faults import API_ERRORS
from sandbox.orders import only, telling
from sandbox.razorpay import calls as razorpay_calls
from sandbox.razorpay import charging, invoices, lifecycle, orders, payment_links, plans
from sandbox.razorpay.money import show as show_at_razorpay
from sandbox.razorpay.payments import LATE_SECONDS, UPI_FAILURE, UPI_SUCCESS
from sandbox.store import Json
from sandbox.stripe import calls as stripe_calls
from sandbox.stripe import hosted_invoices, invoicing
from sandbox.stripe.money import show as show_at_stripe
from sandbox.world import World

FOLDER = Path(__file__).parent

#: How many pages of one kind are shown, the newest of them.
SHOWN_MAX = 20

#: Our own script and style, our own routes, nobody else's; and no text may become markup, whatever a webhook says.
_POLICY = "; ".join(
    (
        *("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src data:"),
        *("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
        *("require-trusted-types-for 'script'", "trusted-types 'none'"),
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_TYPES = {".css": "text/css", ".js": "text/javascript"}


def _short(does: str) -> str:
    """What a card does, on a button: ``has insufficient funds`` is ``Insufficient funds``."""
    said = re.sub(r"^(is|has|asks for) ", "", does)
    return said[0].upper() + said[1:]


_NUMBERS = {does: number for number, does in TEST_CARDS}
_PAYS, _ASKS = _NUMBERS["pays"], _NUMBERS["asks for 3-D Secure"]

_CARDS: list[Json] = [
    *({"says": _short(does), "order": {"card": number}} for number, does in TEST_CARDS),
    {"says": "3-D Secure fails", "order": {"card": _ASKS, "authenticate": "fail"}},
    {"says": "3-D Secure unanswered", "order": {"card": _ASKS, "authenticate": False}},
]

#: What a customer can do at each gateway, as ``/_control/pay`` takes it.
WAYS: dict[str, list[Json]] = {
    stripe_calls.GATEWAY: [
        *_CARDS,
        {"says": "Settles in 3 days", "order": {"card": _PAYS, "method": "delayed"}},
    ],
    razorpay_calls.GATEWAY: [
        *_CARDS,
        {"says": "UPI pays", "order": {"method": "upi", "vpa": UPI_SUCCESS}},
        {"says": "UPI declined", "order": {"method": "upi", "vpa": UPI_FAILURE}},
        {"says": "Fails, authorised in 1 h", "order": {"card": _PAYS, "late": LATE_SECONDS}},
    ],
}


@dataclass(frozen=True, slots=True)
class Payable:
    """What a customer pays, or has paid: a session, an invoice, a payment link, a subscription, an order by itself."""

    id: str
    gateway: str
    amount: str
    what: str
    status: str
    is_open: bool
    created: int
    expires: int | None = None
    url: str | None = None
    said: str | None = None
    takes_cards_alone: bool = False


class Desk:
    """The routes of the page, and of what it is made of."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._page = (FOLDER / "templates" / "control.html").read_text(encoding="utf-8")
        # Read once, at the start: no path from outside ever reaches a disk.
        self._files = {path.name: path.read_bytes() for path in (FOLDER / "static").glob("control*")}

    def routes(self) -> list[Route]:
        return [
            Route("/", self.show, methods=["GET"]),
            Route("/desk/board", telling(self.tell), methods=["GET"]),
            Route("/desk/{name}", self.send_file, methods=["GET"]),
        ]

    async def show(self, _: Request) -> Response:
        return HTMLResponse(self._page, headers=_HEADERS)

    async def send_file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._files:
            raise HTTPException(404)
        return Response(self._files[name], headers=_HEADERS, media_type=_TYPES[Path(name).suffix])

    def tell(self, asked: Json) -> Json:
        """What the page shows and ``/_control`` does not tell."""
        only(asked, ())
        payables = [*self._sessions(), *self._invoices(), *self._links(), *self._subscriptions(), *self._orders()]
        payables.sort(key=lambda payable: payable.created, reverse=True)
        return {
            "url": self._world.options.url,
            "now": self._world.clock.exact(),
            "nextDelivery": self._world.post.next_at(),
            "payables": [self._with_afterwards(payable) for payable in payables],
            "ways": WAYS,
            "rates": {"apiErrors": API_ERRORS},
        }

    def _with_afterwards(self, payable: Payable) -> Json:
        """What was paid may be refunded and disputed; the page says what has come of that."""
        afterwards = desk_afterwards.of(self._world, payable.gateway, payable.id)
        said = ", ".join(filter(None, (payable.said, afterwards.said))) or None
        return {**asdict(payable), "said": said, "afterwards": afterwards.orders}

    def _sessions(self) -> list[Payable]:
        return [self._session(session) for session in self._newest(stripe_calls.GATEWAY, "checkout.session")]

    def _session(self, session: Json) -> Payable:
        intent = self._world.store.find(stripe_calls.GATEWAY, "payment_intent", session["payment_intent"] or "") or {}
        is_open = session["status"] == "open"
        return Payable(
            id=session["id"],
            gateway=stripe_calls.GATEWAY,
            amount=show_at_stripe(session["amount_total"], session["currency"]),
            what=session["client_reference_id"] or "",
            status=session["payment_status"] if session["status"] == "complete" else session["status"],
            is_open=is_open,
            created=session["created"],
            expires=session["expires_at"] if is_open else None,
            url=session["url"],
            said=_said(intent) if is_open else None,
        )

    def _invoices(self) -> list[Payable]:
        """Those that wait for their money, such as a renewal that has failed."""
        return [
            Payable(
                id=invoice["id"],
                gateway=stripe_calls.GATEWAY,
                amount=show_at_stripe(invoice["amount_remaining"], invoice["currency"]),
                what=invoice["number"] or "",
                status=invoice["status"],
                is_open=True,
                created=invoice["created"],
                url=invoice["hosted_invoice_url"],
                said=_said(invoicing.intent_of(self._world, invoice) or {}),
                takes_cards_alone=True,
            )
            for status in hosted_invoices.PAYABLE
            for invoice in self._newest(stripe_calls.GATEWAY, invoicing.KIND, status=status)
        ]

    def _links(self) -> list[Payable]:
        return [
            Payable(
                id=link["id"],
                gateway=razorpay_calls.GATEWAY,
                amount=show_at_razorpay(link["amount"], link["currency"]),
                what=link["reference_id"] or link["description"],
                status="open" if link["status"] == "created" else link["status"],
                is_open=link["status"] == "created",
                created=link["created_at"],
                expires=link["expire_by"] or None if link["status"] == "created" else None,
                url=link["short_url"] if link["status"] == "created" else None,
            )
            for link in self._newest(razorpay_calls.GATEWAY, payment_links.KIND)
        ]

    def _subscriptions(self) -> list[Payable]:
        return [self._subscription(each) for each in self._newest(razorpay_calls.GATEWAY, lifecycle.KIND)]

    def _subscription(self, subscription: Json) -> Payable:
        """Open while its page has something to pay: at the start, and after a charge that failed."""
        item, is_open = plans.of(self._world, subscription)["item"], subscription["status"] in charging.PAYABLE
        due = charging.amount_due(self._world, subscription) if is_open else (item["amount"], item["currency"])
        return Payable(
            id=subscription["id"],
            gateway=razorpay_calls.GATEWAY,
            amount=show_at_razorpay(*due),
            what=item["name"],
            status="open" if subscription["status"] == "created" else subscription["status"],
            is_open=is_open,
            created=subscription["created_at"],
            expires=lifecycle.expires_at(subscription) if subscription["status"] == "created" else None,
            url=subscription["short_url"] if is_open else None,
            said=None if subscription["charge_at"] is None or is_open else "is charged by itself",
        )

    def _orders(self) -> list[Payable]:
        """Those that an application opened itself; an order of a link or an invoice is paid through that."""
        return [
            Payable(
                id=order["id"],
                gateway=razorpay_calls.GATEWAY,
                amount=show_at_razorpay(order["amount"], order["currency"]),
                what=order["receipt"] or "",
                status="paid" if order["status"] == "paid" else "open",
                is_open=order["status"] != "paid",
                created=order["created_at"],
            )
            for order in self._newest(razorpay_calls.GATEWAY, orders.KIND)
            if payment_links.of_order(self._world, order["id"]) is None
            and invoices.of_order(self._world, order["id"]) is None
        ]

    def _newest(self, gateway: str, kind: str, **matching: object) -> list[Json]:
        return self._world.store.newest(gateway, kind, limit=SHOWN_MAX, matching=matching)


def _said(intent: Json) -> str | None:
    """What the customer was told last who has not paid yet."""
    if intent.get("status") == "requires_action":
        return "waits for 3-D Secure"
    return (intent.get("last_payment_error") or {}).get("message")
