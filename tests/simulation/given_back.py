"""The promises about money that goes back, as questions to both sides' books once everything has settled.

How an order stands is worked out here once more, from what the gateways hold: paid while one payment that counts is
neither wholly refunded nor held; else disputed where one is held; else refunded.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from payments.refund import MOVES
from tests.simulation.books import Books, Row
from tests.simulation.customers import Visit
from tests.simulation.money_back import Contested, GivenBack, MoneyBack, Name
from tests.simulation.promises import Broken
from tests.simulation.subscribed import ONE_FACT
from tests.simulation.truth import Taken, Truth

NOTHING_LOST, NOTHING_INVENTED = "nothing is lost", "no difference is invented"
AS_HELD = "money that goes back is as its gateway holds it"
ADDS_UP = "the movements add up"

Key = TypeVar("Key")

#: Of these, none may wait for a person once everything was told: in the end both sides agree.
DIFFERENCES = frozenset(
    {"refund_mismatch", "refund_total_mismatch", "dispute_mismatch", "payout_part_mismatch", "payout_total_mismatch"}
)

#: Our kinds of movements of a customer's money.
OF_CUSTOMERS = frozenset({"payment", "refund", "refund_reversal", "dispute", "dispute_reversal"})

CAME_TO_NOTHING = frozenset({"failed", "cancelled"})
WEIGHS = frozenset({"requested", "sent", "pending", "succeeded"})
OVER = frozenset({"won", "lost", "closed"})


def check_all(books: Books, truth: Truth, visits: Iterable[Visit]) -> Iterator[Broken]:
    """Every promise about it."""
    back = truth.money_back
    yield from check_refunds(books, back)
    yield from check_wishes(books, back, visits)
    yield from check_limits(books, truth)
    yield from check_disputes(books, back)
    yield from check_orders(books, back)
    yield from check_movements(books, truth)
    yield from check_sums(books, truth)
    yield from check_payouts(books, back)
    yield from check_differences(books, back)
    yield from check_notices(books)
    yield from check_lives(books)


# --- refunds ---


def check_refunds(books: Books, back: MoneyBack) -> Iterator[Broken]:
    """Every refund at a gateway is one row here, as it is there; and none is here that is not there."""
    rows: dict[Name, list[Row]] = defaultdict(list)
    for row in books.refunds:
        if row["gateway_refund_id"] is not None:
            rows[row["gateway"], row["gateway_refund_id"]].append(row)
        else:
            yield from _check_unmade(row)
    theirs = {(each.gateway, each.name): each for each in back.refunds}
    for name, each in theirs.items():
        yield from _check_refund(each, rows[name])
    for name, found in rows.items():
        if name not in theirs:
            yield Broken("nothing is made up", f"there is no refund {name}", found[0]["of_order"])


def _check_refund(there: GivenBack, rows: Sequence[Row]) -> Iterator[Broken]:
    if len(rows) != 1:
        yield Broken(NOTHING_LOST, f"{there} is {len(rows)} rows", rows[0]["of_order"] if rows else None)
        return
    [row] = rows
    ours = row["gateway_payment_id"], row["amount"], row["currency"], row["status"]
    if ours != (there.payment, there.amount, there.currency, there.status):
        yield Broken(AS_HELD, f"{ours}, and there {there}", row["of_order"])


def _check_unmade(row: Row) -> Iterator[Broken]:
    """What the gateway has not made says why, and nothing of it is left to be done."""
    if row["status"] not in CAME_TO_NOTHING:
        yield Broken("nothing is left undone", f"a refund is {row['status']}: {dict(row)}", row["of_order"])
    elif not row["failure_reason"]:
        yield Broken("customers are told the truth", f"{row['status']} for no reason: {dict(row)}", row["of_order"])


def check_wishes(books: Books, back: MoneyBack, visits: Iterable[Visit]) -> Iterator[Broken]:
    """One row of ours is one refund at most, which knows whose it is; one wish, however often told, goes back once."""
    ours = {str(row["id"]): row for row in books.refunds}
    for row_id, count in Counter(each.ours for each in back.refunds if each.ours).items():
        if count > 1:
            yield Broken("one wish, one refund", f"{count} refunds of {row_id}", _order_of(ours.get(row_id)))
    for each in back.refunds:
        mine = ours.get(each.ours) if each.ours else None
        if each.ours and (mine is None or mine["gateway_refund_id"] != each.name):
            yield Broken("one wish, one refund", f"{each} is not {each.ours} here", _order_of(mine))
    for visit in visits:
        for wish in visit.asked_back:
            if lost := wish - ours.keys():
                yield Broken(NOTHING_LOST, f"visit {visit.number} was promised {lost}", next(iter(visit.orders), None))
            made = [ours[refund] for refund in wish & ours.keys() if ours[refund]["status"] in WEIGHS]
            if len(made) > 1:
                yield Broken("one wish, one refund", f"visit {visit.number}: {len(made)}", made[0]["of_order"])


def _order_of(row: Row | None) -> str | None:
    return row["of_order"] if row is not None else None


def check_limits(books: Books, truth: Truth) -> Iterator[Broken]:
    """Never goes more back than was taken: not there, and not here; and a payment's own sums are those of there."""
    back = truth.money_back
    amounts = {(each.gateway, each.payment_id): each for each in truth.taken}
    asked: Counter[object] = Counter()
    for row in books.refunds:
        asked[row["payment_id"]] += row["amount"] if row["status"] in WEIGHS else 0
    for name, taken in amounts.items():
        sums = back.refunded(name), back.refunding(name)
        if sum(sums) > taken.amount:
            yield Broken("never more back than taken", f"{sums} of {taken}", taken.order_id)
        payment = books.payments.get(name)
        if payment is None:
            continue
        if asked[payment["id"]] > payment["amount"]:
            yield Broken("never more back than taken", f"{asked[payment['id']]} here, of {taken}", taken.order_id)
        ours = payment["amount_refunded"], payment["amount_refunding"]
        if ours != sums:
            yield Broken(AS_HELD, f"{ours} went back of {name}, and there {sums}", taken.order_id)
    for each in back.refunds:
        if (each.gateway, each.payment) not in amounts:
            yield Broken("never more back than taken", f"{each} is of no money")


