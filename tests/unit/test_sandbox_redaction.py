"""What the sandbox's log keeps of a call: never a card number, a code or a secret, and never more than can be read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox import card_numbers
from sandbox.redaction import (
    CUT,
    HIDDEN,
    PARAMETERS_MAX,
    TEXT_MAX,
    readable,
    readable_answer,
    readable_parameters,
)


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424242",
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "378282246310005",
        "card 4000002500003155, please",
        "4242 4242 4242 4242 12/34",
        "12 4000002500003155 737",
        "4242\u00a04242\u00a04242\u00a04242",
    ],
)
def test_a_card_number_is_hidden_wherever_it_stands(text: str) -> None:
    told = readable(text)

    assert HIDDEN in told
    assert not any(digits in told for digits in ("4242", "3782", "4000"))


@pytest.mark.parametrize("text", ["1763838000", "+919000090000", "2026-11-22 19:13:16", "order 4711", "49900"])
def test_other_numbers_are_left_alone(text: str) -> None:
    assert readable(text) == text


@pytest.mark.parametrize("key", ["sk_test_abc123", "sk_live_abc123", "rk_test_x", "whsec_abc", "rzp_live_abc"])
def test_a_key_is_hidden_wherever_it_stands(key: str) -> None:
    assert readable(f"key={key};") == f"key={HIDDEN};"


@pytest.mark.parametrize(
    ("parameters", "kept"),
    [
        ({"card": {"number": "4242", "cvc": "123", "exp_month": "12"}}, {"card": {"number": HIDDEN, "cvc": HIDDEN, "exp_month": "12"}}),
        ({"payment_method_data[card][number]": "1", "card[CVC]": "2"}, {"payment_method_data[card][number]": HIDDEN, "card[CVC]": HIDDEN}),
        ({"metadata": {"pan": "4242424242424242"}}, {"metadata": {"pan": HIDDEN}}),
        ({"metadata": {"4242424242424242": "x"}}, {"metadata": {HIDDEN: "x"}}),
        ({"list": [4242424242424242, 7, None, True, 1.5]}, {"list": [HIDDEN, 7, None, True, 1.5]}),
        ({"list": [4111111111111111.0, -4111111111111111.0, 2.0]}, {"list": [HIDDEN, f"-{HIDDEN}", 2.0]}),
        ({"big": 10**400}, {"big": 10**400}),
        ({"sepa_debit": {"iban": "AT611904300234573201"}}, {"sepa_debit": {"iban": HIDDEN}}),
        ({"payment_method_data[sepa_debit][IBAN]": "x"}, {"payment_method_data[sepa_debit][IBAN]": HIDDEN}),
        ({"client_secret": "pi_1_secret_2"}, {"client_secret": HIDDEN}),
        ({"number": {"of": "things"}}, {"number": {"of": "things"}}),
        ({"amount": float("inf"), "share": float("nan")}, {"amount": "inf", "share": "nan"}),
        ({"name": "\ud800"}, {"name": "?"}),
    ],
)  # fmt: skip
def test_what_must_not_be_kept_is_taken_out_and_the_rest_stays(
    parameters: dict[str, Any], kept: dict[str, Any]
) -> None:
    assert readable_parameters(parameters) == kept


def test_a_long_text_is_cut_after_its_cards_were_hidden() -> None:
    told = readable("x" * (TEXT_MAX - 4) + "=4242424242424242")

    assert told == "x" * (TEXT_MAX - 4) + "=[hi" + CUT


def test_parameters_are_kept_up_to_a_size_and_the_rest_is_counted() -> None:
    kept = readable_parameters({f"field{number}": "x" * 400 for number in range(100)})

    assert len(json.dumps(kept)) < PARAMETERS_MAX + 100
    assert kept[CUT] == f"{100 - (len(kept) - 1)} more"


def test_what_is_nested_too_deep_is_cut() -> None:
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"a": deep}

    assert CUT in json.dumps(readable_parameters(deep))
    assert len(json.dumps(readable_parameters(deep))) < 200


@pytest.mark.parametrize(
    "sent",
    [
        "4111111111111111",
        "4111111111111111@example.com",
        "card: 4111-1111-1111-1111.",
        "378282246310005",
        "30569309025904",
        "6011111111111117 12/34 737",
        4111111111111111,
        4111111111111111.0,
        {"note": [{"deep": "5555 5555 5555 4444"}]},
        {"5555555555554444": "x"},
    ],
)
def test_a_card_number_is_found_in_whatever_is_sent(sent: object) -> None:
    assert card_numbers.are_in(sent)


@pytest.mark.parametrize(
    "sent",
    [
        "4111111111111112",
        "1763838000000",
        "1763838000000008",
        "+4915112345678",
        "42424242-4242-4242-4242-424242424242",
        "a" * 16 + "4111111111111111",
        "4111111111111111" * 2,
        "order 4711 of 2026-11-22",
        49900,
        1.5,
        True,
        None,
        float("inf"),
        {"amount": 49900, "notes": []},
    ],
)
def test_what_is_no_networks_card_number_is_nobodys_trouble(sent: object) -> None:
    assert not card_numbers.are_in(sent)


def test_an_answer_keeps_no_secret_even_where_it_is_cut_off() -> None:
    answer = '{"id": "we_1", "secret": "abc def", "x": "' + "y" * 2000 + '", "client_secret": "pi_se'

    assert readable_answer(answer, 30) == '{"id": "we_1", "secret": "[hid' + CUT
    assert "pi_se" not in readable_answer(answer, 5000)
