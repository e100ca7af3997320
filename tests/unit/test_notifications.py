"""What the application and analytics are told, word for word as docs/notifications.md promises."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from payments.effects import FOLLOWS_OCCURRENCE, EffectKind
from tests.owed import ANALYTICS, DISPUTED, NOT_REFUNDED, NOTIFY, REFUNDED, SUBSCRIBED, effect
from workers.delivery.analytics import track_call
from workers.delivery.mail import Letters, sender_address
from workers.delivery.notifications import TYPES, notice, signers
from workers.delivery.sender import NotNow, WrongSetting

DOCS = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text(encoding="utf-8")
EXAMPLES: dict[str, Any] = {
    example["type"]: example for example in map(json.loads, re.findall(r"```json\n(.+?)```", DOCS, re.DOTALL))
}


OF_SUBSCRIPTIONS = {kind for kinds in FOLLOWS_OCCURRENCE.values() for kind in kinds}


def test_a_notice_is_what_the_docs_show() -> None:
    assert notice(effect(NOTIFY)) == EXAMPLES["payment.completed"]


def test_a_track_call_is_what_the_docs_show() -> None:
    assert track_call(effect(ANALYTICS)) == EXAMPLES["track"]


OF_MONEY = {
    "refund.succeeded": REFUNDED,
    "refund.failed": NOT_REFUNDED,
    "dispute.opened": DISPUTED,
    "dispute.closed": DISPUTED | {"status": "lost", "gatewayStatus": "lost"},
}


@pytest.mark.parametrize("type_", OF_MONEY)
def test_what_is_told_of_money_that_goes_back_is_what_the_docs_show(type_: str) -> None:
    assert notice(effect(f"notify.{type_}", **OF_MONEY[type_])) == EXAMPLES[type_]


@pytest.mark.parametrize("type_", sorted(set(TYPES) - {"payment.completed", *OF_MONEY}))
def test_what_is_told_of_a_subscription_is_what_the_docs_show(type_: str) -> None:
    assert notice(effect(f"notify.{type_}", **SUBSCRIBED)) == EXAMPLES[type_]


@pytest.mark.parametrize("type_", sorted(TYPES))
def test_every_type_and_its_version_are_in_the_docs(type_: str) -> None:
    assert f"#### `{type_}`, version {TYPES[type_][0]}" in DOCS


def test_every_type_is_of_a_kind_and_every_kind_has_a_type() -> None:
    assert {f"notify.{type_}" for type_ in TYPES} == {kind for kind in EffectKind if kind.startswith("notify.")}


@pytest.mark.parametrize("kind", sorted(kind for kind in EffectKind if not kind.startswith("gateway.")))
def test_every_kind_that_follows_a_move_can_be_told(kind: EffectKind) -> None:
    compose = {
        "mail": Letters(sender_address("billing@example.com")).write,
        "notify": notice,
        "analytics": track_call,
    }[kind.partition(".")[0]]

    told = OF_MONEY.get(kind.partition(".")[2], SUBSCRIBED if kind in OF_SUBSCRIPTIONS else {})
    assert compose(effect(kind, **told))


def test_a_later_field_of_the_detail_does_not_leak_out() -> None:
    owed = effect(NOTIFY, internalRemark="not for you")

    assert "not for you" not in json.dumps(notice(owed))
    assert "not for you" not in json.dumps(track_call(effect(ANALYTICS, internalRemark="not for you")))


def test_no_address_is_told_to_anybody() -> None:
    assert "ada@example.org" not in json.dumps([notice(effect(NOTIFY)), track_call(effect(ANALYTICS))])


def test_a_type_of_a_newer_version_waits_for_it() -> None:
    with pytest.raises(NotNow):
        notice(effect("notify.payment.of_tomorrow"))
    with pytest.raises(NotNow):
        track_call(effect("analytics.of_tomorrow"))


GOOD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize("secret", [GOOD, GOOD.removeprefix("whsec_"), "whsec_" + "A" * 34, "whsec_" + "A" * 34 + "=="])
def test_a_secret_is_base64_with_or_without_its_prefix_and_padding(secret: str) -> None:
    assert len(signers([secret], production=True)) == 1


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_!!!",
        "---",
        "my secret words",
        "whsec_A",
        "whsec_c2hvcnQ=",
        "whsec_é" * 8,
        "A" * 40 + "!!!!",
    ],
)
def test_a_secret_that_is_short_or_no_base64_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(WrongSetting, match="NOTIFY_SECRET") as wrong:
        signers([secret], production=True)

    assert not secret.removeprefix("whsec_") or secret not in str(wrong.value)


def test_nothing_is_notified_unsigned() -> None:
    with pytest.raises(WrongSetting, match="NOTIFY_SECRET is missing"):
        signers([], production=False)
