"""`counterfoil sandbox`: each command against a running sandbox, and what is said where there is none."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from console.cli import app
from tests.house.pages import DOCS, quoted, rows, section
from tests.processes import ROOT
from tests.sandboxes import ASKS, DECLINED, PAYS, Receiver, Sandbox, running_receiver, running_sandbox
from tests.subscribers import FAILS_LATER, HOUR, advance_to, check_out, events, look, period

#: What would clear the terminal of whoever reads it.
CLEARS = "\x1b[2Jgone"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def sandbox(tmp_path: Path, receiver: Receiver) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox", webhooks=receiver.url) as running:
        yield running


def run(*words: object, url: str | None = None, **options: Any) -> Result:
    """The command in this process, its output not a terminal."""
    environment = {"SANDBOX_URL": url, "COUNTERFOIL_DATA_DIR": None}
    return CliRunner(env=environment).invoke(app, ["sandbox", *map(str, words)], **options)


def said(sandbox: Sandbox, *words: object) -> list[list[str]]:
    """What a command that succeeds prints: its lines, and their parts."""
    result = run(*words, url=sandbox.url)
    assert result.exit_code == 0, result.output
    return [line.split("\t") for line in result.stdout.splitlines()]


def told(sandbox: Sandbox, *words: object) -> Any:
    """What it prints as JSON."""
    result = run(*words, "--json", url=sandbox.url)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# --- where the sandbox is ---


def _write_running(data_dir: Path, text: str) -> Path:
    data_dir.mkdir()
    (data_dir / "running.json").write_text(text, encoding="utf-8")
    return data_dir


def test_the_stack_of_a_directory_says_where_its_sandbox_is(sandbox: Sandbox, tmp_path: Path) -> None:
    data_dir = _write_running(tmp_path / "stack", json.dumps({"sandbox": sandbox.url}))

    result = run("status", "--json", "--data-dir", data_dir)

    assert json.loads(result.stdout)["url"] == sandbox.url


def test_the_option_goes_before_the_environment_and_that_before_the_stack(sandbox: Sandbox, tmp_path: Path) -> None:
    data_dir = _write_running(tmp_path / "stack", json.dumps({"sandbox": "http://127.0.0.1:1"}))

    named = run("status", "--url", sandbox.url, "--data-dir", data_dir, url="http://127.0.0.1:2")
    environments = run("status", "--data-dir", data_dir, url="http://127.0.0.1:2")
    stacks = run("status", "--data-dir", data_dir)

    assert named.exit_code == 0
    assert (environments.exit_code, environments.stderr) == (
        2,
        "counterfoil: No sandbox answers at http://127.0.0.1:2 (ConnectError).\n",
    )
    assert "http://127.0.0.1:1 " in stacks.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "No stack runs in"),
        ("half a f", "No stack runs in"),
        ('{"ingress": "http://127.0.0.1:8000"}', "runs without a sandbox"),
        ('{"sandbox": "nowhere"}', "is not an address"),
        ('{"sandbox": "http://[::1"}', "is not an address"),
        ('{"sandbox": "http://127.0.0.1:1"}', "No sandbox answers at"),
    ],
)
@pytest.mark.parametrize("command", [("status",), ("faults",), ("drop", 1), ("reset", "--yes")])
def test_where_there_is_no_sandbox_one_sentence_says_so(
    tmp_path: Path, text: str | None, sentence: str, command: tuple[object, ...]
) -> None:
    data_dir = tmp_path / "nothing" if text is None else _write_running(tmp_path / "stack", text)

    result = run(*command, "--data-dir", data_dir)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("counterfoil: ")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_somebody_else_at_that_address_is_not_taken_for_a_sandbox(sandbox: Sandbox) -> None:
    result = run("status", url=f"{sandbox.url}/pay")

    assert (result.exit_code, result.stderr) == (
        2,
        f"counterfoil: What answers at {sandbox.url}/pay is not a sandbox.\n",
    )


# --- faults ---


def test_a_change_of_faults_leaves_the_others_as_they_are(sandbox: Sandbox) -> None:
    said(sandbox, "faults", "set", "drop=0.2", "delay=0.01", "apiErrors.429=0.1", "seed=7")
    said(sandbox, "faults", "set", "apiErrors.500=0.05", "timeout.seconds=3", "timeout.rate=0.5")
    said(sandbox, "duplicate", 1)
    said(sandbox, "drop", 0)
    said(sandbox, "reorder", 0.5)
    said(sandbox, "delay", 0.02)

    assert told(sandbox, "faults") == {
        "delay": 0.02,
        "apiErrors": {"429": 0.1, "500": 0.05},
        "seed": 7,
        "timeout": {"seconds": 3, "rate": 0.5},
        "duplicate": 1,
        "reorder": 0.5,
    }


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ({"drop": 0.5}, ("drop", 0)),
        ({"drop": 0.5}, ("faults", "set", "drop=0")),
        ({"drop": 0.5, "seed": 7}, ("faults", "set", "drop=0.0")),
        ({"apiErrors": {"429": 0.5}}, ("faults", "set", "apiErrors.429=0")),
        ({"timeout": {"seconds": 3, "rate": 0.5}}, ("faults", "set", "timeout.rate=0")),
        ({"timeout": {"seconds": 3, "rate": 0.5}}, ("faults", "set", "timeout.seconds=0")),
        ({}, ("drop", 0)),
    ],
)
def test_when_the_last_fault_is_taken_out_there_is_none_and_no_seed_either(
    sandbox: Sandbox, before: dict[str, Any], words: tuple[object, ...]
) -> None:
    sandbox.control("faults", before)

    assert said(sandbox, *words) == [["no faults"]]
    assert sandbox.ask("faults") == {}


def test_a_part_of_a_fault_is_taken_out_alone(sandbox: Sandbox) -> None:
    sandbox.control("faults", {"apiErrors": {"429": 0.5, "500": 0.25}, "seed": 7})

    assert said(sandbox, "faults", "set", "apiErrors.429=0") == [["apiErrors 500=0.25, seed 7"]]


def test_a_seed_that_is_named_stays_without_any_fault(sandbox: Sandbox) -> None:
    assert said(sandbox, "faults", "set", "seed=7") == [["seed 7"]]


def test_every_fault_there_is_is_shown_with_what_it_does(sandbox: Sandbox) -> None:
    said(sandbox, "drop", 0.25)

    shown = said(sandbox, "faults")

    assert [name for name, *_ in shown] == list(sandbox.ask("faults/known"))
    assert shown[0] == ["drop", "0.25", "rate", "A webhook is withheld; its event is still listed, as undelivered."]


def test_clearing_leaves_no_fault(sandbox: Sandbox) -> None:
    said(sandbox, "drop", 1)

    assert said(sandbox, "faults", "clear") == [["no faults"]]
    assert sandbox.ask("faults") == {}


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("faults", "set", "colour=1"), 1, "The sandbox refuses: unknown faults: colour"),
        (("faults", "set", "drop=2"), 1, "drop must be a number from 0 to 1"),
        (("delay", 61), 1, "delay must be a number from 0 to 60"),
        (("faults", "set", "drop"), 2, "must look like drop=0.2"),
        (("faults", "set", "drop=often"), 2, "must look like drop=0.2"),
        (("drop", 2), 2, "less than or equal to 1"),
    ],
)
def test_a_fault_that_cannot_be_changes_nothing(
    sandbox: Sandbox, words: tuple[object, ...], code: int, sentence: str
) -> None:
    result = run(*words, url=sandbox.url)

    assert result.exit_code == code
    assert sentence in " ".join(result.stderr.split())
    assert sandbox.ask("faults") == {}


# --- time and payments ---


@pytest.mark.parametrize(("span", "seconds"), [("31m", 1860), ("2h", 7200), ("1h30m", 5400), ("3d", 3 * 86400)])
def test_the_clock_goes_by_a_span(sandbox: Sandbox, span: str, seconds: int) -> None:
    [[line]] = said(sandbox, "advance", span)

    assert seconds <= sandbox.ask("clock")["offset"] < seconds + 60
    assert line.endswith("ahead of real time")


@pytest.mark.parametrize("span", ["", "3", "-3d", "3 d", "3y", "1.5h", "9999999999d"])
def test_a_span_that_is_none_moves_nothing(sandbox: Sandbox, span: str) -> None:
    result = run("advance", "--", span, url=sandbox.url)

    assert result.exit_code == 2
    assert sandbox.ask("clock")["offset"] == 0


def test_an_advance_that_is_too_long_is_refused(sandbox: Sandbox) -> None:
    result = run("advance", "53w", url=sandbox.url)

    assert result.exit_code == 1
    assert result.stderr.startswith("counterfoil: The sandbox refuses: advance must be a number of seconds")


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        ((), "paid"),
        (("--card", DECLINED), "declined"),
        (("--card", ASKS), "paid"),
        (("--card", ASKS, "--authenticate", "fail"), "declined"),
        (("--card", ASKS, "--authenticate", "leave"), "requires_action"),
        (("--settle-after", "3d"), "pending"),
    ],
)
def test_a_customer_pays_at_stripe(sandbox: Sandbox, options: tuple[str, ...], outcome: str) -> None:
    paid = told(sandbox, "pay", sandbox.session(), *options)

    assert paid["outcome"] == outcome
    assert paid["payment"].startswith("pi_")


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        (("--card", PAYS), "paid"),
        (("--upi", "success"), "paid"),
        (("--upi", "failure@razorpay"), "declined"),
        (("--late", "1h"), "declined"),
    ],
)
def test_a_customer_pays_at_razorpay(sandbox: Sandbox, options: tuple[str, ...], outcome: str) -> None:
    [[line]] = said(sandbox, "pay", sandbox.link(), *options)

    assert line.startswith(f"{outcome} pay_")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--upi", "success"), "Stripe takes no UPI: method must be card or delayed."),
        (("--late", "1h"), "late means nothing at Stripe with method card: it takes card and authenticate."),
    ],
)
def test_what_stripe_does_not_take_is_told_and_nothing_is_paid(
    sandbox: Sandbox, options: tuple[str, ...], sentence: str
) -> None:
    result = run("pay", sandbox.session(), *options, url=sandbox.url)

    assert (result.exit_code, result.stderr) == (1, f"counterfoil: The sandbox refuses: {sentence}\n")
    assert sandbox.objects("stripe", "payment_intent") == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--settle-after", "3d"), "Razorpay takes no delayed method"),
        (("--upi", "success", "--card", PAYS), "card means nothing at Razorpay with method upi"),
        (("--upi", "success", "--authenticate", "fail"), "authenticate means nothing at Razorpay with method upi"),
        (("--card", DECLINED, "--late", "1h"), "late is for what pays by itself"),
    ],
)
def test_what_razorpay_does_not_take_is_told_and_nothing_is_paid(
    sandbox: Sandbox, options: tuple[str, ...], sentence: str
) -> None:
    result = run("pay", sandbox.link(), *options, url=sandbox.url)

    assert result.exit_code == 1
    assert sentence in result.stderr
    assert sandbox.objects("razorpay", "payment") == []


def test_a_payment_is_refunded_and_the_refund_brought_to_its_end(sandbox: Sandbox) -> None:
    session = sandbox.session()
    sandbox.pay(session)

    made = told(sandbox, "refund", session, "--amount", 1000, "--ending", "fails", "--after", "1d")
    [[ended]] = said(sandbox, "refund", made["refund"], "--ending", "succeeds")

    assert (made["status"], made["amount"]) == ("pending", 1000)
    assert ended == f"succeeded 1000 {made['refund']}"


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
def test_a_payment_is_disputed_stage_by_stage(sandbox: Sandbox, gateway: str) -> None:
    payable = sandbox.session() if gateway == "stripe" else sandbox.link()
    sandbox.pay(payable)

    opened = told(sandbox, "dispute", payable, "opened", "--amount", 1000)
    [[lost]] = said(sandbox, "dispute", opened["payment"], "lost", "--dispute", opened["dispute"])
    again = run("dispute", payable, "won", url=sandbox.url)

    assert lost == f"lost 1000 {opened['dispute']}"
    assert (again.exit_code, again.stderr) == (
        1,
        "counterfoil: The sandbox refuses: This dispute is lost, and stays so.\n",
    )


def test_the_end_of_a_dispute_may_be_told_without_its_money(sandbox: Sandbox) -> None:
    session = sandbox.session()
    sandbox.pay(session)

    told(sandbox, "dispute", session, "lost", "--no-money", "--reason", "duplicate")

    (dispute,) = sandbox.objects("stripe", "dispute")
    assert (dispute["status"], dispute["reason"], dispute["balance_transactions"]) == ("lost", "duplicate", [])


def test_money_is_brought_to_the_bank(sandbox: Sandbox) -> None:
    sandbox.pay(sandbox.link())

    [[settlement, *made]] = said(sandbox, "payout", "razorpay", "--after", "1d")
    ended = told(sandbox, "payout", settlement, "--ending", "paid")
    nothing = run("payout", "razorpay", url=sandbox.url)

    assert made == ["48723", "INR", "created"]
    assert [each["status"] for each in ended] == ["processed"]
    assert (nothing.exit_code, nothing.stdout) == (0, "")


def test_what_cannot_be_paid_is_told_in_the_sandboxs_words(sandbox: Sandbox) -> None:
    session = sandbox.session()
    sandbox.pay(session)

    again = run("pay", session, url=sandbox.url)
    refused = run("pay", session, "--card", "5555555555554444", url=sandbox.url)
    unsure = run("pay", session, "--authenticate", "perhaps", url=sandbox.url)

    assert (again.exit_code, refused.exit_code, unsure.exit_code) == (1, 1, 2)
    assert "5555555555554444" not in refused.output
    assert again.stderr.count("\n") == 1


# --- webhooks ---


def test_webhooks_are_listed_with_their_last_answer(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.status = 503
    sandbox.customer()
    receiver.wait_for("customer.created")

    [row] = said(sandbox, "deliveries")

    assert row[:5] == ["1", "stripe", "customer.created", "pending", "1"]
    assert row[5].startswith("503 in ")
    assert said(sandbox, "deliveries", "--state", "delivered") == []
    assert [each["id"] for each in told(sandbox, "deliveries", "--event", row[6], "--limit", 5)] == [1]


def test_what_was_withheld_is_sent_in_the_order_of_its_making(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.control("faults", {"drop": 1})
    for _ in range(3):
        sandbox.customer()
    made = [delivery["event"] for delivery in sandbox.settled()]

    rows = said(sandbox, "deliver", "--withheld")

    assert [event["id"] for event in receiver.events()] == made
    assert [(row[1], row[3]) for row in rows] == [(event, "delivered") for event in made]
    assert said(sandbox, "deliver", "--withheld") == []


def test_some_of_what_was_withheld_can_be_named(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.control("faults", {"drop": 1})
    for _ in range(3):
        sandbox.customer()
    sandbox.settled()

    rows = said(sandbox, "deliver", 3, 1)

    assert [row[0] for row in rows] == ["3", "1"]
    assert len(receiver.deliveries) == 2


def test_deliver_wants_to_know_what(sandbox: Sandbox) -> None:
    assert run("deliver", url=sandbox.url).exit_code == 2
    assert run("deliver", "1", "--withheld", url=sandbox.url).exit_code == 2


def test_a_webhook_is_sent_again_by_its_number_and_by_its_event(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.customer()
    [delivery] = sandbox.settled()

    said(sandbox, "resend", delivery["id"])
    said(sandbox, "resend", delivery["event"])

    assert receiver.types() == ["customer.created"] * 3


def test_a_webhook_that_is_not_taken_ends_the_command_with_one(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.control("faults", {"drop": 1})
    sandbox.customer()
    sandbox.settled()
    receiver.status = 500

    result = run("deliver", "--withheld", url=sandbox.url)

    assert result.exit_code == 1
    assert "500 in " in result.stdout


@pytest.mark.parametrize("what", ["77", "evt_none"])
def test_what_was_never_sent_cannot_be_sent_again(sandbox: Sandbox, what: str) -> None:
    result = run("resend", what, url=sandbox.url)

    assert result.exit_code == 1
    assert result.stderr.startswith("counterfoil: The sandbox refuses: there is no such")


# --- what there is ---


def test_the_status_says_how_much_of_everything_there_is(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.session()
    sandbox.customer()
    sandbox.settled()
    sandbox.control("faults", {"drop": 0.5, "seed": 3})

    told_of = dict(said(sandbox, "status"))

    assert told_of["url"] == sandbox.url
    assert told_of["faults"] == "drop 0.5, seed 3"
    assert told_of["stripe checkout.session"] == "1"
    assert told_of["webhooks delivered"] == "1"
    assert told_of["razorpay webhooks"] == f"{receiver.url}/razorpay, every type"
    assert told_of["next"].startswith("stripe.session.expires of cs_test_")
    assert told_of["calls"] == "2"


def test_calls_are_listed_with_their_answers(sandbox: Sandbox) -> None:
    sandbox.control("faults", {"timeout": {"seconds": 0.01, "rate": 1}})
    sandbox.customer()

    [row] = said(sandbox, "calls")

    assert row[2:5] == ["stripe", "POST /v1/customers", "200"]
    assert row[6] == "timeout"
    assert told(sandbox, "calls", "--limit", 1)[0]["parameters"] == {"email": "a@b.test"}


def test_objects_are_listed_and_shown_whole(sandbox: Sandbox) -> None:
    session = sandbox.session()

    [row] = said(sandbox, "objects", "stripe", "checkout.session")

    assert row[:3] == [session, "open", "4900 usd"]
    assert told(sandbox, "objects", "stripe", "checkout.session") == sandbox.objects("stripe", "checkout.session")
    assert run("objects", "paypal", "order", url=sandbox.url).exit_code == 1


def test_a_setting_is_shown_and_changed(sandbox: Sandbox) -> None:
    before = said(sandbox, "settings")
    after = said(sandbox, "settings", "razorpayAutoCapture=false")

    assert (before[0], after[0]) == (["razorpayAutoCapture", "true"], ["razorpayAutoCapture", "false"])
    assert before[1:] == after[1:]
    assert told(sandbox, "settings") == sandbox.ask("settings")


def test_everything_is_forgotten_only_by_who_says_yes(sandbox: Sandbox) -> None:
    sandbox.session()

    unasked = run("reset", url=sandbox.url, input="")
    no = run("reset", url=sandbox.url, input="n\n")
    kept = sandbox.objects("stripe", "checkout.session")
    said(sandbox, "reset", "--yes")

    assert (unasked.exit_code, no.exit_code, len(kept)) == (1, 1, 1)
    assert sandbox.objects("stripe", "checkout.session") == []


def test_what_others_wrote_does_not_move_the_cursor(sandbox: Sandbox) -> None:
    sandbox.post_to_stripe("products", name=CLEARS)

    result = run("objects", "stripe", "product", url=sandbox.url)
    whole = run("objects", "stripe", "product", "--json", url=sandbox.url)

    assert "gone" in result.stdout
    assert "\x1b" not in result.stdout + whole.stdout


def test_on_a_terminal_there_is_a_table_with_a_head(sandbox: Sandbox) -> None:
    sandbox.post_to_stripe("products", name=CLEARS)
    leader, follower = pty.openpty()

    process = subprocess.Popen(
        [sys.executable, "-m", "console", "sandbox", "objects", "stripe", "product"],
        cwd=ROOT,
        env={"PATH": os.defpath, "SANDBOX_URL": sandbox.url, "TERM": "dumb", "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        stdout=follower,
    )
    os.close(follower)
    shown = _read_all(leader)

    assert process.wait(30) == 0
    head, row = shown.split("\r\n")[:2]
    assert head.split() == ["id", "status", "amount", "made"]
    assert row.startswith("prod_")
    assert "\x1b[2J" not in shown


def _read_all(terminal: int) -> str:
    """Everything that is written on it until nobody can write any more."""
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # Linux's way of saying that the other end is closed.
            part = b""
        if not part:
            os.close(terminal)
            return b"".join(parts).decode()
        parts.append(part)


# --- what happens behind a subscription ---


def test_another_card_is_put_behind_a_subscription(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)

    lines = said(sandbox, "subscription", subscription["id"], "--card", FAILS_LATER)
    advance_to(sandbox, period(subscription)[1] + 2 * HOUR)

    assert lines == [
        ["subscription", subscription["id"]],
        ["card", "ends in 0341"],
        ["next payment", "as the card does"],
    ]
    assert look(sandbox, subscription)["status"] == "past_due"


def test_a_subscriptions_next_payment_ends_as_it_is_ordered(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox)
    ordered = ("--next-payment", "fail", "--decline", "insufficient_funds", "--times", 2)

    arranged = told(sandbox, "subscription", subscription["id"], *ordered)
    advance_to(sandbox, period(subscription)[1] + 2 * HOUR)

    assert arranged == {"subscription": subscription["id"], "last4": "4242", "nextPayment": "fail"}
    [failed] = events(sandbox, "payment_intent.payment_failed")
    assert failed["data"]["object"]["last_payment_error"]["decline_code"] == "insufficient_funds"


def test_a_subscription_that_is_none_is_told_in_the_sandboxs_words(sandbox: Sandbox) -> None:
    result = run("subscription", "sub_none", "--next-payment", "fail", url=sandbox.url)

    assert (result.exit_code, result.stderr) == (
        1,
        "counterfoil: The sandbox refuses: there is no such subscription.\n",
    )


# --- what is written about it ---


def test_the_page_about_the_sandbox_lists_every_command() -> None:
    group: Any = typer.main.get_group(app)
    commands = group.commands["sandbox"].commands
    names = {f"sandbox {name}" for name in commands if name != "faults"}
    names |= {f"sandbox faults {name}" for name in commands["faults"].commands}

    lines = [line for cells in rows(section(DOCS / "sandbox.md", "The commands")) for line in quoted(cells[0])]

    assert names == {
        next((name for name in names if line == name or line.startswith(f"{name} ")), line) for line in lines
    }
