"""Stripe's errors: one exception with Stripe's words in it, and a function for each that is raised in several places.

StripeError
    raised while parameters are read   the call never began: an idempotency key keeps nothing of it
    raised with ``executed=True``      the call ran and this is its result: the key keeps it
    Declined                           so did this one, and what it has written stays: a bank said no, and Stripe tells
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from sandbox.store import Json

INVALID = "invalid_request_error"
TOO_MANY = 429
PAYMENT_REQUIRED = 402

#: What is not there is a 404 under these names, and a 400 under any other.
_NAMED_IN_URLS = {"charge", "id", "intent", "payment_intent", "payment_method", "session", "webhook_endpoint"}


@dataclass
class StripeError(Exception):
    """What the caller is told; raising it undoes whatever the call has written."""

    message: str
    status: int = 400
    type: str = INVALID
    code: str | None = None
    param: str | None = None
    executed: bool = False
    about: Json = field(default_factory=dict)

    def body(self, request_id: str) -> bytes:
        """The error as Stripe writes it, with the objects that it is about: what does not apply is left out."""
        error = {"code": self.code, "message": self.message, "param": self.param, "type": self.type, **self.about}
        if self.code is not None:
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
        told = {name: value for name, value in sorted(error.items()) if value is not None}
        return json.dumps({"error": told}, indent=2).encode() + b"\n"


class Declined(StripeError):
    """A bank's no. ``last_payment_error`` is the intent's, ``about`` names what else is told."""

    def __init__(self, last_payment_error: Json, about: Json) -> None:
        told = {**last_payment_error, **about}
        message, code = str(told["message"]), str(told["code"])
        super().__init__(message, PAYMENT_REQUIRED, "card_error", code, executed=True, about=told)


def missing(param: str) -> StripeError:
    return StripeError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def unknown(param: str) -> StripeError:
    return StripeError(f"Received unknown parameter: {param}", code="parameter_unknown", param=param)


def no_such(kind: str, object_id: str, param: str) -> StripeError:
    """An object that is not there: 404 where the URL names it, or what a refund is made of; else 400."""
    status = 404 if param in _NAMED_IN_URLS else 400
    return StripeError(f"No such {kind}: '{object_id}'", status=status, code="resource_missing", param=param)


def not_simulated(param: str) -> StripeError:
    """Stripe would take it and act on it. Taking it and doing nothing would be a lie about money."""
    return StripeError(f"The sandbox does not simulate `{param}`.", param=param)


def unknown_url(method: str, path: str) -> StripeError:
    return StripeError(
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at"
        " https://support.stripe.com/.",
        status=404,
    )


def server_error() -> StripeError:
    return StripeError(
        "An unknown error occurred on our side. (The sandbox was told to fail here.)",
        status=500,
        type="api_error",
        executed=True,
    )


def rate_limited() -> StripeError:
    return StripeError("Request rate limit exceeded.", status=TOO_MANY, code="rate_limit")
