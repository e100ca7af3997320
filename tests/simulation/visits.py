"""Who comes, what for, and at which gateway: planned from the seed, one visit after the other."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from tests.simulation import customers as buyers
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

#: Of all visits, how many are for a subscription, unless it is said otherwise.
SUBSCRIBERS = 0.15

#: So many customers come again and again.
USERS = 1000


def plan_visit(seed: int, number: int, subscribers: float = SUBSCRIBERS) -> tuple[Visit, Wish]:
    """Who comes as the nth, and what they want: the same for the same seed."""
    draw = stream(seed, "visit", number)
    wishes, on_sale = (LIVES, SUBSCRIBED) if draw.random() < subscribers else (WISHES, ON_SALE)
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
