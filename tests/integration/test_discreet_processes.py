"""What the processes print in production while real work succeeds and fails: nothing that is secret, and nobody's data."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from db.pool import Pool
from local.valkey import Valkey
from tests import processes
from tests.builders import place_order, session
from tests.integration.test_ingress_process import free_port, wait_for
from tests.processes import ROOT
from tests.receivers import answer, http_receiver, mail_server
from tests.signed import razorpay_headers, stripe_headers
from tests.waiting import until
from tests.worker_process import has_said, worker

MARK = "text-of-the-payload"
CUSTOMER = "ada.lovelace@mail.example.org"
CARD = "4242424242424242"

SECRETS = {
    "STRIPE_WEBHOOK_SECRET": "whsec_nobodyshallreadthis",
    "RAZORPAY_WEBHOOK_SECRET": "nobody-shall-read-this-either",
    "STRIPE_SECRET_KEY": "sk_test_nobodyshallreadthiskey",
    "RAZORPAY_KEY_ID": "rzp_test_nobodysname",
    "RAZORPAY_KEY_SECRET": "nobodysrazorpaysecret",
    "NOTIFY_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "AUTH_JWT_SECRET": "a-secret-of-more-than-thirty-two-bytes-for-tokens",
}

#: What must not be printed, beside the secrets: a customer's data, what a request carried, what others answered.
OTHERS = (MARK, CUSTOMER, CARD, "4242 4242", "smtp-password", "eyJhbGciOiJ", "Bearer", "v1=", "Basic ")


def paying(order: object) -> dict[str, Any]:
    return session(order, customer_email=CUSTOMER, description=f"{MARK} {CARD}", customer_details={"name": MARK})  # type: ignore[arg-type]


def authorised(order: object) -> dict[str, Any]:
    entity = {
        "id": "pay_00000000000001",
        "entity": "payment",
        "amount": 1000,
        "currency": "USD",
        "status": "authorized",
        "email": CUSTOMER,
        "description": MARK,
        "notes": {"order_id": str(order)},
    }
    return {"entity": "event", "event": "payment.authorized", "contains": ["payment"], "created_at": 1_700_000_000,
            "payload": {"payment": {"entity": entity}}}  # fmt: skip


async def test_nothing_secret_and_nobodys_data_is_printed(
    pool: Pool, database_url: str, own_valkey: Valkey, tmp_path: Path
) -> None:
    first, second, third = [await place_order(pool, user=f"user-{number}") for number in range(3)]
    await pool.execute("UPDATE users SET email = $1", CUSTOMER)
    port = free_port()
    worker_log, clock_log, door_log = (tmp_path / name for name in ("worker", "clock", "door"))

    async with (
        http_receiver(answer(401, body=f'{{"error": {{"description": "{MARK} {CARD}"}}}}'.encode())) as gateway,
        mail_server({"MAIL": ["550 5.7.1 not you, smtp-password"]}, login=True) as mail,
    ):
        environment = {
            **SECRETS,
            "APP_ENV": "production",
            "APP_URL": "https://pay.example.com",
            "DATABASE_URL": database_url,
            "REDIS_URL": own_valkey.url,
            "PORT": str(port),
            "TRUSTED_PROXIES": "127.0.0.1",
            "STRIPE_API_BASE": f"http://127.0.0.1:{gateway.port}",
            "RAZORPAY_API_BASE": f"http://127.0.0.1:{gateway.port}",
            "NOTIFY_URL": f"https://127.0.0.1:{gateway.port}/",
            "NOTIFY_ALLOW": "127.0.0.1",
            "MAIL_FROM": "Shop <billing@shop.example>",
            "SMTP_URL": f"smtp://user:smtp-password@127.0.0.1:{mail.port}",
        }
        with ExitStack() as running:
            started = [
                running.enter_context(worker(log=worker_log, **{**environment, "PORT": str(free_port())})),
                running.enter_context(
                    worker(log=clock_log, module="schedules", **{**environment, "PORT": str(free_port())})
                ),
                running.enter_context(ingress(door_log, environment)),
            ]
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/readyz", 200)
            deliver(url, "stripe", paying(first))
            deliver(url, "stripe", session(second, amount_total=f"{MARK} {CARD} {CUSTOMER}"))
            deliver(url, "razorpay", authorised(third))
            forged = httpx.post(
                f"{url}/webhooks/stripe",
                content=json.dumps(paying(first)),
                headers={"X-Forwarded-Proto": "https", "Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2lnbg",
                         "Stripe-Signature": "t=1,v1=00"},
            )  # fmt: skip

            async def all_tried() -> bool:
                tried = "SELECT count(*) FILTER (WHERE attempts > 0 AND last_error IS NOT NULL) FROM effects"
                dead = "SELECT count(*) FROM dead_letters WHERE source = 'webhook_event'"
                return bool(await pool.fetchval(tried) >= 3 and await pool.fetchval(dead) == 1)

            await until(all_tried, seconds=60)
            own_valkey.kill()
            deliver(url, "stripe", paying(first))
            await asyncio.to_thread(processes.until, lambda: has_said(door_log, "hints.redis_is_away"))
            for process in started:
                psutil.Process(process.pid).send_signal(signal.SIGTERM)
            codes = [process.wait(40) for process in started]

    said = "".join(log.read_text(encoding="utf-8") for log in (worker_log, clock_log, door_log))
    lines = [json.loads(line) for line in said.splitlines() if line != "ready"]
    assert codes[:2] == [0, 0]
    assert forged.status_code == 400
    assert {"webhook_event.dead", "effect.postponed", "hints.redis_is_away"} <= {line["event"] for line in lines}
    assert_discreet(said)
    # Whoever reads a line can follow it.
    assert all("event_id" in line for line in lines if line["event"].startswith("webhook_event."))
    assert all("effect_id" in line or "job" in line for line in lines if line["event"] == "gateway.called")
    assert all("effect_id" in line for line in lines if line["event"].startswith("effect."))
    assert all("request_id" in line for line in lines if line["event"].startswith("delivery."))


def ingress(log: Path, environment: dict[str, str]) -> Any:
    log.write_text("ready\n", encoding="utf-8")  # which it does not say
    return worker(log=log, module="ingress", **environment)


def deliver(url: str, gateway: str, event: dict[str, Any]) -> None:
    body = json.dumps(event).encode()
    secret = SECRETS[f"{gateway.upper()}_WEBHOOK_SECRET"]
    signed = (
        stripe_headers(body, secret, int(time.time())) if gateway == "stripe" else razorpay_headers(body, secret, None)
    )
    said = httpx.post(f"{url}/webhooks/{gateway}", content=body, headers={**signed, "X-Forwarded-Proto": "https"})
    assert said.status_code == 200, said.text


def assert_discreet(said: str) -> None:
    for secret in (*SECRETS.values(), *OTHERS):
        assert secret not in said, f"{secret} was printed"
    assert not re.findall(r"[\w.+-]+@[\w-]+\.\w+", said), "an address of mail was printed"


@pytest.mark.parametrize("module", ["workers", "schedules", "ingress", "checkout"])
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "mysql://user:nobodyshallreadthis@db.example.com/x"),
        ("REDIS_URL", "http://:nobodyshallreadthis@db.example.com"),
        ("STRIPE_SECRET_KEY", "nobodyshallreadthis"),
        ("AUTH_JWT_SECRET", "nobodyshallreadthis"),
    ],
)
def test_a_wrong_setting_is_named_and_not_shown(module: str, variable: str, value: str) -> None:
    usual = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": "postgresql://a@b/c",
        "REDIS_URL": "redis://b",
    }

    said = subprocess.run(
        [sys.executable, "-m", module], env={**usual, variable: value}, capture_output=True, text=True, check=False
    )

    assert said.returncode == 2
    assert variable in said.stderr
    assert "nobodyshallreadthis" not in said.stdout + said.stderr
