"""Budget, turns, pace and slots under fake time: who waits, how long, who goes first; cancelling costs nothing."""

import asyncio
import contextlib
from collections.abc import Coroutine

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.flow.budget import Budget
from agent.flow.pace import Pace
from agent.flow.slots import GIVE_WAY_EVERY_SECONDS, GIVE_WAY_SECONDS, Slots
from agent.flow.turns import Turns

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def started(*waiters: Coroutine[None, None, None]) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(waiter) for waiter in waiters]
    await asyncio.sleep(0)
    return tasks


async def test_a_budget_is_given_in_the_order_of_asking() -> None:
    budget = Budget(10)
    await budget.acquire(8)
    first, second = await started(budget.acquire(5), budget.acquire(1))

    assert not first.done()
    assert not second.done()  # though it would fit: else the large one would wait for ever
    assert budget.has_waiters

    budget.adjust(-4)
    await asyncio.sleep(0)
    assert (first.done(), second.done(), budget.used_bytes) == (True, True, 10)
    assert not budget.has_waiters


async def test_the_reserve_is_for_those_who_ask_for_it_and_they_do_not_queue_behind_the_others() -> None:
    budget = Budget(10, reserve_bytes=4)
    await budget.acquire(6)
    ordinary, urgent = await started(budget.acquire(1), budget.acquire(3, reserved=True))

    assert (ordinary.done(), urgent.done()) == (False, True)
    budget.adjust(-9)
    await ordinary


async def test_one_larger_than_the_budget_goes_when_it_is_alone() -> None:
    budget = Budget(10)
    await budget.acquire(1)
    (large,) = await started(budget.acquire(100))
    assert not large.done()

    budget.adjust(-1)
    await large
    assert budget.used_bytes == 100


async def test_what_follows_from_one_turn_comes_before_the_next_turn() -> None:
    turns = Turns()
    seen: list[str] = []

    async def go(name: str) -> None:
        await turns.take()
        seen.append(name)
        asyncio.get_running_loop().call_soon(seen.append, f"after {name}")

    await asyncio.gather(go("a"), go("b"), go("c"))
    await asyncio.sleep(0)

    assert seen == ["a", "after a", "b", "after b", "c", "after c"]


async def test_whoever_comes_back_stands_behind_those_who_wait() -> None:
    turns = Turns()
    seen: list[str] = []

    async def go(name: str) -> None:
        await turns.take()
        seen.append(name)

    await asyncio.gather(go("a"), go("b"), go("c"), go("a"))

    assert seen == ["a", "b", "c", "a"]


@pytest.mark.parametrize("rounds", range(5))
async def test_a_turn_that_is_not_wanted_any_more_goes_to_the_next(rounds: int) -> None:
    turns = Turns()
    first, second, third = await started(turns.take(), turns.take(), turns.take())
    for _ in range(rounds):
        await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([first, second, third])
    await turns.take()

    assert (first.cancelled(), third.cancelled()) == (False, False)


async def test_a_waiter_that_is_cancelled_takes_nothing_and_lets_the_next_one_go() -> None:
    budget = Budget(10)
    await budget.acquire(10)
    large, small = await started(budget.acquire(10), budget.acquire(1))

    budget.adjust(-5)
    large.cancel()
    await asyncio.wait([large])
    await small
    assert budget.used_bytes == 6


async def test_a_waiter_that_is_cancelled_in_the_moment_of_its_grant_gives_it_back() -> None:
    budget = Budget(10)
    await budget.acquire(10)
    (waiter,) = await started(budget.acquire(4))

    budget.adjust(-10)
    waiter.cancel()
    await asyncio.wait([waiter])

    assert waiter.cancelled()
    assert budget.used_bytes == 0


