"""Plans on sale stand in the gateways' catalogues, each price is remembered, and a sale never depends on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from console.shopwindow import publish
from db import plans
from db.plans import Plan
from db.pool import Pool
from gateways.catalogue import NotKept, PlanOnSale, Published
from gateways.client import BACKGROUND, Doubt, Patience, Refused, Unknown
from tests.fake_gateway import FakeGateway

PRO = Plan("pro", "Pro", "", 1900, "usd", "month")


@dataclass
class Window(FakeGateway):
    """A gateway with a catalogue of its own."""

    shown: list[PlanOnSale] = field(default_factory=list)
    answers: list[NotKept | Refused | Unknown] = field(default_factory=list)

    async def publish_plan(
        self, plan: PlanOnSale, patience: Patience = BACKGROUND
    ) -> Published | NotKept | Refused | Unknown:
        self.shown.append(plan)
        if self.answers:
            return self.answers.pop(0)
        return Published(f"prod_{plan.plan_id}", f"price_{plan.plan_id}_{plan.price.minor}")


async def put_on_sale(pool: Pool, *listed: Plan) -> None:
    async with pool.acquire() as tx:
        for plan in listed:
            await plans.upsert(tx, plan)


async def test_every_price_that_a_plan_ever_had_is_remembered_once(pool: Pool, database_url: str) -> None:
    dearer = Plan("pro", "Pro", "", 2900, "usd", "month")
    await put_on_sale(pool, PRO)
    clients = {"stripe": Window()}

    first = await publish(database_url, [PRO], clients, "counterfoil")
    again = await publish(database_url, [PRO], clients, "counterfoil")
    await put_on_sale(pool, dearer)
    changed = await publish(database_url, [dearer], clients, "counterfoil")

    assert [str(line) for lines in (first, again, changed) for line in lines] == [
        "pro: stripe price_pro_1900 (new)",
        "pro: stripe price_pro_1900",
        "pro: stripe price_pro_2900 (new)",
    ]
    kept = await pool.fetch("SELECT price_id, amount FROM plan_prices ORDER BY amount")
    assert [tuple(row) for row in kept] == [("price_pro_1900", 1900), ("price_pro_2900", 2900)]


async def test_only_what_is_on_sale_at_a_gateway_that_keeps_an_entry_for_it_is_shown(
    pool: Pool, database_url: str
) -> None:
    elsewhere = Plan("indian", "Indian", "", 1900, "inr", gateways=("razorpay",))
    withdrawn = Plan("old", "Old", "", 1900, "usd", active=False)
    await put_on_sale(pool, PRO, elsewhere, withdrawn)
    window = Window()

    shown = await publish(
        database_url,
        [PRO, elsewhere, withdrawn],
        {"stripe": window, "razorpay": Window("razorpay", answers=[NotKept(), NotKept()])},
        "counterfoil",
    )

    assert [line.plan_id for line in shown] == ["pro"]
    assert [plan.plan_id for plan in window.shown] == ["pro"]


async def test_what_goes_wrong_is_told_and_the_rest_goes_on(pool: Pool, database_url: str) -> None:
    other = Plan("team", "Team", "", 4900, "usd", "month")
    await put_on_sale(pool, PRO, other)
    window = Window(answers=[Unknown(Doubt.TIMED_OUT)])

    shown = await publish(database_url, [PRO, other], {"stripe": window}, "counterfoil")

    assert [str(line) for line in shown] == [
        "pro: not in stripe's catalogue: its answer is unknown (timed_out); sync again",
        "team: stripe price_team_4900 (new)",
    ]