# --- disputes ---


def check_disputes(books: Books, back: MoneyBack) -> Iterator[Broken]:
    """Every dispute is one row, in the same state, and with as much money gone."""
    rows: dict[Name, list[Row]] = defaultdict(list)
    for row in books.disputes:
        rows[row["gateway"], row["gateway_dispute_id"]].append(row)
    theirs = {(each.gateway, each.name): each for each in back.disputes}
    for name, each in theirs.items():
        yield from _check_dispute(each, rows[name])
    for name, found in rows.items():
        if name not in theirs:
            yield Broken("nothing is made up", f"there is no dispute {name}", found[0]["of_order"])


def _check_dispute(there: Contested, rows: Sequence[Row]) -> Iterator[Broken]:
    if len(rows) != 1:
        yield Broken(NOTHING_LOST, f"{there} is {len(rows)} rows", rows[0]["of_order"] if rows else None)
        return
    [row] = rows
    gone = row["withdrawn"] - _returned(row)
    ours = row["gateway_payment_id"], row["amount"], row["currency"], row["status"], gone
    if ours != (there.payment, there.amount, there.currency, there.status, there.gone):
        yield Broken(AS_HELD, f"{ours}, and there {there}", row["of_order"])


def _returned(dispute: Row) -> int:
    """Razorpay tells of all of it that it has come back, also where it had never gone."""
    return int(min(dispute["withdrawn"], dispute["reinstated"]))


# --- orders ---


def check_orders(books: Books, back: MoneyBack) -> Iterator[Broken]:
    """An order whose money was accepted stands as that money does, and counts what went back of it."""
    counted: dict[str, list[Row]] = defaultdict(list)
    for row in books.payments.values():
        if row["order_id"] is not None and row["standing"] in {"accepted", "surplus"}:
            counted[str(row["order_id"])].append(row)
    for order_id, rows in counted.items():
        order = books.orders[order_id]
        own = [row for row in rows if row["currency"] == order["currency"]]
        beyond = max(0, sum(row["amount"] for row in own) - order["amount"])
        gone = max(0, sum(back.refunded(_name(row)) for row in own) - beyond)
        if order["amount_refunded"] != gone:
            said = f"{order['amount_refunded']} is told to have gone back, and there {gone}"
            yield Broken(AS_HELD, said, order_id)
        if not any(row["standing"] == "accepted" for row in rows):
            continue
        standing = judge(rows, back)
        if order["status"] != standing:
            yield Broken("an order stands as its money does", f"{order['status']}, and is {standing}", order_id)


def judge(counted: Sequence[Row], back: MoneyBack) -> str:
    """SPEC section 3, from the gateway's truth."""
    if not all(back.is_gone(_name(row), row["amount"]) for row in counted):
        return "paid"
    return "disputed" if any(back.is_held(_name(row)) for row in counted) else "refunded"


