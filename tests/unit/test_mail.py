"""What a customer's mail says, and what can never get into it."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.effects import EffectKind
from tests.owed import DETAIL, MAIL, ORDER, SUBSCRIBED, effect
from workers.delivery.mail import Letters, SmtpServer, one_line, sender_address
from workers.delivery.sender import NeverAgain, NotNow, WrongSetting

FROM = sender_address("Example Ltd <billing@example.com>")
OURS = Letters(FROM)


def letter(*, address: str = "ada@example.org", overrides: Path | None = None, **detail: object) -> EmailMessage:
    """The mail as its receiver parses it, from the bytes that go over the wire."""
    letters = Letters(FROM, overrides) if overrides else OURS
    written = letters.write(effect(MAIL, address=address, **detail))
    assert written is not None
    read = message_from_bytes(bytes(written), policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read


def part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_both_parts_say_what_was_paid(kind: str) -> None:
    text = part(letter(), kind)

    assert [said for said in ("Lifetime", "49.00 USD", "2 March 2026, 14:05 UTC", str(ORDER)) if said not in text] == []


def test_the_headers_say_who_to_whom_and_that_nobody_typed_it() -> None:
    mail = letter()

    assert mail["From"] == "Example Ltd <billing@example.com>"
    assert mail["To"] == "ada@example.org"
    assert mail["Subject"] == "Payment received: Lifetime"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime is not None
    assert mail.get_content_type() == "multipart/alternative"


def test_a_repeat_carries_the_same_message_id_and_another_effect_another() -> None:
    first, again, other = (
        letter(),
        letter(planName="Renamed"),
        Letters(FROM).write(replace(effect(MAIL), idempotency_key="x")),
    )

    assert other is not None
    assert first["Message-ID"] == again["Message-ID"] != other["Message-ID"]
    assert first["Message-ID"].endswith("@example.com>")


@pytest.mark.parametrize(
    ("gateway", "currency", "amount", "said"),
    [
        ("stripe", "jpy", 500, "500 JPY"),
        ("stripe", "isk", 50000, "500.00 ISK"),
        ("razorpay", "isk", 500, "500 ISK"),
        ("razorpay", "kwd", 1234, "1.234 KWD"),
        ("razorpay", "inr", 5, "0.05 INR"),
    ],
)
def test_an_amount_is_written_by_its_gateways_minor_unit(gateway: str, currency: str, amount: int, said: str) -> None:
    mail = letter(gateway=gateway, currency=currency, amount=amount)

    assert f"Amount:  {said}\n" in part(mail, "plain")


def test_html_in_a_plans_name_is_text() -> None:
    mail = letter(planName="<script>alert('x')</script> & co")

    assert "<script>" not in part(mail, "html")
    assert "&lt;script&gt;" in part(mail, "html")
    assert "<script>alert('x')</script> & co" in part(mail, "plain")


def test_a_plans_name_cannot_add_a_header() -> None:
    mail = letter(planName="Gold\r\nBcc: all@example.net\r\n\r\nEvil body")

    assert mail["Bcc"] is None
    assert mail["Subject"] == "Payment received: Gold Bcc: all@example.net Evil body"


@settings(deadline=None)  # a machine that is busy is no defect of a subject
@given(st.text(max_size=400))
def test_whatever_a_plan_is_called_its_subject_is_one_printable_line(name: str) -> None:
    mail = letter(planName=name)

    assert {"Bcc", "Cc"} & set(mail.keys()) == set()
    assert mail["Subject"] == one_line(f"Payment received: {name}")
    assert mail["Subject"].isprintable()


@pytest.mark.parametrize(
    "address",
    [
        "no address", "ada", "ada@", "@example.org", "a@b\r\nBcc: all@example.net", "a@b.example\n", "a@b,c@d.example",
        "<a@b.example>", '"a b"@c.example', "a@b@c.example", "a@[127.0.0.1]", "a@b.example\0", "x" * 65 + "@b.example",
        "a@" + "b" * 254, "a@b..example",
    ],
)  # fmt: skip
def test_what_is_not_one_plain_mailbox_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(NeverAgain) as refused:
        letter(address=address)

    assert address not in str(refused.value)


def test_an_international_domain_is_written_as_dns_knows_it() -> None:
    assert letter(address="ada@münchen.example")["To"] == "ada@xn--mnchen-3ya.example"


def test_an_international_mailbox_is_kept() -> None:
    written = Letters(FROM).write(effect(MAIL, address="jürgen@example.org"))

    assert written is not None
    assert "To: jürgen@example.org".encode() in bytes(written)


@pytest.mark.parametrize("address", [None, ""])
def test_a_user_without_an_address_gets_no_mail(address: str | None) -> None:
    assert Letters(FROM).write(effect(MAIL, address=address)) is None


def test_templates_of_ones_own_replace_ours_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "payment_confirmed.txt").write_text("Danke für {{ plan_name }}: {{ amount }}\n", encoding="utf-8")

    mail = letter(overrides=tmp_path)

    assert part(mail, "plain") == "Danke für Lifetime: 49.00 USD\n"
    assert mail["Subject"] == "Payment received: Lifetime"
    assert "Lifetime" in part(mail, "html")


@pytest.mark.parametrize("broken", ["{{ no_such_name }}", "{% if %}"])
def test_a_broken_template_waits_to_be_repaired(tmp_path: Path, broken: str) -> None:
    (tmp_path / "payment_confirmed.html").write_text(broken, encoding="utf-8")

    with pytest.raises(NotNow, match=r"template payment_confirmed\.html cannot be used"):
        letter(overrides=tmp_path)


def test_a_mail_of_a_newer_version_waits_for_its_template() -> None:
    with pytest.raises(NotNow, match="TemplateNotFound"):
        Letters(FROM).write(effect("mail.of_tomorrow"))


@pytest.mark.parametrize("value", ["", "nobody", "a@b\r\nBcc: c@d", "Jürgen <jürgen@example.org>", "a@b, c@d"])
def test_a_wrong_mail_from_is_named(value: str) -> None:
    with pytest.raises(WrongSetting, match="MAIL_FROM"):
        sender_address(value)


@pytest.mark.parametrize(
    ("url", "production", "port", "use_tls", "start_tls"),
    [
        ("smtp://mail.example.org", False, 587, False, None),
        ("smtp://mail.example.org", True, 587, False, True),
        ("smtp://mail.example.org?starttls=required", False, 587, False, True),
        ("smtp://mail.example.org:25?starttls=offered", True, 25, False, None),
        ("smtp://127.0.0.1:1025?starttls=off", True, 1025, False, False),
        ("smtps://mail.example.org", True, 465, True, False),
    ],
)
def test_an_smtp_url_says_how_to_encrypt(
    url: str, production: bool, port: int, use_tls: bool, start_tls: bool | None
) -> None:
    server = SmtpServer.of(url, production=production)

    assert (server.port, server.use_tls, server.start_tls) == (port, use_tls, start_tls)


def test_credentials_in_an_smtp_url_are_decoded_and_never_shown() -> None:
    server = SmtpServer.of("smtp://us%40er:p%40ss%3Aword@mail.example.org", production=True)

    assert (server.username, server.password) == ("us@er", "p@ss:word")
    assert "p@ss" not in repr(server)


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.org",
        "http://x",
        "smtp://",
        "smtp://h:port",
        "smtp://h?starttls=perhaps",
        "smtp://h?tls=1",
        "smtp://[",
        "smtp://h?x",
    ],
)
def test_a_wrong_smtp_url_is_named_and_not_shown(url: str) -> None:
    with pytest.raises(WrongSetting, match="SMTP_URL") as wrong:
        SmtpServer.of(url, production=True)

    assert url not in str(wrong.value).split()


def test_every_field_that_a_mail_needs_is_in_the_frozen_detail() -> None:
    assert {"orderId", "planName", "amount", "currency", "gateway", "paidAt"} <= set(DETAIL)


# --- about subscriptions ---

DOCS = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text(encoding="utf-8")
MAILS = sorted(kind.removeprefix("mail.") for kind in EffectKind if kind.startswith("mail."))


def about(kind: str, *, overrides: Path | None = None, **detail: object) -> EmailMessage:
    """The mail about a subscription as its receiver parses it."""
    written = Letters(FROM, overrides).write(effect(f"mail.{kind}", **{**SUBSCRIBED, **detail}))
    assert written is not None
    read = message_from_bytes(bytes(written), policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read


@pytest.mark.parametrize("name", MAILS)
def test_every_mail_is_in_the_docs(name: str) -> None:
    assert f"| `{name}` |" in DOCS


@pytest.mark.parametrize("name", sorted(set(MAILS) - {"payment_confirmed"}))
def test_a_mail_can_be_written_whatever_is_not_known(name: str) -> None:
    known = {"subscriptionId", "userId", "planName", "gateway", "orderId"}

    mail = about(name, **{field: None for field in SUBSCRIBED if field not in known})

    for kind in ("plain", "html"):
        assert "Team" in part(mail, kind)
        assert "None" not in part(mail, kind)


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_a_failed_renewal_says_how_much_why_and_where_to_pay(kind: str) -> None:
    text = part(about("subscription_renewal_failed"), kind)

    assert [said for said in ("Team", "29.00 USD", "insufficient funds", "5 March 2026") if said not in text] == []
    assert "https://invoice.stripe.com/i/acct_1/live_abc" in text


def test_where_to_pay_can_be_clicked() -> None:
    html = part(about("subscription_renewal_failed"), "html")

    assert '<a href="https://invoice.stripe.com/i/acct_1/live_abc" rel=' in html


def test_an_unknown_failure_asks_nobody_to_wait() -> None:
    assert "do not pay again" not in part(about("subscription_renewal_failed", failureCode="unknown"), "plain")


def test_html_in_a_plans_name_is_text_in_the_frame_too() -> None:
    mail = about("subscription_started", planName="<script>alert('x')</script>")

    assert "<script>" not in part(mail, "html")
    assert "<script>alert('x')</script>" in part(mail, "plain")


def test_an_html_of_ones_own_takes_the_place_of_the_frame(tmp_path: Path) -> None:
    (tmp_path / "subscription_cancelled.html").write_text("<p>{{ plan_name }}: good-bye</p>", encoding="utf-8")

    mail = about("subscription_cancelled", overrides=tmp_path)

    assert part(mail, "html").strip() == "<p>Team: good-bye</p>"
    assert "has ended" in part(mail, "plain")
