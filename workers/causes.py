"""Why an attempt failed: what it takes to get over it, and which failures have one cause. Pure.

Two thousand failures are three causes: what changes from one to the next (numbers, ids, times, addresses, quoted
values) is taken out of the text before it is compared.
"""

from __future__ import annotations

import hashlib
import re
import traceback

import asyncpg

from db.pool import UNAVAILABLE
from db.work_attempts import Source, Trouble, TroubleClass
from gateways.gateway import TranslationError
from workers.delivery.sender import NeverAgain, NotNow, NotSent

#: Failures that time heals. Everything else is a bug, a shape that we do not know, or for a person.
TRANSIENT: tuple[type[BaseException], ...] = (
    *UNAVAILABLE,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.UniqueViolationError,  # two workers met on a row that neither had; the second sees it next time
    MemoryError,  # perhaps a neighbour's in the same process
    NotNow,
)

#: Texts are for a person to read; the whole of a runaway one is not.
ERROR_LIMIT = 500
TRACEBACK_LIMIT = 4000

#: Of a dead letter whose row has ended every process that worked it.
WORKER_CRASH = "worker_crash"


def classify(error: BaseException) -> TroubleClass:
    """What it takes to get over this error."""
    match error:
        case NotNow(needs_person=True) | NeverAgain():
            return TroubleClass.PERSON
        case _ if isinstance(error, TRANSIENT):
            return TroubleClass.TRANSIENT
        case _:
            return TroubleClass.PERMANENT


def trouble_with_event(error: Exception, event_type: str) -> Trouble:
    """The traceback may quote a value, as the database's errors do: it stays with the payload."""
    return _trouble(error, "webhook_event", event_type, _words(error), "".join(traceback.format_exception(error)))


def trouble_with_effect(error: Exception, kind: str) -> Trouble:
    """Of a bug, the class and the lines where it arose; not its text, which may quote an address or a URL."""
    if isinstance(error, NotSent):
        return _trouble(error, "effect", kind, _words(error), None)
    frames = "".join(traceback.format_tb(error.__traceback__))
    return _trouble(error, "effect", kind, "", f"{type(error).__name__}\n{frames[-TRACEBACK_LIMIT:]}")


def trouble(trouble_class: TroubleClass, error_class: str, error: str, source: Source, what: str) -> Trouble:
    """A trouble that no exception tells: an outcome that asks for patience, or a process that ended without a word."""
    return Trouble(trouble_class, error_class, error, fingerprint(source, what, error_class, error))


def _trouble(error: Exception, source: Source, what: str, text: str, trace: str | None) -> Trouble:
    trouble_class = classify(error)
    error_class = "unknown_shape" if isinstance(error, TranslationError) else type(error).__name__
    told = text or f"{error_class} in {_place(error)}"
    # The words of a bug are often only a value; where it arose tells one from another.
    message = f"{told} in {_place(error)}" if trouble_class is TroubleClass.PERMANENT else told
    return Trouble(
        trouble_class,
        error_class,
        _kept(told)[:ERROR_LIMIT],
        fingerprint(source, what, error_class, message),
        _kept(trace)[-TRACEBACK_LIMIT:] if trace else None,
    )


def _words(error: Exception) -> str:
    """What it says of itself; some cannot even do that."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the error that is being written down is the other one
        return ""


def _kept(text: str) -> str:
    """As a column of text can hold it: without NUL, and without halves of characters."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _place(error: Exception) -> str:
    """The function where it arose, without its line, which every change of the file moves."""
    frames = traceback.extract_tb(error.__traceback__)
    return frames[-1].name if frames else "nowhere"


def fingerprint(source: str, what: str, error_class: str, message: str) -> str:
    """The same for the same cause, and short enough to be typed."""
    told = "\0".join((source, what, error_class, normalise(message)))
    return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:16]


#: What differs between two failures of one cause, the widest first: each takes what the next would take apart. Each
#: begins where a word does, so that a hostile text costs what a friendly one does.
_VALUES = re.compile(
    r"""
      (?<!\w) (?: '[^'\n]*' | "[^"\n]*" | `[^`\n]*` ) (?!\w)   # what somebody quoted; not the apostrophe of a word
    | \b[a-z][a-z0-9+.-]{0,19}://\S+                           # URLs
    | (?<![^\s<>()'",;:]) [^\s<>()'",;:@]+@[^\s<>()'",;:]+     # addresses of mail
    | \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b          # UUIDs, those without a digit too
    | \b[a-z]{2,8}_(?=\w*[A-Z0-9])\w{6,}                       # ids with a prefix, as gateways make them
    | (?<![\w.:+/-]) [\w.:+/-]*\d[\w.:+/-]*                   # numbers, times, network addresses, other ids
    """,
    re.VERBOSE,
)

#: A runaway text is compared by its beginning.
COMPARED = 2000


def normalise(message: str) -> str:
    """The message without what changes from one failure to the next."""
    return " ".join(_VALUES.sub("?", message[:COMPARED]).lower().split())
