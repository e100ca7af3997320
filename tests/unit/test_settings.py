"""The environment is read once; what is wrong with it stops the start with a sentence that shows no value."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from os import environ
from pathlib import Path

import pytest

import settings
from payments.dunning import DEFAULT

WHOLE = {"DATABASE_URL": "postgresql://me:hunter2@db/record", "REDIS_URL": "redis://:hunter2@cache/0"}


@contextmanager
def environment(**values: str) -> Iterator[None]:
    before = dict(environ)
    environ.update(values)
    try:
        yield
    finally:
        environ.clear()
        environ.update(before)


def test_the_defaults_are_those_of_a_laptop() -> None:
    with environment(**WHOLE):
        loaded = settings.load()

    assert (loaded.app_env, loaded.instance_id, loaded.late_success) == ("development", "counterfoil", "fulfil")
    assert loaded.webhook_secrets == {}
    assert not loaded.is_production


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"DATABASE_URL": ""}, "DATABASE_URL is not set"),
        ({"REDIS_URL": ""}, "REDIS_URL is not set"),
        ({"DATABASE_URL": "mysql://me:hunter2@db"}, "DATABASE_URL: must begin with postgresql:// or postgres://"),
        ({"DATABASE_URL": "postgresql://me:hunter2@db:port/x"}, "DATABASE_URL: is not a URL"),
        ({"DATABASE_URL": "postgresql://me:hunter2@db/x?sslmode=no"}, "DATABASE_URL: sslmode must be one of"),
        ({"REDIS_URL": "redis://:hunter2@cache:port/0"}, "REDIS_URL: is not a URL"),
        ({"REDIS_URL": "redis://:hunter2@cache/first"}, "REDIS_URL: must end with the number of a database"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8, hunter2"}, "TRUSTED_PROXIES: takes addresses and networks"),
        ({"REDIS_URL": "http://me:hunter2@cache"}, "REDIS_URL: must begin with redis://, rediss:// or unix://"),
        ({"APP_ENV": "staging"}, "APP_ENV: Input should be 'development' or 'production'"),
        ({"APP_ENV": "production", "APP_URL": "http://shop"}, "APP_URL must begin with https:// in production"),
        ({"PORT": "hunter2"}, "PORT: Input should be a valid integer"),
        ({"PORT": "0"}, "PORT: Input should be greater than or equal to 1"),
        ({"LATE_SUCCESS": "hunter2"}, "LATE_SUCCESS: Input should be 'fulfil', 'refund' or 'hold'"),
        ({"INSTANCE_ID": "a b"}, "INSTANCE_ID: String should match pattern"),
        ({"SMTP_URL": "smtp://me:hunter2@mail"}, "MAIL_FROM is needed with SMTP_URL"),
        ({"NOTIFY_URL": "https://me:hunter2@app"}, "NOTIFY_SECRET is needed with NOTIFY_URL"),
        ({"STRIPE_WEBHOOK_SECRET": "whsec_hunter2,,"}, "STRIPE_WEBHOOK_SECRET"),
        ({"STRIPE_SECRET_KEY": "hunter2"}, "STRIPE_SECRET_KEY"),
        ({"RAZORPAY_WEBHOOK_SECRET": " , hunter2"}, "RAZORPAY_WEBHOOK_SECRET"),
        ({"RAZORPAY_KEY_ID": "hunter2", "RAZORPAY_KEY_SECRET": "hunter2"}, "RAZORPAY_KEY_ID"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_its_value_stays_unsaid(values: dict[str, str], sentence: str) -> None:
    with environment(**{**WHOLE, **values}), pytest.raises(settings.SettingsError) as refusal:
        settings.load()

    assert sentence in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_every_wrong_setting_is_named_at_once() -> None:
    with pytest.raises(settings.SettingsError, match=r"DATABASE_URL is not set; REDIS_URL is not set"):
        settings.load()


def test_f21_several_secrets_are_given_with_commas() -> None:
    with environment(**WHOLE, STRIPE_WEBHOOK_SECRET="whsec_new, whsec_old", RAZORPAY_WEBHOOK_SECRET="only"):
        secrets = settings.load().webhook_secrets

    assert [secret.value for secret in secrets["stripe"]] == [b"whsec_new", b"whsec_old"]
    assert [secret.value for secret in secrets["razorpay"]] == [b"only"]


@pytest.mark.parametrize(
    ("key", "livemode"), [("sk_test_1", False), ("rk_test_1", False), ("sk_live_1", True), ("rk_live_1", True)]
)
def test_the_mode_that_is_ours_is_told_by_the_key(key: str, livemode: bool) -> None:
    with environment(**WHOLE, STRIPE_SECRET_KEY=key):
        assert settings.load().stripe.livemode is livemode


def test_no_secret_shows_in_what_a_programmer_may_print() -> None:
    secrets = {
        "STRIPE_SECRET_KEY": "sk_test_hunter2",
        "STRIPE_WEBHOOK_SECRET": "whsec_hunter2",
        "RAZORPAY_KEY_ID": "rzp_test_1",
        "RAZORPAY_KEY_SECRET": "hunter2",
        "RAZORPAY_WEBHOOK_SECRET": "hunter2",
        "SMTP_URL": "smtp://me:hunter2@mail",
        "MAIL_FROM": "shop@example.com",
        "NOTIFY_URL": "https://me:hunter2@app",
        "NOTIFY_SECRET": "whsec_aHVudGVyMg==",
        "ANALYTICS_URL": "https://hunter2@segment",
    }
    with environment(**WHOLE, **secrets):
        loaded = settings.load()

    assert "hunter2" not in f"{loaded!r} {loaded} {loaded.webhook_secrets} {loaded.model_dump_json()}"


def test_without_a_file_the_policy_is_that_of_the_project() -> None:
    with environment(**WHOLE):
        assert settings.load().dunning == DEFAULT


def test_a_policy_of_ones_own_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "dunning.toml"
    file.write_text("grace_hours = 48\ncancel_after_days = false\n", encoding="utf-8")

    with environment(**WHOLE, DUNNING_FILE=str(file)):
        loaded = settings.load()
    file.unlink()

    assert loaded.dunning == replace(DEFAULT, grace=timedelta(hours=48), cancel_after=None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("grace_hours = ", "DUNNING_FILE cannot be read as TOML"),
        ("grace_hours = -1", "DUNNING_FILE: grace_hours takes a whole number"),
        ("graze_hours = 1", "DUNNING_FILE: graze_hours is not a field of the policy"),
        (None, "DUNNING_FILE cannot be read as TOML"),
    ],
)
def test_a_policy_that_is_wrong_or_missing_stops_the_start(tmp_path: Path, text: str | None, sentence: str) -> None:
    file = tmp_path / "dunning.toml"
    if text is not None:
        file.write_text(text, encoding="utf-8")

    with environment(**WHOLE, DUNNING_FILE=str(file)), pytest.raises(settings.SettingsError, match=sentence):
        settings.load()
