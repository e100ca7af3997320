"""Stripe's variables: several secrets, the mode from the key, and refusals that name the variable and no value."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateways.gateway import Secret
from gateways.stripe.settings import StripeSettings


def test_without_variables_there_is_no_secret_and_no_mode() -> None:
    settings = StripeSettings()

    assert (settings.webhook_secrets, settings.livemode, settings.api_base) == ((), None, None)


def test_f21_several_secrets_are_split_at_their_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_new, whsec_old")

    assert StripeSettings().webhook_secrets == (Secret(b"whsec_new"), Secret(b"whsec_old"))


@pytest.mark.parametrize(
    "value", ["", "   ", ",", "whsec_hidden,", ",whsec_hidden", "whsec_hidden,,whsec_other", "\t, "]
)
def test_f11_an_empty_secret_among_them_stops_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", value)

    with pytest.raises(ValidationError) as refusal:
        StripeSettings()

    assert "STRIPE_WEBHOOK_SECRET" in str(refusal.value)
    assert "nor have an empty part between its commas" in str(refusal.value)
    assert "hidden" not in str(refusal.value)


@pytest.mark.parametrize(
    ("key", "livemode"),
    [("sk_live_1", True), ("rk_live_1", True), ("sk_test_1", False), ("rk_test_1", False), ("", None), ("  ", None)],
)
def test_the_mode_is_the_keys(monkeypatch: pytest.MonkeyPatch, key: str, livemode: bool | None) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", key)

    assert StripeSettings().livemode is livemode


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("STRIPE_SECRET_KEY", "pk_test_hidden"),
        ("STRIPE_SECRET_KEY", "sk_hidden"),
        ("STRIPE_API_BASE", "hidden"),
        ("STRIPE_API_BASE", "ftp://user:hidden@host"),
    ],
)
def test_a_wrong_value_is_refused_by_name_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(ValidationError) as refusal:
        StripeSettings()

    assert variable in str(refusal.value)
    assert "hidden" not in str(refusal.value)


def test_neither_repr_nor_str_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_hidden")
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_hidden")

    settings = StripeSettings()

    assert "hidden" not in f"{settings!r} {settings} {settings.webhook_secrets}"


def test_settings_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_ACCOUNT_ID", "acct_1")
    settings = StripeSettings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.account_id = "acct_2"  # type: ignore[misc]
