"""Looks of all parts at the same moments."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.flow.ticks import EARLY_SECONDS, TICK_SECONDS, next_tick, seconds_to_tick


@given(st.floats(0, 1e6), st.floats(TICK_SECONDS, 3600))
def test_a_sleep_of_a_second_or_more_ends_at_a_tick(now: float, most_seconds: float) -> None:
    seconds = seconds_to_tick(now, most_seconds)

    assert EARLY_SECONDS < seconds <= most_seconds + EARLY_SECONDS
    assert seconds > most_seconds - TICK_SECONDS
    off = (now + seconds) % TICK_SECONDS
    assert min(off, TICK_SECONDS - off) < 1e-6


def test_a_shorter_sleep_keeps_its_length() -> None:
    assert seconds_to_tick(12.3, 0.25) == 0.25


def test_a_timer_that_fired_early_does_not_fire_twice_for_the_same_tick() -> None:
    assert seconds_to_tick(12.9999, 1.0) == pytest.approx(1.0001)


@pytest.mark.looptime
async def test_parts_that_began_at_different_times_wake_at_the_same_moments() -> None:
    woken: list[float] = []

    async def looks(begins_after: float, every_seconds: float) -> None:
        await asyncio.sleep(begins_after)
        for _ in range(3):
            await next_tick(every_seconds)
            woken.append(asyncio.get_running_loop().time())

    await asyncio.gather(looks(0.1, 1.0), looks(0.37, 1.0), looks(0.8, 1.0))

    assert len({round(moment, 6) for moment in woken}) == 3
