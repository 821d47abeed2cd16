"""Turns: one in each iteration of the event loop, in the order of asking."""

import asyncio

import pytest

from agent.flow.turns import Turns
from tests.flow.tasks import started

pytestmark = pytest.mark.looptime


async def test_callbacks_of_one_turn_run_before_the_next_turn() -> None:
    turns = Turns()
    seen: list[str] = []

    async def go(name: str) -> None:
        await turns.take()
        seen.append(name)
        asyncio.get_running_loop().call_soon(seen.append, f"after {name}")

    await asyncio.gather(go("a"), go("b"), go("c"))
    await asyncio.sleep(0)

    assert seen == ["a", "after a", "b", "after b", "c", "after c"]


async def test_a_second_request_queues_behind_the_waiters() -> None:
    turns = Turns()
    seen: list[str] = []

    async def go(name: str) -> None:
        await turns.take()
        seen.append(name)

    await asyncio.gather(go("a"), go("b"), go("c"), go("a"))

    assert seen == ["a", "b", "c", "a"]


@pytest.mark.parametrize("rounds", range(5))
async def test_the_turn_of_a_cancelled_waiter_goes_to_the_next_one(rounds: int) -> None:
    turns = Turns()
    first, second, third = await started(turns.take(), turns.take(), turns.take())
    for _ in range(rounds):
        await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([first, second, third])
    await turns.take()

    assert (first.cancelled(), third.cancelled()) == (False, False)
