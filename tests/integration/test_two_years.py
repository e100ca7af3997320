"""Two years of one subscription at each gateway, looked at on every day: what GET /access answers is what the policy
says, whatever happens to the subscription, to its webhooks and to our own clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from db.plans import Plan
from db.pool import Pool
from schedules import invariants
from tests.contract.accounts import ACCOUNTS, Account
from tests.lifetime import Life, a_life
from tests.sandboxes import PAYS
from tests.subscribers import FAILS_LATER

# The SDK hands httpx a text where httpx would rather have it named.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

DAY, NOON = timedelta(days=1), timedelta(hours=12)
#: When the customer does what they do: earlier on the day than anybody looks, as are Stripe's renewals.
MORNING = timedelta(hours=8)

Act = Callable[[Life], Awaitable[None]]

#: What happens on the morning of a day; all else is time's.
ACTS: Mapping[str, Act] = {
    "2035-05-20": lambda life: life.use_card(FAILS_LATER),
    "2035-07-10": lambda life: life.ask("change-plan", planId="team"),
    "2035-08-15": lambda life: life.lose_webhooks(),
    "2035-09-15": lambda life: life.mend(),
    "2035-10-15": lambda life: life.fall_silent(),
    "2035-11-15": lambda life: life.mend(),
    "2036-01-10": lambda life: life.ask("pause"),
    "2036-02-14": lambda life: life.ask("resume"),
    "2036-06-20": lambda life: life.ask("change-plan", planId="solo"),
}

#: Each gateway tries a failed renewal again on days of its own, and has another last period.
ITS_ACTS: Mapping[str, Mapping[str, Act]] = {
    "stripe": {
        "2035-06-05": lambda life: life.use_card(PAYS),
        "2037-01-20": lambda life: life.ask("cancel", atPeriodEnd=True),
    },
    "razorpay": {
        "2035-06-01": lambda life: life.use_card(PAYS),
        "2037-02-10": lambda life: life.ask("cancel", atPeriodEnd=True),
    },
}

#: From the noon of a day on: the plan, whether it may be used, why, and until which hour. Written by hand from the
#: policy of ``dunning.toml`` and the gateways' calendars: at Stripe a period ends at the hour of its first day, and is
#: paid for an hour later; at Razorpay it ends at midnight in India.
EXPECTED: Mapping[str, str] = {
    "stripe": """
        2035-01-17  solo  on   trial           2035-01-31 08
        2035-01-31  solo  on   paid            2035-02-28 08   the first charge
        2035-02-28  solo  on   paid            2035-03-31 08
        2035-03-31  solo  on   paid            2035-04-30 08
        2035-04-30  solo  on   paid            2035-05-31 08
        2035-05-31  solo  off  payment_failed  2035-05-31 09   it fails, and again on 3 June
        2035-06-08  solo  on   paid            2035-06-30 08   five days later it is paid
        2035-06-30  solo  on   paid            2035-07-31 08
        2035-07-10  team  on   paid            2035-07-31 08   the dearer plan, at once
        2035-07-31  team  on   paid            2035-08-31 08
        2035-08-31  team  on   paid            2035-09-30 08   nobody tells us, and our clock asks
        2035-09-30  team  on   paid            2035-10-31 08
        2035-10-31  team  on   grace           2035-10-31 08   nobody tells us, and our clock stands still
        2035-11-01  team  off  ended           2035-10-31 08
        2035-11-15  team  on   paid            2035-11-30 08   recovery
        2035-11-30  team  on   paid            2035-12-31 08
        2035-12-31  team  on   paid            2036-01-31 08   paused on 10 January: what is paid can be used
        2036-01-31  team  off  paused          2036-01-31 08
        2036-02-14  team  on   paid            2036-03-14 08   resumed: a new period begins
        2036-03-14  team  on   paid            2036-04-14 08
        2036-04-14  team  on   paid            2036-05-14 08
        2036-05-14  team  on   paid            2036-06-14 08
        2036-06-14  team  on   paid            2036-07-14 08
        2036-07-14  solo  on   paid            2036-08-14 08   the cheaper plan, once the period was over
        2036-08-14  solo  on   paid            2036-09-14 08
        2036-09-14  solo  on   paid            2036-10-14 08
        2036-10-14  solo  on   paid            2036-11-14 08
        2036-11-14  solo  on   paid            2036-12-14 08
        2036-12-14  solo  on   paid            2037-01-14 08
        2037-01-14  solo  on   paid            2037-02-14 08   the 23rd renewal
        2037-02-14  solo  off  cancelled       2037-02-14 08
    """,
    "razorpay": """
        2035-01-17  solo  on   trial           2035-01-31 08
        2035-01-31  solo  on   paid            2035-02-27 18   the first charge
        2035-02-28  solo  on   paid            2035-03-30 18
        2035-03-31  solo  on   paid            2035-04-29 18
        2035-04-30  solo  on   paid            2035-05-30 18
        2035-05-31  solo  off  payment_failed  2035-05-30 18   it fails, and again a day later
        2035-06-02  solo  on   paid            2035-06-29 18   on the second day it is paid
        2035-06-30  solo  on   paid            2035-07-30 18
        2035-07-10  team  on   paid            2035-07-30 18   the dearer plan, at once
        2035-07-31  team  on   paid            2035-08-30 18
        2035-08-31  team  on   paid            2035-09-29 18   nobody tells us, and our clock asks
        2035-09-30  team  on   paid            2035-10-30 18
        2035-10-31  team  on   grace           2035-10-30 18   nobody tells us, and our clock stands still
        2035-11-01  team  off  ended           2035-10-30 18
        2035-11-15  team  on   paid            2035-11-29 18   recovery
        2035-11-30  team  on   paid            2035-12-30 18
        2035-12-31  team  on   paid            2036-01-30 18   paused on 10 January: what is paid can be used
        2036-01-31  team  off  paused          2036-01-30 18
        2036-02-14  team  off  ended           2036-01-31 18   resumed, and nothing is paid before the next of its dates
        2036-02-29  team  on   paid            2036-03-30 18
        2036-03-31  team  on   paid            2036-04-29 18
        2036-04-30  team  on   paid            2036-05-30 18
        2036-05-31  team  on   paid            2036-06-29 18
        2036-06-30  solo  on   paid            2036-07-30 18   the cheaper plan, once the period was over
        2036-07-31  solo  on   paid            2036-08-30 18
        2036-08-31  solo  on   paid            2036-09-29 18
        2036-09-30  solo  on   paid            2036-10-30 18
        2036-10-31  solo  on   paid            2036-11-29 18
        2036-11-30  solo  on   paid            2036-12-30 18
        2036-12-31  solo  on   paid            2037-01-30 18
        2037-01-31  solo  on   paid            2037-02-27 18   the 23rd renewal
        2037-02-28  solo  off  cancelled       2037-02-27 18
    """,
}

#: What the customer is written, and on which days: each once, nothing for what repaired itself unseen.
LETTERS: Mapping[str, Mapping[str, str]] = {
    "stripe": {
        "subscription_started": "2035-01-17",
        "subscription_trial_ending": "2035-01-28",
        "subscription_upcoming_invoice": """
            2035-01-24 2035-02-21 2035-03-24 2035-04-23 2035-05-24 2035-06-23 2035-07-24 2035-08-24 2035-09-23
            2035-11-23 2035-12-24 2036-03-07 2036-04-07 2036-05-07 2036-06-07 2036-07-07 2036-08-07 2036-09-07
            2036-10-07 2036-11-07 2036-12-07 2037-01-07""",
        "subscription_renewed": """
            2035-01-31 2035-02-28 2035-03-31 2035-04-30 2035-06-08 2035-06-30 2035-07-31 2035-08-31 2035-09-30
            2035-11-15 2035-11-30 2035-12-31 2036-03-14 2036-04-14 2036-05-14 2036-06-14 2036-07-14 2036-08-14
            2036-09-14 2036-10-14 2036-11-14 2036-12-14 2037-01-14""",
        "subscription_renewal_failed": "2035-05-31",
        "subscription_payment_reminder": "2035-06-03 2035-06-07",
        "access_suspended": "2035-05-31 2036-01-31",
        "access_restored": "2035-06-08 2036-02-14",
        "subscription_plan_changed": "2035-07-10 2036-07-14",
        "subscription_paused": "2036-01-10",
        "subscription_resumed": "2036-02-14",
        "subscription_cancel_scheduled": "2037-01-20",
        "subscription_cancelled": "2037-02-14",
    },
    "razorpay": {
        "subscription_started": "2035-01-17",
        "subscription_trial_ending": "2035-01-28",
        "subscription_upcoming_invoice": """
            2035-02-21 2035-03-24 2035-04-23 2035-05-24 2035-06-23 2035-07-24 2035-08-24 2035-09-23 2035-11-23
            2035-12-24 2036-03-24 2036-04-23 2036-05-24 2036-06-23 2036-07-24 2036-08-24 2036-09-23 2036-10-24
            2036-11-23 2036-12-24 2037-01-24""",
        "subscription_renewed": """
            2035-01-31 2035-02-27 2035-03-30 2035-04-29 2035-06-01 2035-06-29 2035-07-30 2035-08-31 2035-09-29
            2035-11-15 2035-11-29 2035-12-30 2036-02-28 2036-03-30 2036-04-29 2036-05-30 2036-06-29 2036-07-30
            2036-08-30 2036-09-29 2036-10-30 2036-11-29 2036-12-30 2037-01-30""",
        "subscription_renewal_failed": "2035-05-30",
        "access_suspended": "2035-05-30 2036-01-31",
        "access_restored": "2035-06-01 2036-02-28",
        "subscription_plan_changed": "2035-07-10 2036-06-29",
        "subscription_paused": "2036-01-10",
        "subscription_resumed": "2036-02-14",
        "subscription_cancel_scheduled": "2037-02-10",
        "subscription_cancelled": "2037-02-27",
    },
}

BEGINS, ENDS = "2035-01-17", "2037-03-10"


@pytest.fixture(params=ACCOUNTS, ids=str)
def account(request: pytest.FixtureRequest) -> Account:
    chosen = request.param
    assert isinstance(chosen, Account)
    return chosen


async def test_access_is_what_the_policy_says_on_every_day_of_two_years(
    pool: Pool, database_url: str, account: Account, tmp_path: Path
) -> None:
    currency = account.price.currency
    solo = Plan("solo", "Solo", "", 90000, currency, interval="month", trial_days=14)
    team = Plan("team", "Team", "", 290000, currency, interval="month")
    acts = {**ACTS, **ITS_ACTS[account.name]}
    async with a_life(pool, database_url, account, tmp_path, solo, team) as life:
        seen = {}

        await life.pass_to(at(BEGINS) + MORNING)
        await life.subscribe("solo", account.name)
        for day in days():
            if day in acts:
                await life.pass_to(at(day) + MORNING)
                await acts[day](life)
            await life.pass_to(at(day) + NOON)
            await life.keep_time()
            seen[day] = await access(life)

        assert seen == dict(expected(EXPECTED[account.name]))
        assert await letters(pool) == {kind: said.split() for kind, said in LETTERS[account.name].items()}
        assert await paid_here(pool) == await paid_there(life, account)
        assert await unsettled(pool) == []


def at(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


def days() -> Iterator[str]:
    day = at(BEGINS)
    while day <= at(ENDS):
        yield f"{day:%Y-%m-%d}"
        day += DAY


def expected(table: str) -> Iterator[tuple[str, list[str]]]:
    """The table, a line for each day."""
    lines = {line.split()[0]: line.split()[1:6] for line in table.strip().splitlines()}
    standing: list[str] = []
    for day in days():
        standing = lines.get(day, standing)
        yield day, standing


async def access(life: Life) -> list[str]:
    """What the application is told, in the table's words."""
    [line] = await life.access()
    until = f"{datetime.fromisoformat(line['until']).astimezone(UTC):%Y-%m-%d %H}"
    return [line["planId"], "on" if line["active"] else "off", line["reason"], *until.split()]


