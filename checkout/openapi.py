"""The description of this API (OpenAPI 3.1), written by hand; tests hold it to the routes and to what they answer."""

from __future__ import annotations

from typing import Any

from checkout.limiting import RATE_HEADERS
from payments.access import AccessReason
from payments.failure import Action, FailureCode
from payments.invoice import InvoiceReason, InvoiceStatus
from payments.order import OrderStatus
from payments.refund import RefundReason, RefundStatus
from payments.subscription import SubscriptionStatus
from payments.timeline import MARK, Kind

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 255}
ID: Schema = {"type": "string", "format": "uuid"}
TIME: Schema = {"type": "string", "format": "date-time"}
AMOUNT: Schema = {"type": "integer", "minimum": 0, "description": "Minor units, whatever the currency."}
CURRENCY: Schema = {"type": "string", "pattern": "^[a-z]{3}$"}


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


def _nullable(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _list(name: str) -> Schema:
    return {"type": "array", "items": _ref(name)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_STANDING: dict[str, Schema] = {
    "orderId": ID,
    "status": {"enum": [status.value for status in OrderStatus]},
    "amount": AMOUNT,
    "amountRefunded": AMOUNT,
    "currency": CURRENCY,
}
_STANDING_IF_KNOWN: dict[str, Schema] = {"paidAt": TIME, "failure": _ref("Failure")}

SCHEMAS: dict[str, Schema] = {
    "Plan": _object(
        {
            "id": TEXT,
            "name": TEXT,
            "description": TEXT,
            "priceCents": AMOUNT,
            "currency": CURRENCY,
            "interval": {"enum": ["month", "year", None], "description": "null: paid once."},
            "trialDays": {"type": "integer", "minimum": 0},
            "gateways": {"type": "array", "items": TEXT, "description": "Where it can be paid."},
        }
    ),
    "PaymentRequest": {
        **_object(
            {"planId": NAME},
            {
                "gateway": {
                    **_nullable(TEXT),
                    "description": "The first at which the plan is sold, where it is left out.",
                }
            },
        ),
        "description": "Anything else in it is ignored, an amount or a status too: the price is the plan's.",
    },
    "Payment": _object(
        {"orderId": ID, "sessionId": TEXT, "gateway": TEXT, "url": {"type": "string"}, "status": {"const": "pending"}}
    ),
    "NewSubscription": _object(
        {
            "subscriptionId": ID,
            "orderId": {**ID, "description": "The order that begins it: its status tells whether it is paid."},
            "sessionId": TEXT,
            "gateway": TEXT,
            "url": {"type": "string"},
            "status": {"const": SubscriptionStatus.INCOMPLETE.value},
        }
    ),
    "Subscription": _object(
        {
            "subscriptionId": ID,
            "orderId": _nullable(ID),
            "planId": _nullable(TEXT),
            "planName": _nullable(TEXT),
            "gateway": _nullable(TEXT),
            "status": {"enum": [status.value for status in SubscriptionStatus]},
            "amount": {**_nullable(AMOUNT), "description": "What a period costs."},
            "currency": _nullable(CURRENCY),
            "interval": {"enum": ["month", "year", None]},
            "currentPeriodStart": _nullable(TIME),
            "currentPeriodEnd": _nullable(TIME),
            "trialEnd": _nullable(TIME),
            "cancelAtPeriodEnd": {"type": "boolean"},
            "endsAt": {**_nullable(TIME), "description": "It is set to end then."},
            "cancelledAt": _nullable(TIME),
            "endedAt": _nullable(TIME),
            "pendingPlanId": {**_nullable(TEXT), "description": "The plan that it is to change to."},
            "changePending": {
                "type": "boolean",
                "description": "Something was asked for that is not so yet: a plan that waits for its payment or for "
                "the period's end, or an answer of the gateway's.",
            },
            "access": _object(
                {
                    "active": {"type": "boolean"},
                    "until": _nullable(TIME),
                    "reason": {"enum": [reason.value for reason in AccessReason]},
                }
            ),
            "createdAt": TIME,
        }
    ),
    "Subscriptions": _object(
        {
            "data": _list("Subscription"),
            "nextCursor": {**_nullable(TEXT), "description": "For the next page; null on the last one."},
        }
    ),
    "CancelRequest": _object(
        {},
        {"atPeriodEnd": {"type": "boolean", "default": True, "description": "false: now. Nothing is paid back."}},
    ),
    "PlanChangeRequest": _object({"planId": NAME}),
    "Portal": _object({"url": {"type": "string", "description": "The gateway's page: send the customer there."}}),
    "Invoice": _object(
        {
            "invoiceId": ID,
            "subscriptionId": ID,
            "planId": _nullable(TEXT),
            "planName": _nullable(TEXT),
            "gateway": TEXT,
            "number": _nullable(TEXT),
            "status": {"enum": [status.value for status in InvoiceStatus if status is not InvoiceStatus.DRAFT]},
            "reason": {"enum": [reason.value for reason in InvoiceReason]},
            "amount": AMOUNT,
            "amountPaid": AMOUNT,
            "currency": CURRENCY,
            "periodStart": _nullable(TIME),
            "periodEnd": _nullable(TIME),
            "createdAt": TIME,
        },
        {
            "paidAt": _nullable(TIME),
            "receiptUrl": {"type": "string", "description": "The gateway's page of an invoice that is paid."},
            "payUrl": {"type": "string", "description": "The gateway's page on which it can still be paid."},
            "failure": _ref("Failure"),
        },
    ),
    "Invoices": _object(
        {
            "data": _list("Invoice"),
            "nextCursor": {**_nullable(TEXT), "description": "For the next page; null on the last one."},
        }
    ),
    "Failure": {
        **_object(
            {
                "code": {"enum": [code.value for code in FailureCode]},
                "message": {"type": "string", "description": "Fit for the customer."},
                "action": {"enum": [action.value for action in Action]},
            }
        ),
        "description": "Why it has not been paid, and the way forward. `unknown` with `wait`: the gateway's answer was "
        "lost, and we are asking it; nothing else need be done.",
    },
    "OrderStatus": _object(_STANDING, _STANDING_IF_KNOWN),
    "Order": _object(
        {
            **_STANDING,
            "planId": _nullable(TEXT),
            "planName": _nullable(TEXT),
            "gateway": _nullable(TEXT),
            "createdAt": TIME,
        },
        {**_STANDING_IF_KNOWN, "receiptUrl": {"type": "string", "description": "Our page of an order that was paid."}},
    ),
    "Orders": _object(
        {
            "data": _list("Order"),
            "nextCursor": {**_nullable(TEXT), "description": "For the next page; null on the last one."},
        }
    ),
    "RefundRequest": {
        **_object(
            {"reason": {"enum": [reason.value for reason in RefundReason]}},
            {
                "orderId": {**NAME, "description": "Of the payment that paid it."},
                "paymentId": {
                    **NAME,
                    "description": "Ours or the gateway's: a renewal's payment, or what came beside the order's.",
                },
                "amount": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 2**63 - 1,
                    "description": "Minor units; all that is left, where it is left out.",
                },
            },
        ),
        "oneOf": [{"required": ["orderId"]}, {"required": ["paymentId"]}],
        "additionalProperties": False,
    },
    "History": _object(
        {
            **_STANDING,
            "userId": TEXT,
            "planId": _nullable(TEXT),
            "gateway": _nullable(TEXT),
            "hasAccess": {"type": "boolean"},
            "data": _list("HistoryLine"),
            "nextCursor": _nullable(TEXT),
        }
    ),
    "HistoryLine": _object(
        {
            "at": {**TIME, "description": "The time that it tells."},
            "recordedAt": {**TIME, "description": "When it was written down: the order of the lines."},
            "kind": {"enum": [kind.value for kind in Kind]},
            "id": ID,
            "subject": TEXT,
            "subjectId": _nullable(TEXT),
            "says": {**TEXT, "description": "For people."},
            "detail": {"type": "object", "description": "For programs; fields are only ever added."},
        }
    ),
    "NewRefund": _object({"refundId": ID, "status": {"enum": [status.value for status in RefundStatus]}}),
    "Refund": _object(
        {
            "refundId": ID,
            "orderId": {**_nullable(ID), "description": "null: of a renewal's payment, or of one that no order has."},
            "paymentId": ID,
            "gateway": TEXT,
            "gatewayPaymentId": TEXT,
            "gatewayRefundId": {**_nullable(TEXT), "description": "null until the gateway has said it."},
            "amount": AMOUNT,
            "currency": CURRENCY,
            "status": {"enum": [status.value for status in RefundStatus]},
            "reason": {"enum": [reason.value for reason in RefundReason]},
            "askedBy": {
                "type": "string",
                "description": "`api:` and the caller, `operator:`, `policy:`; or `gateway`, where it began there.",
            },
            "failure": {**_nullable(TEXT), "description": "Why it was not made; the gateway's word, for operators."},
            "createdAt": TIME,
            "sentAt": _nullable(TIME),
            "settledAt": _nullable(TIME),
        }
    ),
    "Access": _object(
        {"planId": _nullable(TEXT), "active": {"type": "boolean"}, "until": _nullable(TIME), "reason": TEXT}
    ),
    "Problem": _object(
        {
            "type": TEXT,
            "title": TEXT,
            "status": {"type": "integer"},
            "code": {"type": "string", "description": "Stable: for programs."},
        },
        {
            "detail": {"type": "string", "description": "For people."},
            "orderId": {**ID, "description": "Of an order that was kept although its page could not be opened."},
            "remaining": {**AMOUNT, "description": "With `over_refund`: what can still be refunded."},
        },
    ),
}

#: What each refusal means, by status; the codes that a program may meet.
PROBLEMS: dict[int, str] = {
    400: "What was sent cannot be used: `malformed_body`, `incomplete_body`, `invalid_plan`, `invalid_gateway`, "
    "`invalid_idempotency_key`, `idempotency_key_required`, `invalid_refund`, `invalid_amount`, `invalid_reason`, "
    "`invalid_limit`, `invalid_cursor`.",
    401: "No token, or not a good one: `unauthenticated`, `invalid_token`.",
    403: "The token lacks a scope: `insufficient_scope`. In production, plain HTTP: `tls_required`.",
    404: "There is none, or it is not yours: `order_not_found`, `subscription_not_found`, `payment_not_found`, "
    "`refund_not_found`.",
    408: "The body came too slowly: `body_too_slow`.",
    409: "`key_in_use`: the first request with this key still runs. `key_reused`: it belongs to another request. "
    "`order_over`: the order that it stands for takes no payment any more. `already_subscribed`: there is one of this "
    "plan. `already_on_plan`. `trial_running`: the other plan has no trial, or you have had it. "
    "`subscription_incomplete`, `subscription_ended`: not in this state. `change_pending`: another change waits for "
    "the gateway's answer. `gateway_cannot`: not to a subscription of this kind, or in this state; `detail` says why. "
    "`over_refund`: `remaining` is all that is left. `dispute_open`: a dispute holds the money. `nothing_to_refund`.",
    413: "`body_too_large`.",
    429: "`too_many_requests` from one address.",
    502: "`gateway_refused`: the order is kept; the same key, or none, tries again.",
    503: "`unavailable`: the database or the keys of the tokens are away. Come again.",
    504: "`gateway_unknown`: the gateway has not answered. The order is kept; the same key, or none, goes on with it "
    "and makes nothing twice.",
}

_RATE: Schema = {
    name: {"schema": {"type": "integer", "minimum": 0}, "description": meaning}
    for name, meaning in RATE_HEADERS.items()
}
_RETRY: Schema = {"Retry-After": {"schema": {"type": "integer", "minimum": 0}, "description": "Seconds."}}
_CHALLENGE: Schema = {"WWW-Authenticate": {"schema": TEXT}}

#: Beside those of ``_RATE``, which come with everything that was counted.
_HEADERS: dict[int, Schema] = {401: _CHALLENGE, 429: _RETRY, 503: _RETRY}


def _problems(*statuses: int) -> Schema:
    return {
        str(status): {
            "description": PROBLEMS[status],
            "content": {"application/problem+json": {"schema": _ref("Problem")}},
            **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
        }
        for status in statuses
    }


def _json(description: str, schema: Schema, headers: Schema | None = None) -> Schema:
    told = {"description": description, "content": {"application/json": {"schema": schema}}}
    return {**told, "headers": headers} if headers else told


def _html(description: str) -> Schema:
    return {"description": description, "content": {"text/html": {"schema": TEXT}}}


def _query(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def _path(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": description}


_BEARER: list[Schema] = [{"bearer": []}]
_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "description": "Your own name for this request: a repeat gets the first answer. A new key is a new order.",
}
_PAGE = [
    _query("order", TEXT, "The order, as we wrote it into this address."),
    _query("token", TEXT, "Lets the page read this one order's status."),
]

_PAGING = [
    _query("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}, "Of one page."),
    _query("cursor", {"type": "string", "pattern": "^[A-Za-z0-9_-]{32}$"}, "The `nextCursor` of the page before."),
]
_HISTORY_PAGING = [
    _PAGING[0],
    _query("cursor", {"type": "string", "pattern": f"^{MARK.pattern}$"}, "The `nextCursor` of the page before."),
]
_OPENED: Schema = {
    **_RATE,
    "Idempotent-Replayed": {
        "schema": {"const": "true"},
        "description": "This is the first answer that was given under the key.",
    },
}
_SUBSCRIPTION = _path("subscriptionId", TEXT, "What create-subscription gave.")


def _change(operation: str, summary: str, body: str | None = None, *, required: bool = False) -> Schema:
    """One thing that can be done to a subscription."""
    content = {"application/json": {"schema": _ref(body)}} if body else None
    return {
        "post": {
            "operationId": operation,
            "summary": summary,
            "description": "Safe to repeat: what is so already is answered as it is.",
            "security": _BEARER,
            "parameters": [_SUBSCRIPTION],
            **({"requestBody": {"required": required, "content": content}} if content else {}),
            "responses": {
                "200": _json("It is done, and this is how it is now.", _ref("Subscription")),
                "202": _json(
                    "The gateway's answer was lost; we are asking it. The subscription as we know it.",
                    _ref("Subscription"),
                ),
                **_problems(400, 401, 403, 404, 408, 409, 413, 502, 503, 504),
            },
        }
    }


PATHS: dict[str, Schema] = {
    "/plans": {
        "get": {
            "operationId": "listPlans",
            "summary": "What is for sale",
            "security": _BEARER,
            "responses": {"200": _json("The plans, cheapest first.", _list("Plan")), **_problems(401, 403, 503)},
        }
    },
    "/create-payment": {
        "post": {
            "operationId": "createPayment",
            "summary": "Order a plan that is paid once, and get the address of the page where it is paid",
            "description": "Without a key, a second request of the same user for the same plan and gateway gets the "
            "page that is open already.",
            "security": _BEARER,
            "parameters": [_KEY],
            "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("PaymentRequest")}}},
            "responses": {
                "201": _json(
                    "The order is written and its page is open: send the customer to `url`.",
                    _ref("Payment"),
                    _OPENED,
                ),
                **_problems(400, 401, 403, 408, 409, 413, 429, 502, 503, 504),
            },
        }
    },
    "/create-subscription": {
        "post": {
            "operationId": "createSubscription",
            "summary": "Subscribe to a plan that is paid again and again, and get the address of the page for it",
            "description": "Whoever has begun one of this plan and not paid gets its page again, whatever the key. "
            "With a trial nothing is due at once, and a card is asked for all the same.",
            "security": _BEARER,
            "parameters": [_KEY],
            "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("PaymentRequest")}}},
            "responses": {
                "201": _json(
                    "The subscription is written and its page is open: send the customer to `url`.",
                    _ref("NewSubscription"),
                    _OPENED,
                ),
                **_problems(400, 401, 403, 408, 409, 413, 429, 502, 503, 504),
            },
        }
    },
    "/subscriptions": {
        "get": {
            "operationId": "listSubscriptions",
            "summary": "The user's subscriptions, newest first, ended ones too",
            "security": _BEARER,
            "parameters": _PAGING,
            "responses": {"200": _json("A page of them.", _ref("Subscriptions")), **_problems(400, 401, 403, 503)},
        }
    },
    "/subscriptions/{subscriptionId}": {
        "get": {
            "operationId": "showSubscription",
            "summary": "How a subscription stands",
            "security": _BEARER,
            "parameters": [_SUBSCRIPTION],
            "responses": {"200": _json("The subscription.", _ref("Subscription")), **_problems(401, 403, 404, 503)},
        }
    },
    "/subscriptions/{subscriptionId}/cancel": _change(
        "cancelSubscription", "End it with what is paid for, or now", "CancelRequest"
    ),
    "/subscriptions/{subscriptionId}/pause": _change("pauseSubscription", "Bill nothing until it is resumed"),
    "/subscriptions/{subscriptionId}/resume": _change(
        "resumeSubscription", "Undo a pause, or an end that is set for later"
    ),
    "/subscriptions/{subscriptionId}/change-plan": _change(
        "changePlan",
        "Another plan: one that costs more now, invoiced at once and in force when paid; one that costs less from the "
        "next period on. The plan that it is on takes back a change that waits",
        "PlanChangeRequest",
        required=True,
    ),
    "/subscriptions/{subscriptionId}/update-payment-method": {
        "post": {
            "operationId": "updatePaymentMethod",
            "summary": "The gateway's page on which the customer gives another card",
            "security": _BEARER,
            "parameters": [_SUBSCRIPTION],
            "responses": {
                "200": _json("Where to send the customer.", _ref("Portal")),
                **_problems(401, 403, 404, 409, 502, 503, 504),
            },
        }
    },
    "/invoices": {
        "get": {
            "operationId": "listInvoices",
            "summary": "The invoices of the user's subscriptions, newest first",
            "security": _BEARER,
            "parameters": _PAGING,
            "responses": {"200": _json("A page of them.", _ref("Invoices")), **_problems(400, 401, 403, 503)},
        }
    },
    "/order-status/{orderId}": {
        "get": {
            "operationId": "showOrderStatus",
            "summary": "How an order stands",
            "security": [*_BEARER, {"page": []}],
            "parameters": [_path("orderId", TEXT, "What create-payment gave.")],
            "responses": {"200": _json("The order.", _ref("OrderStatus")), **_problems(401, 403, 404, 503)},
        }
    },
    "/orders": {
        "get": {
            "operationId": "listOrders",
            "summary": "The user's orders, newest first",
            "security": _BEARER,
            "parameters": _PAGING,
            "responses": {"200": _json("A page of them.", _ref("Orders")), **_problems(400, 401, 403, 503)},
        }
    },
    "/orders/{orderId}/history": {
        "get": {
            "operationId": "showHistory",
            "summary": "Everything that touched an order, the oldest first; needs the scope `support`",
            "description": "Requests, pages, webhooks, moves with their causes, access, effects, refunds, disputes and "
            "movements of money. Payloads, links that can be paid and e-mail addresses are left out.",
            "security": _BEARER,
            "parameters": [_path("orderId", TEXT, "What create-payment gave."), *_HISTORY_PAGING],
            "responses": {
                "200": _json("A page of its history.", _ref("History")),
                **_problems(400, 401, 403, 404, 503),
            },
        }
    },
    "/refunds": {
        "post": {
            "operationId": "createRefund",
            "summary": "Give back what an order or a payment has taken, all of it or a part; needs the scope `refunds`",
            "description": "It is written down and sent by a worker. Without `amount` and without a key, a repeat gets "
            "the refund that is there already; with `amount`, a key is needed.",
            "security": _BEARER,
            "parameters": [{**_KEY, "description": "Your own name for this refund: a repeat gets the first answer."}],
            "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("RefundRequest")}}},
            "responses": {
                "202": _json(
                    "It will be asked of the gateway, or has been.",
                    _ref("NewRefund"),
                    {"Idempotent-Replayed": _OPENED["Idempotent-Replayed"]},
                ),
                **_problems(400, 401, 403, 404, 408, 409, 413, 503),
            },
        }
    },
    "/refunds/{refundId}": {
        "get": {
            "operationId": "showRefund",
            "summary": "How a refund stands; needs the scope `refunds` or `support`",
            "security": _BEARER,
            "parameters": [_path("refundId", TEXT, "What createRefund gave.")],
            "responses": {"200": _json("The refund.", _ref("Refund")), **_problems(401, 403, 404, 503)},
        }
    },
    "/access": {
        "get": {
            "operationId": "showAccess",
            "summary": "What the user may use now",
            "security": _BEARER,
            "responses": {"200": _json("One line a plan.", _list("Access")), **_problems(401, 403, 503)},
        }
    },
    "/users/{userId}/access": {
        "get": {
            "operationId": "showUsersAccess",
            "summary": "What any user may use now; needs the scope `support`",
            "security": _BEARER,
            "parameters": [_path("userId", {"type": "string", "minLength": 1}, "The `sub` of the user's tokens.")],
            "responses": {"200": _json("One line a plan.", _list("Access")), **_problems(401, 403, 404, 503)},
        }
    },
    "/payment/success": {
        "get": {
            "operationId": "showSuccessPage",
            "summary": "The page that customers come back to; for the eye alone",
            "parameters": _PAGE,
            "responses": {
                "200": _html("How the order stands now, and in a moment."),
                "404": _html("The address belongs to no order."),
                **_problems(403, 503),
            },
        }
    },
    "/payment/cancel": {
        "get": {
            "operationId": "showCancelPage",
            "summary": "The page for who turned back; for the eye alone",
            "responses": {"200": _html("Where to go from here."), **_problems(403, 503)},
        }
    },
    "/healthz": {
        "get": {
            "operationId": "healthz",
            "summary": "The process runs",
            "responses": {"200": _json("It does.", _object({"status": TEXT}))},
        }
    },
    "/readyz": {
        "get": {
            "operationId": "readyz",
            "summary": "The database answers",
            "responses": {"200": _json("It does.", _object({"status": TEXT})), **_problems(503)},
        }
    },
    "/metrics": {
        "get": {
            "operationId": "metrics",
            "summary": "For Prometheus",
            "responses": {"200": {"description": "Samples.", "content": {"text/plain": {"schema": TEXT}}}},
        }
    },
    "/openapi.json": {
        "get": {
            "operationId": "describe",
            "summary": "This description",
            "responses": {"200": _json("OpenAPI 3.1.", {"type": "object"}), **_problems(403)},
        }
    },
}


def description(app_url: str) -> Schema:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Counterfoil checkout",
            "version": "0.1.0",
            "description": "What an application asks of its payments backend. Errors are problem documents (RFC 9457) "
            "with a stable `code`. Amounts are integers in minor units, currencies lowercase.",
        },
        "servers": [{"url": app_url}],
        "paths": PATHS,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "`sub`: the application's user id; `exp`; optionally `email` and `scope`.",
                },
                "page": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "token",
                    "description": "What a success page has in its address: reads one order's status.",
                },
            },
        },
    }
