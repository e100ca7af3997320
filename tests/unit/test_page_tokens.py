"""A page's token opens one order, and nobody can make one."""

from __future__ import annotations

from uuid import UUID

import pytest

from checkout.page_addresses import PageAddresses
from checkout.page_tokens import PageTokens
from checkout.wrong_setting import WrongSetting

AUTH = "an authentication secret of the tests"
ORDER = UUID("0198c1de-0000-4000-8000-000000000001")
TOKENS = PageTokens.of(None, AUTH)


def test_it_opens_its_order() -> None:
    assert TOKENS.fits(ORDER, TOKENS.make(ORDER))


def test_it_is_the_same_every_time_since_a_frozen_request_holds_it() -> None:
    assert TOKENS.make(ORDER) == PageTokens.of(None, AUTH).make(ORDER)


@pytest.mark.parametrize(
    "token", ["", "x", TOKENS.make(UUID(int=7)), TOKENS.make(ORDER)[:-1], TOKENS.make(ORDER) + "=", "é" * 43, "\ud800"]
)
def test_it_opens_nothing_else(token: str) -> None:
    assert not TOKENS.fits(ORDER, token)


def test_another_secret_makes_another_token() -> None:
    own = PageTokens.of("a secret for success pages alone", AUTH)

    assert own.make(ORDER) != TOKENS.make(ORDER)
    assert not own.fits(ORDER, TOKENS.make(ORDER))


def test_it_needs_one_secret_and_a_long_one() -> None:
    with pytest.raises(WrongSetting, match="PAGE_SECRET is needed with AUTH_JWKS_URL"):
        PageTokens.of(None, None)
    with pytest.raises(WrongSetting, match="PAGE_SECRET must have at least 32 bytes"):
        PageTokens.of("short", AUTH)


def test_its_key_does_not_show_itself() -> None:
    assert repr(TOKENS) == "PageTokens()"


@pytest.mark.parametrize("app_url", ["https://pay.example", "https://pay.example/"])
def test_the_address_of_a_page_carries_order_and_token(app_url: str) -> None:
    addresses = PageAddresses(app_url, TOKENS)

    assert addresses.of_order(ORDER) == (
        f"https://pay.example/payment/success?order={ORDER}&token={TOKENS.make(ORDER)}"
    )
    assert addresses.cancelled == "https://pay.example/payment/cancel"
