"""What a subscription was sold for, and what its invoices come to against that: paid until when, failing or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from payments.invoice import Invoice, InvoiceReason, InvoiceStatus
from payments.money import Money
from payments.snapshot import NEVER


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

    def grants(self, invoice: Invoice) -> bool:
        """Whether it pays for its period: the first one, a renewal, or a change of plan that took money. Without any, a
        change may be set off against a period that was never paid; and what else is billed may be for anything."""
        if not self.accepts(invoice) or self._is_a_trials(invoice):
            return False
        if invoice.reason is InvoiceReason.CHANGE:
            return invoice.paid.minor > 0
        return invoice.reason in {InvoiceReason.FIRST, InvoiceReason.RENEWAL}

    def beside_a_failing_renewal(self, invoices: tuple[Invoice, ...]) -> tuple[Invoice, ...]:
        """Changes of plan whose money overtakes a renewal that nothing else has: it may have been set off, or not."""
        changes = [i for i in invoices if self.grants(i) and i.reason is InvoiceReason.CHANGE]
        others = [i for i in invoices if self.grants(i) and i.reason is not InvoiceReason.CHANGE]
        failing = [i for i in invoices if _is_a_failing_renewal(i) and not self._is_overtaken(i, others)]
        return tuple(i for i in changes if any(self._overtakes(i, renewal) for renewal in failing))

    def granting_nothing(self, invoices: tuple[Invoice, ...], covered_until: datetime | None) -> tuple[Invoice, ...]:
        """Those that are paid, and no renewal, for a period that they do not grant, beyond what is paid or on trial."""
        paid = [i for i in invoices if self.accepts(i) and not self.grants(i) and not self._is_a_trials(i)]
        return tuple(
            i for i in paid if i.period_end is not None and (covered_until is None or i.period_end > covered_until)
        )

    def paid_until(self, invoices: Iterable[Invoice]) -> datetime | None:
        """The end of the newest period that is still paid; never of one that only the gateway's status implies (F80).
        What began later has replaced the rest of it, also where the money of that is gone."""
        granting = self._granting(invoices)
        kept = max((i for i in granting if i.taken_back is None), key=_begun, default=None)
        if kept is None:
            return None
        ends = (kept.period_end, *(i.period_start for i in granting if _begun(i)[0] > _begun(kept)[0]))
        return min(filter(None, ends))

    def taken_back(self, invoices: Iterable[Invoice]) -> Invoice | None:
        """That of the newest period, where its money is gone."""
        newest = max(self._granting(invoices), key=lambda i: (*_begun(i), i.taken_back is None), default=None)
        return newest if newest and newest.taken_back else None

    def failing_renewal(self, invoices: tuple[Invoice, ...]) -> Invoice | None:
        """The renewal that failed and was not overtaken by a later one: what a halt left unpaid stays unpaid (F82)."""
        return max(
            (i for i in invoices if _is_a_failing_renewal(i) and not self._is_overtaken(i, invoices)),
            key=lambda i: (i.failing_since, i.gateway_invoice_id),
            default=None,
        )

    def _granting(self, invoices: Iterable[Invoice]) -> list[Invoice]:
        return [i for i in invoices if i.period_end and self.grants(i)]

    def _is_a_trials(self, invoice: Invoice) -> bool:
        """Stripe writes an invoice over 0 for a trial; how long the trial lasts, the subscription alone says (F78)."""
        return self.has_trial and invoice.reason is InvoiceReason.FIRST and invoice.due.minor == 0

    def _is_overtaken(self, failing: Invoice, invoices: Iterable[Invoice]) -> bool:
        return any(self._overtakes(paid, failing) for paid in invoices if self.grants(paid))

    def _overtakes(self, paid: Invoice, failing: Invoice) -> bool:
        if paid.period_start and failing.period_start and paid.period_start < failing.period_start:
            # However long it would have lasted: the plan may have changed since to one of shorter periods.
            return False
        if paid.period_end and failing.period_end:
            return paid.period_end >= failing.period_end
        is_renewal = paid.reason is InvoiceReason.RENEWAL
        return bool(is_renewal and paid.paid_at and failing.failing_since and paid.paid_at >= failing.failing_since)


def _begun(invoice: Invoice) -> tuple[datetime, datetime]:
    """Places periods by when they began: a year that a month has replaced would end last."""
    return invoice.period_start or NEVER, invoice.period_end or NEVER


def _is_a_failing_renewal(invoice: Invoice) -> bool:
    return invoice.reason is InvoiceReason.RENEWAL and invoice.is_failing
