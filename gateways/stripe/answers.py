"""What an answer of Stripe's means, or the lack of one: the SDK's many exceptions as our three kinds.

409                     the key is being answered elsewhere: wait, and ask again
5xx, lost, timed out    nobody knows: ask again under the same key
5xx, replayed           the key's stored answer is an error for a day: only looking helps
4xx                     no, and nothing was done
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import httpx
import stripe

from gateways.calling import Answer, Denial, NoAnswer, lost, retry_after_seconds
from gateways.client import Doubt, Endpoint, Refusal
from gateways.gateway import Json
from gateways.reading import as_id, as_text, texts
from gateways.translating import Unreadable, needed

#: In the words of the first API, and of the second.
NOT_THERE = frozenset({"resource_missing", "not_found"})

#: One request through the SDK.
Send = Callable[[], Awaitable[object]]

#: How a request for a refund names the payment.
_REFUNDED = frozenset({"payment_intent", "charge"})


async def send_once(send: Send) -> Answer | Denial:
    try:
        answered = await send()
    except stripe.StripeError as error:
        return _judge(error)
    except (AttributeError, LookupError, TypeError, ValueError):
        # JSON, but not Stripe's: the SDK trips over it.
        raise NoAnswer(Doubt.UNREADABLE) from None
    response = answered.last_response if isinstance(answered, stripe.StripeObject) else None
    if response is None or not isinstance(response.data, dict):
        raise NoAnswer(Doubt.UNREADABLE)
    return Answer(response.data, as_text(response.request_id))


def _judge(error: stripe.StripeError) -> Denial:
    """What a failure says. Raises ``NoAnswer`` where it does not say that nothing was done."""
    request_id = as_text(error.request_id)
    reason = f"{error.code}: {error.user_message}" if error.code else str(error.user_message)
    match error:
        case stripe.APIConnectionError():
            raise lost(error.__cause__) from None
        case stripe.RateLimitError() | stripe.APIError(http_status=httpx.codes.TOO_MANY_REQUESTS):
            wish = retry_after_seconds(_headers(error).get("retry-after"))
            raise NoAnswer(
                Doubt.RATE_LIMITED, may_have_acted=False, retry_after_seconds=wish, request_id=request_id
            ) from None
        case stripe.AuthenticationError() | stripe.PermissionError():
            return Denial(Refusal.CREDENTIALS, reason, request_id=request_id)
        case stripe.IdempotencyError():
            return Denial(Refusal.KEY_REUSED, reason, request_id=request_id)
        case stripe.InvalidRequestError(param="expires_at"):
            return Denial(Refusal.OUTDATED, reason, request_id=request_id)
        case stripe.InvalidRequestError() | stripe.CardError():
            is_gone = error.code in NOT_THERE and _names_its_subject(error)
            return Denial(Refusal.INVALID, reason, is_gone=is_gone, request_id=request_id)
        case _:
            raise _broken(error, request_id) from None


def _names_its_subject(error: stripe.StripeError) -> bool:
    """What was asked about is missing, and not something that was named beside it. A payment to be refunded is named in
    the body, where Stripe has told of what is missing with either status."""
    return error.http_status == httpx.codes.NOT_FOUND or getattr(error, "param", None) in _REFUNDED


def _broken(error: stripe.StripeError, request_id: str | None) -> NoAnswer:
    """409, 5xx, or a page that is not Stripe's at all."""
    headers, status = _headers(error), error.http_status or 0
    if status == httpx.codes.CONFLICT:
        return NoAnswer(Doubt.KEY_IN_USE, request_id=request_id)
    if headers.get("idempotent-replayed") == "true":
        return NoAnswer(Doubt.KEY_SPENT, is_final=True, request_id=request_id)
    if httpx.codes.is_server_error(status):
        is_final = headers.get("stripe-should-retry") == "false"
        return NoAnswer(Doubt.SERVER_ERROR, is_final=is_final, request_id=request_id)
    return NoAnswer(Doubt.UNREADABLE, request_id=request_id)


def _headers(error: stripe.StripeError) -> Mapping[str, str]:
    """Where the body is not JSON, the SDK keeps the headers in place of the body."""
    if error.headers:
        return error.headers
    return error.json_body if isinstance(error.json_body, httpx.Headers) else {}


def read_page(page: Json) -> tuple[list[Json], bool]:
    objects, has_more = page.get("data"), page.get("has_more")
    if not isinstance(objects, list) or not all(as_id(each) for each in objects):
        raise Unreadable("data is not a list of objects")
    if has_more and not objects:
        raise Unreadable("has_more contradicts data")
    return objects, bool(has_more)


def read_endpoint(endpoint: Json) -> Endpoint:
    """Raises ``Unreadable``."""
    wanted = endpoint.get("enabled_events")
    return Endpoint(
        id=needed(as_text(endpoint.get("id")), "id"),
        # Longer than our other texts, perhaps, and compared, not stored.
        url=needed(endpoint["url"] if isinstance(endpoint.get("url"), str) else None, "url"),
        is_enabled=needed(as_text(endpoint.get("status")), "status") == "enabled",
        api_version=as_text(endpoint.get("api_version")),
        event_types=frozenset(texts(*wanted)) if isinstance(wanted, list) else frozenset(),
    )
