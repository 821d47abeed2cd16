"""One attempt to put a batch: the first answer counts, and the other requests are cancelled."""

import asyncio
import time

import pytest

from agent.core.values import PutReply
from agent.errors import Unavailable
from agent.ship.attempt import MOST_HEDGES, Attempt

REPLY = PutReply()


class Requests:
    """The requests of one attempt, each of which ends when the test says how."""

    def __init__(self) -> None:
        self.answers: list[asyncio.Future[PutReply]] = []
        self.cancelled = 0

    async def send(self) -> PutReply:
        answer: asyncio.Future[PutReply] = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        try:
            return await answer
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def count(self, number: int) -> None:
        while len(self.answers) < number:
            await asyncio.sleep(0)


async def running(requests: Requests, hung_seconds: float = 60.0) -> tuple[Attempt, asyncio.Task[PutReply], list[bool]]:
    attempt, hung = Attempt(requests.send, time.monotonic()), list[bool]()
    task = asyncio.create_task(attempt.run(hung_seconds, lambda: hung.append(True)))
    await requests.count(1)
    return attempt, task, hung


async def test_the_answer_of_the_first_request_ends_the_attempt_and_its_hedges() -> None:
    requests = Requests()
    attempt, task, hung = await running(requests)
    attempt.hedge(time.monotonic())
    await requests.count(2)
    requests.answers[0].set_result(REPLY)

    assert await task is REPLY
    assert (requests.cancelled, attempt.hedges, hung) == (1, 1, [])


async def test_a_request_that_hangs_is_said_once_and_goes_on() -> None:
    requests = Requests()
    _, task, hung = await running(requests, hung_seconds=0.001)
    while not hung:
        await asyncio.sleep(0.001)
    requests.answers[0].set_result(REPLY)

    assert await task is REPLY
    assert hung == [True]


async def test_the_answer_of_a_hedge_ends_the_first_request() -> None:
    requests = Requests()
    attempt, task, _ = await running(requests)
    attempt.hedge(time.monotonic())
    await requests.count(2)
    requests.answers[1].set_result(REPLY)

    assert await task is REPLY
    assert requests.cancelled == 1
    assert not task.cancelling()


async def test_a_hedge_that_timed_out_is_no_answer_and_a_refused_one_is() -> None:
    requests = Requests()
    attempt, task, _ = await running(requests)
    for _ in range(2):
        attempt.hedge(time.monotonic())
    await requests.count(3)
    requests.answers[1].set_exception(Unavailable("no answer", reason="timeout"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()
    requests.answers[2].set_exception(Unavailable("no", reason="server"))

    with pytest.raises(Unavailable) as raised:
        await task
    assert raised.value.reason == "server"


async def test_the_error_of_the_first_request_counts_whatever_it_is() -> None:
    requests = Requests()
    attempt, task, _ = await running(requests)
    attempt.hedge(time.monotonic())
    requests.answers[0].set_exception(Unavailable("no answer", reason="timeout"))

    with pytest.raises(Unavailable):
        await task


@pytest.mark.parametrize("is_answered", [False, True])
async def test_cancelling_ends_every_request_also_when_a_hedge_is_answered_at_the_same_moment(
    is_answered: bool,
) -> None:
    requests = Requests()
    attempt, task, _ = await running(requests)
    attempt.hedge(time.monotonic())
    await requests.count(2)
    if is_answered:
        requests.answers[1].set_result(REPLY)
        await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(answer.done() for answer in requests.answers)


async def test_two_answers_at_the_same_moment_are_one_answer() -> None:
    requests = Requests()
    attempt, task, _ = await running(requests)
    attempt.hedge(time.monotonic())
    await requests.count(2)
    requests.answers[1].set_result(REPLY)
    requests.answers[0].set_result(REPLY)

    assert await task is REPLY
    assert not task.cancelling()


async def test_few_hedges_are_under_way_and_none_after_the_end() -> None:
    requests = Requests()
    attempt, task, _ = await running(requests)
    for _ in range(MOST_HEDGES + 2):
        attempt.hedge(time.monotonic())
        await asyncio.sleep(0)
    assert sum(not answer.done() for answer in requests.answers) == 1 + MOST_HEDGES
    requests.answers[0].set_result(REPLY)
    await task
    attempt.hedge(time.monotonic())

    assert attempt.hedges == MOST_HEDGES + 2
