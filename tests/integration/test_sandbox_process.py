"""The stand-ins as the process they are: how they start, refuse to start, survive a kill, and whom they let in."""

from __future__ import annotations

import ast
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from starlette.responses import PlainTextResponse

from sandbox.loopback import LoopbackOnly
from tests.sandboxes import (
    ASKS,
    OLD_RAZORPAY_SECRET,
    OLD_STRIPE_SECRET,
    PAYS,
    RAZORPAY_SECRET,
    STRIPE_KEY,
    STRIPE_SECRET,
    Receiver,
    Sandbox,
    running_receiver,
    running_sandbox,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One for all tests that leave nothing behind."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@contextmanager
def _process(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


def _ready(process: subprocess.Popen[str]) -> Sandbox:
    assert process.stdout is not None
    word, _, url = process.stdout.readline().strip().partition(" ")
    assert word == "ready", process.communicate(timeout=10)[1]
    return Sandbox(url)


def _link(sandbox: Sandbox, reference: str) -> str:
    with sandbox.razorpay() as client:
        return str(client.payment_link.create({"amount": 49900, "reference_id": reference})["id"])


def test_a_kill_in_the_middle_loses_nothing_that_was_answered(tmp_path: Path, receiver: Receiver) -> None:
    arguments = (
        "--port",
        "0",
        "--data-dir",
        str(tmp_path / "data"),
        "--razorpay-webhook-url",
        f"{receiver.url}/razorpay",
    )
    secrets = {"SANDBOX_RAZORPAY_WEBHOOK_SECRET": RAZORPAY_SECRET}
    with _process(*arguments, **secrets) as first:
        sandbox = _ready(first)
        link, paid = _link(sandbox, "order-1"), _link(sandbox, "order-2")
        payment = sandbox.pay(paid)["payment"]
        first.send_signal(signal.SIGKILL)
        first.wait(10)

    with _process(*arguments, **secrets) as second, _ready(second).razorpay() as client:
        statuses = [client.payment_link.fetch(each)["status"] for each in (link, paid)]
        captured = client.payment.fetch(payment)["status"]
        receiver.wait_for("payment_link.paid")

    assert statuses == ["created", "paid"]
    assert captured == "captured"


def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    with _process("--data-dir", str(tmp_path / "data")) as process:
        _ready(process)

        process.send_signal(signal.SIGTERM)
        process.wait(10)
        _, complaints = process.communicate(timeout=10)

    assert complaints == ""


def test_the_environment_says_what_the_command_line_does_not(tmp_path: Path, receiver: Receiver) -> None:
    environment = {
        "SANDBOX_DATA_DIR": str(tmp_path / "data"),
        "SANDBOX_STRIPE_WEBHOOK_URL": f"{receiver.url}/stripe",
        "SANDBOX_STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
    }

    with _process(**environment) as process:
        sandbox = _ready(process)
        httpx.post(f"{sandbox.url}/stripe/v1/customers", auth=(STRIPE_KEY, ""), trust_env=False)
        receiver.wait_for("customer.created")

    assert (tmp_path / "data/sandbox.sqlite3").exists()


def test_what_it_writes_is_for_its_owner_and_holds_no_secret_of_the_environment(tmp_path: Path) -> None:
    environment = {
        "SANDBOX_STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
        "SANDBOX_RAZORPAY_WEBHOOK_SECRET": RAZORPAY_SECRET,
        "SANDBOX_STRIPE_OLD_WEBHOOK_SECRET": OLD_STRIPE_SECRET,
        "SANDBOX_RAZORPAY_OLD_WEBHOOK_SECRET": OLD_RAZORPAY_SECRET,
    }
    urls = ("--stripe-webhook-url", "http://127.0.0.1:9/s", "--razorpay-webhook-url", "http://127.0.0.1:9/r")
    data = tmp_path / "data"

    with _process("--data-dir", str(data), *urls, **environment) as process:
        sandbox = _ready(process)
        sandbox.control("faults", {"oldSecret": 1})
        sandbox.pay(_link(sandbox, "order-1"))
        httpx.post(f"{sandbox.url}/stripe/v1/customers", auth=(STRIPE_KEY, ""), trust_env=False)
        modes = {stat.S_IMODE(path.stat().st_mode) for path in data.iterdir()}
        written = b"".join(path.read_bytes() for path in data.iterdir())

    assert modes == {0o600}
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert not [each for each in (*environment.values(), STRIPE_KEY) if each.encode() in written]


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(("--seed", "7"), {}), ((), {"SANDBOX_SEED": "7"}), (("--seed", "7"), {"SANDBOX_SEED": "8"})],
)
def test_a_seed_makes_two_processes_the_same(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    made = []
    for name, more in (("first", arguments), ("second", ("--seed", "7"))):
        with _process("--data-dir", str(tmp_path / name), *more, **environment) as process:
            sandbox = _ready(process)
            made.append((sandbox.customer()["id"], sandbox.link(), sandbox.control("faults", {"drop": 1})["seed"]))

    assert made[0] == made[1]


@pytest.mark.parametrize("seed", ["-1", "x", "1.5", "٣", "9007199254740992", "9" * 5000])
def test_a_seed_that_cannot_be_is_refused_by_name(tmp_path: Path, seed: str) -> None:
    with _process("--data-dir", str(tmp_path / "data"), SANDBOX_SEED=seed) as process:
        _, said = process.communicate(timeout=20)

    assert process.returncode == 2
    assert "--seed: the seed must be a whole number from 0 to 9007199254740991" in said


def test_an_occupied_port_is_said_in_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with _process("--port", str(port), "--data-dir", str(tmp_path / "data")) as process:
            _, said = process.communicate(timeout=20)

    assert process.returncode == 1
    assert said.startswith(f"sandbox: cannot listen on port {port}: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
def test_f11_webhooks_without_a_secret_are_refused_at_the_start(tmp_path: Path, gateway: str) -> None:
    arguments = ("--data-dir", str(tmp_path / "data"), f"--{gateway}-webhook-url", "http://127.0.0.1:9")

    with _process(*arguments) as process:
        _, said = process.communicate(timeout=20)

    assert process.returncode == 1
    assert f"SANDBOX_{gateway.upper()}_WEBHOOK_SECRET" in said


def test_a_directory_that_cannot_be_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with _process("--data-dir", str(tmp_path / "file/data")) as process:
        _, said = process.communicate(timeout=20)

    assert process.returncode == 1
    assert said.startswith("sandbox: cannot use ")


def test_two_do_not_share_a_directory(tmp_path: Path) -> None:
    with _process("--data-dir", str(tmp_path / "data")) as first:
        sandbox = _ready(first)
        with _process("--data-dir", str(tmp_path / "data")) as second:
            _, said = second.communicate(timeout=20)
        now = sandbox.now()

    assert second.returncode == 1
    assert said.startswith("sandbox: cannot use ")
    assert now > 0


def test_it_imports_nothing_of_ours() -> None:
    allowed = {"sandbox", "starlette", "uvicorn", "httpx", "jinja2", "markupsafe", *sys.stdlib_module_names}

    imported = {
        (alias.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
        for path in (ROOT / "sandbox").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }

    assert imported - allowed == set()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:1234", 200),
        ("[::1]:80", 200),
        ("evil.test", 403),
        ("127.0.0.1.evil.test", 403),
        ("localhost.evil.test:80", 403),
        ("0.0.0.0", 403),
        ("", 403),
    ],
)
def test_only_this_machines_names_come_in(unchanged: Sandbox, host: str, status: int) -> None:
    answer = httpx.get(f"{unchanged.url}/_control/clock", headers={"Host": host}, trust_env=False)

    assert answer.status_code == status


def test_it_listens_on_loopback_alone(unchanged: Sandbox) -> None:
    port = int(unchanged.url.rpartition(":")[2])
    others = [address for address in _addresses() if not address.startswith("127.")]

    for address in others:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((address, port), timeout=2).close()

    assert unchanged.url.startswith("http://127.0.0.1:")


def _addresses() -> set[str]:
    return {
        each.address
        for interface in psutil.net_if_addrs().values()
        for each in interface
        if each.family == socket.AF_INET
    }


async def test_another_machine_is_refused_whatever_it_claims() -> None:
    inside = LoopbackOnly(PlainTextResponse("inside"))
    headers = {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"}

    statuses = []
    for peer in ("203.0.113.9", "::ffff:203.0.113.9", "127.0.0.1", "::1"):
        transport = httpx.ASGITransport(inside, client=(peer, 4000))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            statuses.append((await client.get("/", headers=headers)).status_code)

    assert statuses == [403, 403, 200, 200]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_form_on_some_web_page_gives_no_orders(unchanged: Sandbox, content_type: str) -> None:
    answer = httpx.post(
        f"{unchanged.url}/_control/clock",
        content=b'{"advance": 60}',
        headers={"Content-Type": content_type},
        trust_env=False,
    )
    offset = unchanged.ask("clock")["offset"]

    assert (answer.status_code, answer.json()["code"], offset) == (415, "not_json", 0)


@pytest.mark.parametrize(
    ("path", "order", "code"),
    [
        ("pay", {}, "invalid_session"),
        ("pay", {"session": "nonsense", "card": PAYS}, "unknown_session"),
        ("pay", {"session": "cs_" + "x" * 5000, "card": PAYS}, "invalid_session"),
        ("pay", {"session": "cs_test_none", "card": PAYS, "authenticate": []}, "invalid_authenticate"),
        ("pay", {"session": "cs_test_none", "card": PAYS}, "not_payable"),
        ("pay", {"session": "cs_test_none", "card": "5555555555554444"}, "invalid_card"),
        ("pay", {"session": "cs_test_none"}, "invalid_card"),
        ("pay", {"session": "plink_none", "card": PAYS, "authenticate": "maybe"}, "invalid_authenticate"),
        ("pay", {"session": "plink_none", "card": PAYS, "colour": "red"}, "unknown_fields"),
        ("pay", {"session": "plink_none", "method": "upi", "vpa": "me@bank"}, "invalid_vpa"),
        ("pay", {"session": "plink_none", "method": "cash"}, "invalid_method"),
        ("pay", {"session": "plink_none", "card": PAYS, "late": -1}, "invalid_late"),
        ("pay", {"session": "plink_none", "card": ASKS, "late": 60}, "invalid_late"),
        ("pay", {"session": "plink_none", "method": "upi", "vpa": "failure@razorpay", "late": 60}, "invalid_late"),
        ("pay", {"session": "plink_none", "method": []}, "invalid_method"),
        ("pay", {"session": "plink_none", "card": PAYS, "method": "delayed"}, "invalid_method"),
        ("pay", {"session": "cs_test_none", "method": "upi", "vpa": "success@razorpay"}, "invalid_method"),
        ("pay", {"session": "cs_test_none", "card": PAYS, "settleAfter": 60}, "meaningless_fields"),
        ("pay", {"session": "cs_test_none", "card": PAYS, "late": 60}, "meaningless_fields"),
        (
            "pay",
            {"session": "cs_test_none", "card": PAYS, "method": "delayed", "authenticate": True},
            "meaningless_fields",
        ),
        ("pay", {"session": "plink_none", "card": PAYS, "vpa": "success@razorpay"}, "meaningless_fields"),
        ("pay", {"session": "plink_none", "card": PAYS, "settleAfter": 60}, "meaningless_fields"),
        ("settings", {"razorpayAutoCapture": "no"}, "invalid_settings"),
        ("settings", {"colour": True}, "unknown_fields"),
        ("clock", {"back": 1}, "unknown_fields"),
        ("faults", [], "not_json"),
    ],
)
def test_an_order_that_makes_no_sense_is_a_problem_with_a_code(
    unchanged: Sandbox, path: str, order: object, code: str
) -> None:
    answer = httpx.post(f"{unchanged.url}/_control/{path}", json=order, trust_env=False)

    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert "5555555555554444" not in answer.text


@pytest.mark.parametrize("query", [{}, {"gateway": "paypal"}, {"gateway": "stripe", "type": "payment"}])
def test_a_question_about_nothing_is_a_problem_too(unchanged: Sandbox, query: dict[str, str]) -> None:
    answer = httpx.get(f"{unchanged.url}/_control/objects", params=query, trust_env=False)

    assert answer.status_code == 400
    assert answer.json()["code"] in {"invalid_gateway", "invalid_type"}
