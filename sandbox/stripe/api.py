"""Stripe's API over HTTP: who asks, under which key and version, what became of it, and what it looks like."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import wire
from sandbox.ids import new_id
from sandbox.store import Json
from sandbox.stripe import (
    balance,
    billing,
    catalogue,
    charges,
    charging,
    checkout,
    customers,
    disputes,
    endpoints,
    errors,
    events,
    expansion,
    forms,
    fraud_warnings,
    invoice_items,
    invoice_payments,
    invoice_previews,
    invoices,
    means,
    pausing,
    paying_out,
    payment_intents,
    payment_methods,
    payment_pages,
    payments,
    payouts,
    portal,
    portal_configurations,
    refunding,
    refunds,
    schedules,
    subscription_changes,
    subscriptions,
    thin_events,
    versions,
)
from sandbox.stripe.calls import GATEWAY, Call, Cause
from sandbox.stripe.errors import Declined, StripeError
from sandbox.stripe.idempotency import Kept, Keys, fingerprint
from sandbox.stripe.intent_pages import IntentPages
from sandbox.stripe.invoice_pages import InvoicePages
from sandbox.stripe.parameters import Parameters
from sandbox.stripe.portal_pages import PortalPages
from sandbox.wire import Answer
from sandbox.world import World

Handler = Callable[[Call], Json]

_KEY = re.compile(r"(sk|rk)_test_[A-Za-z0-9_]{1,200}")
_FORM = "application/x-www-form-urlencoded"
_OK = 200

#: The part of the API that exists in here. What is not listed is answered as an unknown URL, as at Stripe.
ROUTES: list[tuple[str, str, Handler]] = [
    ("POST", "/v1/products", catalogue.create_product),
    ("GET", "/v1/products", catalogue.list_products),
    ("GET", "/v1/products/{id}", catalogue.retrieve_product),
    ("POST", "/v1/products/{id}", catalogue.update_product),
    ("DELETE", "/v1/products/{id}", catalogue.delete_product),
    ("POST", "/v1/prices", catalogue.create_price),
    ("GET", "/v1/prices", catalogue.list_prices),
    ("GET", "/v1/prices/{id}", catalogue.retrieve_price),
    ("POST", "/v1/prices/{id}", catalogue.update_price),
    ("POST", "/v1/customers", customers.create),
    ("GET", "/v1/customers", customers.list_customers),
    ("GET", "/v1/customers/search", customers.search),
    ("GET", "/v1/customers/{id}", customers.retrieve),
    ("POST", "/v1/customers/{id}", customers.update),
    ("DELETE", "/v1/customers/{id}", customers.delete),
    ("GET", "/v1/customers/{id}/payment_methods", payment_methods.list_of_customer),
    ("GET", "/v1/customers/{id}/payment_methods/{method}", payment_methods.retrieve_of_customer),
    ("POST", "/v1/checkout/sessions", checkout.create),
    ("GET", "/v1/checkout/sessions", checkout.list_sessions),
    ("GET", "/v1/checkout/sessions/{id}", checkout.retrieve),
    ("POST", "/v1/checkout/sessions/{id}/expire", checkout.expire),
    ("GET", "/v1/checkout/sessions/{id}/line_items", checkout.list_line_items),
    ("GET", "/v1/payment_pages/{id}", payment_pages.retrieve),
    ("POST", "/v1/payment_pages/{id}/confirm", payment_pages.confirm),
    ("POST", "/v1/payment_intents", payment_intents.create),
    ("GET", "/v1/payment_intents", payment_intents.list_intents),
    ("GET", "/v1/payment_intents/{id}", payment_intents.retrieve),
    ("POST", "/v1/payment_intents/{id}", payment_intents.update),
    ("POST", "/v1/payment_intents/{id}/confirm", payment_intents.confirm),
    ("POST", "/v1/payment_intents/{id}/capture", payment_intents.capture),
    ("POST", "/v1/payment_intents/{id}/cancel", payment_intents.cancel),
    ("GET", "/v1/charges", charges.list_charges),
    ("GET", "/v1/charges/{id}", charges.retrieve),
    ("POST", "/v1/charges/{id}", charges.update),
    ("GET", "/v1/charges/{id}/refunds", refunds.list_of_charge),
    ("POST", "/v1/refunds", refunds.create),
    ("GET", "/v1/refunds", refunds.list_refunds),
    ("GET", "/v1/refunds/{id}", refunds.retrieve),
    ("POST", "/v1/refunds/{id}", refunds.update),
    ("POST", "/v1/refunds/{id}/cancel", refunds.cancel),
    ("GET", "/v1/disputes", disputes.list_disputes),
    ("GET", "/v1/disputes/{id}", disputes.retrieve),
    ("POST", "/v1/disputes/{id}", disputes.update),
    ("POST", "/v1/disputes/{id}/close", disputes.close),
    ("GET", "/v1/radar/early_fraud_warnings", fraud_warnings.list_warnings),
    ("GET", "/v1/radar/early_fraud_warnings/{id}", fraud_warnings.retrieve),
    ("GET", "/v1/balance", payouts.retrieve_balance),
    ("POST", "/v1/payouts", payouts.create),
    ("GET", "/v1/payouts", payouts.list_payouts),
    ("GET", "/v1/payouts/{id}", payouts.retrieve),
    ("POST", "/v1/payouts/{id}", payouts.update),
    ("GET", "/v1/balance_transactions", balance.list_transactions),
    ("GET", "/v1/balance_transactions/{id}", balance.retrieve),
    ("POST", "/v1/payment_methods", payment_methods.create),
    ("GET", "/v1/payment_methods", payment_methods.list_methods),
    ("GET", "/v1/payment_methods/{id}", payment_methods.retrieve),
    ("POST", "/v1/payment_methods/{id}", payment_methods.update),
    ("POST", "/v1/payment_methods/{id}/attach", payment_methods.attach),
    ("POST", "/v1/payment_methods/{id}/detach", payment_methods.detach),
    ("POST", "/v1/subscriptions", subscriptions.create),
    ("GET", "/v1/subscriptions", subscriptions.list_subscriptions),
    ("GET", "/v1/subscriptions/{id}", subscriptions.retrieve),
    ("POST", "/v1/subscriptions/{id}", subscription_changes.update),
    ("DELETE", "/v1/subscriptions/{id}", subscriptions.cancel),
    ("POST", "/v1/subscriptions/{id}/pause", pausing.pause),
    ("POST", "/v1/subscriptions/{id}/resume", pausing.resume),
    ("GET", "/v1/subscription_items", subscriptions.list_items),
    ("POST", "/v1/subscription_schedules", schedules.create),
    ("GET", "/v1/subscription_schedules", schedules.list_schedules),
    ("GET", "/v1/subscription_schedules/{id}", schedules.retrieve),
    ("POST", "/v1/subscription_schedules/{id}", schedules.update),
    ("POST", "/v1/subscription_schedules/{id}/release", schedules.release),
    ("POST", "/v1/subscription_schedules/{id}/cancel", schedules.cancel),
    ("POST", "/v1/invoices", invoices.create),
    ("GET", "/v1/invoices", invoices.list_invoices),
    ("POST", "/v1/invoices/create_preview", invoice_previews.create_preview),
    ("GET", "/v1/invoices/{id}", invoices.retrieve),
    ("POST", "/v1/invoices/{id}", invoices.update),
    ("DELETE", "/v1/invoices/{id}", invoices.delete),
    ("GET", "/v1/invoices/{id}/lines", invoices.list_lines),
    ("POST", "/v1/invoices/{id}/finalize", invoices.finalise),
    ("POST", "/v1/invoices/{id}/pay", invoices.pay),
    ("POST", "/v1/invoices/{id}/void", invoices.void),
    ("POST", "/v1/invoices/{id}/mark_uncollectible", invoices.mark_uncollectible),
    ("GET", "/v1/invoice_payments", invoice_payments.list_payments),
    ("GET", "/v1/invoice_payments/{id}", invoice_payments.retrieve),
    ("POST", "/v1/invoiceitems", invoice_items.create),
    ("GET", "/v1/invoiceitems", invoice_items.list_items),
    ("GET", "/v1/invoiceitems/{id}", invoice_items.retrieve),
    ("DELETE", "/v1/invoiceitems/{id}", invoice_items.delete),
    ("POST", "/v1/billing_portal/sessions", portal.create),
    ("POST", "/v1/billing_portal/configurations", portal_configurations.create),
    ("GET", "/v1/billing_portal/configurations", portal_configurations.list_configurations),
    ("GET", "/v1/billing_portal/configurations/{id}", portal_configurations.retrieve),
    ("POST", "/v1/billing_portal/configurations/{id}", portal_configurations.update),
    ("GET", "/v1/events", events.list_events),
    ("GET", "/v1/events/{id}", events.retrieve),
    ("GET", "/v2/core/events/{id}", thin_events.retrieve),
    ("POST", "/v1/webhook_endpoints", endpoints.create),
    ("GET", "/v1/webhook_endpoints", endpoints.list_endpoints),
    ("GET", "/v1/webhook_endpoints/{id}", endpoints.retrieve),
    ("POST", "/v1/webhook_endpoints/{id}", endpoints.update),
    ("DELETE", "/v1/webhook_endpoints/{id}", endpoints.delete),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, read but not yet judged."""

    method: str
    path: str
    ids: dict[str, str]
    fields: str
    authorization: str
    content_type: str
    version: str
    names_version: bool
    request_id: str
    key: str | None


