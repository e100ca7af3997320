"""Every channel by the first word of an effect's kind, built once per worker process from its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from db.effects import Effect
from workers.delivery.analytics import Analytics, track_call
from workers.delivery.guarded_http import Guard, Resolve, resolve
from workers.delivery.mail import Letters, Mail, SmtpServer, sender_address
from workers.delivery.notifications import Notifications, notice, signers
from workers.delivery.outbox import KeptJson, KeptMail, Outbox
from workers.delivery.receiver import Receiver
from workers.delivery.sender import NotNow, Sender, Settled, WrongSetting

#: Who writes the mails in the outbox where MAIL_FROM is unset.
NOBODY = "Counterfoil <counterfoil@localhost.localdomain>"


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """What the channels are built from. URLs may hold passwords, so none of them shows in a repr.

    ``notify_allow`` lists hosts and networks that may be private; ``outbox_dir`` serves in development alone.
    """

    production: bool
    smtp_url: str | None = field(default=None, repr=False)
    mail_from: str | None = None
    mail_templates: Path | None = None
    notify_url: str | None = field(default=None, repr=False)
    notify_secrets: tuple[str, ...] = field(default=(), repr=False)
    notify_allow: tuple[str, ...] = ()
    analytics_url: str | None = field(default=None, repr=False)
    outbox_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class Off:
    """A channel that this installation does without."""

    setting: str

    async def send(self, effect: Effect) -> Settled:  # noqa: ARG002 - every sender takes the effect
        return Settled(f"nothing was sent: {self.setting} is not set")


class Senders:
    """All channels. Belongs to the event loop that uses it first; leave it, and its connections close."""

    def __init__(self, channels: Mapping[str, Sender], receivers: Sequence[Receiver] = ()) -> None:
        self._channels = channels
        self._receivers = receivers

    async def send(self, effect: Effect) -> Settled:
        channel = self._channels.get(effect.kind.partition(".")[0])
        if channel is None:
            # Written by a newer version while this one is still being replaced.
            raise NotNow("this version of the workers has no channel for its kind")
        return await channel.send(effect)

    async def aclose(self) -> None:
        for receiver in self._receivers:
            await receiver.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def build(
    values: DeliverySettings, resolve: Resolve = resolve, *, further: Mapping[str, Sender] | None = None
) -> Senders:
    """Choose each channel, as the package's table says; ``further`` ones come ready-made, by their first word.

    Raises ``WrongSetting``, which should stop the start.
    """
    outbox = Outbox(values.outbox_dir) if values.outbox_dir is not None and not values.production else None
    guard = Guard.of(values.notify_allow, production=values.production)
    application = _receiver("NOTIFY_URL", values.notify_url, guard, resolve)
    tracker = _receiver("ANALYTICS_URL", values.analytics_url, guard, resolve)
    return Senders(
        {
            "mail": _mail(values, outbox),
            "notify": _notifications(values, application, outbox),
            "analytics": Analytics(tracker) if tracker else _without("ANALYTICS_URL", outbox, track_call),
            **(further or {}),
        },
        [receiver for receiver in (application, tracker) if receiver],
    )


def _receiver(setting: str, url: str | None, guard: Guard, resolve: Resolve) -> Receiver | None:
    return Receiver(setting, url, guard, resolve) if url else None


def _without(setting: str, outbox: Outbox | None, compose: Callable[[Effect], dict[str, Any]]) -> Sender:
    return KeptJson(outbox, compose) if outbox else Off(setting)


def _notifications(values: DeliverySettings, application: Receiver | None, outbox: Outbox | None) -> Sender:
    if application is None:
        return _without("NOTIFY_URL", outbox, notice)
    return Notifications(application, signers(values.notify_secrets, production=values.production))


def _mail(values: DeliverySettings, outbox: Outbox | None) -> Sender:
    if values.mail_templates is not None and not values.mail_templates.is_dir():
        raise WrongSetting("MAIL_TEMPLATES is not a folder")
    if values.smtp_url:
        if not values.mail_from:
            raise WrongSetting("MAIL_FROM is missing while SMTP_URL is set")
        sender = sender_address(values.mail_from)
        server = SmtpServer.of(values.smtp_url, production=values.production)
        return Mail(Letters(sender, values.mail_templates), server, name=sender.domain)
    if outbox is not None:
        return KeptMail(outbox, Letters(sender_address(values.mail_from or NOBODY), values.mail_templates))
    return Off("SMTP_URL")
