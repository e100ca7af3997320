"""``python -m checkout`` as it is run: it starts with nothing there, stops when told, and refuses a setting in a sentence."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from db.pool import Pool
from tests.counter import NO_REDIS, SECRET, bearer, problem, put_on_sale
from tests.integration.test_ingress_process import SECONDS, free_port, wait_for
from tests.processes import ROOT
from tests.sandboxes import RAZORPAY_KEY, STRIPE_KEY, running_sandbox

NOWHERE = "postgresql://u:hidden@127.0.0.1:1/nowhere"


@contextmanager
def checkout(**more: str) -> Iterator[subprocess.Popen[bytes]]:
    usual = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "REDIS_URL": NO_REDIS, "DATABASE_URL": NOWHERE}
    process = subprocess.Popen(
        [sys.executable, "-m", "checkout"],
        env={**usual, "AUTH_JWT_SECRET": SECRET.decode(), **more},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def test_both_gateways_open_a_page_through_their_own_sdks(
    pool: Pool, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    await put_on_sale(pool)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        running_sandbox(tmp_path) as sandbox,
        checkout(
            PORT=str(port),
            DATABASE_URL=database_url,
            REDIS_URL=redis_url,
            APP_URL=url,
            STRIPE_SECRET_KEY=STRIPE_KEY,
            STRIPE_API_BASE=f"{sandbox.url}/stripe",
            RAZORPAY_KEY_ID=RAZORPAY_KEY[0],
            RAZORPAY_KEY_SECRET=RAZORPAY_KEY[1],
            RAZORPAY_API_BASE=f"{sandbox.url}/razorpay",
        ),
        httpx.Client(base_url=url, headers=bearer(), timeout=SECONDS) as http,
    ):
        wait_for(f"{url}/readyz", 200)
        opened = [http.post("/create-payment", json={"planId": "lifetime", "gateway": "stripe"})]
        opened.append(http.post("/create-payment", json={"planId": "indian"}))
        pages = [httpx.get(answer.json()["url"], trust_env=False) for answer in opened]
        made = {
            sandbox.objects("stripe", "checkout.session")[0]["id"],
            sandbox.objects("razorpay", "payment_link")[0]["id"],
        }

    assert [answer.status_code for answer in opened] == [201, 201]
    assert {answer.json()["sessionId"] for answer in opened} == made
    assert [page.status_code for page in pages] == [200, 200]


def test_it_starts_without_anything_and_stops_when_told() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with checkout(PORT=str(port)) as process:
        wait_for(f"{url}/healthz", 200)
        answers = [httpx.get(f"{url}/readyz"), httpx.get(f"{url}/plans", headers=bearer())]
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)

    assert [problem(answer) for answer in answers] == [(503, "unavailable")] * 2


def test_its_log_is_json_in_production_and_holds_no_secret(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    given = {"APP_ENV": "production", "APP_URL": "https://pay.example", "TRUSTED_PROXIES": "127.0.0.1"}
    with checkout(PORT=str(port), STRIPE_SECRET_KEY="sk_live_hidden_key", **given) as process:
        wait_for(f"{url}/healthz", 200)
        headers = bearer() | {"X-Forwarded-Proto": "https"}
        httpx.post(f"{url}/create-payment", json={"planId": "lifetime"}, headers=headers)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=SECONDS)

    lines = [json.loads(line) for line in output.splitlines()]
    assert "database.away" in {line["event"] for line in lines}
    assert b"hidden" not in output
    assert headers["Authorization"].encode() not in output
    assert b"example.com" not in output


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"AUTH_JWT_SECRET": ""}, b"AUTH_JWT_SECRET or AUTH_JWKS_URL is needed"),
        ({"AUTH_JWT_SECRET": "short"}, b"AUTH_JWT_SECRET must have at least 32 bytes"),
        ({"AUTH_JWT_SECRET": "", "AUTH_JWKS_URL": "https://id.example/keys"}, b"PAGE_SECRET is needed"),
        (
            {
                "AUTH_JWT_SECRET": "",
                "AUTH_JWKS_URL": "http://id.example/keys",
                "PAGE_SECRET": SECRET.decode(),
                "APP_ENV": "production",
                "APP_URL": "https://pay.example",
            },
            b"AUTH_JWKS_URL must begin with https://",
        ),
        ({"PAGE_SECRET": "short"}, b"PAGE_SECRET must have at least 32 bytes"),
        ({"RATE_LIMIT": "often"}, b"RATE_LIMIT"),
        ({"CORS_ORIGINS": "*"}, b"CORS_ORIGINS"),
        ({"CORS_ORIGINS": "https://shop.example/"}, b"CORS_ORIGINS"),
        ({"RETURN_URL": "javascript:alert(1)"}, b"RETURN_URL"),
        ({"STRIPE_SECRET_KEY": "pk_test_x"}, b"STRIPE_SECRET_KEY"),
        ({"DATABASE_URL": ""}, b"DATABASE_URL"),
    ],
)
def test_a_missing_or_wrong_setting_stops_the_start_with_one_sentence(setting: dict[str, str], named: bytes) -> None:
    with checkout(**setting) as process:
        output, _ = process.communicate(timeout=SECONDS)

    assert process.returncode == 2
    assert named in output
    assert output.count(b"\n") == 1
    assert SECRET not in output


def test_an_occupied_port_stops_the_start() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        checkout(PORT=str(taken.getsockname()[1])) as process,
    ):
        output, _ = process.communicate(timeout=SECONDS)

    assert process.returncode != 0
    assert b"in use" in output
    assert b"Traceback" not in output