def _name(payment: Row) -> Name:
    return payment["gateway"], payment["gateway_payment_id"]


# --- movements ---


def check_movements(books: Books, truth: Truth) -> Iterator[Broken]:
    """Of each payment they add up to what is left of it there; and each fact is booked once."""
    booked: Counter[object] = Counter()
    for row in books.movements:
        if row["kind"] in OF_CUSTOMERS:
            booked[row["payment_id"]] += row["amount"]
    for each in truth.taken:
        payment = books.payments.get((each.gateway, each.payment_id))
        net = _net(each, truth.money_back)
        if payment is not None and booked[payment["id"]] != net:
            yield Broken(ADDS_UP, f"{booked[payment['id']]} is booked, and {net} is left of {each}", each.order_id)
    for fact, count in Counter(row["fact"] for row in books.movements).items():
        if count > 1:
            yield Broken(ADDS_UP, f"{fact} is booked {count} times")
    yield from _check_parts(books)


def _net(taken: Taken, back: MoneyBack) -> int:
    payment = taken.gateway, taken.payment_id
    return taken.amount - back.refunded(payment) - back.contested(payment)


def _check_parts(books: Books) -> Iterator[Broken]:
    """What a refund and a dispute have moved is what their rows say."""
    of: Counter[tuple[str, object]] = Counter()
    for row in books.movements:
        for what in ("refund", "dispute"):
            if row["kind"] in {what, f"{what}_reversal"}:
                of[what, row[f"{what}_id"]] += row["amount"]
    for row in books.refunds:
        wanted = -row["amount"] if row["status"] == "succeeded" else 0
        if of["refund", row["id"]] != wanted:
            said = f"{of['refund', row['id']]} is booked of a refund that is {row['status']}"
            yield Broken(ADDS_UP, said, row["of_order"])
    for row in books.disputes:
        if of["dispute", row["id"]] != _returned(row) - row["withdrawn"]:
            said = f"{of['dispute', row['id']]} is booked of dispute {row['gateway_dispute_id']}"
            yield Broken(ADDS_UP, said, row["of_order"])


def check_sums(books: Books, truth: Truth) -> Iterator[Broken]:
    """In each currency, all of them add up to all that is left at each gateway; at Stripe as its own balance says, from
    which a refund is taken as soon as it is asked for."""
    ours: Counter[tuple[str, str]] = Counter()
    for row in books.movements:
        if row["kind"] in OF_CUSTOMERS:
            ours[row["gateway"], row["currency"]] += row["amount"]
    theirs: Counter[tuple[str, str]] = Counter()
    for each in truth.taken:
        theirs[each.gateway, each.currency] += _net(each, truth.money_back)
    yield from _compare(ours, theirs, "all that is left there")
    stripes = Counter({currency: amount for (gateway, currency), amount in ours.items() if gateway == "stripe"})
    for refund in truth.money_back.refunds:
        if refund.gateway == "stripe" and refund.status == "pending":
            stripes[refund.currency] -= refund.amount
    yield from _compare(stripes, truth.money_back.balance, "Stripe's own balance")


def _compare(ours: Mapping[Key, int], theirs: Mapping[Key, int], what: str) -> Iterator[Broken]:
    for key in sorted(ours.keys() | theirs.keys(), key=str):
        if ours.get(key, 0) != theirs.get(key, 0):
            yield Broken(ADDS_UP, f"{key}: {ours.get(key, 0)} is booked, and {what} is {theirs.get(key, 0)}")


def check_payouts(books: Books, back: MoneyBack) -> Iterator[Broken]:
    """What has reached our bank is a row, and booked; what the bank sent back is booked as that, too."""
    rows = {(row["gateway"], row["gateway_payout_id"]): row for row in books.payouts}
    booked: Counter[object] = Counter()
    for row in books.movements:
        if row["kind"] in {"payout", "payout_reversal"}:
            booked[row["payout_id"]] += row["amount"]
    for each in back.payouts:
        if (each.gateway, each.name) not in rows:
            if each.status == "paid":
                yield Broken(NOTHING_LOST, f"nobody knows {each}")
            continue
        row = rows.pop((each.gateway, each.name))
        if (row["status"], row["amount"], row["currency"]) != (each.status, each.amount, each.currency):
            yield Broken(AS_HELD, f"{dict(row)}, and there {each}")
        if booked[row["id"]] != (-each.amount if each.status == "paid" else 0):
            yield Broken(ADDS_UP, f"{booked[row['id']]} is booked of {each}")
    for name in rows:
        yield Broken("nothing is made up", f"there is no payout {name}")


