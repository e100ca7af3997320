"""What an answer of Razorpay's means. Almost every no is a 400 ``BAD_REQUEST_ERROR``, told apart by its sentence alone.

Source: the errors listed at each endpoint in Razorpay's API reference.
"""

from __future__ import annotations

import json

import httpx

from gateways.calling import Answer, Denial, NoAnswer, retry_after_seconds
from gateways.client import Doubt, Refusal
from gateways.gateway import Json
from gateways.razorpay.wire import Heard
from gateways.reading import as_object, as_text

#: Sentences that say more than "no", in lower case.
_GONE = ("id provided does not exist", "not a valid id")
_REFERENCE_TAKEN = ("reference id already attempted", "different request with the same idempotency key")
_EXPIRES_TOO_SOON = ("15 minutes in future", "lesser than the current time")

#: Codes that no request of ours is to blame for, whatever status comes with them.
_NOT_OURS = frozenset({"GATEWAY_ERROR", "SERVER_ERROR"})


def judge(heard: Heard) -> Answer | Denial:
    """Raises ``NoAnswer`` where the answer does not say what was done."""
    request_id = as_text(heard.headers.get("request-id"))
    body = _read_object(heard)
    if httpx.codes.is_success(heard.status_code) and body is not None:
        return Answer(body, request_id)
    if heard.status_code == httpx.codes.TOO_MANY_REQUESTS:
        wish = retry_after_seconds(heard.headers.get("retry-after"))
        raise NoAnswer(Doubt.RATE_LIMITED, may_have_acted=False, retry_after_seconds=wish, request_id=request_id)
    error = as_object(body.get("error")) if body is not None else {}
    code = as_text(error.get("code"))
    if httpx.codes.is_server_error(heard.status_code) or code in _NOT_OURS:
        raise NoAnswer(Doubt.SERVER_ERROR, request_id=request_id)
    if heard.status_code == httpx.codes.CONFLICT:
        # Of all requests only a refund has a key, and another one with it is being answered.
        raise NoAnswer(Doubt.KEY_IN_USE, request_id=request_id)
    if httpx.codes.is_client_error(heard.status_code) and code:
        return _judge_denial(heard.status_code, error, code, request_id)
    raise NoAnswer(Doubt.UNREADABLE, request_id=request_id)


def _judge_denial(status: int, error: Json, code: str, request_id: str | None) -> Denial:
    sentence = str(error.get("description", ""))
    said = sentence.lower()
    reason = f"{code}: {sentence}"
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return Denial(Refusal.CREDENTIALS, reason, request_id=request_id)
    if any(words in said for words in _REFERENCE_TAKEN):
        return Denial(Refusal.KEY_REUSED, reason, request_id=request_id)
    if any(words in said for words in _EXPIRES_TOO_SOON):
        return Denial(Refusal.OUTDATED, reason, request_id=request_id)
    is_gone = any(words in said for words in _GONE)
    return Denial(Refusal.INVALID, reason, is_gone=is_gone, request_id=request_id)


def _read_object(heard: Heard) -> Json | None:
    """None for a page of HTML, for ``204``, and for JSON that is no object."""
    try:
        body = json.loads(heard.content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None
