"""What follows a payment that somebody regrets: money asked back from the shop, given back in a gateway's dashboard,
or taken back by a bank. Each is a wish like the others, and begins with a purchase.

The shop asks for its customers, under its own token; like them, it asks again whatever is answered with "not now".
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from db.pool import UNAVAILABLE
from tests.simulation.customers import DAY, HOUR, MINUTE, PAUSE_SECONDS, TRIES, Customer, as_json, is_not_now
from tests.simulation.stack import ON_SALE
from tests.simulation.subscribers import A_MONTH, Subscriber, subscribe

SHOP = "sim-shop"

#: How often the shop asks after money of which nobody has told it yet.
LOOKS = 12

#: Answers that are an end, and a documented one.
REFUSALS = frozenset({"dispute_open", "nothing_to_refund", "over_refund"})

#: Of money that is not there yet, or never will be.
NOT_YET = frozenset({"nothing_to_refund", "payment_not_found"})

ENDINGS = ("succeeds", "succeeds_later", "fails", "fails_after_success", "stays_pending")

#: What a bank does, one after the other.
COURSES: Sequence[tuple[str, ...]] = (
    ("inquiry",),
    ("inquiry", "won"),
    ("inquiry", "opened", "funds_withdrawn", "lost"),
    ("opened",),
    ("opened", "won"),
    ("opened", "funds_withdrawn"),
    ("funds_withdrawn", "won"),
    ("funds_withdrawn", "lost"),
    ("funds_withdrawn", "funds_reinstated"),
    ("funds_withdrawn", "funds_reinstated", "won"),
    ("lost",),
    ("fraud_warning",),
    ("fraud_warning", "funds_withdrawn"),
)


@dataclass(slots=True)
class Asking:
    """One wish for money back. ``promised``: the refunds that it was answered with; one, if all is well."""

    customer: Customer
    named: dict[str, str]
    amount: int | None = None
    key: str | None = None
    promised: set[str] = field(default_factory=set)

    async def tell(self) -> int:
        """Tell the shop's wish, until there is an answer; returns its status, 0 for none."""
        customer, looks = self.customer, 0
        amount = {} if self.amount is None else {"amount": self.amount}
        body = {**self.named, **amount, "reason": "requested_by_customer"}
        token = customer.street.token(SHOP, "refunds")
        for _ in range(TRIES):
            answer = await customer.post("/refunds", body, self.key, token=token)
            if answer is not None and not is_not_now(answer):
                looks += as_json(answer).get("code") in NOT_YET
                if as_json(answer).get("code") not in NOT_YET or looks > LOOKS:
                    return self._read(answer)
            if customer.street.closing.is_set():
                break
            await asyncio.sleep(customer.draw.uniform(*PAUSE_SECONDS))
        return 0

    def _read(self, answer: httpx.Response) -> int:
        told = as_json(answer)
        if answer.status_code == httpx.codes.ACCEPTED:
            self.promised.add(told["refundId"])
        elif told.get("code") not in REFUSALS | NOT_YET:
            self.customer.visit.complain(f"the shop was answered {answer.status_code} {answer.text[:200]}")
        return answer.status_code


def asking(customer: Customer, named: dict[str, str], amount: int | None = None, *, key: bool = False) -> Asking:
    """A new wish, which is remembered."""
    wish = Asking(customer, named, amount, customer.new_key() if key or amount is not None else None)
    customer.visit.asked_back.append(wish.promised)
    return wish


async def buy(customer: Customer) -> dict[str, str] | None:
    """Buys and pays; returns what the shop may name to give it back, or None."""
    page = await customer.ask(customer.new_key())
    if await customer.pay(page) != "paid" or page is None:
        return None
    return {"orderId": page.order_id}


def _price(customer: Customer) -> int:
    return next(plan.price_cents for plan in ON_SALE if plan.id == customer.visit.plan)


