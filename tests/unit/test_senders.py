"""Which channel an effect takes: by its kind, the settings, and where we run."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.owed import ANALYTICS, MAIL, NOTIFY, effect
from workers.delivery.sender import SENT, NotNow, Settled, WrongSetting
from workers.delivery.senders import DeliverySettings, build

KINDS = [MAIL, NOTIFY, ANALYTICS]
SETTINGS = ["SMTP_URL", "NOTIFY_URL", "ANALYTICS_URL"]

SECRETS = DeliverySettings(
    production=True,
    smtp_url="smtp://u:hidden@mail.example.org",
    notify_url="https://u:hidden@app.example.org",
    notify_secrets=("whsec_hidden",),
    analytics_url="https://hidden@api.example.org",
)


@pytest.mark.parametrize(("kind", "setting"), list(zip(KINDS, SETTINGS, strict=True)))
async def test_in_production_a_channel_without_its_setting_is_off_and_says_so(kind: str, setting: str) -> None:
    async with build(DeliverySettings(production=True)) as senders:
        settled = await senders.send(effect(kind))

    assert settled == Settled(f"nothing was sent: {setting} is not set")


@pytest.mark.parametrize("kind", KINDS)
async def test_an_outbox_is_for_development_alone(kind: str, tmp_path: Path) -> None:
    async with build(DeliverySettings(production=True, outbox_dir=tmp_path)) as senders:
        await senders.send(effect(kind))

    assert list(tmp_path.iterdir()) == []


async def test_in_development_every_effect_becomes_a_file_of_its_own(tmp_path: Path) -> None:
    async with build(DeliverySettings(production=False, outbox_dir=tmp_path / "outbox")) as senders:
        settled = [await senders.send(effect(kind)) for kind in KINDS]

    assert settled == [SENT, SENT, SENT]
    assert sorted(path.name for path in (tmp_path / "outbox").iterdir()) == [
        "analytics.payment_completed-7c1f7b1f-4d6a-4a1f-8e67-2a7a7e2d3c4b.json",
        "mail.payment_confirmed-7c1f7b1f-4d6a-4a1f-8e67-2a7a7e2d3c4b.eml",
        "notify.payment.completed-7c1f7b1f-4d6a-4a1f-8e67-2a7a7e2d3c4b.json",
    ]


async def test_a_repeat_overwrites_its_file_and_leaves_no_other(tmp_path: Path) -> None:
    async with build(DeliverySettings(production=False, outbox_dir=tmp_path)) as senders:
        for _ in range(3):
            await senders.send(effect(NOTIFY))

    (kept,) = tmp_path.iterdir()
    assert json.loads(kept.read_bytes())["data"]["orderId"] == "5b0e6a0e-3c5f-4f0e-9d56-1f6f6d1c2b3a"


async def test_a_temporary_file_of_a_crash_is_no_obstacle(tmp_path: Path) -> None:
    async with build(DeliverySettings(production=False, outbox_dir=tmp_path)) as senders:
        await senders.send(effect(MAIL))
        (kept,) = tmp_path.iterdir()
        kept.with_name(f".{kept.name}.1").write_bytes(b"half a fi")

        await senders.send(effect(MAIL))

    assert kept.read_bytes().startswith(b"From: Counterfoil <counterfoil@localhost.localdomain>\r\n")


async def test_the_outbox_is_its_owners_alone(tmp_path: Path) -> None:
    async with build(DeliverySettings(production=False, outbox_dir=tmp_path / "outbox")) as senders:
        await senders.send(effect(MAIL))

    (kept,) = (tmp_path / "outbox").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


async def test_an_outbox_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    async with build(DeliverySettings(production=False, outbox_dir=tmp_path / "file" / "outbox")) as senders:
        with pytest.raises(NotNow, match="outbox"):
            await senders.send(effect(MAIL))


async def test_a_kind_never_becomes_a_path(tmp_path: Path) -> None:
    async with build(DeliverySettings(production=False, outbox_dir=tmp_path / "outbox")) as senders:
        with pytest.raises(NotNow):
            await senders.send(effect("notify./../../escaped"))
        with pytest.raises(NotNow):
            await senders.send(effect("mail./../../escaped"))

    assert list(tmp_path.rglob("*")) == []


async def test_in_development_without_an_outbox_a_channel_is_off() -> None:
    async with build(DeliverySettings(production=False)) as senders:
        settled = await senders.send(effect(MAIL))

    assert settled == Settled("nothing was sent: SMTP_URL is not set")


async def test_a_kind_of_a_newer_version_waits_for_it() -> None:
    async with build(DeliverySettings(production=True)) as senders:
        with pytest.raises(NotNow, match="no channel"):
            await senders.send(effect("pigeon.payment_confirmed"))


GOOD_SECRETS = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",)

WRONG = [
    ("SMTP_URL", DeliverySettings(production=True, smtp_url="hidden", mail_from="a@example.org")),
    ("MAIL_FROM", DeliverySettings(production=True, smtp_url="smtp://mail.example.org")),
    ("MAIL_FROM", DeliverySettings(production=True, smtp_url="smtp://mail.example.org", mail_from="hidden")),
    ("MAIL_TEMPLATES", DeliverySettings(production=True, mail_templates=Path("/hidden"))),
    ("NOTIFY_SECRET", DeliverySettings(production=True, notify_url="https://app.example.org")),
    (
        "NOTIFY_SECRET",
        DeliverySettings(production=True, notify_url="https://app.example.org", notify_secrets=("hidden!",)),
    ),
    ("NOTIFY_URL", DeliverySettings(production=True, notify_url="hidden", notify_secrets=GOOD_SECRETS)),
    ("NOTIFY_URL", DeliverySettings(production=True, notify_url="ftp://hidden", notify_secrets=GOOD_SECRETS)),
    ("NOTIFY_URL", DeliverySettings(production=True, notify_url="http://[hidden", notify_secrets=GOOD_SECRETS)),
    ("NOTIFY_URL", DeliverySettings(production=True, notify_url="http://hidden", notify_secrets=GOOD_SECRETS)),
    ("NOTIFY_ALLOW", DeliverySettings(production=True, notify_allow=("hidden/8",))),
    ("ANALYTICS_URL", DeliverySettings(production=True, analytics_url="http://hidden@api.example.org")),
]


@pytest.mark.parametrize(("name", "values"), WRONG)
def test_a_wrong_setting_stops_the_start_named_and_not_shown(name: str, values: DeliverySettings) -> None:
    with pytest.raises(WrongSetting, match=name) as wrong:
        build(values)

    assert "hidden" not in str(wrong.value)


def test_settings_do_not_show_their_secrets() -> None:
    assert "hidden" not in repr(SECRETS)
