"""Mail handed to a real SMTP server: taken once, refused for good or for now, and never in the clear by accident."""

from __future__ import annotations

import asyncio
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from db.pool import Pool
from tests.owed import MAIL, effect, make_due, owe, row
from tests.receivers import MailServer, certificate, mail_server
from workers.delivery.sender import SENT, NeverAgain, NotNow
from workers.delivery.senders import DeliverySettings, Senders, build
from workers.effects import Outcome, send_effect


def mailer(server: MailServer, *, user: str = "", query: str = "", host: str = "127.0.0.1") -> Senders:
    url = f"smtp://{user}{host}:{server.port}{query}"
    return build(DeliverySettings(production=False, smtp_url=url, mail_from="Example Ltd <billing@example.com>"))


async def test_a_mail_is_taken_with_both_its_parts_and_its_envelope(pool: Pool) -> None:
    owed = await owe(pool, MAIL)
    async with mail_server() as server:
        outcome = await send_effect(pool, mailer(server), owed)

    (taken,) = server.taken
    assert isinstance(taken.content, bytes)
    mail = message_from_bytes(taken.content, policy=policy.default)
    assert outcome is Outcome.SENT
    assert (taken.mail_from, taken.rcpt_tos) == ("billing@example.com", ["ada@example.org"])
    assert mail["Subject"] == "Payment received: Lifetime"
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]


async def test_a_subject_that_is_folded_on_the_wire_keeps_its_spaces(pool: Pool) -> None:
    name = "00 000000000¡¡¡¡¡¡¡¡ ¡ Größe Übergrößen für Äpfel"
    owed = await owe(pool, MAIL)
    await pool.execute("UPDATE effects SET detail = detail || $1", {"planName": name})
    async with mail_server() as server:
        await send_effect(pool, mailer(server), owed)

    (taken,) = server.taken
    assert isinstance(taken.content, bytes)
    mail = message_from_bytes(taken.content, policy=policy.default)
    assert mail["Subject"] == f"Payment received: {name}"
    assert taken.content.isascii()


async def test_f51_eight_workers_at_once_send_one_mail(pool: Pool) -> None:
    owed = await owe(pool, MAIL)
    async with mail_server() as server:
        await asyncio.gather(*(send_effect(pool, mailer(server), owed) for _ in range(8)))

    assert len(server.taken) == 1


async def test_f51_a_mail_that_was_refused_for_now_is_sent_later_under_the_same_id(pool: Pool) -> None:
    owed = await owe(pool, MAIL)
    async with mail_server({"DATA": ["451 try later"]}) as server:
        first = await send_effect(pool, mailer(server), owed)
        refused = await row(pool, owed)
        await make_due(pool, owed)
        second = await send_effect(pool, mailer(server), owed)

    assert (first, second) == (Outcome.RETRY, Outcome.SENT)
    assert refused["last_error"] == "the mail server refused the mail (451)"
    assert len(server.taken) == 1


async def test_a_recipient_that_is_refused_for_good_is_dead_without_its_address(pool: Pool) -> None:
    owed = await owe(pool, MAIL)
    async with mail_server({"RCPT": ["550 5.1.1 <ada@example.org> unknown"]}) as server:
        outcome = await send_effect(pool, mailer(server), owed)

    assert outcome is Outcome.DEAD
    assert (await row(pool, owed))["last_error"] == "the mail server refused the recipient (550)"
    assert server.taken == []


@pytest.mark.parametrize(
    ("refusals", "error", "text"),
    [
        ({"RCPT": ["450 greylisted"]}, NotNow, r"the recipient \(450\)"),
        ({"RCPT": ["553 no"]}, NeverAgain, r"the recipient \(553\)"),
        ({"DATA": ["554 spam"]}, NeverAgain, r"the mail \(554\)"),
        ({"DATA": ["452 full"]}, NotNow, r"the mail \(452\)"),
        ({"MAIL": ["550 sender unknown"]}, NotNow, r"refused us \(SMTPSenderRefused 550\)"),
    ],
)
async def test_each_refusal_is_for_now_or_for_good(
    refusals: dict[str, list[str]], error: type[Exception], text: str
) -> None:
    async with mail_server(refusals) as server:
        with pytest.raises(error, match=text):
            await mailer(server).send(effect(MAIL))


