"""The promises, as questions to both sides' books once everything has settled. Pure: rows in, what is wrong out.

Of subscriptions, ``subscribed`` asks; of money that goes back, ``given_back``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from payments.effects import FOLLOWS, EffectKind
from payments.order import MOVES, SETTLED, OrderStatus
from tests.simulation.books import Books, Row
from tests.simulation.customers import Visit
from tests.simulation.truth import Mail, Taken, Truth

#: What a discrepancy must be called that tells a person of money with this standing.
TOLD_AS = {
    "surplus": {"duplicate_payment"},
    "mismatched": {"amount_mismatch", "currency_mismatch"},
    "held": {"late_success"},
}

#: Told of money that went back, or may have to: of these, ``given_back`` asks.
OF_MONEY_BACK = frozenset(
    {"dispute_evidence_due", "dispute_mismatch", "early_fraud_warning", "payout_part_mismatch"}
    | {"refund_failed", "refund_mismatch", "refund_total_mismatch"}
)

FOLLOWING = sorted(kind.value for kind in FOLLOWS[OrderStatus.PAID])


@dataclass(frozen=True, slots=True)
class Broken:
    """One promise that was not kept, for one order where it is about one."""

    promise: str
    says: str
    order_id: str | None = None


def check_money(books: Books, truth: Truth) -> Iterator[Broken]:
    """Everything that was taken is recorded as it was, and nothing is recorded that was not taken."""
    taken = {(each.gateway, each.payment_id): each for each in truth.taken}
    recorded = {name: row for name, row in books.payments.items() if row["status"] == "succeeded"}
    for name, each in taken.items():
        row = recorded.get(name)
        if row is None:
            yield Broken("nothing is lost", f"{each} is not recorded as taken", each.order_id)
        elif (row["of_order"], row["amount"], row["currency"]) != (each.order_id, each.amount, each.currency):
            yield Broken("paid means paid", f"{each} is recorded otherwise: {dict(row)}", each.order_id)
    for name, row in recorded.items():
        if name not in taken:
            yield Broken("paid means paid", f"{name} is recorded as taken, and was not", row["of_order"])


def check_orders(books: Books, truth: Truth) -> Iterator[Broken]:
    """What was paid as expected is an order whose money was accepted, once; what was not is none. What became of that
    money afterwards, ``given_back`` asks."""
    taken: dict[str, list[Taken]] = defaultdict(list)
    for each in truth.taken:
        taken[each.order_id].append(each)
    standing = _by_order(row for row in books.payments.values() if row["status"] == "succeeded")
    for order_id, order in books.orders.items():
        if order_id not in books.subscriptions:
            yield from _check_order(order, taken[order_id], standing[order_id], books)
    for order_id in taken.keys() - books.orders.keys():
        yield Broken("nothing is lost", f"money was taken for an order that is not there: {taken[order_id]}", order_id)


def _check_order(order: Row, taken: list[Taken], rows: list[Row], books: Books) -> Iterator[Broken]:
    order_id = order["order_id"]
    right = [each for each in taken if (each.amount, each.currency) == (order["amount"], order["currency"])]
    accepted = [row for row in rows if row["standing"] == "accepted"]
    held = [row for row in rows if row["standing"] == "held"]
    was_paid = order["status"] in SETTLED
    if was_paid != (len(accepted) == 1):
        yield Broken("paid means paid", f"{order['status']} with {len(accepted)} accepted payments", order_id)
    if was_paid and not right:
        yield Broken("paid means paid", f"{order['status']}, and its gateway has taken {taken}", order_id)
    if right and not was_paid and len(held) != len(right):
        yield Broken("nothing is lost", f"{order['status']}, and its gateway has taken {right}", order_id)
    if held and not _may_be_held(order, books):
        yield Broken("nothing is lost", "money is held for no reason", order_id)
    for row in accepted:
        if (row["amount"], row["currency"]) != (order["amount"], order["currency"]):
            yield Broken("paid means paid", f"the wrong money was accepted: {dict(row)}", order_id)


def _may_be_held(order: Row, books: Books) -> bool:
    """It was given up before its money came, and its user has another order of that plan."""
    was_given_up = {to for _, to in books.moves[order["order_id"]]} & {"failed", "cancelled"}
    others = (
        other
        for other in books.orders.values()
        if other["user_id"] == order["user_id"] and other["plan_id"] == order["plan_id"]
    )
    return bool(was_given_up) and any(other["id"] != order["id"] for other in others)


def check_differences(books: Books) -> Iterator[Broken]:
    """Money that does not count is told to a person; nothing else is, but a renewal at another price."""
    told = defaultdict(set)
    for row in books.discrepancies:
        if row["kind"] in {"invoice_amount_differs", *OF_MONEY_BACK}:
            continue
        told[row["payment_id"]].add(row["kind"])
        if row["kind"] not in set().union(*TOLD_AS.values()):
            yield Broken("no difference is invented", f"{row['kind']}: {row['evidence']}", row["of_order"])
    theirs = [row for row in books.discrepancies if row["kind"] not in OF_MONEY_BACK]
    for (order_id, kind), count in Counter((row["of_order"], row["kind"]) for row in theirs).items():
        of_it = [row for row in books.payments.values() if row["of_order"] == order_id]
        if count > len(of_it):
            yield Broken("no difference is invented", f"{kind} {count} times, of {len(of_it)} payments", order_id)
    for row in books.payments.values():
        wanted = TOLD_AS.get(row["standing"], set())
        if wanted and not told[row["id"]] & wanted:
            yield Broken("nothing is lost", f"{row['standing']} money of which nobody is told", row["of_order"])
        if row["standing"] == "accepted" and told[row["id"]]:
            yield Broken("no difference is invented", f"{told[row['id']]} of accepted money", row["of_order"])


def check_effects(books: Books, outbox: Path) -> Iterator[Broken]:
    """What follows a payment has followed, once: access, mail, analytics, notification, and a file for each."""
    kept = Counter(path.name.rpartition(".")[0] for path in outbox.iterdir()) if outbox.is_dir() else Counter()
    for order_id, order in books.orders.items():
        active = [row for row in books.access[order_id] if row["active"]]
        following = [row for row in books.effects[order_id] if row["kind"] in FOLLOWING]
        is_paid, was_paid = order["status"] == "paid", order["status"] in SETTLED
        if len(active) != (is_paid and order_id not in books.subscriptions):
            yield Broken("one fact, one effect", f"{order['status']} with access {len(active)} times", order_id)
        if sorted(row["kind"] for row in following) != (_following(order) if was_paid else []):
            yield Broken("one fact, one effect", f"{order['status']}, followed by {following}", order_id)
        for row in books.effects[order_id]:
            if row["kind"].startswith("gateway."):
                continue
            if row["status"] != "sent" or kept.pop(f"{row['kind']}-{row['id']}", 0) != 1:
                yield Broken("one fact, one effect", f"{row['kind']} is {row['status']}, or not sent once", order_id)
    for name in kept:
        if not name.startswith("."):
            yield Broken("one fact, one effect", f"{name} was sent for no order")


def _following(order: Row) -> list[str]:
    """Nobody is thanked for a payment of nothing, with which a trial begins."""
    return [kind for kind in FOLLOWING if order["amount"] or kind != EffectKind.MAIL_PAYMENT_CONFIRMED]


def check_captures(books: Books) -> Iterator[Broken]:
    """A promised payment is captured by one effect at most."""
    for order_id, rows in books.effects.items():
        keys = Counter(r["idempotency_key"] for r in rows if r["kind"] == EffectKind.GATEWAY_CAPTURE_PAYMENT)
        for key, count in keys.items():
            if count > 1:
                yield Broken("one fact, one effect", f"{key} {count} times", order_id)


def check_histories(books: Books) -> Iterator[Broken]:
    """Every order's history leads from pending to where it stands, by legal moves alone, without a gap."""
    legal = {(str(a), str(b)) for a, b in MOVES}
    for order_id, order in books.orders.items():
        at = "pending"
        for before, after in books.moves[order_id]:
            if before != at or (before, after) not in legal:
                yield Broken("only legal moves", f"{before} to {after} while {at}", order_id)
            at = after
        if at != order["status"]:
            yield Broken("only legal moves", f"told to be {at}, and is {order['status']}", order_id)


