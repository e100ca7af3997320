"""The token bucket: how much passes at once, who waits for how long, and who goes first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from gateways.pacing import Bucket


@dataclass
class Clock:
    """Time that passes only while somebody sleeps; ``meanwhile`` happens during the next sleep."""

    seconds: float = 0.0
    slept: list[float] = field(default_factory=list)
    meanwhile: Bucket | None = None
    stands: bool = False

    def now(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        if not self.stands:
            self.seconds += seconds
        if self.meanwhile is not None:
            bucket, self.meanwhile = self.meanwhile, None
            await bucket.take(within_seconds=0)
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bucket(clock: Clock) -> Bucket:
    return Bucket(10, now=clock.now, sleep=clock.sleep)


async def drain(bucket: Bucket, calls: int) -> None:
    for _ in range(calls):
        assert await bucket.take(within_seconds=0)


async def test_a_seconds_worth_of_calls_passes_at_once_and_the_next_waits(bucket: Bucket, clock: Clock) -> None:
    await drain(bucket, 10)

    assert await bucket.take(within_seconds=1)

    assert clock.slept == [0.1]


async def test_a_bucket_never_holds_more_than_a_second(bucket: Bucket, clock: Clock) -> None:
    clock.seconds = 3600.0

    await drain(bucket, 10)

    assert not await bucket.take(within_seconds=0.05)


async def test_live_calls_wait_in_the_order_in_which_they_came(bucket: Bucket, clock: Clock) -> None:
    await drain(bucket, 10)
    clock.stands = True

    turns = await asyncio.gather(*(bucket.take(within_seconds=1) for _ in range(3)))

    assert turns == [True, True, True]
    assert clock.slept == [0.1, 0.2, 0.3]


async def test_a_call_that_would_wait_too_long_takes_no_turn(bucket: Bucket, clock: Clock) -> None:
    await drain(bucket, 10)

    assert not await bucket.take(within_seconds=0.09)

    assert clock.slept == []
    assert await bucket.take(within_seconds=0.11)


async def test_f120_background_work_leaves_half_of_the_bucket_to_live_traffic(bucket: Bucket, clock: Clock) -> None:
    turns = [await bucket.take(within_seconds=0, is_background=True) for _ in range(6)]

    await drain(bucket, 5)

    assert turns == [True, True, True, True, True, False]
    assert clock.slept == []


async def test_background_work_waits_for_what_is_spare(bucket: Bucket, clock: Clock) -> None:
    await drain(bucket, 10)

    assert await bucket.take(within_seconds=1, is_background=True)

    assert clock.seconds == pytest.approx(0.6)


async def test_a_live_call_overtakes_background_work_that_waits(bucket: Bucket, clock: Clock) -> None:
    await drain(bucket, 5)
    clock.meanwhile = bucket

    assert await bucket.take(within_seconds=1, is_background=True)

    assert clock.slept == [0.1, 0.1]


async def test_background_work_gives_up_when_its_time_is_over(bucket: Bucket, clock: Clock) -> None:
    await drain(bucket, 10)

    assert not await bucket.take(within_seconds=0.5, is_background=True)

    assert clock.slept == []


async def test_a_cancelled_caller_gives_its_turn_back(bucket: Bucket, clock: Clock) -> None:
    await drain(bucket, 10)
    clock.stands = True
    waiting = asyncio.create_task(bucket.take(within_seconds=1))
    await asyncio.sleep(0)

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert waiting.cancelled()
    assert await bucket.take(within_seconds=0.1)


def test_a_rate_that_would_starve_background_work_is_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        Bucket(1)
