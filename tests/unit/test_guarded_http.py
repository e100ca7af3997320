"""Which addresses a setting's URL may lead us to (F154)."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.delivery.guarded_http import Guard
from workers.delivery.receiver import retry_after_seconds
from workers.delivery.sender import NeverAgain, WrongSetting

PUBLIC = httpx.URL("https://app.example.org/hook")
PLAIN = httpx.URL("http://app.example.org/hook")

NOT_PUBLIC = [
    "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.1", "172.16.5.4", "192.168.1.1", "100.64.0.1", "169.254.169.254",
    "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fe80::1%eth0", "fec0::1", "fd00::1",
    "ff02::1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "2002:a00:1::1", "2001:0:1::1", "2001:db8::1", "100::1",
]  # fmt: skip

PUBLIC_ADDRESSES = ["93.184.215.14", "8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_f154_an_address_that_is_not_public_is_refused(address: str) -> None:
    guard = Guard(production=True)

    with pytest.raises(NeverAgain, match="private address"):
        guard.check(PUBLIC, [address])


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_a_public_address_is_permitted(address: str) -> None:
    Guard(production=True).check(PUBLIC, [address])


def test_f154_one_private_address_among_public_ones_refuses_them_all() -> None:
    with pytest.raises(NeverAgain):
        Guard(production=True).check(PUBLIC, ["8.8.8.8", "10.0.0.1"])


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_loopback_is_permitted_in_development(address: str) -> None:
    Guard(production=False).check(PLAIN, [address])


def test_a_private_network_is_refused_in_development_too() -> None:
    with pytest.raises(NeverAgain):
        Guard(production=False).check(PLAIN, ["10.0.0.1"])


@pytest.mark.parametrize("entry", ["app.example.org", "APP.example.org", "10.1.0.0/16", "10.1.2.3"])
def test_notify_allow_vouches_for_an_application_beside_us_without_tls(entry: str) -> None:
    Guard.of([entry], production=True).check(PLAIN, ["10.1.2.3"])


def test_a_listed_network_vouches_for_no_other_address() -> None:
    with pytest.raises(NeverAgain):
        Guard.of(["10.1.0.0/16"], production=True).check(PUBLIC, ["10.2.0.1"])


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "224.0.0.1"])
def test_a_listed_name_does_not_vouch_for_the_clouds_credentials(address: str) -> None:
    with pytest.raises(NeverAgain):
        Guard.of(["app.example.org"], production=True).check(PUBLIC, [address])


def test_plain_http_to_a_public_address_is_refused_in_production() -> None:
    with pytest.raises(NeverAgain, match="plain http"):
        Guard(production=True).check(PLAIN, ["8.8.8.8"])


@pytest.mark.parametrize("entry", ["", "10.1.0.0/99", "http://app.example.org", "app.example.org/x", "::zz"])
def test_notify_allow_refuses_what_is_neither_host_nor_network(entry: str) -> None:
    with pytest.raises(WrongSetting, match="NOTIFY_ALLOW"):
        Guard.of([entry], production=True)


NOW = datetime(2026, 3, 2, 14, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        ("0", 0.0),
        ("Mon, 02 Mar 2026 14:02:00 GMT", 120.0),
        ("Mon, 02 Mar 2026 14:02:00", 120.0),
        ("Mon, 02 Mar 2026 13:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("١٢", None),
        ("9" * 4000, 999_999_999.0),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds


@settings(deadline=None)  # a machine that is busy is no defect of a header
@given(st.text(max_size=60))
def test_no_retry_after_raises(value: str) -> None:
    wish = retry_after_seconds(value, NOW)

    assert wish is None or wish >= 0
