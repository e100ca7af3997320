"""One call to a gateway: paced, bounded in time, tried again where that is safe, and one line in the log each time.

Answer: the gateway did it, or told us. Denial: it understood, and will not. NoAnswer, which one attempt raises: nobody
knows yet; it becomes Unknown when time or attempts run out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import httpx
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from gateways.calls import Call, listen
from gateways.client import Doubt, Patience, Refusal, Refused, Unknown
from gateways.gateway import Json, TranslationError
from gateways.pacing import Bucket
from gateways.reading import TEXT_LIMIT
from gateways.translating import Unreadable

log = structlog.get_logger(__name__)

Read = TypeVar("Read")

#: Enough for a deployment or a burst at the gateway to pass; more would be spent on an outage.
ATTEMPTS_MAX = 5

#: One attempt. What has not answered by then rarely does, and time is left for another.
ATTEMPT_SECONDS = 10.0

#: Less is not worth an attempt: it would end as a timeout, and hide what the last one said.
ATTEMPT_SECONDS_MIN = 0.25

#: Retries come after a random time between nothing and this, doubled each time ("full jitter"), up to the other.
RETRY_SECONDS, RETRY_SECONDS_MAX = 0.25, 4.0

# At INFO it writes every URL, with the names of whatever is looked up; we write lines of our own.
logging.getLogger("httpx").setLevel(logging.WARNING)

CREDENTIALS_REASON = "the gateway does not accept our key, or not for this"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gateway said, as plain JSON."""

    body: Json
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Denial:
    """The gateway understood and said no. ``is_gone``: it knows nothing under the id that we gave."""

    refusal: Refusal
    reason: str
    is_gone: bool = False
    request_id: str | None = None

    @property
    def refused(self) -> Refused:
        # A gateway's own sentence about a key shows parts of the key.
        text = CREDENTIALS_REASON if self.refusal is Refusal.CREDENTIALS else self.reason
        return Refused(self.refusal, text[:TEXT_LIMIT])


@dataclass(slots=True, eq=False)
class NoAnswer(Exception):
    """This attempt ended without the gateway's word.

    ``may_have_acted``: the request may have arrived, so that only a repeatable one may be sent again.
    ``is_final``: the same attempt would end in the same way.
    """

    doubt: Doubt
    may_have_acted: bool = True
    is_final: bool = False
    retry_after_seconds: float = 0.0
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Deadline:
    """When an operation ends, however many calls it takes."""

    at: float
    is_background: bool

    @classmethod
    def of(cls, patience: Patience) -> Deadline:
        return cls(time.monotonic() + patience.deadline_seconds, patience.is_background)

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.at - time.monotonic())


#: One attempt at a call, given the seconds it may take. Raises ``NoAnswer`` and nothing else.
Attempt = Callable[[float], Awaitable[Answer | Denial]]


