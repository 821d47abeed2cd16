"""A supervised part fails at its start, in the middle, or always; and is cancelled."""

import asyncio

import pytest

from agent.core.backoff import Backoff
from agent.flow.supervise import HEALTHY_SECONDS, supervise
from tests.flow.tasks import started

pytestmark = pytest.mark.looptime

EXACT = Backoff(1.0, 8.0)


class Part:
    """Raises after each of the times given, then works."""

    def __init__(self, *fails_after: float, error: BaseException | None = None) -> None:
        self.fails_after = list(fails_after)
        self.error = error or ValueError("broken")
        self.started_at: list[float] = []
        self.failures: list[Exception] = []

    async def work(self) -> None:
        self.started_at.append(asyncio.get_running_loop().time())
        if not self.fails_after:
            await asyncio.Event().wait()
        if seconds := self.fails_after.pop(0):
            await asyncio.sleep(seconds)
        raise self.error

    async def run(self) -> None:
        await supervise(self.work, failed=self.failures.append, backoff=EXACT, chance=lambda: 1.0)


async def test_a_part_that_raises_at_its_start_is_started_again() -> None:
    part = Part(0.0)
    (task,) = await started(part.run())
    await asyncio.sleep(5)

    assert part.started_at == [0, 1]
    assert [str(error) for error in part.failures] == ["broken"]
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_part_that_always_raises_is_started_ever_more_slowly() -> None:
    part = Part(*[0.0] * 100)
    (task,) = await started(part.run())
    await asyncio.sleep(31.5)
    task.cancel()
    await asyncio.wait([task])

    assert part.started_at == [0, 1, 3, 7, 15, 23, 31]


async def test_a_part_that_fails_after_a_long_time_of_work_is_started_again_soon() -> None:
    part = Part(0.0, 0.0, 0.0, HEALTHY_SECONDS)
    (task,) = await started(part.run())
    await asyncio.sleep(HEALTHY_SECONDS + 10)
    task.cancel()
    await asyncio.wait([task])

    assert part.started_at == [0, 1, 3, 7, 7 + HEALTHY_SECONDS + 1]


async def test_a_part_that_returns_is_done() -> None:
    async def work() -> None:
        await asyncio.sleep(3)

    await supervise(work, failed=lambda error: None)
    assert asyncio.get_running_loop().time() == 3


async def test_a_part_that_cancels_itself_has_failed() -> None:
    part = Part(0.0, error=asyncio.CancelledError())
    (task,) = await started(part.run())
    await asyncio.sleep(5)

    assert part.started_at == [0, 1]
    assert [str(error) for error in part.failures] == ["the part cancelled itself"]
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("seconds", [0.5, 1.5])
async def test_cancelling_is_clean_during_the_work_and_during_the_wait(seconds: float) -> None:
    part = Part(1.0, 1.0)
    (task,) = await started(part.run())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert len(part.started_at) == 1


async def test_a_group_of_exceptions_is_one_failure() -> None:
    part = Part(0.0, error=ExceptionGroup("tasks", [ValueError("one"), KeyError("two")]))
    (task,) = await started(part.run())
    await asyncio.sleep(5)
    task.cancel()
    await asyncio.wait([task])

    assert len(part.failures) == 1


async def test_what_is_not_an_exception_ends_the_process_as_before() -> None:
    part = Part(0.0, error=SystemExit(3))

    with pytest.raises(SystemExit):
        await part.run()
