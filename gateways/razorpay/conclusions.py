"""What follows when our request was not simply answered, and the gateway has been asked what it holds instead."""

from __future__ import annotations

from gateways.calling import Answer, Denial
from gateways.client import (
    Absent,
    Captured,
    Created,
    Doubt,
    GatewayPayment,
    Gone,
    Refusal,
    Refused,
    SessionState,
    Unknown,
)
from gateways.gateway import Json
from gateways.razorpay.objects import read_items
from gateways.translating import Unreadable
from payments.events import Observed, PaymentSucceeded


def judge_creation(
    made: Denial | Unknown, found: SessionState | Absent | Refused | Unknown
) -> Created | Refused | Unknown:
    match found:
        case SessionState(session=session):
            return Created(session)
        case Absent():
            return _judge_nothing_made(made)
        case Refused(code=Refusal.KEY_REUSED):
            return found
        case Refused() | Unknown():
            # We could not look, so that not even a refusal can be believed: it may speak of a link that exists.
            return next((each for each in (made, found) if isinstance(each, Unknown)), Unknown(Doubt.UNREADABLE))


def _judge_nothing_made(made: Denial | Unknown) -> Refused | Unknown:
    """A reference that is taken although nothing bears it belongs to a request that is still being answered."""
    if isinstance(made, Unknown):
        return made
    return Unknown(Doubt.KEY_IN_USE) if made.refusal is Refusal.KEY_REUSED else made.refused


def judge_capture(
    asked: Answer | Denial | Unknown, payment: GatewayPayment | Gone | Refused | Unknown
) -> Captured | Gone | Refused | Unknown:
    """What the payment shows now; only where it shows no capture does the answer to our request matter."""
    match payment, asked:
        case GatewayPayment(observed=Observed(event=PaymentSucceeded()) as observed), _:
            return Captured(observed)
        case GatewayPayment(), Denial() as denial:
            return denial.refused
        case GatewayPayment(), Unknown() as unknown:
            return unknown
        case (Gone() | Refused() | Unknown()) as end, _:
            return end
        case _:
            # Told that it is captured, and shown that it is not.
            return Unknown(Doubt.UNREADABLE)


def pick_link(frozen: Json, collection: Json) -> str | Absent | Refused:
    """The id of the link that this request has made. Raises ``Unreadable``."""
    links = read_items(collection, "payment_links")
    if any(link.get("reference_id") != frozen["reference_id"] for link in links):
        # The filter was not applied, so that what is missing here proves nothing.
        raise Unreadable("payment links with other references")
    if not links:
        return Absent()
    if any(link.get(name) != frozen[name] for link in links for name in ("amount", "currency", "expire_by")):
        return Refused(Refusal.KEY_REUSED, "another request has made a link with this reference")
    return str(links[0].get("id"))