def _parts(customer: Customer) -> int:
    """At Razorpay nothing below 1.00 goes back; no price here is less than six such parts."""
    return max(_price(customer) // customer.draw.randint(2, 6), 100)


async def _order(customer: Customer, what: str, **fields: Any) -> dict[str, Any]:
    """Done in a gateway's dashboard, or at a bank; a refusal is an end like any other."""
    await customer.street.tills.wait()
    answer = await customer.street.stack.order(what, **fields)
    customer.visit.note(f"{what} {fields}: {answer.status_code} {answer.text[:200]}")
    if answer.status_code not in (httpx.codes.OK, httpx.codes.CONFLICT):
        customer.visit.complain(f"the order of a {what} was answered {answer.status_code} {answer.text[:200]}")
    return as_json(answer)


async def _take_course(customer: Customer, stages: Sequence[str], **fields: Any) -> None:
    """A dispute, stage by stage; at once, or with days in between."""
    named: dict[str, Any] = {}
    for stage in stages:
        told = await _order(customer, "dispute", payment=customer.payment, stage=stage, **fields, **named)
        if stage != "fraud_warning" and "dispute" in told:
            named, fields = {"dispute": told["dispute"]}, {}
        if customer.draw.random() < 0.3 and not await customer.later(customer.draw.randint(MINUTE, 5 * DAY)):
            return


# --- asked of the shop ---


async def asks_it_back(customer: Customer) -> None:
    """All of it; and once more, which changes nothing."""
    if named := await buy(customer):
        wish = asking(customer, named)
        await wish.tell()
        await wish.tell()


async def asks_twice_at_once(customer: Customer) -> None:
    """All of it, several times at once."""
    if named := await buy(customer):
        wish = asking(customer, named)
        await asyncio.gather(*(wish.tell() for _ in range(customer.draw.randint(2, 4))))


async def asks_for_parts(customer: Customer) -> None:
    """One after the other, each told twice under its key, until nothing is left; and one more."""
    if named := await buy(customer):
        part = _parts(customer)
        for _ in range(_price(customer) // part + 1):
            wish = asking(customer, named, part)
            await wish.tell()
            if customer.draw.random() < 0.5:
                await wish.tell()


async def asks_for_too_much(customer: Customer) -> None:
    """Several people of the shop at once, together for more than was paid."""
    if named := await buy(customer):
        part = _price(customer) // 3
        wishes = [asking(customer, named, part) for _ in range(customer.draw.randint(4, 8))]
        await asyncio.gather(*(wish.tell() for wish in wishes))


async def asks_by_payment(customer: Customer) -> None:
    """By the gateway's name of the payment, under a key, all of it or a part."""
    if await buy(customer) and customer.payment:
        amount = customer.draw.choice((None, _parts(customer)))
        wish = asking(customer, {"paymentId": customer.payment}, amount, key=True)
        await asyncio.gather(wish.tell(), wish.tell())


async def asks_without_leave(customer: Customer) -> None:
    """For themselves: that is the shop's to do."""
    if named := await buy(customer):
        answer = await customer.post("/refunds", {**named, "reason": "other"})
        if answer is not None and answer.status_code not in (403, 503):
            customer.visit.complain(f"was answered {answer.status_code} to a refund of their own asking")


# --- in the gateway's dashboard ---


async def is_given_back(customer: Customer) -> None:
    """Some or all of it, at once or later; it may fail, too."""
    if await buy(customer):
        amount = {} if customer.draw.random() < 0.5 else {"amount": _parts(customer)}
        ending = customer.draw.choice(ENDINGS)
        told = await _order(customer, "refund", payment=customer.payment, ending=ending, **amount)
        if "refund" in told and customer.draw.random() < 0.5 and await customer.later(2 * HOUR):
            await _order(customer, "refund", refund=told["refund"], ending=customer.draw.choice(("succeeds", "fails")))


async def is_given_back_from_both_sides(customer: Customer) -> None:
    """Somebody in the dashboard and the shop at once: together never more than was paid."""
    if named := await buy(customer):
        given = _order(customer, "refund", payment=customer.payment)
        part = asking(customer, named, customer.draw.choice((None, _parts(customer))), key=True)
        await asyncio.gather(part.tell(), given)


# --- by the bank ---


async def is_disputed(customer: Customer) -> None:
    """All of it, and whatever comes of that."""
    if await buy(customer):
        await _take_course(customer, customer.draw.choice(COURSES))


async def is_disputed_twice(customer: Customer) -> None:
    """Two halves of one payment, each in a dispute of its own."""
    if await buy(customer):
        half, (one, other) = _price(customer) // 2, customer.draw.sample(COURSES[3:-2], k=2)
        await _take_course(customer, one, amount=half)
        await _take_course(customer, other, amount=half)


async def is_disputed_as_it_goes_back(customer: Customer) -> None:
    """The shop has promised it back, and its bank is quicker than the worker; sometimes it has gone already."""
    if named := await buy(customer):
        wish = asking(customer, named, customer.draw.choice((None, _parts(customer))))
        course = customer.draw.choice(COURSES)
        if customer.draw.random() < 0.3:
            await wish.tell()
        await asyncio.gather(wish.tell(), _take_course(customer, course))
        await wish.tell()


async def is_settled_before_its_money(customer: Customer) -> None:
    """The verdict is told, and the money follows."""
    if await buy(customer):
        course = ("won", "funds_reinstated") if customer.draw.random() < 0.5 else ("lost", "funds_withdrawn")
        if course[0] == "won":
            await _order(customer, "dispute", payment=customer.payment, stage="funds_withdrawn")
        await _order(customer, "dispute", payment=customer.payment, stage=course[0], money=False)
        await _order(customer, "dispute", payment=customer.payment, stage=course[1])


# --- of a subscription ---


async def asks_a_period_back(customer: Customer) -> None:
    """The newest payment of it, the first or a renewal's, by the gateway's name."""
    if payment := await _newest_payment(customer):
        await asking(customer, {"paymentId": payment}, key=True).tell()


async def is_given_a_period_back(customer: Customer) -> None:
    """The same, in the dashboard."""
    if payment := await _newest_payment(customer):
        await _order(customer, "refund", payment=payment, ending=customer.draw.choice(ENDINGS))


async def disputes_a_period(customer: Customer) -> None:
    """The same, by the bank."""
    if payment := await _newest_payment(customer):
        customer.payment = payment
        await _take_course(customer, customer.draw.choice(COURSES))


async def _newest_payment(customer: Customer) -> str | None:
    subscriber = await subscribe(customer)
    if subscriber is None or (customer.draw.random() < 0.7 and not await customer.later(A_MONTH)):
        return None
    return await _read_newest_payment(customer, subscriber)


async def _read_newest_payment(customer: Customer, subscriber: Subscriber) -> str | None:
    """The first payment's row has its order, a renewal's its invoice."""
    for _ in range(LOOKS):
        try:
            payment: str | None = await customer.street.stack.pool.fetchval(
                """
                SELECT p.gateway_payment_id FROM payments p JOIN invoices i ON i.id = p.invoice_id
                 WHERE i.subscription_id = $1::text::uuid AND p.status = 'succeeded' ORDER BY p.created_at DESC LIMIT 1
                """,
                subscriber.subscription_id,
            )
        except UNAVAILABLE:
            payment = None
        if payment is not None or customer.street.closing.is_set():
            return payment
        await asyncio.sleep(customer.draw.uniform(*PAUSE_SECONDS))
    return None
