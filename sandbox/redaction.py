"""What a log may keep of a call: no card number, no security code, no secret, and nothing that is too long to read."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from sandbox import card_numbers
from sandbox.store import Json

HIDDEN = "[hidden]"
CUT = "[cut]"

TEXT_MAX = 500
DEPTH_MAX = 10
#: How much of one call's parameters is kept, as JSON.
PARAMETERS_MAX = 8 * 1024

#: Fields whose value is nobody's business, whatever it looks like.
_HIDDEN = r"number|cvc|cvv|csc|card_?number|account_number|iban|client_secret|secret|password|otp"
_HIDDEN_FIELD = re.compile(_HIDDEN, re.IGNORECASE)
_HIDDEN_IN_JSON = re.compile(rf'("(?:{_HIDDEN})"\s*:\s*)"[^"]*"?', re.IGNORECASE)

#: Keys of either gateway, and Stripe's webhook secrets, wherever they turn up.
_KEY = re.compile(r"\b(?:[srp]k_(?:test|live)_|rzp_live_|whsec_)\w+")


def readable(text: str, limit: int = TEXT_MAX) -> str:
    """The text without card numbers, not longer than ``limit``, and such that every encoding can carry it."""
    told = card_numbers.hide(_KEY.sub(HIDDEN, text), HIDDEN).encode("utf-8", "replace").decode()
    return told if len(told) <= limit else told[:limit] + CUT


def readable_answer(text: str, limit: int) -> str:
    """An answer's beginning, without the secrets that an answer may hold."""
    return readable(_HIDDEN_IN_JSON.sub(rf'\1"{HIDDEN}"', text), limit)


def readable_parameters(parameters: Json) -> Json:
    """As many of the parameters as fit, each without what must not be kept."""
    kept: Json = {}
    left = PARAMETERS_MAX
    for name, value in parameters.items():
        field = _field(name, value, 0)
        left -= len(json.dumps(field))
        if left < 0:
            return kept | {CUT: f"{len(parameters) - len(kept)} more"}
        kept |= field
    return kept


def _field(name: str, value: Any, depth: int) -> Json:
    innermost = name.rstrip("]").rpartition("[")[2]
    is_hidden = _HIDDEN_FIELD.fullmatch(innermost) is not None and not isinstance(value, dict | list)
    return {readable(name): HIDDEN if is_hidden else _tree(value, depth)}


def _tree(value: Any, depth: int) -> Any:
    if isinstance(value, dict | list) and depth == DEPTH_MAX:
        return CUT
    if isinstance(value, dict):
        return {kept: below for name, inner in value.items() for kept, below in _field(name, inner, depth + 1).items()}
    if isinstance(value, list):
        return [_tree(inner, depth + 1) for inner in value]
    if isinstance(value, str):
        return readable(value)
    if value is None or isinstance(value, bool):
        return value
    # A number may be a card's, whichever way JSON writes it; and infinity is no JSON.
    digits = card_numbers.write(value)
    told = readable(digits)
    return value if told == digits and (isinstance(value, int) or math.isfinite(value)) else told
