"""The rules under every order of telling: one gateway, one order, and a post that repeats, delays and reorders.

The gateway decides what happens to the money; its post tells of it in any order, each fact at least once. The book is
written as ``workers.apply`` writes it. Whatever came when, in the end both must say the same. Thousands of seeds walk
through it at random; Hypothesis looks for what they miss, and makes short what it finds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from payments.events import (
    CheckoutEnded,
    OrderEvent,
    PaymentAuthorised,
    PaymentFailed,
    PaymentPending,
    PaymentSucceeded,
)
from payments.failure import Failure, FailureCode
from payments.money import Money
from payments.order import (
    MOVES,
    Capture,
    Early,
    Held,
    LateSuccess,
    Mismatch,
    Move,
    Order,
    OrderStatus,
    Outcome,
    Record,
    Returned,
    Stale,
    Surplus,
    decide,
)
from payments.payment import Payment, PaymentStatus, Standing, advance, sighted

OWED, TOO_LITTLE = Money(1000, "usd"), Money(999, "usd")
DECLINED = Failure(FailureCode.CARD_DECLINED)

STANDINGS: dict[type[Outcome], Standing] = {
    Move: Standing.ACCEPTED,
    Stale: Standing.ACCEPTED,
    Surplus: Standing.SURPLUS,
    Mismatch: Standing.MISMATCHED,
    Held: Standing.HELD,
    Returned: Standing.RETURNED,
}

#: The right money, that came after we gave up and did not pay.
LATE = (Standing.HELD, Standing.RETURNED)


@dataclass
class Page:
    """A hosted page at the gateway. ``known_over``: our book knows that nobody can pay there any more."""

    id: str
    is_open: bool = True
    known_over: bool = False


class Stage(StrEnum):
    """How far a payment really is, at the gateway."""

    UNDER_WAY = "under way"
    FAILED = "failed"  # the bank may change its mind
    BOUNCED = "bounced"  # a debit that failed: for good
    AUTHORISED = "authorised"
    TAKEN = "taken"


@dataclass
class Attempt:
    """A payment at the gateway."""

    id: str
    page: Page
    amount: Money
    stage: Stage


@dataclass(frozen=True)
class Fact:
    """One event in the post, about this page."""

    event: OrderEvent
    page: Page


class World:
    """The gateway, the post, and our book of one order. Each of ``ACTS`` may happen at any time at which it can."""

    def __init__(self, policy: LateSuccess) -> None:
        self.policy = policy
        self.pages: list[Page] = []
        self.attempts: list[Attempt] = []
        self.post: list[Fact] = []
        self.untold: list[Fact] = []
        self.moves: list[tuple[OrderStatus, OrderStatus]] = []
        self.captures: list[str] = []
        self.book = Order("order-1", OrderStatus.PENDING, OWED)
        self._open_page()

    # --- what customers, banks and time do; ``draw`` is anything from 0 to 7, and False says that it cannot be ---

    def the_customer_comes_back(self, draw: int) -> bool:
        """As the counter decides: the last page is known over, and the order takes money still."""
        del draw
        if not (self.pages[-1].known_over and self.book.status in (OrderStatus.FAILED, OrderStatus.CANCELLED)):
            return False
        self._open_page()
        return True

    def the_customer_pays(self, draw: int) -> bool:
        if not self.pages[-1].is_open:
            return False
        attempt = self._attempt(TOO_LITTLE if draw == 7 else OWED, Stage.TAKEN)
        if draw in (1, 2):
            self._send(attempt.page, PaymentAuthorised(attempt.id, attempt.amount))
        if draw in (2, 3):
            self._send(attempt.page, PaymentSucceeded(None, attempt.amount))
        self._take(attempt)
        return True

    def the_bank_declines(self, draw: int) -> bool:
        if not self.pages[-1].is_open:
            return False
        attempt = self._attempt(TOO_LITTLE if draw == 7 else OWED, Stage.FAILED)
        self._send(attempt.page, PaymentFailed(attempt.id, attempt.amount, DECLINED))
        return True

    def the_customer_pays_by_debit(self, draw: int) -> bool:
        del draw
        if not self.pages[-1].is_open:
            return False
        attempt = self._attempt(OWED, Stage.UNDER_WAY)
        attempt.page.is_open = False
        self._send(attempt.page, PaymentPending(attempt.id, OWED))
        return True

    def the_debit_settles(self, draw: int) -> bool:
        under_way = self._at(Stage.UNDER_WAY)
        if not under_way:
            return False
        attempt = under_way[0]
        if draw % 2:
            self._take(attempt)
        else:
            attempt.stage = Stage.BOUNCED
            self._send(attempt.page, PaymentFailed(attempt.id, OWED, DECLINED, final=True))
        return True

    def the_bank_changes_its_mind(self, draw: int) -> bool:
        failed = self._at(Stage.FAILED)
        if not failed:
            return False
        attempt = failed[draw % len(failed)]
        attempt.stage = Stage.AUTHORISED
        self._send(attempt.page, PaymentAuthorised(attempt.id, attempt.amount))
        if draw % 2 and not self._is_paid_there(attempt.page):
            self._take(attempt)
        return True

    def our_capture_reaches_the_gateway(self, draw: int) -> bool:
        del draw
        if not self.captures:
            return False
        wanted = self.captures.pop()
        attempt = next(each for each in self.attempts if each.id == wanted)
        assert attempt.amount == OWED
        if attempt.stage is Stage.AUTHORISED and not self._is_paid_there(attempt.page):
            self._take(attempt)
        return True

    def the_page_expires(self, draw: int) -> bool:
        del draw
        page = self.pages[-1]
        if not page.is_open:
            return False
        page.is_open = False
        self._send(page, CheckoutEnded(page.id))
        return True

    def the_customer_buys_the_plan_anew(self, draw: int) -> bool:
        self.book = replace(self.book, replaced=draw > 0)
        return True

    # --- what the post does ---

    def the_post_delivers(self, draw: int) -> bool:
        if not self.untold:
            return False
        self._tell(self.untold.pop(draw % len(self.untold)))
        return True

    def the_post_repeats_itself(self, draw: int) -> bool:
        if not self.post:
            return False
        self._tell(self.post[draw % len(self.post)])
        return True

    # --- what must be so ---

    def check(self) -> None:
        """At every moment: legal moves alone; paid by exactly one payment of what was owed; nothing made up."""
        accepted = [each for each in self.book.payments if each.standing is Standing.ACCEPTED]
        assert set(self.moves) <= MOVES
        assert len(accepted) == (self.book.status is OrderStatus.PAID)
        assert all(each.amount == OWED for each in accepted)
        assert {each.gateway_payment_id for each in self._taken()} <= {each.id for each in self._at(Stage.TAKEN)}

    def check_end(self) -> None:
        """Everything is told in the end, and then both sides say the same."""
        self._settle()
        taken = self._at(Stage.TAKEN)
        right = {each.id for each in taken if each.amount == OWED}
        late = {each.gateway_payment_id for each in self._taken() if each.standing in LATE}
        assert {each.gateway_payment_id: each.amount for each in self._taken()} == {e.id: e.amount for e in taken}
        assert (self.book.status is OrderStatus.PAID) == bool(right - late)
        assert self.book.status is not OrderStatus.PENDING or self.book.has_unreviewed_money
        self.check()

    def _settle(self) -> None:
        self.the_page_expires(0)
        while self.the_debit_settles(0):
            pass
        while self.untold or self.captures:
            # What is told too early comes back, behind what it waits for.
            if self.untold:
                self._tell(self.untold.pop(0))
            else:
                self.our_capture_reaches_the_gateway(0)

    # --- the gateway ---

    def _open_page(self) -> None:
        page = Page(f"page-{len(self.pages) + 1}")
        self.pages.append(page)
        self.book = replace(self.book, session_id=page.id, page_is_open=True)

    def _attempt(self, amount: Money, stage: Stage) -> Attempt:
        attempt = Attempt(f"pay-{len(self.attempts) + 1}", self.pages[-1], amount, stage)
        self.attempts.append(attempt)
        return attempt

    def _take(self, attempt: Attempt) -> None:
        """Told twice: by the payment's own event, and by its page's."""
        attempt.stage, attempt.page.is_open = Stage.TAKEN, False
        for _ in range(2):
            self._send(attempt.page, PaymentSucceeded(attempt.id, attempt.amount))

    def _at(self, stage: Stage) -> list[Attempt]:
        return [each for each in self.attempts if each.stage is stage]

    def _is_paid_there(self, page: Page) -> bool:
        return any(each.page is page for each in self._at(Stage.TAKEN))

    def _send(self, page: Page, event: OrderEvent) -> None:
        fact = Fact(event, page)
        self.post.append(fact)
        self.untold.append(fact)

    # --- the book ---

    def _taken(self) -> list[Payment]:
        return [each for each in self.book.payments if each.status is PaymentStatus.SUCCEEDED]

    def _tell(self, fact: Fact) -> None:
        outcome = decide(self.book, fact.event, self.policy)
        if isinstance(outcome, Early):
            self.untold.append(fact)
            return
        self._write_payment(fact.event, outcome)
        match outcome:
            case Move(to=to):
                assert to is OrderStatus.PAID or not self.book.has_unreviewed_money
                self.moves.append((self.book.status, to))
                self.book = replace(self.book, status=to, attempt_failed=to is OrderStatus.FAILED)
            case Record(failure=Failure()):
                self.book = replace(self.book, attempt_failed=True)
            case Capture(payment_id=payment_id):
                self.captures.append(payment_id)
            case Record() | Stale() | Surplus() | Mismatch() | Held() | Returned():
                pass
        self._learn_end(fact)

    def _write_payment(self, event: OrderEvent, outcome: Outcome) -> None:
        seen = sighted(event)
        known = self.book.payment(seen.gateway_payment_id) if seen else None
        if seen is None or (known is not None and known.status is PaymentStatus.SUCCEEDED):
            return
        status = advance(known.status, seen.status) if known else seen.status
        standing = STANDINGS[type(outcome)] if status is PaymentStatus.SUCCEEDED else None
        others = tuple(each for each in self.book.payments if each is not known)
        written = Payment(seen.gateway_payment_id, seen.amount, status, standing)
        self.book = replace(self.book, payments=(*others, written))

    def _learn_end(self, fact: Fact) -> None:
        match fact.event:
            case CheckoutEnded() | PaymentSucceeded() | PaymentFailed(final=True):
                fact.page.known_over = True
                is_open = not all(page.known_over for page in self.pages)
                self.book = replace(self.book, page_is_open=is_open)
            case _:
                pass


Act = Callable[[World, int], bool]

ACTS: tuple[Act, ...] = (
    World.the_customer_comes_back,
    World.the_customer_pays,
    World.the_bank_declines,
    World.the_customer_pays_by_debit,
    World.the_debit_settles,
    World.the_bank_changes_its_mind,
    World.our_capture_reaches_the_gateway,
    World.the_page_expires,
    World.the_customer_buys_the_plan_anew,
    World.the_post_delivers,
    World.the_post_delivers,
    World.the_post_repeats_itself,
)


class OneOrder(RuleBasedStateMachine):
    """The same world, for Hypothesis to play with."""

    @initialize(policy=st.sampled_from(LateSuccess))
    def begin(self, policy: LateSuccess) -> None:
        self.world = World(policy)

    @rule(act=st.sampled_from(ACTS), draw=st.integers(0, 7))
    def something_happens(self, act: Act, draw: int) -> None:
        act(self.world, draw)
        self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.check_end()


def test_hypothesis_finds_no_order_of_telling_that_the_book_gets_wrong() -> None:
    run_state_machine_as_test(OneOrder, settings=settings(max_examples=200, stateful_step_count=30, deadline=None))


@pytest.mark.parametrize("thousand", range(5))
def test_f119_whatever_is_told_in_whatever_order_the_book_ends_as_the_gateway_says(thousand: int) -> None:
    for seed in range(1000 * thousand, 1000 * thousand + 1000):
        draw = Random(seed)
        world = World(draw.choice(list(LateSuccess)))

        for act in draw.choices(ACTS, k=30):
            act(world, draw.randrange(8))
            world.check()

        world.check_end()