def check_pages(books: Books, truth: Truth) -> Iterator[Broken]:
    """Every page at a gateway is one of our attempts, and no two of an order can be paid."""
    ours = {(row["gateway"], row["session_id"]) for row in books.attempts}
    for page in truth.pages:
        if page.was_used and (page.gateway, page.session_id) not in ours:
            yield Broken("the intent is a row before the call", f"nobody knows {page}", page.order_id)
    live = Counter(row["of_order"] for row in books.attempts if row["status"] in ("intended", "unknown", "open"))
    for order_id, count in live.items():
        yield Broken("nothing is left undone", f"{count} attempts that can be paid, or may be", order_id)


def check_work(owed: Iterable[Row], books: Books) -> Iterator[Broken]:
    """Nothing is owed, and nothing was given up."""
    for row in owed:
        yield Broken(
            "committed means worked", f"{row['what']} {row['of']} {row['id']}: {row['error']}", row["order_id"]
        )
    for row in books.letters:
        yield Broken("no dead letter unprovoked", f"{row['source']} {row['what']}: {row['error']}", row["of_order"])


def check_mail(mail: Mail, kept: set[tuple[str, str]]) -> Iterator[Broken]:
    """A delivery that was answered with a 2xx is a row, and nothing is a row that its gateway has not sent."""
    for gateway, event_id in sorted(mail.taken - kept):
        yield Broken("2xx means committed", f"{event_id} of {gateway} was answered, and is not kept")
    for gateway, event_id in sorted(kept - mail.sent):
        yield Broken("nothing unverified is written", f"{event_id} of {gateway} was never sent")


def check_visits(visits: Iterable[Visit], books: Books) -> Iterator[Broken]:
    """What customers were told was so, and stayed so, unless their money went back."""
    for visit in visits:
        named = next(iter(visit.orders), None)
        for complaint in visit.complaints:
            yield Broken("customers are told the truth", f"visit {visit.number} ({visit.wish}): {complaint}", named)
        for order_id in visit.orders - books.orders.keys():
            yield Broken("nothing is lost", f"visit {visit.number} was given an order that is not there", order_id)
        for order_id in visit.shown_paid:
            if order_id in books.orders and books.orders[order_id]["status"] not in SETTLED:
                yield Broken("customers are told the truth", "was shown as paid, and is not", order_id)


def _by_order(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["of_order"]].append(row)
    return found
