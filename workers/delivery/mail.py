"""Mail to the customer: written from templates, handed to one SMTP server."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import MessageError
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import getaddresses
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, TemplateError, select_autoescape

from db.effects import Effect
from payments.failure import REMEDIES, FailureCode
from payments.money import exponent, written
from workers.delivery.sender import SENT, NeverAgain, NotNow, Settled, WrongSetting, stable_id

TEMPLATES = Path(__file__).parent.parent / "templates" / "mail"

#: How a mail is shown that has no HTML of its own: the paragraphs of its text.
FRAME = "letter.html"

#: Times that a template may tell, by our names for them and those of the effect's detail.
MOMENTS = {
    "paid_at": "paidAt",
    "period_end": "periodEnd",
    "trial_end": "trialEnd",
    "due_at": "dueAt",
    "next_attempt_at": "nextAttemptAt",
    "ends_at": "endsAt",
    "until": "until",
}

NO_ADDRESS = Settled("nothing was sent: the user has no e-mail address")

#: Each wait for the server; the whole of a sending has its own, longer limit.
SMTP_SECONDS = 10
#: After the server has taken the mail nothing is worth waiting for.
QUIT_SECONDS = 2

#: 4yz asks us to come back, 5yz not to (RFC 5321, 4.2.1).
PERMANENT = 500

SUBJECT_LIMIT = 200

#: Narrower than RFC 5322 on purpose: one mailbox, no quoting, no comment, nothing that could end a header or a command.
MAILBOX = re.compile(r"[^\s\x00-\x20\x7f<>()\[\]\\,;:@\"]{1,64}@[^\s\x00-\x20\x7f<>()\[\]\\,;:@\"]{1,253}")


class Letters:
    """Writes the mail of an effect. Files in ``overrides`` replace ours one by one; both are read once per process."""

    def __init__(self, sender: Address, overrides: Path | None = None) -> None:
        self._sender = sender
        folders = [FileSystemLoader(folder) for folder in (overrides, TEMPLATES) if folder is not None]
        self._templates = Environment(
            loader=ChoiceLoader(folders),
            autoescape=select_autoescape(("html",), default=False),
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["day"] = _day

    def write(self, effect: Effect) -> EmailMessage | None:
        """The mail, from the state in the row; None where its user has no address."""
        if not effect.address:
            return None
        mailbox = _mailbox(effect.address)
        letter = EmailMessage(policy=Wire(linesep="\r\n", utf8=not mailbox.isascii(), cte_type="7bit"))
        letter["From"] = self._sender
        letter["To"] = mailbox
        said = _told(effect)
        subject, text = (self._render(effect, suffix, said) for suffix in ("subject.txt", "txt"))
        letter["Subject"] = one_line(subject)
        letter["Date"] = datetime.now(UTC)
        # A mail server that sees the same id twice may drop the second; a customer's program shows them as one.
        letter["Message-ID"] = f"<{stable_id(effect.idempotency_key)}@{self._sender.domain}>"
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(text)
        shown = {**said, "subject": one_line(subject), "paragraphs": text.strip().split("\n\n")}
        letter.add_alternative(self._render(effect, "html", shown, otherwise=FRAME), subtype="html")
        return letter

    def _render(self, effect: Effect, suffix: str, said: dict[str, Any], *, otherwise: str | None = None) -> str:
        name = f"{effect.kind.removeprefix('mail.')}.{suffix}"
        try:
            return self._templates.get_or_select_template([name, otherwise] if otherwise else name).render(said)
        except TemplateError as error:
            raise NotNow(f"the mail template {name} cannot be used ({type(error).__name__})") from None


def _told(effect: Effect) -> dict[str, Any]:
    """What a template may say: the names here are a promise to those who write their own. What is not so is None."""
    detail = effect.detail
    return {
        "order_id": detail["orderId"],
        "subscription_id": detail.get("subscriptionId"),
        "plan_name": detail["planName"],
        "amount": _amount(detail),
        "invoice_number": detail.get("invoiceNumber"),
        "pay_url": detail.get("payUrl"),
        "reason": _reason(detail.get("failureCode")),
        **{name: _moment(detail.get(told)) for name, told in MOMENTS.items()},
    }


def _amount(detail: Mapping[str, Any]) -> str | None:
    amount, currency = detail.get("amount"), detail.get("currency")
    if amount is None or currency is None:
        return None
    return written(amount, currency, exponent=exponent(detail["gateway"], currency))


def _reason(failure_code: str | None) -> str | None:
    """The sentence for the customer. Of a failure that nobody knows it says nothing: it would ask them to wait."""
    if failure_code in (None, FailureCode.UNKNOWN.value):
        return None
    return REMEDIES[FailureCode(failure_code)].message


def _moment(told: str | None) -> datetime | None:
    return datetime.fromisoformat(told).astimezone(UTC) if told else None


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"


class Wire(EmailPolicy):
    """The standard's rules for the wire, in seven bits, with a subject that keeps its spaces.

    ``EmailPolicy`` drops a space that falls between two encoded words of a folded header; ``Header`` keeps it.
    """

    def fold(self, name: str, value: Any) -> str:
        if name.lower() != "subject" or self.utf8 or str(value).isascii():
            return str(super().fold(name, value))
        return f"{name}: {Header(str(value), 'utf-8', header_name=name).encode(linesep=self.linesep)}{self.linesep}"

    def fold_binary(self, name: str, value: Any) -> bytes:
        return self.fold(name, value).encode("utf-8" if self.utf8 else "ascii", "surrogateescape")


def one_line(text: str) -> str:
    """Fit for a header, whatever was in it: no line breaks, no control characters, no endless length."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:SUBJECT_LIMIT]


