"""What is counted, by whom, and what RATE_LIMIT may say."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from checkout.limiting import Verdict, rule, who
from checkout.wrong_setting import WrongSetting


@pytest.mark.parametrize(
    ("text", "amount", "seconds"),
    [("10/15minutes", 10, 900), ("1/second", 1, 1), ("10000 per 15 minutes", 10_000, 900)],
)
def test_a_rule_is_a_count_and_a_time(text: str, amount: int, seconds: int) -> None:
    item = rule(text)

    assert (item.amount, item.get_expiry()) == (amount, seconds)


@pytest.mark.parametrize(
    "text", ["", "10", "ten/minute", "0/minute", "-1/minute", "10/minute; 100/hour", "10/fortnight"]
)
def test_another_rule_stops_the_start(text: str) -> None:
    with pytest.raises(WrongSetting, match="RATE_LIMIT"):
        rule(text)


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("not an address", "unknown"),
        (None, "unknown"),
    ],
)
def test_one_household_is_counted_once(host: str | None, counted: str) -> None:
    request = Request({"type": "http", "client": (host, 1) if host else None, "headers": []})

    assert who(request) == counted


def test_only_a_refusal_says_when_to_come_again() -> None:
    assert Verdict(True, 10, 3, 60).headers == {
        "RateLimit-Limit": "10",
        "RateLimit-Remaining": "3",
        "RateLimit-Reset": "60",
    }
    assert Verdict(False, 10, 0, 60).headers["Retry-After"] == "60"