async def test_a_server_that_is_away_is_tried_again() -> None:
    async with mail_server() as server:
        away = mailer(server)
    with pytest.raises(NotNow, match="the mail server could not be used"):
        await away.send(effect(MAIL))


async def test_a_server_that_hangs_up_is_tried_again() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    listening = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    with pytest.raises(NotNow, match="the mail server could not be used"):
        await mailer(MailServer({}, port=listening.sockets[0].getsockname()[1])).send(effect(MAIL))
    listening.close()


async def test_a_user_without_an_address_gets_no_mail_and_the_row_says_so(pool: Pool) -> None:
    owed = await owe(pool, MAIL, address=None)
    async with mail_server() as server:
        outcome = await send_effect(pool, mailer(server), owed)

    assert outcome is Outcome.SENT
    assert (await row(pool, owed))["last_error"] == "nothing was sent: the user has no e-mail address"
    assert server.taken == []


async def test_an_address_that_is_none_is_dead_and_not_repeated(pool: Pool) -> None:
    owed = await owe(pool, MAIL, address="ada@example.org\r\nRCPT TO:<all@example.net>")
    async with mail_server() as server:
        outcome = await send_effect(pool, mailer(server), owed)

    assert outcome is Outcome.DEAD
    assert "@" not in (await row(pool, owed))["last_error"]
    assert server.taken == []


async def test_an_international_mailbox_is_reached() -> None:
    async with mail_server() as server:
        settled = await mailer(server).send(effect(MAIL, address="jürgen@münchen.example"))

    assert settled is SENT
    assert server.taken[0].rcpt_tos == ["jürgen@xn--mnchen-3ya.example"]


async def test_we_log_in_with_what_the_url_says() -> None:
    async with mail_server(login=True) as server:
        settled = await mailer(server, user="user:right%20p%40ss@").send(effect(MAIL))

    assert settled is SENT


async def test_a_wrong_password_is_repaired_by_a_person_and_never_shown(pool: Pool) -> None:
    owed = await owe(pool, MAIL)
    async with mail_server(login=True) as server:
        outcome = await send_effect(pool, mailer(server, user="user:hidden-password@"), owed)

    after = await row(pool, owed)
    assert outcome is Outcome.RETRY
    assert after["last_error"] == "the mail server refused us (SMTPAuthenticationError 535)"
    assert "hidden" not in str(after)


async def test_required_encryption_that_is_not_offered_sends_nothing() -> None:
    async with mail_server() as server:
        with pytest.raises(NotNow, match="could not be used"):
            await mailer(server, query="?starttls=required").send(effect(MAIL))

    assert server.taken == []


async def test_encryption_is_taken_when_it_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls, trusted = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    async with mail_server(tls=tls) as server:
        settled = await mailer(server, host="localhost").send(effect(MAIL))

    assert settled is SENT
    assert server.encrypted == [True]


async def test_a_server_with_another_ones_certificate_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, trusted = certificate(tmp_path, "mail.example.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    async with mail_server(tls=tls) as server:
        with pytest.raises(NotNow, match="could not be used"):
            await mailer(server, host="localhost").send(effect(MAIL))

    assert server.taken == []


async def test_mail_in_the_outbox_is_what_a_server_would_get(pool: Pool, tmp_path: Path) -> None:
    owed = await owe(pool, MAIL)
    async with build(DeliverySettings(production=False, outbox_dir=tmp_path)) as senders:
        outcome = await send_effect(pool, senders, owed)

    (kept,) = tmp_path.iterdir()
    assert outcome is Outcome.SENT
    assert kept.name == f"mail.payment_confirmed-{owed}.eml"
    assert message_from_bytes(kept.read_bytes(), policy=policy.default)["To"] == "ada@example.org"