def _mailbox(address: str) -> str:
    """The address as SMTP takes it, or a refusal that does not repeat it."""
    if MAILBOX.fullmatch(address):
        local, _, domain = address.rpartition("@")
        with contextlib.suppress(UnicodeError):
            return f"{local}@{domain.encode('idna').decode('ascii')}"
    raise NeverAgain("the user's e-mail address is not one that mail can be sent to")


def sender_address(mail_from: str) -> Address:
    """From MAIL_FROM: ``billing@example.org``, or with a name, ``Example <billing@example.org>``."""
    try:
        [(name, mailbox)] = getaddresses([one_line(mail_from)])
        return Address(display_name=name, addr_spec=_mailbox(mailbox))
    except (ValueError, MessageError, NeverAgain):
        raise WrongSetting("MAIL_FROM must be an e-mail address, with or without a name") from None


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed in. ``start_tls`` None takes encryption when it is offered; True insists on it."""

    host: str
    port: int
    username: str | None = field(repr=False)
    password: str | None = field(repr=False)
    use_tls: bool
    start_tls: bool | None

    @classmethod
    def of(cls, url: str, *, production: bool) -> SmtpServer:
        """From SMTP_URL: ``smtp://user:password@host:587?starttls=required`` (or ``offered``, ``off``), ``smtps://...``.

        In production STARTTLS is required unless the URL says otherwise: what is merely offered, an attacker on the
        way can take out of the offer.
        """
        modes = {"required": True, "offered": None, "off": False}
        try:
            parts = urlsplit(url)
            port = parts.port
            chosen = parse_qs(parts.query, strict_parsing=bool(parts.query))
        except ValueError:
            raise WrongSetting("SMTP_URL is not a URL") from None
        mode = chosen.pop("starttls", ["required" if production else "offered"])[-1]
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname or chosen or mode not in modes:
            raise WrongSetting("SMTP_URL must be smtp://host:port?starttls=required|offered|off, or smtps://host:port")
        tls = parts.scheme == "smtps"
        return cls(
            host=parts.hostname,
            port=port or (465 if tls else 587),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            use_tls=tls,
            start_tls=False if tls else modes[mode],
        )


class Mail:
    """Hands mails to the SMTP server, one connection each."""

    def __init__(self, letters: Letters, server: SmtpServer, name: str) -> None:
        self._letters = letters
        self._server = server
        self._name = name

    async def send(self, effect: Effect) -> Settled:
        letter = self._letters.write(effect)
        if letter is None:
            return NO_ADDRESS
        try:
            await self._hand_in(letter)
        except aiosmtplib.SMTPRecipientsRefused as error:
            # One recipient, so one refusal. The server's own words repeat the address; its code does not.
            raise _refusal("the recipient", error.recipients[0].code) from None
        except aiosmtplib.SMTPDataError as error:
            raise _refusal("the mail", error.code) from None
        except aiosmtplib.SMTPResponseException as error:
            # It refuses us, or our sender: somebody's setting, which can be repaired.
            text = f"the mail server refused us ({type(error).__name__} {error.code})"
            raise NotNow(text, needs_person=error.code >= PERMANENT) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise NotNow(f"the mail server could not be used ({type(error).__name__})") from None
        return SENT

    async def _hand_in(self, letter: EmailMessage) -> None:
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.use_tls,
            start_tls=server.start_tls,
            local_hostname=self._name,
            timeout=SMTP_SECONDS,
        )
        try:
            await client.connect()
            sender, recipient = (letter[name].addresses[0].addr_spec for name in ("From", "To"))
            if recipient.isascii():
                # As it is: ``send_message`` would write it anew, by rules of its own.
                await client.sendmail(sender, [recipient], bytes(letter))
            else:
                await client.send_message(letter)
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=QUIT_SECONDS)
        finally:
            client.close()


def _refusal(what: str, code: int) -> NotNow | NeverAgain:
    text = f"the mail server refused {what} ({code})"
    return NeverAgain(text) if code >= PERMANENT else NotNow(text)
