"""The promises about subscriptions, as questions to both sides' books once everything has settled.

Whether one gives access is worked out here once more, from what the gateways hold: by the default policy, which takes
access with a renewal's first failure, and for a period whose money is wholly refunded or held by a dispute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from payments.order import SETTLED
from payments.subscription import MOVES
from tests.simulation.billing import Begun, Billed, Billing
from tests.simulation.books import Books, Row
from tests.simulation.money_back import MoneyBack
from tests.simulation.promises import Broken

LIVING = frozenset({"trialing", "active", "past_due", "paused", "unpaid"})

#: How long a gateway knows a key.
KEY_SECONDS = 24 * 60 * 60

#: How long access goes on while a renewal is on its way.
GRACE = timedelta(hours=24)


#: Before any period.
LONG_AGO = datetime.min.replace(tzinfo=UTC)

NOTHING_BACK = MoneyBack()

ONE_FACT = "one fact, one effect"


def check_all(books: Books, billing: Billing, back: MoneyBack) -> Iterator[Broken]:
    """Every promise about them."""
    begun = {each.order_id: each for each in billing.subscriptions if each.has_begun}
    yield from check_subscriptions(books, billing, back)
    yield from check_clicks(books)
    yield from check_unbegun(books, billing)
    for order_id, row in books.subscriptions.items():
        if order_id in begun:
            yield from check_invoices(books, begun[order_id])
            yield from check_access(row, books.orders[order_id], begun[order_id], billing.now, back)
            yield from check_notices(books, row, begun[order_id])
        yield from check_life(books, row)
    yield from check_customers(books, billing)


def check_subscriptions(books: Books, billing: Billing, back: MoneyBack) -> Iterator[Broken]:
    """What somebody began at a gateway is a row here, as the gateway holds it."""
    for begun in billing.subscriptions:
        row = books.subscriptions.get(begun.order_id)
        if not begun.has_begun:
            continue
        if row is None or row["gateway_subscription_id"] != begun.name:
            yield Broken("nothing is lost", f"nobody knows the subscription {begun}", begun.order_id)
            continue
        theirs = begun.status, *_running(begun.period_start, begun.period_end, begun.status)
        ours = row["status"], *_running(row["current_period_start"], row["current_period_end"], row["status"])
        if ours != theirs:
            yield Broken("a subscription is as its gateway holds it", f"{ours}, and there {theirs}", begun.order_id)
        if books.orders[begun.order_id]["status"] != _standing(begun, back):
            said = f"begun by an order that is {books.orders[begun.order_id]['status']}: {begun}"
            yield Broken("paid means paid", said, begun.order_id)


def _running(start: datetime | None, end: datetime | None, status: str) -> tuple[datetime | None, datetime | None]:
    """Of what has ended no period runs."""
    return (start, end) if status in LIVING else (None, None)


def _is_paid_for(begun: Begun) -> bool:
    """What its order asked for was taken: the first invoice in full, or nothing, with a trial."""
    first = [each for each in begun.invoices if each.is_first]
    return all(_counts(each) for each in first)


def _standing(begun: Begun, back: MoneyBack) -> str:
    """How its order stands: by what the first invoice took, where it took anything."""
    if not _is_paid_for(begun):
        return "pending"
    taken = [(each, name) for each in begun.invoices if each.is_first for name in _payments(each)]
    if not taken or not all(is_taken_back(each, back) for each, _ in taken):
        return "paid"
    return "disputed" if any(back.is_held(name) for _, name in taken) else "refunded"


def _payments(invoice: Billed) -> list[tuple[str, str]]:
    return [(invoice.gateway, payment) for payment in invoice.payments]


def is_taken_back(invoice: Billed, back: MoneyBack) -> bool:
    """Its money buys nothing any more."""
    names = _payments(invoice)
    return bool(names) and all(back.is_gone(name, invoice.paid) for name in names)


def _counts(invoice: Billed) -> bool:
    """A first one that took less than was asked for pays nothing."""
    return invoice.is_paid and not (invoice.is_first and invoice.paid < _asked(invoice))


def _asked(invoice: Billed) -> int:
    """The sandbox's shortfall is one minor unit, and every price here ends in two zeros."""
    return invoice.due if invoice.due % 100 == 0 else invoice.due + 1


def check_clicks(books: Books) -> Iterator[Broken]:
    """However often somebody clicks, they have one subscription of a plan."""
    living = Counter(
        (row["user_id"], row["plan_id"]) for row in books.subscriptions.values() if row["status"] in LIVING
    )
    for (user, plan), count in living.items():
        if count > 1:
            yield Broken("customers are told the truth", f"{user} has {count} subscriptions of {plan}")


def check_unbegun(books: Books, billing: Billing) -> Iterator[Broken]:
    """What nobody has begun gives nothing, and nobody is told of it."""
    begun = {each.order_id for each in billing.subscriptions if each.has_begun}
    for order_id, row in books.subscriptions.items():
        if order_id in begun:
            continue
        if row["status"] in LIVING or row["active"]:
            yield Broken("no access without paid time or trial", f"{row['status']}, and never begun", order_id)
        told = [each["kind"] for each in books.effects[order_id] if not each["kind"].startswith("gateway.")]
        if told:
            yield Broken(ONE_FACT, f"never begun, and {told}", order_id)


