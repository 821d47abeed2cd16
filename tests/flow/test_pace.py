"""The pace under fake time."""

import asyncio

import pytest

from agent.flow.pace import Pace

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_after_an_idle_time_one_send_is_immediate_and_the_next_ones_are_spaced() -> None:
    pace = Pace(5, now)
    await asyncio.sleep(100)
    moments = []

    for _ in range(4):
        await asyncio.sleep(pace.delay_seconds())
        pace.spend()
        moments.append(now())

    assert moments == pytest.approx([100, 100.2, 100.4, 100.6])


async def test_a_burst_permits_several_sends_at_once() -> None:
    pace = Pace(2, now, burst=3)
    await asyncio.sleep(100)

    delays = []
    for _ in range(5):
        delays.append(pace.delay_seconds())
        pace.spend()

    assert delays == pytest.approx([0, 0, 0, 0.5, 1.0])
    await asyncio.sleep(10)
    assert pace.delay_seconds() == 0
