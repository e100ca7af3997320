"""Which kinds of payment method a session or an intent takes. Endive gave the list another name.

A caller that names no version may use either name: the command-line tool writes the old one, whatever the account's
version is.
"""

from __future__ import annotations

from sandbox.stripe import versions
from sandbox.stripe.calls import Call
from sandbox.stripe.errors import StripeError, unknown

OLD, NEW = "payment_method_types", "allowed_payment_method_types"

#: What the sandbox can do something with.
KNOWN = ("card", "sepa_debit")


def read(call: Call) -> tuple[list[str] | None, str]:
    """The kinds that the call names, and under which name; None where it leaves the choice to Stripe."""
    is_old = versions.is_before(call.version, versions.ENDIVE)
    old, new = call.parameters.texts(OLD), call.parameters.texts(NEW)
    if old is not None and not is_old and call.names_version:
        raise unknown(OLD)
    if new is not None and is_old:
        raise unknown(NEW)
    return (old, OLD) if new is None else (new, NEW)


def choose(call: Call, currency: str) -> list[str] | None:
    """The kinds that the call names and the sandbox takes in this currency; None where the call names none."""
    wanted, param = read(call)
    if wanted is None:
        return None
    taken = [kind for kind in KNOWN if kind in wanted]
    if not taken:
        raise StripeError(f"The sandbox takes `{'` and `'.join(KNOWN)}` alone: name one of them.", param=param)
    if taken == ["sepa_debit"] and currency != "eur":
        message = f"The payment method `sepa_debit` only supports payments in EUR, and not in {currency.upper()}."
        raise StripeError(message, param=param)
    return taken


def by_default(currency: str) -> list[str]:
    """What Stripe chooses where nothing is named."""
    return ["card", "sepa_debit"] if currency == "eur" else ["card"]
