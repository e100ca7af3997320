"""Razorpay's errors: almost everything is a 400 ``BAD_REQUEST_ERROR``, told apart by its description alone."""

from __future__ import annotations

import json
from dataclasses import dataclass

BAD_REQUEST = "BAD_REQUEST_ERROR"
NOT_APPLICABLE = "NA"


@dataclass
class RazorpayError(Exception):
    """What the caller is told; raising it undoes whatever the call has written."""

    description: str
    status: int = 400
    code: str = BAD_REQUEST
    field: str | None = None
    source: str = NOT_APPLICABLE
    step: str = NOT_APPLICABLE
    reason: str = NOT_APPLICABLE

    def body(self) -> bytes:
        error: dict[str, object] = {
            "code": self.code,
            "description": self.description,
            "source": self.source,
            "step": self.step,
            "reason": self.reason,
            "metadata": {},
        }
        if self.field is not None:
            error["field"] = self.field
        return json.dumps({"error": error}, separators=(",", ":")).encode()


def no_such_id() -> RazorpayError:
    """The same for every kind of object, and 400, not 404."""
    return RazorpayError("The id provided does not exist", source="business", reason="input_validation_failed")


def invalid(description: str, field: str | None = None) -> RazorpayError:
    return RazorpayError(description, field=field, source="business", reason="input_validation_failed")


def unknown_url() -> RazorpayError:
    return RazorpayError("The requested URL was not found on the server.")


def not_authenticated() -> RazorpayError:
    return RazorpayError("Authentication failed", status=401)


def rate_limited() -> RazorpayError:
    return RazorpayError("Request failed because the request limit was exceeded. Please try again shortly.", status=429)


def server_error() -> RazorpayError:
    return RazorpayError(
        "We are facing some trouble completing your request at the moment. Please try again shortly.",
        status=500,
        code="SERVER_ERROR",
    )
