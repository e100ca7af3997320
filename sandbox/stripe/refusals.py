"""In which words a bank's no reaches whoever wanted to pay (docs.stripe.com/declines/codes)."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.cards import Decline


@dataclass(frozen=True, slots=True)
class Refusal:
    """How an attempt fails. ``asks_bank`` is False where no bank was asked, and so there is no charge."""

    code: str
    decline_code: str | None
    message: str
    advice_code: str | None = "try_again_later"
    asks_bank: bool = True


REFUSALS = {
    Decline.GENERIC: Refusal("card_declined", "generic_decline", "Your card was declined."),
    Decline.INSUFFICIENT_FUNDS: Refusal("card_declined", "insufficient_funds", "Your card has insufficient funds."),
    Decline.EXPIRED: Refusal("expired_card", "expired_card", "Your card has expired.", "confirm_card_data"),
    Decline.INCORRECT_CVC: Refusal(
        "incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.", "confirm_card_data"
    ),
    Decline.PROCESSING_ERROR: Refusal(
        "processing_error",
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    Decline.LOST: Refusal("card_declined", "lost_card", "Your card was declined.", "do_not_try_again"),
    Decline.STOLEN: Refusal("card_declined", "stolen_card", "Your card was declined.", "do_not_try_again"),
    Decline.TOO_OFTEN: Refusal(
        "card_declined",
        "card_velocity_exceeded",
        "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    ),
    Decline.DEBIT_FAILED: Refusal(
        "payment_intent_payment_attempt_failed", None, "The payment attempt failed.", advice_code=None
    ),
}
NOT_AUTHENTICATED = Refusal(
    "payment_intent_authentication_failure",
    None,
    "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
    advice_code=None,
    asks_bank=False,
)
#: The customer is not there to be asked (``off_session``).
NOBODY_TO_ASK = Refusal(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)
#: The call wants no questions (``error_on_requires_action``).
NOT_TO_BE_ASKED = Refusal(
    "authentication_required",
    "authentication_required",
    "This payment required an authentication action to complete, but `error_on_requires_action` was set.",
    asks_bank=False,
)