def stripe_app(world: World) -> Starlette:
    """Everything under ``/stripe``; also tells the clock and the post what Stripe does by itself."""
    endpoints.configure(world)
    world.post.serve("stripe", events.MANNER, lambda endpoint: endpoints.secrets_of(world, endpoint))
    world.agenda.on(checkout.EXPIRES, lambda session_id: checkout.expire_when_due(world, session_id))
    world.agenda.on(charging.SETTLES, lambda subject: payments.settle(world, subject))
    world.agenda.on(charging.LAPSES, lambda intent_id: charging.lapse(world, intent_id))
    world.agenda.on(refunding.ENDS, lambda refund_id: refunding.end_when_due(world, refund_id))
    world.agenda.on(paying_out.ARRIVES, lambda payout_id: paying_out.arrive_when_due(world, payout_id))
    billing.enter(world)
    api = Api(world)
    routes = [Route(path, api.serving(handler), methods=[method]) for method, path, handler in ROUTES]
    routes += [*IntentPages(world).routes(), *InvoicePages(world).routes(), *PortalPages(world).routes()]
    unknown = {404: api.answer_unknown_url, 405: api.answer_unknown_url}
    return Starlette(routes=routes, exception_handlers=unknown)


class Api:
    """Answers calls, one at a time between two awaits, each in one transaction."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._keys = Keys(world.store, world.clock)

    def serving(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """The handler as starlette calls it."""

        async def serve(request: Request) -> Response:
            try:
                asked = await _read(request)
            except wire.TooLarge:
                return _refusal(
                    StripeError("The request body is too large.", status=413), new_id("req_", 14)
                ).as_response()
            try:
                with self._keys.in_use(asked.key):
                    answer = self._answer(asked, handler)
                    return await wire.send_through(self._world.faults, answer, wire.lane(GATEWAY, handler))
            except StripeError as error:
                return _refusal(error, asked.request_id).as_response()

        return serve

    async def answer_unknown_url(self, request: Request, _: Exception) -> Response:
        path = request.url.path.removeprefix(request.scope.get("root_path", ""))
        return _refusal(errors.unknown_url(request.method, path), new_id("req_", 14)).as_response()

    def _answer(self, asked: Asked, handler: Handler) -> Answer:
        """The whole of a call: judged, recalled or done, and shown in its version."""
        try:
            _authenticate(asked.authorization)
            failure = self._world.faults.api_error(wire.lane(GATEWAY, handler))
            if failure == "502":
                return wire.bad_gateway()
            if failure == "429":
                raise errors.rate_limited()
            parameters = _parameters(asked)
            if asked.key is None:
                return self._call(asked, handler, parameters, fails=failure is not None)
            return self._call_once(asked, asked.key, handler, parameters, fails=failure is not None)
        except StripeError as error:
            return _refusal(error, asked.request_id)

    def _call_once(self, asked: Asked, key: str, handler: Handler, parameters: Json, *, fails: bool) -> Answer:
        mark = fingerprint(asked.path, parameters)
        kept = self._keys.recall(key, mark)
        if kept is not None:
            headers = _headers(asked) | {"Idempotent-Replayed": "true", "Original-Request": kept.request_id}
            return Answer(kept.status, kept.body, headers)
        with self._world.store.transaction():
            answer = self._call(asked, handler, parameters, fails=fails)
            self._keys.keep(key, mark, Kept(answer.status, answer.body, asked.request_id))
        return answer

    def _call(self, asked: Asked, handler: Handler, parameters: Json, *, fails: bool) -> Answer:
        """Does what is asked. A refusal before it began is raised; its own result, good or bad, is an answer."""
        expand = parameters.pop("expand", [])
        if not isinstance(expand, list) or not all(isinstance(path, str) for path in expand):
            raise StripeError("Invalid array", param="expand")
        cause = Cause(asked.request_id, asked.key)
        call = Call(self._world, Parameters(parameters), asked.ids, asked.version, cause, asked.names_version)
        before = self._world.store.changes()
        try:
            if fails:
                raise errors.server_error()
            with self._world.store.transaction():
                result = _carry_out(handler, call, expand)
        except StripeError as error:
            if not error.executed:
                raise
            return _refusal(error, asked.request_id, _headers(asked))
        has_changed = self._world.store.changes() != before
        if isinstance(result, Declined):
            return replace(_refusal(result, asked.request_id, _headers(asked)), has_changed=has_changed)
        shown = versions.render(self._world.store, result, asked.version)
        return Answer(_OK, json.dumps(shown, indent=2).encode() + b"\n", _headers(asked), has_changed=has_changed)


def _carry_out(handler: Handler, call: Call, expand: list[str]) -> Json | Declined:
    """A bank's no is handed on instead of raised, so that what the call has written stays."""
    try:
        body = handler(call)
    except Declined as declined:
        return declined
    expansion.expand(call.world.store, body, expand)
    return body