async def test_the_time_that_somebody_waited_is_counted_once_however_many_wait() -> None:
    budget = Budget(10)
    await budget.acquire(10)
    assert budget.waited_seconds == 0
    waiters = await started(budget.acquire(5), budget.acquire(5))

    await asyncio.sleep(7)
    assert budget.waited_seconds == pytest.approx(7)
    budget.adjust(-5)
    await asyncio.sleep(2)
    assert budget.waited_seconds == pytest.approx(9)
    budget.adjust(-5)
    await asyncio.gather(*waiters)
    await asyncio.sleep(100)
    assert budget.waited_seconds == pytest.approx(9)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["acquire", "reserved", "give", "cancel"]), st.integers(1, 60)), max_size=40
    )
)
def test_a_budget_is_never_exceeded_by_more_than_one_and_every_waiter_ends(steps: list[tuple[str, int]]) -> None:
    async def play() -> None:
        budget, held = Budget(100, 20), [0]
        waiting: list[asyncio.Task[None]] = []

        async def ask(amount: int, reserved: bool) -> None:
            await budget.acquire(amount, reserved=reserved)
            held.append(amount)

        for step, amount in steps:
            if step in ("acquire", "reserved"):
                waiting.append(asyncio.create_task(ask(amount, step == "reserved")))
            elif step == "give" and len(held) > 1:
                budget.adjust(-held.pop())
            elif waiting:
                waiting.pop(amount % len(waiting)).cancel()
            for _ in range(3):
                await asyncio.sleep(0)
            assert budget.used_bytes == sum(held) <= 100
        while any(not task.done() for task in waiting):
            budget.adjust(-held.pop())
            for _ in range(3):
                await asyncio.sleep(0)
        assert budget.used_bytes == sum(held)

    asyncio.run(play())


async def test_a_pace_lets_one_go_after_a_quiet_time_and_then_spaces_them() -> None:
    pace = Pace(5, now)
    await asyncio.sleep(100)
    moments = []

    for _ in range(4):
        await asyncio.sleep(pace.delay_seconds())
        pace.spend()
        moments.append(now())

    assert moments == pytest.approx([100, 100.2, 100.4, 100.6])


async def test_a_pace_with_a_burst_lets_so_many_go_at_once() -> None:
    pace = Pace(2, now, burst=3)
    await asyncio.sleep(100)

    delays = []
    for _ in range(5):
        delays.append(pace.delay_seconds())
        pace.spend()

    assert delays == pytest.approx([0, 0, 0, 0.5, 1.0])
    await asyncio.sleep(10)
    assert pace.delay_seconds() == 0


async def test_slots_leave_one_to_the_urgent() -> None:
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


async def test_the_first_urgent_one_goes_whatever_the_others_use() -> None:
    slots = Slots(1)
    await slots.acquire(urgent=False)

    await slots.acquire(urgent=True)
    (second,) = await started(slots.acquire(urgent=True))

    assert not second.done()
    slots.release(urgent=False)
    slots.release(urgent=True)
    await second


async def test_throttling_halves_the_slots_and_each_round_that_goes_well_gives_one_back() -> None:
    slots = Slots(8)
    slots.throttled(urgent=False)
    slots.throttled(urgent=False)
    assert slots.limit == 2

    well = 0
    while slots.limit < 8:
        slots.succeeded()
        well += 1
    assert 8 < well < 50
    slots.succeeded()
    for _ in range(10):
        slots.throttled(urgent=False)
    assert slots.limit == 1


async def test_a_slot_that_comes_back_wakes_who_waits_for_it() -> None:
    slots = Slots(4)
    slots.throttled(urgent=False)
    slots.throttled(urgent=False)
    await slots.acquire(urgent=False)
    (waiter,) = await started(slots.acquire(urgent=False))
    assert not waiter.done()

    slots.succeeded()
    await waiter
    assert slots.used == 2


async def test_after_a_throttled_urgent_request_the_others_pause_for_a_bounded_time() -> None:
    slots = Slots(4)
    slots.throttled(urgent=True)
    began = now()
    routine, urgent = await started(slots.acquire(urgent=False), slots.acquire(urgent=True))
    assert (routine.done(), urgent.done()) == (False, True)

    slots.throttled(urgent=True)
    await routine

    assert now() - began == pytest.approx(GIVE_WAY_SECONDS)
    assert slots.limit == 4  # the limit of the others is not halved


async def test_urgent_requests_that_are_throttled_without_end_leave_most_of_the_time_to_the_others() -> None:
    slots = Slots(4)
    granted = 0
    while now() < 60:
        slots.throttled(urgent=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await slots.acquire(urgent=False)
                slots.release(urgent=False)
                granted += 1
                await asyncio.sleep(1)

    assert granted >= 600 * (1 - GIVE_WAY_SECONDS / GIVE_WAY_EVERY_SECONDS) - 20


async def test_a_waiter_for_a_slot_that_is_cancelled_takes_none() -> None:
    slots = Slots(2)
    await slots.acquire(urgent=False)
    (waiter,) = await started(slots.acquire(urgent=False))

    waiter.cancel()
    await asyncio.wait([waiter])
    slots.release(urgent=False)

    assert slots.used == 0