@dataclass(frozen=True, slots=True)
class Line:
    """The line to one account of one gateway."""

    gateway: str
    bucket: Bucket
    attempt_seconds: float = field(default=ATTEMPT_SECONDS, kw_only=True)
    attempts_max: int = field(default=ATTEMPTS_MAX, kw_only=True)
    retry_seconds: float = field(default=RETRY_SECONDS, kw_only=True)

    async def call(
        self, operation: str, attempt: Attempt, deadline: Deadline, *, is_repeatable: bool
    ) -> Answer | Denial | Unknown:
        """Attempt until there is an answer. ``is_repeatable``: sending it twice does no more than sending it once."""
        lacks: list[NoAnswer] = []
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: _is_worth_repeating(error, is_repeatable=is_repeatable)),
            wait=self._pause_seconds,
            stop=lambda state: self._is_over(state, deadline),
            after=lambda state: lacks.append(_lack(state)),
            sleep=asyncio.sleep,
            reraise=True,
        )
        try:
            answer: Answer | Denial = await retrying(self._attempt, operation, attempt, deadline)
        except NoAnswer as end:
            return Unknown(end.doubt)
        if isinstance(answer, Denial) and answer.refusal is Refusal.CREDENTIALS:
            # A key that is refused only now does not say that the attempts before did nothing.
            return next((Unknown(lack.doubt) for lack in lacks if lack.may_have_acted), answer)
        return answer

    async def _attempt(self, operation: str, attempt: Attempt, deadline: Deadline) -> Answer | Denial:
        is_our_turn = await self.bucket.take(within_seconds=deadline.seconds_left, is_background=deadline.is_background)
        began = time.monotonic()
        try:
            answer = await _in_time(attempt, min(self.attempt_seconds, deadline.seconds_left), is_our_turn=is_our_turn)
        except NoAnswer as lack:
            self._write(operation, lack.doubt, lack.request_id, began)
            raise
        outcome = "answered" if isinstance(answer, Answer) else "gone" if answer.is_gone else answer.refusal
        self._write(operation, outcome, answer.request_id, began)
        return answer

    def _is_over(self, state: RetryCallState, deadline: Deadline) -> bool:
        if state.upcoming_sleep + ATTEMPT_SECONDS_MIN >= deadline.seconds_left:
            return True
        # The answer to a key in use is on its way: waiting for it puts no load on a gateway in trouble.
        is_coming = _lack(state).doubt is Doubt.KEY_IN_USE
        return state.attempt_number >= self.attempts_max and not is_coming

    def _pause_seconds(self, state: RetryCallState) -> float:
        """Full jitter, after whatever the gateway asked for: its wish is a least, and no crowd may return as one."""
        jitter = wait_random_exponential(multiplier=self.retry_seconds, max=RETRY_SECONDS_MAX)
        return _lack(state).retry_after_seconds + jitter(state)

    def _write(self, operation: str, outcome: str, request_id: str | None, began: float) -> None:
        milliseconds = round((time.monotonic() - began) * 1000)
        log.info(
            "gateway.called",
            gateway=self.gateway,
            operation=operation,
            outcome=str(outcome),
            request_id=request_id,
            duration_ms=milliseconds,
        )
        listen(Call(self.gateway, operation, str(outcome), request_id, milliseconds))


def told(answer: Answer | Denial | Unknown, read: Callable[[Json], Read]) -> Read | Refused | Unknown:
    """What ``read`` makes of the answer. An answer that cannot be read leaves open what has happened."""
    match answer:
        case Answer(body=body):
            try:
                return read(body)
            except (Unreadable, TranslationError):
                return Unknown(Doubt.UNREADABLE)
        case Denial() as denial:
            return denial.refused
        case Unknown() as unknown:
            return unknown


def is_gone(answer: Answer | Denial | Unknown) -> bool:
    return isinstance(answer, Denial) and answer.is_gone


async def _in_time(attempt: Attempt, seconds: float, *, is_our_turn: bool) -> Answer | Denial:
    if not is_our_turn or not seconds:
        doubt = Doubt.TIMED_OUT if is_our_turn else Doubt.BUSY
        raise NoAnswer(doubt, may_have_acted=False, is_final=True)
    try:
        async with asyncio.timeout(seconds):
            return await attempt(seconds)
    except TimeoutError:
        raise NoAnswer(Doubt.TIMED_OUT) from None


def _is_worth_repeating(error: BaseException, *, is_repeatable: bool) -> bool:
    return isinstance(error, NoAnswer) and not error.is_final and (is_repeatable or not error.may_have_acted)


def _lack(state: RetryCallState) -> NoAnswer:
    """What the attempt ended with; nothing else is ever retried."""
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, NoAnswer)
    return error


def retry_after_seconds(value: str | None) -> float:
    """The header ``Retry-After`` in seconds, which is the form that both gateways use; 0 where it says nothing."""
    return float(value[:9]) if value is not None and value.isascii() and value.isdigit() else 0.0


def lost(error: BaseException | None) -> NoAnswer:
    """What httpx says of a connection that gave no answer. One that was never made carried nothing."""
    was_sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    is_timeout = isinstance(error, httpx.TimeoutException)
    return NoAnswer(Doubt.TIMED_OUT if is_timeout else Doubt.CONNECTION_LOST, may_have_acted=was_sent)
