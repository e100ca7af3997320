"""Logs as events with fields: JSON in production, readable in development. No secret and no card number leaves here.

Process roots alone call ``configure``; everybody else only says ``structlog.get_logger(__name__)``.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

REDACTED = "[redacted]"

#: Fields that hold a secret or a customer's data whatever their value looks like. Compared without case.
SECRET_FIELDS = frozenset(
    """
    authorization body cookie headers password payload payload_raw raw secret set-cookie signature
    signature_headers stripe-signature token x-razorpay-signature
    """.split()
)

#: What gives itself away by its looks, wherever in a text it stands.
SECRET_TEXTS = re.compile(
    r"""
      \b (?: [srp]k_(?:live|test)_ | whsec_ | rzp_(?:live|test)_ ) [A-Za-z0-9+/=_-]+  # keys of the gateways
    | (?i: \b (?: bearer | basic ) \s+ [A-Za-z0-9+/=._~-]{8,} )                       # authorisation headers
    | \b eyJ [A-Za-z0-9_-]+ \. [A-Za-z0-9_-]+ \. [A-Za-z0-9_-]*                       # JSON web tokens
    | (?<= :// ) [^\s/@]* : [^\s/]* (?= @ )                                           # user:password in a URL
    """,
    re.VERBOSE,
)

CARD_LENGTHS = range(13, 20)
CARD_RANGE = range(10**12, 10**19)

#: So many digits, alone or grouped as on a card. Digits inside a longer word, such as a UUID's, are none.
CARD_NUMBERS = re.compile(
    r"""
    (?<! [0-9A-Za-z] )
    (?: [0-9]{13,19} | [0-9]{4} (?: [ -] [0-9]{4} ){2} [ -] [0-9]{1,7} | [0-9]{4} [ -] [0-9]{6} [ -] [0-9]{5} )
    (?! [0-9A-Za-z] )
    """,
    re.VERBOSE,
)


def configure(*, production: bool) -> None:
    """Everything this process logs, its libraries' lines included, as one line an event on stdout."""
    renderer: Processor = structlog.processors.JSONRenderer() if production else _readable()
    first: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,  # Tracebacks become text here, so that they are redacted like any other.
    ]
    structlog.configure(
        processors=[*first, redact, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *first],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        # uvicorn's own configuration, where it was applied before ours, keeps its loggers to itself.
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate, logger.disabled = True, False


def _readable() -> Processor:
    return structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback)


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The last processor before a renderer: nothing that is secret passes, by its name or by its looks."""
    return {name: REDACTED if name.lower() in SECRET_FIELDS else _clean(value) for name, value in event.items()}


def _clean(value: Any) -> Any:
    match value:
        case str():
            return _clean_text(value)
        case bytes() | bytearray() | memoryview():
            return f"[{len(value)} bytes]"
        case bool() | float() | None:
            return value
        case int():
            return REDACTED if value in CARD_RANGE and _is_card_number(str(value)) else value
        case Mapping():
            return {key: REDACTED if str(key).lower() in SECRET_FIELDS else _clean(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean(each) for each in value]
        case _:
            return _clean_text(str(value))


def _clean_text(text: str) -> str:
    text = SECRET_TEXTS.sub(REDACTED, text)
    return CARD_NUMBERS.sub(lambda found: REDACTED if _is_card_number(found[0]) else found[0], text)


def _is_card_number(text: str) -> bool:
    digits = [int(digit) for digit in text if digit.isdigit()]
    return len(digits) in CARD_LENGTHS and _luhn(digits)


def _luhn(digits: list[int]) -> bool:
    """Each second digit from the right doubled, a two-digit double summed: a card number's total ends in 0."""
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
