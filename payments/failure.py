"""Why a payment did not happen, in our words, and the way forward: one table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FailureCode(StrEnum):
    """The stable codes that ``GET /order-status`` gives."""

    INSUFFICIENT_FUNDS = "insufficient_funds"
    EXPIRED_CARD = "expired_card"
    CARD_DECLINED = "card_declined"
    AUTHENTICATION_REQUIRED = "authentication_required"
    GATEWAY_ERROR = "gateway_error"
    UNKNOWN = "unknown"


class Action(StrEnum):
    """What the customer can do next."""

    RETRY = "retry"
    UPDATE_CARD = "update_card"
    CONTACT_BANK = "contact_bank"
    AUTHENTICATE = "authenticate"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Remedy:
    """The sentence that a customer reads, and the action that helps."""

    message: str
    action: Action


#: The guide's table of failures and responses. A bank's own reason is not repeated to the customer.
REMEDIES: dict[FailureCode, Remedy] = {
    FailureCode.INSUFFICIENT_FUNDS: Remedy(
        "The card has insufficient funds. Please try again or use another card.", Action.RETRY
    ),
    FailureCode.EXPIRED_CARD: Remedy("The card has expired. Please use another card.", Action.UPDATE_CARD),
    FailureCode.CARD_DECLINED: Remedy(
        "The bank declined the payment. Please contact your bank or use another card.", Action.CONTACT_BANK
    ),
    FailureCode.AUTHENTICATION_REQUIRED: Remedy(
        "The bank asks you to confirm this payment. Please try again and complete the confirmation.",
        Action.AUTHENTICATE,
    ),
    FailureCode.GATEWAY_ERROR: Remedy(
        "The payment provider could not take the payment. Please try again.", Action.RETRY
    ),
    FailureCode.UNKNOWN: Remedy(
        "We do not know yet how this payment stands. Please do not pay again; look here again in a moment.",
        Action.WAIT,
    ),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One declined or broken attempt: our code, and the gateway's own word for support (never card data)."""

    code: FailureCode
    gateway_reason: str = ""
