"""What must not be shown is known by its looks, and everything else is left as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.secrecy import REDACTED, conceal, mask


@pytest.mark.parametrize(
    "secret",
    [
        "sk_live_51Habcdefghijk",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "rzp_live_abcdefgh",
        "Bearer abcdefgh.ijklmnop",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJl",
        "4242424242424242",
        "4000 0025 0000 3155",
        "3782 822463 10005",
    ],
)
@pytest.mark.parametrize("around", ["{}", "before {} after", '{{"k": "{}"}}'])
def test_secrets_and_card_numbers_go_wherever_they_stand(secret: str, around: str) -> None:
    assert secret not in conceal(around.format(secret))
    assert REDACTED in conceal(around.format(secret))


@pytest.mark.parametrize(
    "text",
    [
        "evt_1PabcdEFGH",
        "01a2042b-4d62-75c9-ab5e-11836a9c4c0c",
        "9007199254740993",
        "1700000000",
        "2026-11-22 12:00:00.123456",
        "pay_29QQoUBi66xm2f",
        "4242424242424241",
    ],
)
def test_ids_times_and_large_numbers_stay(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("anna@example.com", "a***@example.com"),
        ("to <anna.b+c@mail.example.org>, b@x.de", "to <a***@mail.example.org>, b***@x.de"),
        ("Key (email)=(anna@example.com) exists", "Key (email)=(a***@example.com) exists"),
        ("postgresql://me:hidden@db.example.com:5432/x", "postgresql://[redacted]@db.example.com:5432/x"),
        ("counterfoil @ 8, a@b", "counterfoil @ 8, a@b"),
    ],
)
def test_addresses_are_masked_for_who_need_not_know_them(text: str, shown: str) -> None:
    assert mask(text) == shown
    assert conceal(text) == text or REDACTED in shown


@given(st.text(max_size=2000))
def test_whatever_the_text_a_second_look_finds_nothing_more(text: str) -> None:
    assert mask(mask(text)) == mask(text)
