"""Why a payment did not happen: Stripe's decline and error codes in our words, one table.

Sources: docs.stripe.com/declines/codes and docs.stripe.com/error-codes.
"""

from __future__ import annotations

from gateways.reading import as_object, as_text
from payments.failure import Failure, FailureCode
from payments.invoice import Advice

#: Every other decline is the bank's own business: generic message, contact the bank. ``advice_code`` is not used
#: here: ``try_again_later`` accompanies plain declines too, and would tell the customer to repeat what was refused.
CODES: dict[str, FailureCode] = {
    "insufficient_funds": FailureCode.INSUFFICIENT_FUNDS,
    **dict.fromkeys(
        ("expired_card", "expired_payment_method", "invalid_expiry_month", "invalid_expiry_year"),
        FailureCode.EXPIRED_CARD,
    ),
    # The customer has not confirmed, or not in time: 3-D Secure, and the bank's own page or app.
    **dict.fromkeys(
        (
            "authentication_required",
            "authentication_not_handled",
            "authentication_failure",
            "payment_intent_action_required",
            "payment_intent_authentication_failure",
            "payment_intent_payment_attempt_expired",
            "payment_method_customer_decline",
        ),
        FailureCode.AUTHENTICATION_REQUIRED,
    ),
    # Nobody refused; the answer did not come.
    **dict.fromkeys(
        (
            "processing_error",
            "issuer_not_available",
            "reenter_transaction",
            "try_again_later",
            "lock_timeout",
            "rate_limit",
            "card_decline_rate_limit_exceeded",
            "payment_intent_rate_limit_exceeded",
            "payment_method_provider_timeout",
            "payment_method_not_available",
            "three_d_secure_authentication_upstream_error",
        ),
        FailureCode.GATEWAY_ERROR,
    ),
}

#: Errors of these types are Stripe's own, whatever their code. ``invalid_request_error`` is not among them: wallets and
#: banks refuse under that type (``payment_method_provider_decline``).
NOT_A_DECLINE = frozenset({"api_error", "idempotency_error", "rate_limit_error"})


def read_failure(error: object) -> Failure:
    """From ``last_payment_error``. The decline code says more than the error's code, where there is one."""
    told = as_object(error)
    decline, code, kind = (as_text(told.get(name)) for name in ("decline_code", "code", "type"))
    reason = decline or code or kind or ""
    for word in (decline, code):
        if word in CODES:
            return Failure(CODES[word], reason)
    if kind in NOT_A_DECLINE:
        return Failure(FailureCode.GATEWAY_ERROR, reason)
    return Failure(FailureCode.CARD_DECLINED if reason else FailureCode.UNKNOWN, reason)


def read_advice(error: object) -> Advice | None:
    """What the same error says of charging again, which is for dunning to know."""
    told = as_text(as_object(error).get("advice_code"))
    return next((advice for advice in Advice if advice == told), None)
