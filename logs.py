"""Logs as events with fields: JSON in production, readable in development. No secret and no card number leaves here.

Process roots alone call ``configure``; everybody else only says ``structlog.get_logger(__name__)``.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from payments.secrecy import REDACTED, conceal, is_card_number

#: Fields that hold a secret or a customer's data whatever their value looks like. Compared without case.
SECRET_FIELDS = frozenset(
    """
    authorization body cookie headers password payload payload_raw raw secret set-cookie signature
    signature_headers stripe-signature token x-razorpay-signature
    """.split()
)

#: Whole, unlike on the desk, where the first letter stays: nobody who reads logs need know the customer.
ADDRESSES = re.compile(r"(?<! [\w.+-] ) [\w.+-]{1,64} @ [\w-]{1,63} (?: \. [\w-]{1,63} )+", re.VERBOSE)

CARD_RANGE = range(10**12, 10**19)


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
    sys.excepthook = _log_the_end
    threading.excepthook = lambda end: _log_the_end(end.exc_type, end.exc_value, end.exc_traceback)


def _log_the_end(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """What ends a process or a thread of it is told like everything else: Python's own way would redact nothing."""
    if issubclass(kind, Exception):
        structlog.get_logger(__name__).critical("process.failed", exc_info=(kind, error, trace))
    elif error is not None:
        sys.__excepthook__(kind, error, trace)


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
            return REDACTED if value in CARD_RANGE and is_card_number(str(value)) else value
        case Mapping():
            return {key: REDACTED if str(key).lower() in SECRET_FIELDS else _clean(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean(each) for each in value]
        case _:
            return _clean_text(str(value))


def _clean_text(text: str) -> str:
    return ADDRESSES.sub(REDACTED, conceal(text))
