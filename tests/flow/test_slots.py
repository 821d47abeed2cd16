"""Send slots: the urgent lane's own slot, and how the limit adapts."""

import asyncio
import contextlib

import pytest

from agent.flow.pauses import LONGEST_PAUSE_SECONDS, SHARE, SHARE_IN_A_THROTTLED_ACCOUNT
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
    slots.throttled(urgent=False)
    slots.throttled(urgent=False)
    assert slots.limit == 2

    well = 0
    while slots.limit < 8:
        slots.succeeded(urgent=False)
        well += 1
    assert 8 < well < 50
    slots.succeeded(urgent=False)
    for _ in range(10):
        slots.throttled(urgent=False)
    assert slots.limit == 1


async def test_a_growing_limit_wakes_a_waiter() -> None:
    slots = Slots(4)
    slots.throttled(urgent=False)
    slots.throttled(urgent=False)
    await slots.acquire(urgent=False)
    (waiter,) = await started(slots.acquire(urgent=False))
    assert not waiter.done()

    slots.succeeded(urgent=False)
    await waiter
    assert slots.used == 2


async def test_after_a_throttled_urgent_request_the_others_pause_for_a_bounded_time() -> None:
    slots = Slots(4)
    slots.throttled(urgent=True)
    began = asyncio.get_running_loop().time()
    routine, urgent = await started(slots.acquire(urgent=False), slots.acquire(urgent=True))
    assert (routine.done(), urgent.done()) == (False, True)

    slots.throttled(urgent=True)
    await routine

    assert asyncio.get_running_loop().time() - began == pytest.approx(LONGEST_PAUSE_SECONDS)
    assert slots.limit == 4  # the limit of the others is not halved


async def test_the_others_go_on_as_soon_as_an_urgent_request_is_accepted() -> None:
    slots = Slots(4)
    slots.throttled(urgent=True)
    (routine,) = await started(slots.acquire(urgent=False))
    await asyncio.sleep(0.05)
    assert not routine.done()

    slots.succeeded(urgent=True)
    await routine

    assert asyncio.get_running_loop().time() == pytest.approx(0.05)


async def test_urgent_requests_that_are_throttled_without_end_leave_most_of_the_time_to_the_others() -> None:
    slots = Slots(4)
    granted = 0
    while asyncio.get_running_loop().time() < 60:
        slots.throttled(urgent=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await slots.acquire(urgent=False)
                slots.release(urgent=False)
                granted += 1
                await asyncio.sleep(1)

    assert granted >= 600 * (1 - SHARE) - 20


async def test_in_a_throttled_account_the_others_pause_up_to_half_of_the_time() -> None:
    slots = Slots(4)
    slots.throttled(urgent=False)
    loop, paused = asyncio.get_running_loop(), 0.0
    while loop.time() < 60:
        slots.throttled(urgent=True)
        began = loop.time()
        await slots.acquire(urgent=False)
        slots.release(urgent=False)
        paused += loop.time() - began
        await asyncio.sleep(0.01)

    assert 20 < paused <= LONGEST_PAUSE_SECONDS + SHARE_IN_A_THROTTLED_ACCOUNT * 60


async def test_a_cancelled_waiter_takes_no_slot() -> None:
    slots = Slots(2)
    await slots.acquire(urgent=False)
    (waiter,) = await started(slots.acquire(urgent=False))

    waiter.cancel()
    await asyncio.wait([waiter])
    slots.release(urgent=False)

    assert slots.used == 0


@pytest.mark.parametrize("urgent", [True, False])
async def test_a_stream_with_many_requests_under_way_leaves_another_stream_its_own_slot(urgent: bool) -> None:
    slots = Slots(3)
    first = await started(*(slots.acquire(urgent=urgent, stream="hangs") for _ in range(5)))

    (other,) = await started(slots.acquire(urgent=urgent, stream="other"))

    assert other.done()
    for task in first:
        task.cancel()


async def test_while_requests_are_throttled_a_stream_has_no_slot_beyond_the_limit() -> None:
    slots = Slots(4)
    slots.throttled(urgent=False)
    slots.throttled(urgent=False)
    await slots.acquire(urgent=False, stream="first")

    (other,) = await started(slots.acquire(urgent=False, stream="other"))

    assert not other.done()
    slots.release(urgent=False, stream="first")
    await other