async def letters(pool: Pool) -> dict[str, list[str]]:
    """By kind, the days on which the customer is written to; the order's own confirmation is none of these."""
    rows = await pool.fetch(
        "SELECT kind, detail->>'at' AS at FROM effects WHERE kind LIKE 'mail.%' AND detail ? 'at' ORDER BY 2, kind"
    )
    written: dict[str, list[str]] = {}
    for row in rows:
        written.setdefault(row["kind"].removeprefix("mail."), []).append(row["at"][:10])
    return written


async def paid_here(pool: Pool) -> dict[str, int]:
    """Each paid invoice by its gateway's name, with the money that was recorded for it."""
    rows = await pool.fetch(
        """
        SELECT i.gateway_invoice_id AS name, coalesce(sum(p.amount), 0)::bigint AS taken
          FROM invoices i LEFT JOIN payments p ON p.invoice_id = i.id AND p.standing = 'accepted'
         WHERE i.status = 'paid' GROUP BY i.id
        """
    )
    return {row["name"]: row["taken"] for row in rows}


async def paid_there(life: Life, account: Account) -> dict[str, int]:
    found = await life.objects(account.name, "invoice")
    return {each["id"]: each["amount_paid"] for each in found if each["status"] == "paid"}


async def unsettled(pool: Pool) -> list[str]:
    """Whatever waits for somebody at the end, or must never be."""
    await invariants.check(pool)
    rows = await pool.fetch(
        """
        SELECT 'event ' || event_type FROM webhook_events WHERE status IN ('received', 'retry', 'dead')
        UNION ALL SELECT 'effect ' || kind FROM effects WHERE kind LIKE 'gateway.%' AND status <> 'sent'
        UNION ALL SELECT 'request ' || kind FROM subscription_requests WHERE status <> 'done'
        UNION ALL SELECT 'discrepancy ' || kind FROM discrepancies
        """
    )
    return [row[0] for row in rows]
