"""What a call says about a PaymentIntent: what is to be paid, by which methods, and how it is confirmed."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import addresses, method_types, payers, versions
from sandbox.stripe.calls import Call
from sandbox.stripe.charging import Terms
from sandbox.stripe.errors import StripeError, missing, not_simulated
from sandbox.stripe.money import check_charge, check_currency
from sandbox.stripe.parameters import Parameters
from sandbox.stripe.refusals import NOBODY_TO_ASK, NOT_TO_BE_ASKED

CAPTURE_METHODS = {"automatic", "automatic_async", "manual"}

#: Taken, and of no consequence in here. Some are shown on the intent.
_ACCEPTED = (
    "amount_details", "mandate", "mandate_data", "on_behalf_of", "payment_details", "payment_method_configuration",
    "radar_options", "use_stripe_sdk",
)  # fmt: skip
_NOT_SIMULATED = (
    "amount_to_confirm", "application_fee_amount", "confirmation_token", "customer_account",
    "excluded_payment_method_types", "hooks", "transfer_data",
)  # fmt: skip
#: They speak of a confirmation, and mean nothing without one.
_ONLY_WITH_CONFIRM = ("off_session", "error_on_requires_action", "return_url", "mandate_data")
_TEXTS = {"description": 1000, "receipt_email": 512, "statement_descriptor": 22, "statement_descriptor_suffix": 22}


def read_new(call: Call) -> Json:
    """Everything about an intent that is to be made."""
    parameters = call.parameters
    amount, currency = parameters.integer("amount"), parameters.text("currency")
    if amount is None:
        raise missing("amount")
    if currency is None:
        raise missing("currency")
    currency = check_currency(currency, "currency")
    check_charge(amount, currency, "amount")
    return {
        "amount": amount,
        "currency": currency,
        **_read_methods(call, currency),
        "confirmation_method": parameters.choice("confirmation_method", {"automatic", "manual"}) or "automatic",
        "capture_method": parameters.choice("capture_method", CAPTURE_METHODS) or _capture_method(call.version),
        **read_notes(call),
        **read_terms_of_use(call),
    }


def read_changes(call: Call, intent: Json) -> Json:
    """What a call changes about the payment itself."""
    parameters = call.parameters
    currency, amount = parameters.text("currency"), parameters.integer("amount")
    currency = intent["currency"] if currency is None else check_currency(currency, "currency")
    amount = intent["amount"] if amount is None else amount
    check_charge(amount, currency, "amount")
    changes: Json = {"amount": amount, "currency": currency}
    if "capture_method" in parameters:
        changes["capture_method"] = parameters.choice("capture_method", CAPTURE_METHODS)
    wanted = method_types.choose(call, currency)
    if wanted is not None:
        changes |= {"payment_method_types": wanted, "automatic_payment_methods": None}
    return {**changes, **read_terms_of_use(call)}


def read_notes(call: Call) -> Json:
    """What is noted on the intent and changes nothing about the payment; only what the call names."""
    parameters = call.parameters
    notes: Json = {name: parameters.text(name, limit=limit) for name, limit in _TEXTS.items() if name in parameters}
    if "transfer_group" in parameters:
        notes["transfer_group"] = parameters.text("transfer_group")
    shipping = addresses.read_shipping(parameters)
    return notes if shipping is None else {**notes, "shipping": shipping}


def read_terms_of_use(call: Call) -> Json:
    """Whose the method is, and whether it is kept for later."""
    parameters = call.parameters
    told: Json = {}
    if "customer" in parameters:
        told["customer"] = payers.find_living(call, parameters.required_text("customer"), "customer")["id"]
    if "setup_future_usage" in parameters:
        told["setup_future_usage"] = parameters.choice("setup_future_usage", {"off_session", "on_session"})
    return told


def read_terms(parameters: Parameters) -> Terms:
    """How this confirmation is made."""
    absent = parameters.choice("off_session", {"true", "false", "one_off", "recurring"}) not in {None, "false"}
    unasked = NOT_TO_BE_ASKED if parameters.flag("error_on_requires_action") else None
    return Terms(unasked=NOBODY_TO_ASK if absent else unasked, return_url=parameters.url("return_url"))


def refuse_terms(parameters: Parameters) -> None:
    for name in _ONLY_WITH_CONFIRM:
        if name in parameters:
            message = f"The parameter `{name}` cannot be passed when creating a PaymentIntent unless `confirm` is true."
            raise StripeError(message, param=name)


def refuse_others(parameters: Parameters) -> None:
    """Whatever has not been asked for by now."""
    options = parameters.level("payment_method_options")
    if options is not None:
        card = options.level("card")
        if card is not None and "capture_method" in card:
            raise not_simulated(card.name("capture_method"))
    parameters.accept(_ACCEPTED)
    parameters.refuse_simulation_of(_NOT_SIMULATED)
    parameters.refuse_rest()


def _read_methods(call: Call, currency: str) -> Json:
    """A list of kinds, or Stripe's choice, which since 2023-08-16 is what nobody needs to ask for."""
    wanted = method_types.choose(call, currency)
    level = call.parameters.level("automatic_payment_methods")
    enabled, redirects = _read_automatic(level) if level is not None else (None, "always")
    if enabled and wanted is not None:
        raise StripeError(
            "You may only specify one of these parameters: automatic_payment_methods, payment_method_types.",
            param="automatic_payment_methods",
        )
    if wanted is None and enabled is None:
        enabled = not versions.is_before(call.version, versions.AUTOMATIC_METHODS)
    automatic = {"allow_redirects": redirects, "enabled": True} if enabled and wanted is None else None
    default = method_types.by_default(currency) if automatic else ["card"]
    return {"automatic_payment_methods": automatic, "payment_method_types": wanted or default}


def _read_automatic(level: Parameters) -> tuple[bool, str]:
    enabled = level.flag("enabled")
    redirects = level.choice("allow_redirects", {"always", "never"}) or "always"
    level.refuse_rest()
    if enabled is None:
        raise missing(level.name("enabled"))
    return enabled, redirects


def _capture_method(version: str) -> str:
    """Stripe's default was ``automatic`` until 2024-04-10."""
    return "automatic" if versions.is_before(version, versions.CAPTURES_LATER) else "automatic_async"
