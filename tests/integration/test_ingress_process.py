"""``python -m ingress`` as it is run: it starts with nothing there, stops when told, and never loses what it answered."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from db.pool import Pool
from tests.front_door import NO_REDIS, STRIPE_SECRET, raw, stripe_event
from tests.signed import stripe_headers

ROOT = Path(__file__).parents[2]
SECONDS = 20


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        return int(chosen.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "REDIS_URL": NO_REDIS,
        "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
        **more,
    }


@contextmanager
def ingress(**more: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ingress"],
        env=environment(**more),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(url: str, status: int) -> httpx.Response:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            if answer.status_code == status:
                return answer
    raise AssertionError(f"{url} did not answer {status}")


def deliver(url: str, body: bytes, **headers: str) -> httpx.Response:
    signed = stripe_headers(body, STRIPE_SECRET, int(time.time()))
    return httpx.post(f"{url}/webhooks/stripe", content=body, headers={**signed, **headers})


async def test_f4_what_was_answered_is_there_after_kill_9(pool: Pool, database_url: str) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with ingress(DATABASE_URL=database_url, PORT=str(port)) as process:
        wait_for(f"{url}/readyz", 200)

        answers = [deliver(url, raw(stripe_event())) for _ in range(5)]
        process.send_signal(signal.SIGKILL)
        process.wait(SECONDS)

    assert [answer.status_code for answer in answers] == [200] * 5
    assert await pool.fetchval("SELECT count(*) FROM webhook_events WHERE status = 'received'") == 5


def test_it_starts_without_a_database_and_stops_when_told() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with ingress(DATABASE_URL="postgresql://127.0.0.1:1/nowhere", PORT=str(port)) as process:
        wait_for(f"{url}/healthz", 200)

        assert httpx.get(f"{url}/readyz").status_code == 503
        assert deliver(url, raw(stripe_event())).status_code == 503
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)


def test_production_refuses_plain_http_and_believes_a_trusted_proxy_alone(database_url: str) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    production = {"APP_ENV": "production", "APP_URL": "https://shop.example", "DATABASE_URL": database_url}
    through_proxy = {"X-Forwarded-Proto": "https"}

    with ingress(PORT=str(port), **production):
        wait_for(f"{url}/readyz", 200)
        plain = deliver(url, raw(stripe_event()))
        forged = deliver(url, raw(stripe_event()), **through_proxy)
    with ingress(PORT=str(port), TRUSTED_PROXIES="127.0.0.1", **production):
        wait_for(f"{url}/readyz", 200)
        proxied = deliver(url, raw(stripe_event()), **through_proxy)

    assert [(answer.status_code, answer.json()["code"]) for answer in (plain, forged)] == [(403, "tls_required")] * 2
    assert proxied.status_code == 200
    assert proxied.headers["strict-transport-security"]
    assert "server" not in proxied.headers


def test_its_log_is_json_in_production_and_holds_no_secret() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    given = {"APP_ENV": "production", "APP_URL": "https://shop.example", "TRUSTED_PROXIES": "127.0.0.1"}

    with ingress(DATABASE_URL="postgresql://u:hidden@127.0.0.1:1/nowhere", PORT=str(port), **given) as process:
        wait_for(f"{url}/healthz", 200)
        deliver(url, raw(stripe_event()), **{"X-Forwarded-Proto": "https"})
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=SECONDS)

    lines = [json.loads(line) for line in output.splitlines()]
    assert "deliveries.not_kept" in {line["event"] for line in lines}
    assert b"hidden" not in output
    assert STRIPE_SECRET.encode() not in output


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ({}, b"DATABASE_URL"),
        ({"STRIPE_WEBHOOK_SECRET": "", "DATABASE_URL": "postgresql://x/y"}, b"STRIPE_WEBHOOK_SECRET"),
    ],
)
def test_f11_a_missing_or_empty_setting_stops_the_start_with_one_sentence(
    missing: dict[str, str], named: bytes
) -> None:
    with ingress(**missing) as process:
        output, _ = process.communicate(timeout=SECONDS)

    assert process.returncode == 2
    assert named in output
    assert output.count(b"\n") == 1


def test_an_occupied_port_stops_the_start(database_url: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        ingress(DATABASE_URL=database_url, PORT=str(taken.getsockname()[1])) as process,
    ):
        output, _ = process.communicate(timeout=SECONDS)

    assert process.returncode != 0
    assert b"in use" in output
    assert b"Traceback" not in output
