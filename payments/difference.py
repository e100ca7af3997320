"""What only a person can judge: a gateway's figures beside ours, where the two do not agree."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from payments.money import Money


class Difference(StrEnum):
    """Also the kind of the discrepancy that is opened."""

    AMOUNT_MISMATCH = "amount_mismatch"  # the first invoice is not what its order expects: it grants nothing
    CURRENCY_MISMATCH = "currency_mismatch"  # nor does one in another currency
    DUPLICATE_PAYMENT = "duplicate_payment"  # another payment has paid this invoice
    INVOICE_AMOUNT_DIFFERS = "invoice_amount_differs"  # a renewal at another price: it grants all the same
    INVOICE_PERIOD_IN_DOUBT = "invoice_period_in_doubt"  # no renewal, and paid for a period
    LATE_SUCCESS = "late_success"  # an invoice was paid after the subscription's end: it grants nothing
    SUBSCRIPTION_CONFLICT = "subscription_conflict"  # a second one at the gateway, or one that lives though ours ended


#: What is proposed to the person who looks at it.
PROPOSED: dict[Difference, str] = {
    Difference.AMOUNT_MISMATCH: "accept_or_refund",
    Difference.CURRENCY_MISMATCH: "accept_or_refund",
    Difference.DUPLICATE_PAYMENT: "refund_payment",
    Difference.INVOICE_AMOUNT_DIFFERS: "accept_or_correct",
    Difference.INVOICE_PERIOD_IN_DOUBT: "accept_or_correct",
    Difference.LATE_SUCCESS: "refund_payment",
    Difference.SUBSCRIPTION_CONFLICT: "cancel_at_gateway",
}


@dataclass(frozen=True, slots=True)
class Raised:
    """A difference with both sides' figures. ``about`` is the gateway's name of what differs."""

    kind: Difference
    about: str
    expected: Money | None = None
    paid: Money | None = None

    @property
    def what(self) -> str:
        """Tells it from another of its kind; the same however often it is found."""
        return f"{self.about}:{self.paid}" if self.paid else self.about

    @property
    def proposed(self) -> str:
        return PROPOSED[self.kind]
