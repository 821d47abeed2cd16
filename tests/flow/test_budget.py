"""The byte budget under fake time: order, reserve, cancellation, and the time spent waiting."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.flow.budget import Budget
from tests.flow.tasks import started

pytestmark = pytest.mark.looptime


async def test_waiters_are_served_in_the_order_of_asking() -> None:
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


async def test_a_reserved_waiter_uses_the_reserve_and_does_not_queue_behind_the_others() -> None:
    budget = Budget(10, reserve_bytes=4)
    await budget.acquire(6)
    ordinary, urgent = await started(budget.acquire(1), budget.acquire(3, reserved=True))

    assert (ordinary.done(), urgent.done()) == (False, True)
    budget.adjust(-9)
    await ordinary


async def test_reserved_waiters_are_served_in_the_order_of_asking_too() -> None:
    budget = Budget(10, reserve_bytes=4)
    await budget.acquire(10, reserved=True)
    ordinary, first, second = await started(
        budget.acquire(1), budget.acquire(3, reserved=True), budget.acquire(3, reserved=True)
    )

    budget.adjust(-3)
    await asyncio.sleep(0)
    assert (first.done(), second.done(), ordinary.done()) == (True, False, False)
    budget.adjust(-3)
    await asyncio.sleep(0)
    assert (second.done(), ordinary.done()) == (True, False)
    budget.adjust(-10)
    await ordinary


async def test_an_amount_larger_than_the_budget_is_granted_when_nothing_else_is_in_flight() -> None:
    budget = Budget(10)
    await budget.acquire(1)
    (large,) = await started(budget.acquire(100))
    assert not large.done()

    budget.adjust(-1)
    await large
    assert budget.used_bytes == 100


async def test_a_cancelled_waiter_takes_nothing_and_lets_the_next_one_go() -> None:
    budget = Budget(10)
    await budget.acquire(10)
    large, small = await started(budget.acquire(10), budget.acquire(1))

    budget.adjust(-5)
    large.cancel()
    await asyncio.wait([large])
    await small
    assert budget.used_bytes == 6


async def test_a_waiter_that_is_cancelled_just_after_its_grant_gives_the_bytes_back() -> None:
    budget = Budget(10)
    await budget.acquire(10)
    (waiter,) = await started(budget.acquire(4))

    budget.adjust(-10)
    waiter.cancel()
    await asyncio.wait([waiter])

    assert waiter.cancelled()
    assert budget.used_bytes == 0


async def test_waiting_time_is_counted_once_however_many_wait() -> None:
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
def test_the_budget_is_never_exceeded_and_every_waiter_ends(steps: list[tuple[str, int]]) -> None:
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


@given(
    st.lists(st.tuples(st.sampled_from(["ordinary", "reserved", "give", "cancel"]), st.integers(1, 60)), max_size=40)
)
def test_waiters_are_served_in_the_order_that_the_docstring_promises(steps: list[tuple[str, int]]) -> None:
    async def play() -> None:
        budget = Budget(100, 20)
        budget.adjust(100)
        served: list[int] = []
        asked: list[tuple[bool, int]] = []
        tasks: dict[int, asyncio.Task[None]] = {}

        async def ask(number: int, amount: int, reserved: bool) -> None:
            await budget.acquire(amount, reserved=reserved)
            served.append(number)

        for number, (step, amount) in enumerate(steps):
            waiting = [(reserved, ask_number) for reserved, ask_number in asked if not tasks[ask_number].done()]
            before = len(served)
            if step in ("ordinary", "reserved"):
                asked.append((step == "reserved", number))
                tasks[number] = asyncio.create_task(ask(number, amount, step == "reserved"))
                waiting.append(asked[-1])
            elif step == "give":
                budget.adjust(-min(amount, budget.used_bytes))
            elif waiting:
                _, cancelled = waiting.pop(amount % len(waiting))
                tasks[cancelled].cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            in_order = [ask_number for reserved, ask_number in sorted(waiting, key=lambda waiter: not waiter[0])]
            assert served[before:] == in_order[: len(served) - before]
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)

    asyncio.run(play())


async def test_how_long_reading_has_waited_without_being_served_is_known() -> None:
    budget = Budget(10, reserve_bytes=2)
    await budget.acquire(8)
    first, second = await started(budget.acquire(4), budget.acquire(4))
    await asyncio.sleep(3)
    assert budget.waiting_seconds == pytest.approx(3)

    await budget.acquire(1, reserved=True)
    assert budget.waiting_seconds == pytest.approx(3)
    budget.adjust(-5)
    await first
    await asyncio.sleep(1)
    assert budget.waiting_seconds == pytest.approx(1)
    budget.adjust(-4)
    await second
    assert budget.waiting_seconds == 0


async def test_bytes_that_only_reading_can_free_do_not_keep_reading_from_going_on() -> None:
    budget = Budget(10)
    budget.adjust_partial(9)
    await budget.acquire(5)
    (second,) = await started(budget.acquire(1))

    assert not second.done()
    budget.adjust(-5)
    await second
    budget.adjust(-1)
    budget.adjust_partial(-9)
    assert (budget.used_bytes, budget.partial_bytes) == (0, 0)