# --- what is told of it ---


def check_differences(books: Books, back: MoneyBack) -> Iterator[Broken]:
    """Nothing waits for a person that both sides agree on; and what does, has happened."""
    names = {row["id"]: name for name, row in books.payments.items()}
    failed = {(each.gateway, each.payment) for each in back.refunds if each.status in CAME_TO_NOTHING}
    disputed = {(each.gateway, each.payment) for each in back.disputes}
    about = {"refund_failed": failed, "early_fraud_warning": back.warned, "dispute_evidence_due": disputed}
    told: Counter[tuple[str, Name | None]] = Counter()
    for row in books.discrepancies:
        name = names.get(row["payment_id"])
        told[row["kind"], name] += 1
        if row["kind"] in DIFFERENCES and row["state"] == "open":
            yield Broken(NOTHING_INVENTED, f"{row['kind']}: {row['evidence']}", row["of_order"])
        if row["kind"] in about and name not in about[row["kind"]]:
            yield Broken(NOTHING_INVENTED, f"{row['kind']} of {name}: {row['evidence']}", row["of_order"])
    for name in back.warned:
        if told["early_fraud_warning", name] != 1:
            yield Broken(NOTHING_LOST, f"a warning of {name} is told {told['early_fraud_warning', name]} times")


def check_notices(books: Books) -> Iterator[Broken]:
    """What became of a refund or a dispute was told, once; what did not, was not."""
    keys = Counter(row["idempotency_key"] for rows in books.effects.values() for row in rows)
    for row in books.refunds:
        if row["of_order"] is not None:
            yield from _check_told(row, keys)
    for row in books.disputes:
        if row["of_order"] is not None and keys[f"notify.dispute.opened:{row['id']}"] != 1:
            yield Broken(ONE_FACT, f"dispute {row['gateway_dispute_id']} was not told once", row["of_order"])
        if row["of_order"] is not None and row["status"] in OVER:
            ended = f"notify.dispute.closed:{row['id']}:{row['status']}:"
            if sum(count for key, count in keys.items() if key.startswith(ended)) != 1:
                said = f"the end of dispute {row['gateway_dispute_id']} was not told once"
                yield Broken(ONE_FACT, said, row["of_order"])


#: Told of a refund at each end; one that was sent back has come to both.
AT_THE_END = {
    "succeeded": ("mail.refund_succeeded", "notify.refund.succeeded"),
    "failed": ("notify.refund.failed",),
    "cancelled": ("notify.refund.failed",),
}


def _check_told(row: Row, keys: Mapping[str, int]) -> Iterator[Broken]:
    wanted = AT_THE_END.get(row["status"], ())
    may_be = set(AT_THE_END["succeeded"]) if row["status"] in CAME_TO_NOTHING else set()
    for kind in {*wanted, *AT_THE_END["succeeded"], *AT_THE_END["failed"]}:
        told = sum(keys.get(key, 0) for key in (f"{kind}:{row['id']}", f"{kind}:{row['id']}:1"))
        if told != (kind in wanted) and not (kind in may_be and told == 1):
            yield Broken(ONE_FACT, f"{kind} {told} times of a refund that is {row['status']}", row["of_order"])


def check_lives(books: Books) -> Iterator[Broken]:
    """The history of each leads from its beginning to where it stands, by legal moves alone, without a gap."""
    legal = {(str(was), str(now)) for was, now in MOVES}
    for row in books.refunds:
        yield from _check_life(row, books.money_lives[str(row["id"])], legal)
    for row in books.disputes:
        yield from _check_life(row, books.money_lives[str(row["id"])], None)


def _check_life(
    row: Row, life: Sequence[tuple[str | None, str]], legal: set[tuple[str, str]] | None
) -> Iterator[Broken]:
    """Of a dispute, a line without a beginning may be about its money alone; any move of it is legal."""
    at: str | None = None
    for before, after in life:
        is_note = legal is None and before is None and after == at
        if before != at and not is_note:
            yield Broken("only legal moves", f"{before} to {after} while {at}: {row['id']}", row["of_order"])
        if legal is not None and before is not None and (before, after) not in legal:
            yield Broken("only legal moves", f"a refund's {before} to {after}: {row['id']}", row["of_order"])
        at = after
    if at != row["status"]:
        yield Broken("only legal moves", f"told to be {at}, and is {row['status']}: {row['id']}", row["of_order"])
