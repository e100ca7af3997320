"""What customers do at the counter and on the hosted pages: each is a wish, carried out with a person's patience."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx

from checkout.tokens import Caller, issue
from tests.simulation.stack import ON_SALE, Stack

PAYS = "4242424242424242"
DECLINED = ("4000000000000002", "4000000000009995", "4000000000000069")
ASKS_FOR_3DS = "4000002500003155"
UPI_PAYS, UPI_FAILS = "success@razorpay", "failure@razorpay"

#: How often a person asks again for a page, and how long they wait in between.
TRIES = 40
PAUSE_SECONDS = (0.2, 1.2)

#: As long as a page lives, and a little more.
PAGE_SECONDS = 33 * 60

#: Answers that say "not now" or "nobody knows": the customer asks again, with the same key.
NOT_NOW = {502: "gateway_refused", 503: "unavailable", 504: "gateway_unknown"}

#: Answers that are an end, and a documented one: what was asked for is over, or is there already.
AN_END = frozenset({"order_over", "key_reused", "already_subscribed"})

MINUTE, HOUR = 60, 3600
DAY = 24 * HOUR


@dataclass(slots=True)
class Visit:
    """One customer's visit: who, what for, and everything that they did and were told, for the story of a failure."""

    number: int
    user: str
    plan: str
    gateway: str
    wish: str
    orders: set[str] = field(default_factory=set)
    shown_paid: set[str] = field(default_factory=set)
    diary: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    #: Refunds that were promised for one wish, told once or several times.
    asked_back: list[set[str]] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.diary.append(text)

    def complain(self, text: str) -> None:
        """Something that must not happen to a customer, whatever breaks."""
        self.note(f"COMPLAINT {text}")
        self.complaints.append(text)


@dataclass(frozen=True, slots=True)
class Page:
    """Where the customer can pay. ``subscription_id``: it begins that one."""

    order_id: str
    session_id: str
    subscription_id: str | None = None


class Street:
    """What all customers share: the stack, how many may be served at once, and how far the clock has been moved."""

    def __init__(self, stack: Stack, seed: int, *, at_once: int) -> None:
        self.stack, self.seed = stack, seed
        self.room = asyncio.Semaphore(at_once)
        #: Payments that were taken, or will be.
        self.sold = 0
        self.closing = asyncio.Event()
        #: While the clock is moved nobody pays: an advance ends when no webhook is on its way, and so would never end.
        self.tills = asyncio.Event()
        self.tills.set()
        self._moved = 0.0
        self._tokens: dict[str, str] = {}
        self._clock = asyncio.Condition()

    def token(self, user: str, *scopes: str) -> str:
        if user not in self._tokens:
            caller = Caller(user, f"{user}@example.com", frozenset(scopes))
            secret = self.stack.settings["AUTH_JWT_SECRET"].encode()
            self._tokens[user] = issue(secret, caller, lifetime_seconds=24 * HOUR)
        return self._tokens[user]

    async def moved(self, seconds: float) -> None:
        """The clock has been moved: who waits for that looks again."""
        async with self._clock:
            self._moved += seconds
            self._clock.notify_all()

    async def close(self) -> None:
        """Nobody waits for the clock any more."""
        self.closing.set()
        async with self._clock:
            self._clock.notify_all()

    async def until_later(self, seconds: float) -> bool:
        """Until so much time has been skipped from now on; False if the street closes before."""
        async with self._clock:
            goal = self._moved + seconds
            await self._clock.wait_for(lambda: self._moved >= goal or self.closing.is_set())
            return self._moved >= goal


