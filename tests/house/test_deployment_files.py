"""The files that deploy us, read as an engine would read them: none runs here, so what it would refuse is asked."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from fnmatch import fnmatch
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest
import yaml
from packaging.requirements import Requirement

import schedules.clock
import settings
from db import orphans
from db.history import Cause
from db.orphans import Orphan
from db.pool import Pool, open_pool
from gateways.registry import GATEWAYS
from payments.money import Money
from payments.order import Move, OrderStatus, Surplus
from tests.builders import BOOK, NOON, keep, observed, paid, place_order, session
from tests.counter import LIFETIME, bearer, counter, put_on_sale
from tests.desk import Desk as CommandLine
from tests.front_door import front_door, raw, stripe_event
from tests.house.pages import DOCS, ROOT, blocks, rows, section, text
from web.serving import GRACE_SECONDS
from workers.__main__ import END_SECONDS
from workers.apply import Applied, apply
from workers.delivery.senders import DeliverySettings, build
from workers.effects import Outcome, send_effect
from workers.looking import Look, look_at
from workers.queues import QUEUES
from workers.webhook_events import Desk, Worked, work_webhook_event

PROCFILE = dict(line.split(": ", 1) for line in text("Procfile").splitlines() if line)
COMPOSE: dict[str, Any] = yaml.safe_load(text("docker-compose.yml"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("counterfoil:")}
WORKERS = [name for name in OURS if name.startswith("worker")]
VARIABLES = {cells[0].strip("`") for cells in rows(section(DOCS / "deployment.md", "Settings"))}
EXAMPLE = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text(".env.example"), re.MULTILINE))
LIFETIME_PRICE = Money(LIFETIME.price_cents, LIFETIME.currency)


# --- docker-compose.yml ---


def test_every_process_is_a_service_with_the_procfiles_command() -> None:
    assert {name: service["command"] for name, service in OURS.items()} == PROCFILE
    assert SERVICES.keys() - OURS.keys() == {"postgres", "redis"}


def test_every_service_that_answers_has_a_health_check_and_the_others_say_that_they_have_none() -> None:
    answering = SERVICES.keys() - {"release"}

    for name, service in SERVICES.items():
        check = service["healthcheck"]
        assert check.get("disable", False) is (name not in answering), name
        assert name not in answering or check["test"][0] in {"CMD", "CMD-SHELL"}, name


def test_what_a_service_waits_for_can_come_true() -> None:
    for name, service in SERVICES.items():
        for other, wait in service.get("depends_on", {}).items():
            match wait["condition"]:
                case "service_healthy":
                    assert "test" in SERVICES[other]["healthcheck"], f"{name} waits for {other}"
                case "service_completed_successfully":
                    assert SERVICES[other]["restart"] == "no", f"{name} waits for {other}"
                case condition:
                    pytest.fail(f"{name}: {condition}")


def test_everything_waits_for_the_release_and_what_answers_not_for_redis() -> None:
    assert all("release" in service["depends_on"] for name, service in OURS.items() if name != "release")
    assert all("redis" not in OURS[name]["depends_on"] for name in ("ingress", "checkout"))


def test_redis_keeps_its_hints_on_disk_and_evicts_none() -> None:
    words = SERVICES["redis"]["command"]
    options = dict(zip(words[1::2], words[2::2], strict=True))

    assert all(isinstance(word, str) for word in words), "a bare yes is a boolean in YAML"
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "everysec"
    assert options["--maxmemory-policy"] == "noeviction"


def test_ports_are_published_on_loopback_alone_and_the_servers_have_no_way_out() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert all(SERVICES[name]["networks"] == ["inside"] for name in ("postgres", "redis"))


def test_networks_and_volumes_are_declared() -> None:
    networks = {network for service in SERVICES.values() for network in service["networks"]}
    volumes = {volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())}

    assert networks == COMPOSE["networks"].keys()
    assert volumes == COMPOSE["volumes"].keys()


def test_the_proxy_that_is_trusted_is_the_networks_own_gateway() -> None:
    [front] = COMPOSE["networks"]["front"]["ipam"]["config"]
    listening = [service for service in OURS.values() if "ports" in service]
    trusted = {re.sub(r"^.*:-(.+)}$", r"\1", service["environment"]["TRUSTED_PROXIES"]) for service in listening}

    assert trusted == {front["gateway"]}
    assert all(set(service["networks"]) == {"inside", "front"} for service in listening), "or another gateway is met"
    assert ip_address(front["gateway"]) in ip_network(front["subnet"])


def test_our_services_run_without_rights() -> None:
    for name, service in OURS.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert "privileged" not in service, name


def test_a_service_may_finish_before_it_is_killed() -> None:
    for name in WORKERS:
        assert int(OURS[name]["stop_grace_period"].rstrip("s")) > END_SECONDS
    assert int(OURS["schedules"]["stop_grace_period"].rstrip("s")) > schedules.clock.GRACE_SECONDS + 5
    for name in ("ingress", "checkout"):
        assert int(OURS[name]["stop_grace_period"].rstrip("s")) >= GRACE_SECONDS + 10


def test_workers_and_clocks_can_be_scaled() -> None:
    for name in (*WORKERS, "schedules"):
        assert not {"container_name", "ports"} & OURS[name].keys()
    assert OURS["schedules"]["deploy"]["replicas"] >= 2


def test_every_queue_has_a_worker_and_one_alone() -> None:
    worked = [re.findall(r"--queues ((?:[a-z]+ ?)+)", OURS[name]["command"])[0].split() for name in WORKERS]

    assert sorted(queue for queues in worked for queue in queues) == sorted(QUEUES)


def test_every_variable_is_a_setting_and_every_one_that_is_asked_for_is_in_the_example() -> None:
    used = {variable for service in OURS.values() for variable in service["environment"]}
    asked = {found for found, default in re.findall(r"\$\{(\w+)(:-)?", text("docker-compose.yml")) if not default}

    assert used <= VARIABLES
    assert EXAMPLE.keys() - {"POSTGRES_PASSWORD"} <= VARIABLES
    assert asked <= EXAMPLE.keys()
    assert not any(EXAMPLE[name] for name in ("POSTGRES_PASSWORD", "AUTH_JWT_SECRET")), "no secret in an example"


@pytest.mark.parametrize("name", OURS)
def test_a_process_starts_with_the_settings_that_its_service_gives_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP_URL", EXAMPLE["APP_URL"])
    for variable, value in OURS[name]["environment"].items():
        monkeypatch.setenv(variable, _interpolated(value))

    loaded = settings.load()

    assert loaded.is_production
    assert urlsplit(loaded.database_url.get_secret_value()).hostname in SERVICES
    assert urlsplit(loaded.redis_url.get_secret_value()).hostname in SERVICES


def _interpolated(value: str) -> str:
    return re.sub(r"\$\{\w+:([-?])([^}]*)}", lambda found: found[2] if found[1] == "-" else "given", value)


# --- Dockerfile and .dockerignore ---


def _instructions() -> Iterator[tuple[str, str]]:
    """Each instruction of the Dockerfile with its words, on one line."""
    kept = "\n".join(line for line in text("Dockerfile").splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\s*\\\n\s*", " ", kept).splitlines():
        if line:
            instruction, _, words = line.partition(" ")
            yield instruction, words


INSTRUCTIONS = list(_instructions())
FINAL = INSTRUCTIONS[max(n for n, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM") :]


def _copied(instructions: list[tuple[str, str]]) -> list[str]:
    return [
        source
        for word, words in instructions
        if word == "COPY" and not words.startswith("--from=")
        for source in words.split()[:-1]
    ]


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    assert not [path for path in _copied(INSTRUCTIONS) if not (ROOT / path).exists()]
    assert not [path for path in _copied(INSTRUCTIONS) if _is_ignored(path)]
    assert _is_ignored(".env")
    assert _is_ignored(".venv")
    assert _is_ignored("tests")


def _is_ignored(path: str) -> bool:
    """The last line that matches decides, as Docker has it; all our lines name a top-level path, or a kind of file."""
    ignored = False
    for line in text(".dockerignore").splitlines():
        if line and not line.startswith("#") and fnmatch(path, line.removeprefix("!")):
            ignored = not line.startswith("!")
    return ignored


def test_every_base_image_has_a_python_that_we_support() -> None:
    wanted = tomllib.loads(text("pyproject.toml"))["project"]["requires-python"]
    bases = [words for word, words in INSTRUCTIONS if word == "FROM"]

    assert wanted == ">=3.11"
    assert all(re.match(r"python:3\.1[1-9]-slim\b", base) for base in bases)
    assert bases[0].endswith(" AS build")


def test_the_image_runs_its_folders_in_place_as_nobody_in_particular() -> None:
    environment = dict(pair.split("=", 1) for word, words in FINAL if word == "ENV" for pair in words.split())
    users = [words for word, words in FINAL if word == "USER"]

    assert (environment["PYTHONPATH"], environment["PYTHONSAFEPATH"]) == ("/app", "1")
    assert ("WORKDIR", "/app") in FINAL
    assert environment["APP_ENV"] == "production"
    assert users
    assert all(user.isdigit() and int(user) > 0 for user in users)


def test_the_image_without_a_command_is_the_ingress_and_says_how_it_is() -> None:
    [command] = [words for word, words in FINAL if word == "CMD"]
    [check] = [words for word, words in FINAL if word == "HEALTHCHECK"]

    assert re.findall(r'"([^"]+)"', command) == PROCFILE["ingress"].split()
    assert "/healthz" in check


#: Run in the image's stead: it has none of these packages, so whoever imports one fails as there.
WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(f"the image has no {name}", name=name)

sys.meta_path.insert(0, Absent())
"""