def check_invoices(books: Books, begun: Begun) -> Iterator[Broken]:
    """Each paid invoice there is a paid row here, once, with its payment; and none is paid here that is not there."""
    for invoice in begun.invoices:
        row = books.invoices.get((invoice.gateway, invoice.name))
        if row is None or row["of_order"] != begun.order_id:
            if invoice.is_paid:
                yield Broken("nothing is lost", f"{invoice} is not a row of its subscription", begun.order_id)
            continue
        if (row["status"] == "paid") != invoice.is_paid:
            yield Broken("paid means paid", f"an invoice is {row['status']} here, and there {invoice}", begun.order_id)
        if invoice.is_paid and (row["amount_paid"], row["currency"]) != (invoice.paid, invoice.currency):
            yield Broken("paid means paid", f"{row['amount_paid']} {row['currency']}: {invoice}", begun.order_id)
        for payment in invoice.payments if invoice.is_paid else ():
            money = books.payments.get((invoice.gateway, payment))
            if money is None or money["invoice_id"] != row["id"]:
                yield Broken("nothing is lost", f"the payment of {invoice} is not told as such", begun.order_id)
    theirs = {(invoice.gateway, invoice.name) for invoice in begun.invoices}
    for name, row in books.invoices.items():
        if row["of_order"] == begun.order_id and name not in theirs:
            yield Broken("nothing is made up", f"there is no invoice {name}", begun.order_id)


def check_access(row: Row, order: Row, begun: Begun, now: datetime, back: MoneyBack) -> Iterator[Broken]:
    """Access is what the policy makes of the gateway's truth."""
    lapses = row["lapses_at"] or row["until"]
    ours = row["active"] and (lapses is None or lapses > now)
    theirs = order["status"] in SETTLED and is_covered(begun, now, back)
    if ours != theirs:
        promise = "no access without paid time or trial" if ours else "who has paid may use it"
        said = f"access {ours} ({row['reason']}, until {row['until']}, {row['lapses_at']}) at {now}: {begun}"
        yield Broken(promise, said, begun.order_id)


def is_covered(begun: Begun, now: datetime, back: MoneyBack = NOTHING_BACK) -> bool:
    """By what is paid, or by its trial. Where the money of the newest period is gone, no renewal is on its way."""
    paid = [(each.period_end, is_taken_back(each, back)) for each in begun.invoices if each.period_end and _pays(each)]
    paid_until = max((end for end, is_gone in paid if not is_gone), default=None)
    gone_until = max((end for end, is_gone in paid if is_gone), default=LONG_AGO)
    ends = max(filter(None, (paid_until, begun.trial_end)), default=None)
    match begun.status:
        case "trialing" | "active":
            return ends is not None and now < ends + (GRACE if gone_until <= (paid_until or LONG_AGO) else timedelta(0))
        case "paused":
            return ends is not None and now < ends
        case _:
            return False


def _pays(invoice: Billed) -> bool:
    """With a trial, Stripe writes a first invoice over nothing."""
    return _counts(invoice) and not (invoice.is_first and not invoice.due)


def check_notices(books: Books, row: Row, begun: Begun) -> Iterator[Broken]:
    """What happened was told, once each; what did not, was not. Nobody is told of a beginning that is not paid for."""
    told = Counter(each["kind"] for each in books.effects[begun.order_id])
    keys = Counter(each["idempotency_key"] for each in books.effects[begun.order_id])
    is_paid_for = books.orders[begun.order_id]["status"] in SETTLED
    wanted = {
        "mail.subscription_started": is_paid_for,
        "notify.subscription.started": is_paid_for,
        "mail.subscription_cancelled": begun.status == "cancelled",
        "notify.subscription.cancelled": begun.status == "cancelled",
    }
    for kind, is_wanted in wanted.items():
        if told[kind] != is_wanted:
            yield Broken(ONE_FACT, f"{kind} {told[kind]} times of one that is {begun.status}", begun.order_id)
    for key, times in keys.items():
        if times > 1:
            yield Broken(ONE_FACT, f"{key} {times} times", begun.order_id)
    for kind in ("mail.subscription_renewed", "notify.subscription.renewed"):
        named = {key.removeprefix(f"{kind}:{row['id']}:") for key in keys if key.startswith(f"{kind}:")}
        if named != begun.renewals_paid:
            said = f"{kind} of {sorted(named)}, and paid are {sorted(begun.renewals_paid)}"
            yield Broken(ONE_FACT, said, begun.order_id)


def check_life(books: Books, row: Row) -> Iterator[Broken]:
    """Its history leads from incomplete to where it stands, by legal moves alone, without a gap."""
    at, legal = "incomplete", {(str(was), str(now)) for was, now in MOVES}
    for before, after in books.lives[row["of_order"]]:
        if before != at or (before, after) not in legal:
            yield Broken("only legal moves", f"a subscription's {before} to {after} while {at}", row["of_order"])
        at = after
    if at != row["status"]:
        yield Broken("only legal moves", f"a subscription told to be {at}, and is {row['status']}", row["of_order"])


def check_customers(books: Books, billing: Billing) -> Iterator[Broken]:
    """A user is one customer of a gateway, and that one pays; one whose making was never answered may be left over, by
    somebody who came back when the gateway had forgotten the key."""
    for (gateway, user), made in billing.customers.items():
        if any(later - earlier < KEY_SECONDS for earlier, later in pairwise(made)):
            yield Broken("one customer per user", f"{user} is {len(made)} customers of {gateway}")
    ours = {(row["gateway"], row["user_id"]): row["customer_id"] for row in books.customers}
    for begun in billing.subscriptions:
        row = books.subscriptions.get(begun.order_id)
        if row is not None and begun.customer and ours.get((begun.gateway, row["user_id"])) != begun.customer:
            yield Broken("one customer per user", f"{begun.customer} is nobody's here", begun.order_id)
