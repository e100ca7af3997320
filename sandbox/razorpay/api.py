"""Razorpay's API over HTTP: key and secret, JSON in and out, one transaction to a call; only refunds have a key."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import card_numbers, wire
from sandbox.razorpay import (
    billing,
    changes,
    customers,
    disputes,
    errors,
    events,
    invoices,
    orders,
    payment_links,
    payments,
    plans,
    refund_keys,
    refunding,
    refunds,
    settlements,
    settling,
    subscriptions,
)
from sandbox.razorpay.calls import GATEWAY, Call
from sandbox.razorpay.errors import RazorpayError, invalid
from sandbox.razorpay.fields import Fields
from sandbox.store import Json
from sandbox.wire import Answer
from sandbox.world import World

Handler = Callable[[Call], Json]

_KEY_ID = re.compile(r"rzp_test_[A-Za-z0-9_]{1,100}")
_OK, _TOO_MANY = 200, 429
_READS = {"GET", "HEAD"}
_QUERY_FIELDS_MAX = 50

#: The part of the API that exists in here. What is not listed is answered as an unknown URL, as at Razorpay.
ROUTES: list[tuple[str, str, Handler]] = [
    ("POST", "/v1/payment_links", payment_links.create),
    ("GET", "/v1/payment_links", payment_links.list_links),
    ("GET", "/v1/payment_links/{id}", payment_links.fetch),
    ("POST", "/v1/payment_links/{id}/cancel", payment_links.cancel),
    ("POST", "/v1/orders", orders.create),
    ("GET", "/v1/orders", orders.list_orders),
    ("GET", "/v1/orders/{id}", orders.fetch),
    ("GET", "/v1/orders/{id}/payments", orders.list_payments),
    ("GET", "/v1/payments", payments.list_payments),
    ("GET", "/v1/payments/{id}", payments.fetch),
    ("POST", "/v1/payments/{id}/capture", payments.capture),
    ("POST", "/v1/payments/{id}/refund", refunds.create),
    ("GET", "/v1/payments/{id}/refunds", refunds.list_of_payment),
    ("GET", "/v1/payments/{id}/refunds/{refund}", refunds.fetch_of_payment),
    ("POST", "/v1/refunds", refunds.create_of_named),
    ("GET", "/v1/refunds", refunds.list_refunds),
    ("GET", "/v1/refunds/{id}", refunds.fetch),
    ("PATCH", "/v1/refunds/{id}", refunds.edit),
    ("GET", "/v1/disputes", disputes.list_disputes),
    ("GET", "/v1/disputes/{id}", disputes.fetch),
    ("POST", "/v1/disputes/{id}/accept", disputes.accept),
    ("PATCH", "/v1/disputes/{id}/contest", disputes.contest),
    ("GET", "/v1/settlements", settlements.list_settlements),
    ("GET", "/v1/settlements/recon/combined", settlements.report),
    ("GET", "/v1/settlements/{id}", settlements.fetch),
    ("POST", "/v1/customers", customers.create),
    ("GET", "/v1/customers", customers.list_customers),
    ("GET", "/v1/customers/{id}", customers.fetch),
    ("PUT", "/v1/customers/{id}", customers.edit),
    ("POST", "/v1/plans", plans.create),
    ("GET", "/v1/plans", plans.list_plans),
    ("GET", "/v1/plans/{id}", plans.fetch),
    ("POST", "/v1/subscriptions", subscriptions.create),
    ("GET", "/v1/subscriptions", subscriptions.list_subscriptions),
    ("GET", "/v1/subscriptions/{id}", subscriptions.fetch),
    ("PATCH", "/v1/subscriptions/{id}", changes.edit),
    ("POST", "/v1/subscriptions/{id}/cancel", subscriptions.cancel),
    ("POST", "/v1/subscriptions/{id}/pause", subscriptions.pause),
    ("POST", "/v1/subscriptions/{id}/resume", subscriptions.resume),
    ("GET", "/v1/subscriptions/{id}/retrieve_scheduled_changes", changes.fetch_scheduled),
    ("POST", "/v1/subscriptions/{id}/cancel_scheduled_changes", changes.cancel_scheduled),
    ("GET", "/v1/invoices", invoices.list_invoices),
    ("GET", "/v1/invoices/{id}", invoices.fetch),
]


@dataclass(slots=True)
class KeyRing:
    """The key secret that callers use, since it also signs the way back from a payment link. In memory alone."""

    secret: str | None = None


def razorpay_app(world: World, keys: KeyRing) -> Starlette:
    """Everything under ``/razorpay``; also tells the clock and the post what Razorpay does by itself."""
    world.post.serve("razorpay", events.MANNER, lambda endpoint: events.secrets_of(world, endpoint))
    world.agenda.on(payment_links.EXPIRES, lambda link_id: payment_links.expire_when_due(world, link_id))
    world.agenda.on(payments.TIMES_OUT, lambda payment_id: payments.time_out(world, payment_id))
    world.agenda.on(payments.AUTHORISES_LATE, lambda payment_id: payments.authorise_late(world, payment_id))
    world.agenda.on(payments.LAPSES, lambda payment_id: payments.lapse(world, payment_id))
    world.agenda.on(refunding.ENDS, lambda refund_id: refunding.end_when_due(world, refund_id))
    world.agenda.on(settling.ARRIVES, lambda settlement_id: settling.arrive_when_due(world, settlement_id))
    billing.follow(world)
    in_use = refund_keys.Keys()
    routes = [
        # The documentation writes its URLs with a slash at the end, the SDKs without.
        Route(path + slash, _serving(world, keys, handler, in_use), methods=[method])
        for method, path, handler in ROUTES
        for slash in ("", "/")
    ]
    return Starlette(routes=routes, exception_handlers={404: _answer_unknown_url, 405: _answer_unknown_url})


def _serving(
    world: World, keys: KeyRing, handler: Handler, in_use: refund_keys.Keys
) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        try:
            body = await wire.read_body(request)
        except wire.TooLarge:
            return _refusal(RazorpayError("The request body is too large.", status=413)).as_response()
        try:
            with in_use.in_use(_refund_key(request, handler)):
                answer = _answer(world, keys, handler, request, body)
                return await wire.send_through(world.faults, answer, wire.lane(GATEWAY, handler))
        except RazorpayError as error:
            return _refusal(error).as_response()

    return serve


def _refund_key(request: Request, handler: Handler) -> str | None:
    """The header makes a difference to one call alone."""
    return request.headers.get(refund_keys.HEADER) if handler is refunds.create else None


def _answer(world: World, keys: KeyRing, handler: Handler, request: Request, body: bytes) -> Answer:
    """The whole of a call: judged, done, and written."""
    try:
        keys.secret = _authenticate(request.headers.get("authorization", ""))
        match world.faults.api_error(wire.lane(GATEWAY, handler)):
            case "502":
                return wire.bad_gateway()
            case "429":
                raise errors.rate_limited()
            case "500":
                raise errors.server_error()
        fields = _fields(request, body)
        _refuse_card_numbers(fields)
        call = Call(world, Fields(fields), dict(request.path_params), _refund_key(request, handler))
        before = world.store.changes()
        with world.store.transaction():
            answer = handler(call)
        has_changed = world.store.changes() != before
        return Answer(_OK, json.dumps(answer, separators=(",", ":")).encode(), has_changed=has_changed)
    except RazorpayError as error:
        return _refusal(error)


def _authenticate(authorization: str) -> str:
    """The key's secret; any goes with any test key, as long as there is one."""
    scheme, _, credentials = authorization.partition(" ")
    try:
        key_id, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise errors.not_authenticated() from None
    if scheme.lower() != "basic" or not _KEY_ID.fullmatch(key_id) or not secret:
        raise errors.not_authenticated()
    return secret


def _fields(request: Request, body: bytes) -> Json:
    if request.method in _READS:
        try:
            return dict(parse_qsl(request.url.query, max_num_fields=_QUERY_FIELDS_MAX))
        except ValueError:
            raise invalid("The query could not be read.") from None
    try:
        fields = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise invalid("incorrect JSON object received.") from None
    if not isinstance(fields, dict):
        raise invalid("incorrect JSON object received.")
    return fields


def _refuse_card_numbers(fields: Json) -> None:
    """No call pays by card, so that none has a use for one: it goes no further."""
    for name, value in fields.items():
        if card_numbers.are_in(value):
            raise invalid(f"{name}: must not hold a card number.", name)


async def _answer_unknown_url(_: Request, __: Exception) -> Response:
    return _refusal(errors.unknown_url()).as_response()


def _refusal(error: RazorpayError) -> Answer:
    return Answer(error.status, error.body(), {"Retry-After": "1"} if error.status == _TOO_MANY else {})
