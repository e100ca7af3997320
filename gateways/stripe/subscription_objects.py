"""A subscription of Stripe's and its invoices, as its API gives them, in our words: the events that led there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gateways.gateway import Json
from gateways.reading import as_id, as_object, as_text
from gateways.stripe.events import translate_snapshot
from gateways.stripe.invoices import read_payment_time
from gateways.stripe.subscriptions import read_end, read_references
from gateways.translating import gather
from payments.events import Observed

#: What invoices have to be asked with, for their money to be told too. Their payment intents, which say why one failed,
#: lie one level deeper than Stripe expands in a list (docs.stripe.com/api/expanding_objects): see ``unexplained``.
EXPAND_INVOICES = ["data.payments"]

_INVOICE_EVENTS = {
    "draft": "invoice.created",
    "open": "invoice.finalized",
    "paid": "invoice.paid",
    "void": "invoice.voided",
    "uncollectible": "invoice.marked_uncollectible",
}

#: In these, an open invoice that was tried has failed. In any other its payment may be on its way.
_FAILING = frozenset({"past_due", "unpaid", "incomplete"})


def read_subscription(
    subscription: Json, invoices: Sequence[Json] = (), intents: Sequence[Json] = ()
) -> tuple[Observed, ...]:
    """What the webhooks of these objects would have told, the invoices first: how it is follows from them. The newest
    before the others, so that what it pays for is known before anybody finds that an older period is over; but what was
    paid after its end comes after it.

    ``invoices`` are newest first, as Stripe lists them, with their payments; without any, the subscription's latest is
    taken if it is there whole. ``intents`` are the payments that ``unexplained`` names. Raises ``TranslationError``.
    """
    by_id = {name: intent for intent in intents if (name := as_id(intent)) is not None}
    story = _story(subscription, invoices or _latest_invoice(subscription), by_id)
    return gather(read_references(subscription), map(translate_snapshot, story))


def unexplained(invoices: Sequence[Json]) -> tuple[str, ...]:
    """The payment intents of invoices that were tried and are still open: each knows why."""
    tried = [each for each in invoices if each.get("status") == "open" and each.get("attempt_count")]
    found = [as_id(paying.get("payment_intent")) for invoice in tried for paying in _paying(invoice)]
    return tuple(dict.fromkeys(name for name in found if name is not None))


def _latest_invoice(subscription: Json) -> Sequence[Json]:
    latest = as_object(subscription.get("latest_invoice"))
    return (latest,) if latest else ()


def _story(subscription: Json, invoices: Sequence[Json], intents: Mapping[str, Json]) -> Iterator[Json]:
    ended_at = read_end(subscription)
    late = [each for each in invoices if ended_at and (read_payment_time(each) or ended_at) > ended_at]
    yield from _tell_invoices([each for each in invoices if each not in late], subscription, intents)
    is_over = subscription.get("status") == "canceled"
    yield _event(f"customer.subscription.{'deleted' if is_over else 'updated'}", subscription)
    yield from _tell_invoices(late, subscription, intents)


def _tell_invoices(invoices: Sequence[Json], subscription: Json, intents: Mapping[str, Json]) -> Iterator[Json]:
    for invoice in invoices:
        whole = _with_intents(invoice, intents)
        if (event_type := _event_type(whole, subscription)) is not None:
            yield _event(event_type, whole)


def _event_type(invoice: Json, subscription: Json) -> str | None:
    status = as_text(invoice.get("status")) or ""
    if status != "open" or not invoice.get("attempt_count"):
        return _INVOICE_EVENTS.get(status)
    intents = [as_object(paying.get("payment_intent")) for paying in _paying(invoice)]
    if any(intent.get("status") == "requires_action" for intent in intents):
        return "invoice.payment_action_required"
    has_failed = any(as_object(intent.get("last_payment_error")) for intent in intents)
    return (
        "invoice.payment_failed"
        if has_failed or as_text(subscription.get("status")) in _FAILING
        else "invoice.finalized"
    )


def _with_intents(invoice: Json, intents: Mapping[str, Json]) -> Json:
    payments = as_object(invoice.get("payments"))
    data = payments.get("data")
    if not isinstance(data, list):
        return invoice
    whole = [
        {**as_object(each), "payment": _expanded(as_object(as_object(each).get("payment")), intents)} for each in data
    ]
    return {**invoice, "payments": {**payments, "data": whole}}


def _expanded(paying: Json, intents: Mapping[str, Json]) -> Json:
    intent = intents.get(as_id(paying.get("payment_intent")) or "")
    return paying if intent is None else {**paying, "payment_intent": intent}


def _paying(invoice: Json) -> Iterator[Json]:
    data = as_object(invoice.get("payments")).get("data")
    for each in data if isinstance(data, list) else ():
        yield as_object(as_object(each).get("payment"))


def _event(event_type: str, about: Json) -> Json:
    return {"object": "event", "type": event_type, "data": {"object": about}}
