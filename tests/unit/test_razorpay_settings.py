"""Razorpay's variables: several secrets, the mode from the key, and refusals that name the variable and no value."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateways.gateway import Secret
from gateways.razorpay.settings import RazorpaySettings


def test_without_variables_there_is_no_secret_and_no_mode() -> None:
    settings = RazorpaySettings()

    assert (settings.webhook_secrets, settings.livemode, settings.api_base) == ((), None, None)


def test_f21_several_secrets_are_split_at_their_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAZORPAY_WEBHOOK_SECRET", "a new one,an old one")

    assert RazorpaySettings().webhook_secrets == (Secret(b"a new one"), Secret(b"an old one"))


@pytest.mark.parametrize("value", ["", "   ", "hidden,", "hidden,,other"])
def test_f11_an_empty_secret_among_them_stops_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("RAZORPAY_WEBHOOK_SECRET", value)

    with pytest.raises(ValidationError) as refusal:
        RazorpaySettings()

    assert "RAZORPAY_WEBHOOK_SECRET" in str(refusal.value)
    assert "hidden" not in str(refusal.value)


@pytest.mark.parametrize(("key", "livemode"), [("rzp_live_1", True), ("rzp_test_1", False)])
def test_the_mode_is_the_keys(monkeypatch: pytest.MonkeyPatch, key: str, livemode: bool) -> None:
    monkeypatch.setenv("RAZORPAY_KEY_ID", key)
    monkeypatch.setenv("RAZORPAY_KEY_SECRET", "s")

    assert RazorpaySettings().livemode is livemode


@pytest.mark.parametrize("variables", [{"RAZORPAY_KEY_ID": "rzp_test_hidden"}, {"RAZORPAY_KEY_SECRET": "hidden"}])
def test_half_a_credential_is_refused(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError) as refusal:
        RazorpaySettings()

    assert "RAZORPAY_KEY_ID and RAZORPAY_KEY_SECRET are needed together" in str(refusal.value)
    assert "hidden" not in str(refusal.value)


@pytest.mark.parametrize(("variable", "value"), [("RAZORPAY_KEY_ID", "key_hidden"), ("RAZORPAY_API_BASE", "hidden")])
def test_a_wrong_value_is_refused_by_name_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv("RAZORPAY_KEY_SECRET", "s")
    monkeypatch.setenv("RAZORPAY_KEY_ID", "rzp_test_1")
    monkeypatch.setenv(variable, value)

    with pytest.raises(ValidationError) as refusal:
        RazorpaySettings()

    assert variable in str(refusal.value)
    assert "hidden" not in str(refusal.value)