async def _read(request: Request) -> Asked:
    body = await wire.read_body(request)
    is_post = request.method == "POST"
    return Asked(
        method=request.method,
        path=request.url.path,
        ids=dict(request.path_params),
        fields=body.decode("utf-8", "replace") if is_post else request.url.query,
        authorization=request.headers.get("authorization", ""),
        content_type=request.headers.get("content-type", "").partition(";")[0].strip().lower(),
        version=request.headers.get("stripe-version", versions.DEFAULT_VERSION),
        names_version="stripe-version" in request.headers,
        request_id=new_id("req_", 14),
        key=request.headers.get("idempotency-key") or None if is_post else None,
    )


def _authenticate(authorization: str) -> None:
    """A test key, as a bearer token or as the user name of basic authentication. Which one does not matter."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            credentials = base64.b64decode(credentials, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            credentials = ""
    if not credentials:
        message = (
            "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer"
            " auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
        raise StripeError(message, status=401)
    if not _KEY.fullmatch(credentials):
        raise StripeError(f"Invalid API Key provided: {credentials[:8]}***", status=401)


def _parameters(asked: Asked) -> Json:
    """The call's parameters as a tree, if it speaks a language and a version that Stripe knows."""
    if asked.fields and asked.method == "POST" and asked.content_type != _FORM:
        raise StripeError(f"Invalid request (check that your POST content type is {_FORM}).")
    if not versions.is_version(asked.version):
        raise StripeError(f"Invalid Stripe API version: {asked.version[:40]}")
    parameters = forms.decode(asked.fields)
    means.refuse_foreign_numbers(parameters)
    return parameters


def _headers(asked: Asked) -> dict[str, str]:
    headers = {"Request-Id": asked.request_id, "Stripe-Version": asked.version}
    return headers if asked.key is None else {**headers, "Idempotency-Key": asked.key}


def _refusal(error: StripeError, request_id: str, headers: dict[str, str] | None = None) -> Answer:
    extra = {"Retry-After": "1"} if error.status == errors.TOO_MANY else {}
    return Answer(error.status, error.body(request_id), {"Request-Id": request_id, **(headers or {}), **extra})