def test_the_image_holds_all_that_its_processes_import(tmp_path: Path) -> None:
    for path in _copied(FINAL):
        source = ROOT / path
        shutil.copytree(source, tmp_path / path) if source.is_dir() else shutil.copy(source, tmp_path / path)
    roots = [command.split()[2] for command in PROCFILE.values()]
    commands = [f"console.{path.stem}" for path in (ROOT / "console").glob("[a-z]*.py")]
    code = WITHOUT + f"import {', '.join([*(f'{root}.__main__' for root in roots), *commands])}"

    said = subprocess.run(
        [sys.executable, "-c", code, *_modules_of_development()],
        cwd="/",
        env={"PATH": os.defpath, "PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert said.returncode == 0, said.stderr


def _modules_of_development() -> list[str]:
    """What is installed here, and not in the image."""
    production = _production()
    return [
        module
        for module, packages in importlib.metadata.packages_distributions().items()
        if not {_plain(package) for package in packages} & production
    ]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _production() -> set[str]:
    """Every package that the production dependencies bring along."""
    waiting = [Requirement(line) for line in tomllib.loads(text("pyproject.toml"))["project"]["dependencies"]]
    found: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        if _plain(wanted.name) in found:
            continue
        found.add(_plain(wanted.name))
        brought = [Requirement(line) for line in importlib.metadata.requires(wanted.name) or ()]
        waiting += [
            further
            for further in brought
            if further.marker is None
            or any(further.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras))
        ]
    return found


# --- the roles of docs/deployment.md ---


@pytest.fixture
async def roles(database_url: str) -> AsyncIterator[dict[str, str]]:
    """The guide's roles, made as it says; by name, how to connect as one."""
    guide = blocks(DOCS / "deployment.md", "sql")
    grants = "".join(block for block in guide if "GRANT" in block and "CREATE DATABASE" not in block)
    names = [*re.findall(r"^CREATE ROLE (\w+)", "".join(guide), re.MULTILINE), "application"]
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("".join(f"CREATE ROLE {name} LOGIN;" for name in names))
        await connection.execute(grants)
        yield {name: f"{database_url}?role={name}" for name in names}
    finally:
        await connection.execute(f"DROP OWNED BY {', '.join(names)}; DROP ROLE {', '.join(names)}")
        await connection.close()


async def test_the_ingress_can_do_its_work_and_see_no_order(roles: dict[str, str], pool: Pool) -> None:
    event = stripe_event()

    async with front_door(roles["counterfoil_ingress"]) as door:
        answers = [
            await door.stripe(raw(event)),
            await door.stripe(raw(event)),
            await door.stripe(raw({**event, "api_version": "2020-08-27"})),
            await door.stripe(raw({**event, "data": {"object": {"id": "pi_1", "amount": 1}}})),
        ]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert await pool.fetchval("SELECT count(*) FROM discrepancies") == 1
    await _is_forbidden(
        roles["counterfoil_ingress"],
        "SELECT FROM orders",
        "SELECT FROM users",
        "SELECT FROM history",
        "DELETE FROM webhook_events",
        "DELETE FROM webhook_keys",
    )


async def test_the_checkout_can_do_its_work_and_see_nothing_that_an_event_said(
    roles: dict[str, str], pool: Pool
) -> None:
    await put_on_sale(pool)
    own = await open_pool(roles["counterfoil_checkout"], name="test")

    async with counter(roles["counterfoil_checkout"]) as shop:
        opened = [await shop.buy(key="a"), await shop.buy(key="a"), await shop.buy()]
        shop.stripe.mood = "loses"
        lost = await shop.buy(key="b")
        shop.stripe.mood = "refuses"
        looked_up = await shop.buy(key="b")
        refused = await shop.buy(key="c")
        read = [await shop.get(path) for path in ("/plans", "/orders", "/access", "/readyz")]
    async with own.acquire() as connection, connection.transaction():
        order = UUID(opened[0].json()["orderId"])
        applied = await apply(
            connection, observed(order, paid("pi_1", LIFETIME_PRICE), "cs_1"), Cause("api", "anna"), BOOK
        )
    async with own.acquire() as connection, connection.transaction():
        second = await apply(connection, observed(order, paid("pi_2", LIFETIME_PRICE)), Cause("api", "anna"), BOOK)
    async with counter(roles["counterfoil_checkout"]) as shop:
        headers = bearer("backend", scopes=frozenset({"refunds"})) | {"Idempotency-Key": "key"}
        wanted = {"orderId": str(order), "amount": 100, "reason": "other"}
        given_back = await shop.http.post("/refunds", json=wanted, headers=headers)
        shown = await shop.http.get(f"/refunds/{given_back.json()['refundId']}", headers=headers)
    await own.close()

    assert [answer.status_code for answer in (*opened, lost, looked_up, refused)] == [201, 201, 201, 504, 201, 502]
    assert [answer.status_code for answer in read] == [200] * 4
    assert (given_back.status_code, shown.status_code) == (202, 200)
    assert isinstance(applied, Applied)
    assert isinstance(second, Applied)
    assert (applied.outcome, second.outcome) == (Move(OrderStatus.PAID), Surplus(LIFETIME_PRICE))
    await _is_forbidden(
        roles["counterfoil_checkout"],
        "SELECT payload FROM webhook_events",
        "UPDATE webhook_events SET status = 'done'",
        "UPDATE history SET cause_id = ''",
        "DELETE FROM history",
        "DELETE FROM orders",
        "DELETE FROM idempotency_keys",
        "UPDATE refunds SET status = 'succeeded'",
        "DELETE FROM movements",
        "UPDATE plans SET price_cents = 1",
    )


async def test_the_checkout_can_heal_an_order_whose_webhook_is_lost(roles: dict[str, str], pool: Pool) -> None:
    await put_on_sale(pool)
    own = await open_pool(roles["counterfoil_checkout"], name="test")
    async with counter(roles["counterfoil_checkout"]) as shop:
        order = UUID((await shop.buy()).json()["orderId"])
        shop.stripe.ended = (observed(order, paid("pi_1", LIFETIME_PRICE)),)

        async with own.acquire() as connection:
            claimed = await orphans.claim_one(connection, order, NOON.replace(year=2100), pause=timedelta(minutes=1))
        cause = Cause("reconciliation", "success_page")
        clients = {"stripe": shop.stripe}
        seen = await look_at(own, clients, BOOK, Orphan(order, "stripe"), cause, settles_findings=False)
    await own.close()

    assert claimed
    assert seen.look is Look.PAID


async def test_the_checkout_can_tell_an_orders_history_and_read_no_payload(roles: dict[str, str], pool: Pool) -> None:
    order = await place_order(pool)
    await work_webhook_event(pool, Desk(GATEWAYS, {}, BOOK), await keep(pool, session(order)))
    async with counter(roles["counterfoil_checkout"]) as shop:
        told = await shop.get(f"/orders/{order}/history", user="backend", scopes=frozenset({"support"}))

    assert [line["kind"] for line in told.json()["data"]][:2] == ["placed", "delivery"]
    await _is_forbidden(
        roles["counterfoil_checkout"],
        "SELECT payload FROM webhook_events",
        "SELECT payload_raw FROM webhook_events",
        "SELECT traceback FROM work_attempts",
    )


async def test_a_worker_can_do_its_work_and_rewrite_no_history(roles: dict[str, str], pool: Pool) -> None:
    desk = Desk(GATEWAYS, {}, BOOK)
    worker = await open_pool(roles["counterfoil_worker"], name="test")
    order = await place_order(pool)
    first = await keep(pool, session(order))
    second = await keep(pool, session(order, payment_intent="pi_second", id="cs_second"))
    stranger = await keep(pool, session("nobody"))

    worked = [await work_webhook_event(worker, desk, event) for event in (first, second, stranger)]
    async with build(DeliverySettings(production=True)) as senders:
        sent = [await send_effect(worker, senders, effect) for effect in worked[0].effects]
    await worker.close()

    assert [result.worked for result in worked] == [Worked.DONE, Worked.DONE, Worked.IGNORED]
    assert await pool.fetchval("SELECT status FROM orders") == "paid"
    assert await pool.fetchval("SELECT kind FROM discrepancies") == "duplicate_payment"
    assert sent == [Outcome.SENT] * 3
    await _is_forbidden(
        roles["counterfoil_worker"],
        "UPDATE history SET cause_id = ''",
        "DELETE FROM history",
        "TRUNCATE history",
        "DELETE FROM orders",
        "UPDATE plans SET price_cents = 1",
        "INSERT INTO moves VALUES ('order', 'refunded', 'pending')",
    )


async def test_an_application_can_insert_an_order_and_wake_what_waits_for_it(roles: dict[str, str], pool: Pool) -> None:
    order = "5b0e6a0e-3c5f-4f0e-9d56-1f6f6d1c2b3a"
    event = await keep(pool, session(order))
    await work_webhook_event(pool, Desk(GATEWAYS, {}, BOOK), event)
    application = await asyncpg.connect(roles["application"])

    await application.execute("INSERT INTO users (id) VALUES ('u')")
    await application.execute("INSERT INTO orders (id, user_id, amount) VALUES ($1, 'u', 1000)", order)
    await application.close()

    assert await pool.fetchval("SELECT status FROM webhook_events") == "retry"
    await _is_forbidden(roles["application"], "UPDATE orders SET status = 'paid'", "SELECT FROM history")


async def test_the_desk_can_do_its_work_and_rewrite_nothing(roles: dict[str, str], pool: Pool, redis_url: str) -> None:
    desk = CommandLine(roles["counterfoil_desk"], redis_url)
    order = await place_order(pool)
    paying, dead = await keep(pool, session(order)), await keep(pool, session(order, amount_total=None))
    await work_webhook_event(pool, Desk(GATEWAYS, {}, BOOK), dead)

    ended = [
        desk("status").code,
        desk("events", "list").code,
        desk("events", "show", paying, "--reveal", "--reason", "r").code,
        desk("events", "replay", paying, "--dry-run").code,
        desk("events", "replay", paying, "--reason", "r").code,
        desk("dead", "list", "--group").code,
        desk("dead", "retry", dead, "--reason", "r").code,
        desk("queues", "pause", "bulk", "--reason", "r").code,
        desk("queues", "resume", "bulk").code,
        desk("jobs").code,
        desk("explain", "order", order).code,
        desk("explain", "user", "user-1", "--reveal", "--reason", "r").code,
        desk("movements", "--csv").code,
    ]
    lacking = desk("jobs", "run", "prune")

    assert ended == [2, *[0] * 12]  # no worker is alive
    assert (lacking.code, "lacks a right" in lacking.err) == (1, True)
    await _is_forbidden(
        roles["counterfoil_desk"],
        "UPDATE operator_actions SET reason = 'another'",
        "DELETE FROM dead_letters",
        "DELETE FROM webhook_events",
        "UPDATE history SET cause_id = ''",
    )


async def _is_forbidden(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()
