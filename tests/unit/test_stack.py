"""What a development stack decides for its processes, and what it leaves to the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from local.stack import Stack

GATEWAYS = ["STRIPE", "RAZORPAY"]


def decided(folder: Path, environment: Mapping[str, str], *, with_sandbox: bool = True) -> dict[str, str]:
    with Stack(folder / "data") as stack:
        return stack.decide(environment, port_base=8000, with_sandbox=with_sandbox)


def test_the_shop_may_call_the_checkout_and_is_where_the_pages_lead_back_to(tmp_path: Path) -> None:
    settings = decided(tmp_path, {}, with_sandbox=False)

    assert settings["CORS_ORIGINS"] == "http://127.0.0.1:8004"
    assert settings["RETURN_URL"] == "http://127.0.0.1:8004/account"


def test_the_environments_own_word_goes_first(tmp_path: Path) -> None:
    own = {"APP_URL": "http://localhost:8001", "RETURN_URL": "https://shop.example/me"}

    settings = decided(tmp_path, own)

    assert {name: settings[name] for name in own} == own


def test_an_origin_of_ones_own_comes_beside_the_shops(tmp_path: Path) -> None:
    settings = decided(tmp_path, {"CORS_ORIGINS": "http://localhost:3000"})

    assert settings["CORS_ORIGINS"] == "http://127.0.0.1:8004,http://localhost:3000"


@pytest.mark.parametrize(
    "name",
    [
        "SANDBOX_PORT",
        "SANDBOX_DATA_DIR",
        "SANDBOX_STRIPE_WEBHOOK_URL",
        "SANDBOX_RAZORPAY_WEBHOOK_URL",
        "DEVELOPMENT_CLOCK",
    ],
)
def test_where_the_stacks_own_sandbox_is_the_environment_does_not_say(tmp_path: Path, name: str) -> None:
    settings = decided(tmp_path, {name: "another sandbox's"})

    assert settings == decided(tmp_path, {})
    assert settings["SANDBOX_PORT"] == "8003"
    assert settings["DEVELOPMENT_CLOCK"] == f"{settings['SANDBOX_DATA_DIR']}/clock"


def test_the_seed_is_the_environments(tmp_path: Path) -> None:
    assert "SANDBOX_SEED" not in decided(tmp_path, {"SANDBOX_SEED": "7"})


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_the_sandbox_signs_with_the_newest_secret_and_knows_the_one_before(tmp_path: Path, gateway: str) -> None:
    settings = decided(tmp_path, {})

    newest, older = settings[f"{gateway}_WEBHOOK_SECRET"].split(",")
    assert newest != older
    assert settings[f"SANDBOX_{gateway}_WEBHOOK_SECRET"] == newest
    assert settings[f"SANDBOX_{gateway}_OLD_WEBHOOK_SECRET"] == older


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_secrets_that_are_made_up_stay_the_same(tmp_path: Path, gateway: str) -> None:
    name = f"{gateway}_WEBHOOK_SECRET"

    assert decided(tmp_path, {})[name] == decided(tmp_path, {})[name]


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_without_a_sandbox_nothing_is_believed_but_one_secret(tmp_path: Path, gateway: str) -> None:
    settings = decided(tmp_path, {}, with_sandbox=False)

    assert "," not in settings[f"{gateway}_WEBHOOK_SECRET"]
    assert not [name for name in settings if name.startswith("SANDBOX_")]


@pytest.mark.parametrize(("given", "signing", "older"), [("one", "one", None), ("two, one", "two", "one")])
def test_a_secret_of_the_environment_is_what_the_sandbox_signs_with(
    tmp_path: Path, given: str, signing: str, older: str | None
) -> None:
    settings = decided(tmp_path, {"STRIPE_WEBHOOK_SECRET": given})

    assert settings["STRIPE_WEBHOOK_SECRET"] == given
    assert settings["SANDBOX_STRIPE_WEBHOOK_SECRET"] == signing
    assert settings.get("SANDBOX_STRIPE_OLD_WEBHOOK_SECRET") == older
