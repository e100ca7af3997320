"""`counterfoil plans` and `counterfoil token`: a file becomes what is for sale, and a developer becomes a user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from checkout.tokens import SharedSecret, Tokens
from console import plans
from console.plans import FREEZERS
from db import orders
from db.pool import Pool
from gateways.registry import GATEWAYS
from payments.money import Money
from tests.builders import NOON
from tests.counter import SECRET, put_on_sale
from tests.processes import ROOT

LIST = """
[[plans]]
id = "lifetime"
name = "Lifetime"
description = "Paid once, yours for good."
price_cents = 4900
currency = "usd"

[[plans]]
id = "pro"
name = "Pro"
price_cents = 1900
currency = "usd"
interval = "month"
trial_days = 14
gateways = ["stripe"]
"""


def run(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "console", *map(str, words)],
        cwd="/",
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "plans.toml"
    path.write_text(LIST)
    return path


async def test_a_file_is_put_on_sale_and_repeating_it_changes_nothing(
    pool: Pool, database_url: str, file: Path
) -> None:
    first = run("plans", "sync", file, DATABASE_URL=database_url)
    second = run("plans", "sync", file, DATABASE_URL=database_url)

    rows = await pool.fetch("SELECT id, price_cents, interval, trial_days, gateways, active FROM plans ORDER BY id")
    assert (first.returncode, first.stdout) == (0, "lifetime: new, 4900 usd\npro: new, 1900 usd\n")
    assert (second.returncode, second.stdout) == (0, "nothing has changed\n")
    assert [tuple(row) for row in rows] == [
        ("lifetime", 4900, None, 0, ["stripe", "razorpay"], True),
        ("pro", 1900, "month", 14, ["stripe"], True),
    ]


async def test_a_price_change_leaves_the_amounts_of_orders(pool: Pool, database_url: str, file: Path) -> None:
    run("plans", "sync", file, DATABASE_URL=database_url)
    async with pool.acquire() as connection:
        await connection.execute("INSERT INTO users (id) VALUES ('anna')")
        await orders.place(connection, user_id="anna", plan_id="lifetime", expected=Money(4900, "usd"), at=NOON)
    file.write_text(LIST.replace("4900", "5900"))
    done = run("plans", "sync", file, DATABASE_URL=database_url)

    assert done.stdout == "lifetime: price_cents 4900 -> 5900\n"
    assert await pool.fetchval("SELECT amount FROM orders") == 4900


async def test_plans_that_are_not_in_the_file_stay_unless_pruned(pool: Pool, database_url: str, file: Path) -> None:
    await put_on_sale(pool)
    kept = run("plans", "sync", file, DATABASE_URL=database_url)
    still_sold = await pool.fetchval("SELECT active FROM plans WHERE id = 'cheap'")
    tried = run("plans", "sync", "--prune", "--dry-run", file, DATABASE_URL=database_url)
    after_trying = await pool.fetchval("SELECT active FROM plans WHERE id = 'cheap'")
    pruned = run("plans", "sync", "--prune", file, DATABASE_URL=database_url)

    assert "cheap" not in kept.stdout
    assert still_sold is True
    assert "cheap: active True -> False\n" in tried.stdout
    assert after_trying is True
    assert pruned.stdout == tried.stdout
    assert await pool.fetchval("SELECT array_agg(id ORDER BY id) FROM plans WHERE active") == ["lifetime", "pro"]


WRONG: dict[str, tuple[str, str]] = {
    "a price with a point": (LIST.replace("4900", "49.00"), "plans.1.price_cents"),
    "a price in quotes": (LIST.replace("4900", '"4900"'), "plans.1.price_cents"),
    "a negative price": (LIST.replace("4900", "-1"), "plans.1.price_cents"),
    "a currency in capitals": (LIST.replace('"usd"', '"USD"'), "plans.1.currency"),
    "a name that is misspelt": (LIST.replace("price_cents = 1900", "price = 1900"), "plans.2.price"),
    "an unknown gateway": (LIST.replace('["stripe"]', '["paypal"]'), "plans.2"),
    "a gateway twice": (LIST.replace('["stripe"]', '["stripe", "stripe"]'), "plans.2"),
    "no gateway": (LIST.replace('["stripe"]', "[]"), "plans.2.gateways"),
    "an interval of its own": (LIST.replace('"month"', '"week"'), "plans.2.interval"),
    "a trial of what is paid once": (LIST.replace('interval = "month"\n', ""), "plans.2"),
    "an id for a path": (LIST.replace('"pro"', '"../pro"'), "plans.2.id"),
    "a name of two lines": (LIST.replace('"Pro"', '"Pro\\nRefund"'), "plans.2.name"),
    "two plans of one id": (LIST.replace('"pro"', '"lifetime"'), "several plans of the id lifetime"),
    "f65 an odd thousandth": (LIST.replace("4900", "4905").replace('"usd"', '"kwd"'), "stripe cannot be asked"),
    "f65 a part of a krona": (LIST.replace("1900", "1950").replace('"usd"', '"isk"'), "stripe cannot be asked"),
    "less than Razorpay takes": (LIST.replace("4900", "99"), "razorpay cannot be asked"),
    "no plans": ("", "plans"),
    "another table": ("[settings]\nx = 1\n" + LIST, "settings"),
    "not TOML": ("plans: []", "is not TOML"),
    "not text": ("\udcff", "is not TOML"),
}


@pytest.mark.parametrize(("text", "named"), WRONG.values(), ids=WRONG.keys())
def test_a_file_with_one_thing_wrong_is_refused_by_its_place(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "plans.toml"
    path.write_text(text, errors="surrogateescape")

    with pytest.raises(plans.PlansRefused, match=named.replace(".", r"\.")):
        plans.read(path)


async def test_a_refused_file_changes_nothing_and_says_so_in_a_sentence(
    pool: Pool, database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "plans.toml"
    path.write_text(LIST.replace("1900", "-1900"))
    refused = run("plans", "sync", path, DATABASE_URL=database_url)
    missing = run("plans", "sync", tmp_path / "nothing.toml", DATABASE_URL=database_url)
    away = run("plans", "sync", path.with_name("plans.toml"), DATABASE_URL="postgresql://u:hidden@127.0.0.1:1/x")

    assert refused.returncode == missing.returncode == away.returncode == 1
    assert "plans.2.price_cents" in refused.stderr
    assert "No such file" in missing.stderr
    assert "Traceback" not in refused.stderr + missing.stderr + away.stderr
    assert await pool.fetchval("SELECT count(*) FROM plans") == 0


def test_a_database_that_is_away_is_told_of_without_its_password(file: Path) -> None:
    refused = run("plans", "sync", file, DATABASE_URL="postgresql://u:hidden@127.0.0.1:1/x")

    assert refused.returncode == 1
    assert refused.stderr == "counterfoil: The database does not answer as it should (ConnectionRefusedError).\n"


def test_plans_are_listed_for_people_and_for_programs(database_url: str, file: Path) -> None:
    run("plans", "sync", file, DATABASE_URL=database_url)
    table = run("plans", "list", DATABASE_URL=database_url)
    listed = run("plans", "list", "--json", DATABASE_URL=database_url)

    assert [line.split() for line in table.stdout.splitlines()] == [
        ["ID", "NAME", "PRICE", "PAID", "TRIAL", "GATEWAYS"],
        ["lifetime", "Lifetime", "49.00", "USD", "once", "stripe,", "razorpay"],
        ["pro", "Pro", "19.00", "USD", "every", "month", "14", "days", "stripe"],
    ]
    assert [plan["price_cents"] for plan in json.loads(listed.stdout)] == [4900, 1900]


def test_every_gateway_is_asked_what_it_can_take() -> None:
    assert FREEZERS.keys() == GATEWAYS.keys()


async def test_a_token_is_for_a_user_or_with_admin_for_support_too() -> None:
    tokens = Tokens(SharedSecret(SECRET))
    plain = run("token", "--email", "anna@example.com", AUTH_JWT_SECRET=SECRET.decode())
    admin = run("token", "--email", "anna@example.com", "--user", "u-7", "--admin", AUTH_JWT_SECRET=SECRET.decode())

    anna, support = await tokens.read(plain.stdout.strip()), await tokens.read(admin.stdout.strip())
    assert (anna.user_id, anna.email, anna.scopes) == ("anna@example.com", "anna@example.com", frozenset())
    assert (support.user_id, support.scopes) == ("u-7", frozenset({"refunds", "support"}))


def test_a_token_is_signed_as_the_development_stack_verifies(tmp_path: Path) -> None:
    (tmp_path / "settings.env").write_text(f"AUTH_JWT_SECRET='{SECRET.decode()}'\n")

    made = run("token", "--email", "anna@example.com", "--data-dir", tmp_path)

    assert made.returncode == 0
    assert made.stdout.count(".") == 2


@pytest.mark.parametrize(
    ("words", "environment", "code", "named"),
    [
        (("--email", "anna"), {"AUTH_JWT_SECRET": SECRET.decode()}, 1, "--email"),
        (("--email", "a@b.c", "--user", ""), {"AUTH_JWT_SECRET": SECRET.decode()}, 1, "--user"),
        (("--email", "a@b.c"), {"AUTH_JWT_SECRET": SECRET.decode(), "APP_ENV": "production"}, 1, "production"),
        (("--email", "a@b.c"), {"AUTH_JWT_SECRET": "short"}, 1, "AUTH_JWT_SECRET must have at least 32 bytes"),
        (("--email", "a@b.c"), {"COUNTERFOIL_DATA_DIR": "/nowhere"}, 2, "AUTH_JWT_SECRET is not set"),
    ],
)
def test_no_token_is_made_without_what_it_needs(
    words: tuple[str, ...], environment: dict[str, str], code: int, named: str
) -> None:
    refused = run("token", *words, **environment)

    assert refused.returncode == code
    assert named in refused.stderr
    assert refused.stdout == ""
