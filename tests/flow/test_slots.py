"""Send slots: the urgent lane's own slot, and how the limit adapts."""

import asyncio

import pytest

from agent.flow.slots import Slots
from tests.flow.tasks import started

pytestmark = pytest.mark.looptime


async def test_routine_puts_leave_one_slot_to_the_urgent_lane() -> None:
    slots = Slots(3)
    await slots.acquire(urgent=False)
    await slots.acquire(urgent=False)
    routine, urgent = await started(slots.acquire(urgent=False), slots.acquire(urgent=True))

    assert (routine.done(), urgent.done(), slots.used) == (False, True, 3)
    slots.release(urgent=True)
    await asyncio.sleep(0)
    assert not routine.done()
    slots.release(urgent=False)
    await routine


async def test_the_first_urgent_put_gets_a_slot_even_when_all_are_used() -> None:
    slots = Slots(1)
    await slots.acquire(urgent=False)

    await slots.acquire(urgent=True)
    (second,) = await started(slots.acquire(urgent=True))

    assert not second.done()
    slots.release(urgent=False)
    slots.release(urgent=True)
    await second


async def test_throttling_halves_the_limit_and_each_successful_round_adds_one() -> None:
    slots = Slots(8)
    slots.slow_down()
    slots.slow_down()
    assert slots.limit == 2

    well = 0
    while slots.limit < 8:
        slots.went_well()
        well += 1
    assert 8 < well < 50
    slots.went_well()
    for _ in range(10):
        slots.slow_down()
    assert slots.limit == 1


async def test_a_growing_limit_wakes_a_waiter() -> None:
    slots = Slots(4)
    slots.slow_down()
    slots.slow_down()
    await slots.acquire(urgent=False)
    (waiter,) = await started(slots.acquire(urgent=False))
    assert not waiter.done()

    slots.went_well()
    await waiter
    assert slots.used == 2


async def test_no_routine_put_starts_while_an_urgent_put_waits_to_be_retried() -> None:
    slots = Slots(4)
    async with slots.struggle():
        routine, calm, urgent = await started(slots.acquire(urgent=False), slots.calm(), slots.acquire(urgent=True))
        assert (routine.done(), calm.done(), urgent.done()) == (False, False, True)
    await asyncio.gather(routine, calm)


async def test_a_cancelled_waiter_takes_no_slot() -> None:
    slots = Slots(2)
    await slots.acquire(urgent=False)
    (waiter,) = await started(slots.acquire(urgent=False))

    waiter.cancel()
    await asyncio.wait([waiter])
    slots.release(urgent=False)

    assert slots.used == 0
