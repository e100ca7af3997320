"""What one pays with through the API: Stripe's test methods by name, its test numbers, and what each of them does.

Of a method only the last four digits are kept, and they are enough to tell what it does.
Sources: docs.stripe.com/testing and docs.stripe.com/payments/sepa-debit/accept-a-payment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox import card_numbers
from sandbox.cards import Card, CardRefused, Decline, read_card
from sandbox.store import Json
from sandbox.stripe.errors import StripeError

#: Before these words stands ``pm_card_`` or ``tok_``; ``visa_chargeDeclined`` is another name of ``chargeDeclined``.
CARDS = {
    "visa": Card("4242"),
    "visa_debit": Card("5556"),
    "mastercard": Card("4444", brand="mastercard"),
    "amex": Card("8431", brand="amex"),
    "us": Card("4242"),
    "bypassPending": Card("0077"),
    "chargeDeclined": Card("0002", Decline.GENERIC),
    "chargeDeclinedInsufficientFunds": Card("9995", Decline.INSUFFICIENT_FUNDS),
    "chargeDeclinedExpiredCard": Card("0069", Decline.EXPIRED),
    "chargeDeclinedIncorrectCvc": Card("0127", Decline.INCORRECT_CVC),
    "chargeDeclinedProcessingError": Card("0119", Decline.PROCESSING_ERROR),
    "chargeDeclinedLostCard": Card("9987", Decline.LOST),
    "chargeDeclinedStolenCard": Card("9979", Decline.STOLEN),
    "chargeDeclinedVelocityLimitExceeded": Card("6975", Decline.TOO_OFTEN),
    "chargeCustomerFail": Card("0341", Decline.GENERIC, fails_later=True),
    # These pay; what comes afterwards, ``refunding`` and ``disputing`` tell by their last digits.
    "pendingRefund": Card("7726"),
    "refundFail": Card("5126"),
    "createDispute": Card("0259"),
    "createDisputeProductNotReceived": Card("2685"),
    "createDisputeInquiry": Card("1976"),
    "createIssuerFraudRecord": Card("5423"),
    "authenticationRequired": Card("3184", asks_for_authentication=True),
    "authenticationRequiredOnSetup": Card("3155", asks_for_authentication=True),
    "authenticationRequiredChargeDeclinedInsufficientFunds": Card("3178", Decline.INSUFFICIENT_FUNDS, True),
    "threeDSecure2Required": Card("3220", asks_for_authentication=True),
    "threeDSecureRequired": Card("3063", asks_for_authentication=True),
}
_PREFIXES = ("pm_card_", "tok_")
#: Asks for 3-D Secure when it is typed in, and not again once it is kept.
_ASKS_ONCE = "3155"
_CARD_OF = {card.last4: card for card in CARDS.values()}


@dataclass(frozen=True, slots=True)
class Debit:
    """A SEPA account: accepted at once, settled or failed so many seconds later."""

    last4: str
    country: str
    bank: str
    settles_after: int
    decline: Decline | None = None


_IBANS = {
    "AT611904300234573201": Debit("3201", "AT", "19043", 0),
    "AT321904300235473204": Debit("3204", "AT", "19043", 180),
    "AT861904300235473202": Debit("3202", "AT", "19043", 0, Decline.DEBIT_FAILED),
    "AT051904300235473205": Debit("3205", "AT", "19043", 180, Decline.DEBIT_FAILED),
    "IT60X0542811101000000123456": Debit("3456", "IT", "05428", 0, Decline.DEBIT_FAILED),
}
_DEBIT_OF = {debit.last4: debit for debit in _IBANS.values()}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What happens when it is charged; ``settles_after`` is None where the answer comes at once."""

    decline: Decline | None = None
    asks_for_authentication: bool = False
    settles_after: int | None = None


def behaviour_of(method: Json) -> Behaviour:
    if method["type"] == "card":
        card = _CARD_OF[method["card"]["last4"]]
        return Behaviour(card.decline, card.asks_for_authentication)
    debit = _DEBIT_OF[method["sepa_debit"]["last4"]]
    return Behaviour(debit.decline, settles_after=debit.settles_after)


def behaviour_unattended(method: Json) -> Behaviour:
    """The same where nobody is there to be asked: a bank that let the customer keep this card asks no more."""
    behaviour = behaviour_of(method)
    if method["customer"] is not None and method["type"] == "card" and method["card"]["last4"] == _ASKS_ONCE:
        return Behaviour(behaviour.decline)
    return behaviour


def fails_later(method: Json) -> bool:
    """Whether a bank lets a shop keep this card although it will not pay."""
    return method["type"] == "card" and _CARD_OF[method["card"]["last4"]].fails_later


def is_ready_made(name: str) -> bool:
    """A name that stands for a method, rather than the id of one."""
    return name.startswith(_PREFIXES)


def read_name(name: str, param: str) -> Card:
    """The card that ``pm_card_visa`` and its like stand for."""
    word = name.removeprefix(_PREFIXES[0]).removeprefix(_PREFIXES[1])
    card = CARDS.get(word) or CARDS.get(word.removeprefix("visa_"))
    if card is None:
        raise StripeError(f"The sandbox has no test method of this name: {name[:60]}", param=param)
    return card


def read_iban(iban: str, param: str) -> Debit:
    debit = _IBANS.get(iban.replace(" ", "").upper())
    if debit is None:
        raise _foreign(param)
    return debit


def refuse_foreign_numbers(parameters: Mapping[str, Any], path: str = "") -> None:
    """A card's or an account's number goes no further, unless it is a test number in its own field: neither kept nor
    repeated, not even as a hash of the call, out of which a number can be guessed."""
    for name, value in parameters.items():
        param = f"{path}[{name}]" if path else name
        if name == "number" and path.removesuffix("]").endswith("card"):
            _check_number(value, param)
        elif name == "iban":
            read_iban(value if isinstance(value, str) else "", param)
        elif isinstance(value, dict) and name != "metadata":
            refuse_foreign_numbers(value, param)
        elif card_numbers.are_in(value):
            message = f"`{param}` holds a card number, and nothing here may keep one. Use `pm_card_visa` and its like."
            raise StripeError(message, param=param)


def _check_number(value: object, param: str) -> None:
    try:
        read_card(value if isinstance(value, str) else "")
    except CardRefused:
        raise _foreign(param) from None


def _foreign(param: str) -> StripeError:
    return StripeError(
        "Your request used a number that is none of the sandbox's test numbers. Use `pm_card_visa` and its like.",
        status=402,
        type="card_error",
        code="card_declined",
        param=param,
    )
