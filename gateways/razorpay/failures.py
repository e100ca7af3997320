"""Why a payment did not happen: Razorpay's error reasons in our words, one table.

Source: Razorpay docs, "Error Reasons" and the lists of errors for cards and UPI. ``error_code`` is only a class of
errors, ``error_description`` is for people and changes.
"""

from __future__ import annotations

from gateways.gateway import Json
from gateways.reading import as_text
from payments.failure import Failure, FailureCode

#: Every other reason is the bank's refusal: generic message, contact the bank.
REASONS: dict[str, FailureCode] = {
    "insufficient_funds": FailureCode.INSUFFICIENT_FUNDS,
    **dict.fromkeys(("card_expired", "incorrect_card_expiry_date"), FailureCode.EXPIRED_CARD),
    # The customer has not confirmed, not correctly, or not in time.
    **dict.fromkeys(
        (
            "authentication_failed",
            "incorrect_otp",
            "invalid_otp",
            "otp_expired",
            "otp_attempts_exceeded",
            "incorrect_pin",
            "incorrect_atm_pin",
            "payment_cancelled",
            "payment_timed_out",
            "payment_session_expired",
            "payment_collect_request_expired",
        ),
        FailureCode.AUTHENTICATION_REQUIRED,
    ),
    # Nobody refused; the answer did not come.
    **dict.fromkeys(
        (
            "gateway_technical_error",
            "bank_technical_error",
            "issuer_technical_error",
            "upi_app_technical_error",
            "server_error",
            "request_timed_out",
            "invalid_response_from_gateway",
            "bank_not_available",
            "bank_cutoff_in_progress",
            "psp_not_available",
            "psp_app_not_available",
            "payment_declined_due_to_high_traffic",
            "capture_failed",
            "credit_failed",
        ),
        FailureCode.GATEWAY_ERROR,
    ),
}

#: Classes of errors, and sources, that no bank and no customer stands behind.
NOT_A_DECLINE = frozenset({"GATEWAY_ERROR", "SERVER_ERROR", "business", "internal"})


def read_failure(payment: Json) -> Failure:
    """From the payment's ``error_...`` fields; old payments have a code and no reason."""
    reason, code, source = (as_text(payment.get(f"error_{name}")) for name in ("reason", "code", "source"))
    word = reason or code or ""
    if reason in REASONS:
        return Failure(REASONS[reason], word)
    if {code, source} & NOT_A_DECLINE:
        return Failure(FailureCode.GATEWAY_ERROR, word)
    return Failure(FailureCode.CARD_DECLINED if word else FailureCode.UNKNOWN, word)