@dataclass(slots=True)
class Customer:
    """Somebody on their way through the counter. ``draw`` is theirs alone."""

    street: Street
    visit: Visit
    draw: Random
    keys: int = 0
    #: The gateway's name of what they paid last.
    payment: str | None = None

    def new_key(self) -> str:
        self.keys += 1
        return f"sim-{self.street.seed}-{self.visit.number}-{self.keys}"

    async def ask(self, key: str | None, *, plan: str | None = None, at: str = "/create-payment") -> Page | None:
        """Ask for a page, and again while nobody can say; None where there is none to be had."""
        body = {"planId": plan or self.visit.plan, "gateway": self.visit.gateway}
        for _ in range(TRIES):
            answer = await self.post(at, body, key)
            if answer is not None and (told := self._read(answer)) != "again":
                return told if isinstance(told, Page) else None
            if self.street.closing.is_set():
                break
            await asyncio.sleep(self.draw.uniform(*PAUSE_SECONDS))
        self.visit.note("gives up asking")
        return None

    async def post(
        self, path: str, body: dict[str, Any], key: str | None = None, *, token: str | None = None
    ) -> httpx.Response | None:
        """Ask the counter for something; None where there is no answer. ``token``: of somebody who asks for them."""
        headers = self.headers if token is None else {"Authorization": f"Bearer {token}"}
        headers |= {} if key is None else {"Idempotency-Key": key}
        try:
            answer = await self.street.stack.checkout.post(path, json=body, headers=headers)
        except httpx.TransportError as error:
            self.visit.note(f"asked {path} with {key}: {type(error).__name__}")
            return None
        self.visit.note(f"asked {path} with {key}: {answer.status_code} {answer.text[:200]}")
        return answer

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.street.token(self.visit.user)}"}

    def _read(self, answer: httpx.Response) -> Page | str | None:
        told = as_json(answer)
        if "orderId" in told:
            self.visit.orders.add(told["orderId"])
        if answer.status_code == httpx.codes.CREATED:
            return Page(told["orderId"], told["sessionId"], told.get("subscriptionId"))
        code = told.get("code")
        if is_not_now(answer):
            return "again"
        if code not in AN_END:
            self.visit.complain(f"was answered {answer.status_code} {code}")
        return None

    async def pay(self, page: Page | None, **means: Any) -> str:
        """Press the button; returns what came of it, ``over`` where nothing can be paid there."""
        return "over" if page is None else await self.pay_at(page.session_id, **means)

    async def pay_at(self, session_id: str, **means: Any) -> str:
        """The same, where only the page's name is known."""
        means = means or self._good_means()
        await self.street.tills.wait()
        answer = await self.street.stack.order("pay", session=session_id, **means)
        told = as_json(answer)
        outcome = str(told.get("outcome", "over"))
        self.visit.note(f"pays {session_id} with {means}: {outcome} {told.get('payment')}")
        if answer.status_code not in (httpx.codes.OK, httpx.codes.CONFLICT):
            self.visit.complain(f"the hosted page answered {answer.status_code} {answer.text[:200]}")
        if outcome == "paid":
            self.street.sold += 1
            self.payment = told.get("payment")
        return outcome

    async def look(self, page: Page) -> None:
        """Look how the order stands. What was once shown as paid must be so for good."""
        with suppress(httpx.TransportError):
            answer = await self.street.stack.checkout.get(f"/order-status/{page.order_id}", headers=self.headers)
            told = as_json(answer)
            self.visit.note(f"looks: {answer.status_code} {told.get('status')}")
            if told.get("status") == "paid":
                self.visit.shown_paid.add(page.order_id)
            if answer.status_code not in (200, 503):
                self.visit.complain(f"was told {answer.status_code} of their own order")

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Somewhere else meanwhile, so that others are served."""
        self.street.room.release()
        try:
            yield
        finally:
            await self.street.room.acquire()

    async def later(self, seconds: float) -> bool:
        """Come back after so much skipped time; False if the shop has closed before."""
        async with self.away():
            return await self.street.until_later(seconds)

    def bad_means(self) -> dict[str, Any]:
        if self.visit.gateway == "razorpay" and self.draw.random() < 0.3:
            return {"method": "upi", "vpa": UPI_FAILS}
        return {"card": self.draw.choice(DECLINED)}

    def _good_means(self) -> dict[str, Any]:
        if self.visit.gateway == "razorpay" and self.draw.random() < 0.4:
            return {"method": "upi", "vpa": UPI_PAYS}
        return {"card": PAYS}


def is_not_now(answer: httpx.Response) -> bool:
    """Nobody can say yet: the same is asked again."""
    code = as_json(answer).get("code")
    return NOT_NOW.get(answer.status_code) == code or code == "key_in_use"


def as_json(answer: httpx.Response) -> dict[str, Any]:
    """What it says; nothing where that is no object."""
    with suppress(ValueError):
        told = answer.json()
        return told if isinstance(told, dict) else {}
    return {}


# --- wishes ---


async def pays(customer: Customer) -> None:
    """Buys and pays."""
    page = await customer.ask(customer.new_key())
    await customer.pay(page)
    if page is not None and customer.draw.random() < 0.1:
        await customer.look(page)


async def is_declined_and_pays(customer: Customer) -> None:
    """One to three cards are declined, the next one pays."""
    page = await customer.ask(customer.new_key())
    for _ in range(customer.draw.randint(1, 3)):
        await customer.pay(page, **customer.bad_means())
    await customer.pay(page)


async def is_declined_and_leaves(customer: Customer) -> None:
    """The card is declined, and the customer goes."""
    await customer.pay(await customer.ask(customer.new_key()), **customer.bad_means())


async def authenticates(customer: Customer) -> None:
    """3-D Secure, passed."""
    await customer.pay(await customer.ask(customer.new_key()), card=ASKS_FOR_3DS)


async def fails_to_authenticate(customer: Customer) -> None:
    """3-D Secure, failed; then with another card."""
    page = await customer.ask(customer.new_key())
    await customer.pay(page, card=ASKS_FOR_3DS, authenticate="fail")
    await customer.pay(page)


async def leaves_the_bank_waiting(customer: Customer) -> None:
    """3-D Secure, never answered."""
    await customer.pay(await customer.ask(customer.new_key()), card=ASKS_FOR_3DS, authenticate=False)


async def abandons(customer: Customer) -> None:
    """Opens the page and goes."""
    await customer.ask(customer.new_key() if customer.draw.random() < 0.5 else None)


async def clicks_often(customer: Customer) -> None:
    """Several clicks at once without a key are one order."""
    pages = await asyncio.gather(*(customer.ask(None) for _ in range(customer.draw.randint(2, 5))))
    await customer.pay(pages[0])


async def repeats_the_request(customer: Customer) -> None:
    """The same key, at once and again after paying: one order, whatever broke in between."""
    key = customer.new_key()
    pages = await asyncio.gather(*(customer.ask(key) for _ in range(customer.draw.randint(2, 4))))
    await customer.pay(next(filter(None, pages), None))
    await customer.ask(key)
    if len(customer.visit.orders) > 1:
        customer.visit.complain("one key made several orders")


async def wants_something_else(customer: Customer) -> None:
    """The same key for another plan is refused."""
    key = customer.new_key()
    page = await customer.ask(key)
    other = next(plan.id for plan in ON_SALE if plan.id != customer.visit.plan)
    if page is not None and await customer.ask(key, plan=other) is not None:
        customer.visit.complain("one key took two requests")
    await customer.pay(page)


async def presses_twice(customer: Customer) -> None:
    """The button of the hosted page, twice at once."""
    page = await customer.ask(customer.new_key())
    await asyncio.gather(customer.pay(page), customer.pay(page))


async def pays_by_debit(customer: Customer) -> None:
    """A delayed method: the page completes unpaid, the money comes later."""
    after = customer.draw.randint(MINUTE, 3 * HOUR)
    outcome = await customer.pay(await customer.ask(customer.new_key()), card=PAYS, method="delayed", settleAfter=after)
    customer.street.sold += outcome == "pending"


async def debit_bounces(customer: Customer) -> None:
    """A delayed method that fails in the end; the customer comes back and pays by card."""
    after = customer.draw.randint(MINUTE, HOUR)
    page = await customer.ask(customer.new_key())
    await customer.pay(page, card=DECLINED[0], method="delayed", settleAfter=after)
    if await customer.later(after + MINUTE):
        await customer.pay(await customer.ask(customer.new_key()))


async def is_authorised_late(customer: Customer) -> None:
    """The bank says no, and changes its mind while the customer is gone."""
    late = customer.draw.randint(MINUTE, 4 * HOUR)
    outcome = await customer.pay(await customer.ask(customer.new_key()), card=PAYS, late=late)
    customer.street.sold += outcome == "declined"


async def pays_twice(customer: Customer) -> None:
    """The bank says no, and the page ends; the customer clicks again and pays; then the bank says yes to the first.

    Where nobody has told us of the first page's end, the second is of the same order, and its money is paid twice.
    """
    await customer.pay(await customer.ask(None), card=PAYS, late=customer.draw.randint(2 * HOUR, 6 * HOUR))
    if await customer.later(PAGE_SECONDS):
        await customer.pay(await customer.ask(None))


async def buys_anew(customer: Customer) -> None:
    """The bank says no; the page ends; the customer buys the plan anew; then the bank says yes to what was given up."""
    late = customer.draw.randint(2 * HOUR, 6 * HOUR)
    await customer.pay(await customer.ask(customer.new_key()), card=PAYS, late=late)
    if await customer.later(PAGE_SECONDS):
        await customer.pay(await customer.ask(customer.new_key()))


Wish = Callable[[Customer], Awaitable[None]]
