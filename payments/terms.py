"""What a subscription was sold for, and what its invoices come to against that: paid until when, failing or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from payments.invoice import Invoice, InvoiceReason, InvoiceStatus
from payments.money import Money


@dataclass(frozen=True, slots=True)
class Terms:
    """``first_due``: what its order expects; None where no order began it. ``has_trial``: its plan had one then."""

    first_due: Money | None
    has_trial: bool
    currency: str | None

    def accepts(self, invoice: Invoice) -> bool:
        """Whether it is paid, in the right currency, and the first one with exactly what the order expects."""
        if invoice.status is not InvoiceStatus.PAID or self.currency not in {None, invoice.due.currency}:
            return False
        if invoice.reason is not InvoiceReason.FIRST or self.first_due is None:
            return True
        return invoice.due == invoice.paid == self.first_due

    def paid_until(self, invoices: Iterable[Invoice]) -> datetime | None:
        """The end of the last period that is paid; never a period that only the gateway's status implies (F80)."""
        return max(
            (i.period_end for i in invoices if i.period_end and self.accepts(i) and not self._is_a_trials(i)),
            default=None,
        )

    def failing_renewal(self, invoices: tuple[Invoice, ...]) -> Invoice | None:
        """The renewal that failed and was not overtaken by a later one: what a halt left unpaid stays unpaid (F82)."""
        failing = [i for i in invoices if i.reason is InvoiceReason.RENEWAL and i.is_failing]
        return max(
            (i for i in failing if not self._is_overtaken(i, invoices)),
            key=lambda i: (i.failing_since, i.gateway_invoice_id),
            default=None,
        )

    def _is_a_trials(self, invoice: Invoice) -> bool:
        """Stripe writes an invoice over 0 for a trial; how long the trial lasts, the subscription alone says (F78)."""
        return self.has_trial and invoice.reason is InvoiceReason.FIRST and invoice.due.minor == 0

    def _is_overtaken(self, failing: Invoice, invoices: Iterable[Invoice]) -> bool:
        return any(self._overtakes(paid, failing) for paid in invoices if self.accepts(paid))

    def _overtakes(self, paid: Invoice, failing: Invoice) -> bool:
        if paid.period_end and failing.period_end:
            return paid.period_end >= failing.period_end and not self._is_a_trials(paid)
        is_renewal = paid.reason is InvoiceReason.RENEWAL
        return bool(is_renewal and paid.paid_at and failing.failing_since and paid.paid_at >= failing.failing_since)
