"""Who comes, what for, and at which gateway: planned from the seed, one visit after the other."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from tests.simulation import customers as buyers
from tests.simulation import regrets
from tests.simulation import subscribers as lives
from tests.simulation.customers import Customer, Street, Visit, Wish
from tests.simulation.stack import ON_SALE, SUBSCRIBED
from tests.simulation.streams import stream

STRIPE, RAZORPAY = ("stripe",), ("razorpay",)
BOTH = (*STRIPE, *RAZORPAY)

#: How often, at which gateways.
WISHES: Sequence[tuple[int, Wish, tuple[str, ...]]] = (
    (44, buyers.pays, BOTH),
    (11, buyers.is_declined_and_pays, BOTH),
    (3, buyers.is_declined_and_leaves, BOTH),
    (6, buyers.authenticates, BOTH),
    (3, buyers.fails_to_authenticate, BOTH),
    (2, buyers.leaves_the_bank_waiting, BOTH),
    (4, buyers.abandons, BOTH),
    (6, buyers.clicks_often, BOTH),
    (6, buyers.repeats_the_request, BOTH),
    (1, buyers.wants_something_else, BOTH),
    (2, buyers.presses_twice, BOTH),
    (4, buyers.pays_by_debit, STRIPE),
    (2, buyers.debit_bounces, STRIPE),
    (3, buyers.is_authorised_late, RAZORPAY),
    (4, buyers.pays_twice, RAZORPAY),
    (1, buyers.buys_anew, RAZORPAY),
)

LIVES: Sequence[tuple[int, Wish, tuple[str, ...]]] = (
    (5, lives.stays, BOTH),
    (1, lives.turns_back, BOTH),
    (2, lives.is_declined_and_subscribes, BOTH),
    (2, lives.subscribes_often, BOTH),
    (2, lives.cancels_in_time, BOTH),
    (1, lives.cancels_at_once, BOTH),
    (1, lives.thinks_better_of_it, BOTH),
    (3, lives.pauses, BOTH),
    (3, lives.changes_plan, BOTH),
    (4, lives.fails_and_pays, BOTH),
    (2, lives.fails_and_gets_another_card, BOTH),
    (2, lives.fails_for_good, BOTH),
)

#: Those whose money goes back, or may have to.
REGRETS: Sequence[tuple[int, Wish, tuple[str, ...]]] = (
    (4, regrets.asks_it_back, BOTH),
    (3, regrets.asks_twice_at_once, BOTH),
    (4, regrets.asks_for_parts, BOTH),
    (4, regrets.asks_for_too_much, BOTH),
    (3, regrets.asks_by_payment, BOTH),
    (1, regrets.asks_without_leave, BOTH),
    (6, regrets.is_given_back, BOTH),
    (4, regrets.is_given_back_from_both_sides, BOTH),
    (6, regrets.is_disputed, BOTH),
    (3, regrets.is_disputed_twice, BOTH),
    (5, regrets.is_disputed_as_it_goes_back, BOTH),
    (2, regrets.is_settled_before_its_money, STRIPE),
)

REGRETTED_LIVES: Sequence[tuple[int, Wish, tuple[str, ...]]] = (
    (2, regrets.asks_a_period_back, BOTH),
    (1, regrets.is_given_a_period_back, BOTH),
    (2, regrets.disputes_a_period, BOTH),
)

#: Of all visits, how many are for a subscription, and of how many the money goes back, unless it is said otherwise.
SUBSCRIBERS = 0.15
MONEY_BACK = 0.15

#: So many customers come again and again.
USERS = 1000


def plan_visit(
    seed: int, number: int, subscribers: float = SUBSCRIBERS, money_back: float = MONEY_BACK
) -> tuple[Visit, Wish]:
    """Who comes as the nth, and what they want: the same for the same seed."""
    draw = stream(seed, "visit", number)
    regret = stream(seed, "regret", number).random() < money_back
    is_subscriber = draw.random() < subscribers
    wishes, on_sale = (LIVES, SUBSCRIBED) if is_subscriber else (WISHES, ON_SALE)
    if regret:
        wishes = REGRETTED_LIVES if is_subscriber else REGRETS
    [(_, wish, gateways)] = draw.choices(wishes, [weight for weight, *_ in wishes])
    visit = Visit(
        number,
        user=f"sim-{draw.randrange(USERS)}",
        plan=draw.choice(on_sale).id,
        gateway=draw.choice(gateways),
        wish=wish.__name__,
    )
    return visit, wish


async def serve(street: Street, visit: Visit, wish: Wish) -> None:
    """One visit from the door to the door."""
    customer = Customer(street, visit, stream(street.seed, "customer", visit.number))
    async with street.room:
        try:
            await wish(customer)
        except httpx.HTTPError as error:
            visit.complain(f"the hosted page broke: {type(error).__name__}")
