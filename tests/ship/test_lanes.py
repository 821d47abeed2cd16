"""Faults by stream under fake time: what happens to one stream costs the other lanes nothing but its own share."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, pairwise
from random import Random

import pytest

from agent.core.values import Lane, PutReply
from agent.errors import Denied, PutError, Refused, Throttled, Unavailable
from agent.flow.pauses import LONGEST_PAUSE_SECONDS
from tests.ship.lanes import PUT_SECONDS, Fault, Lanes, lanes, now

pytestmark = pytest.mark.looptime

ALERT = "x" * 1000
TIMEOUT_SECONDS = 30.0


def raising(error: Callable[[], PutError]) -> Fault:
    async def fault(messages: list[str]) -> PutReply | None:
        raise error()

    return fault


async def hanging(messages: list[str]) -> PutReply | None:
    await asyncio.sleep(TIMEOUT_SECONDS)
    raise Unavailable("no answer", reason="timeout")


TROUBLES = {
    "denied": raising(lambda: Denied("no", reason="denied")),
    "refused": raising(lambda: Refused("no", reason="name")),
    "throttled": raising(lambda: Throttled("no", reason="throttled")),
    "unavailable": raising(lambda: Unavailable("no", reason="unavailable")),
    "hung": hanging,
}


async def feed(shipping: Lanes, lane: Lane, *, alerts: int, seconds: float) -> None:
    """Alerts in twenty chunks, evenly over the time."""
    for _ in range(20):
        shipping.accept(*[ALERT] * (alerts // 20), lane=lane)
        await asyncio.sleep(seconds / 20)


@dataclass
class Quota:
    """The puts of an account: one token for each, and `per_second` new ones."""

    per_second: float
    tokens: float = 0.0
    counted_at: float = 0.0

    async def put(self, messages: list[str]) -> PutReply | None:
        self.tokens = min(self.per_second, self.tokens + self.per_second * (now() - self.counted_at))
        self.counted_at = now()
        if self.tokens < 1:
            raise Throttled("ThrottlingException", reason="throttled")
        self.tokens -= 1
        return None


async def accept_again_and_again(shipping: Lanes, *, every_seconds: float) -> None:
    for number in count():
        shipping.accept(f"routine {number}")
        await asyncio.sleep(every_seconds)


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("concurrency", [1, 2, 4])
async def test_trouble_of_the_urgent_stream_does_not_stop_the_routine_lane(trouble: str, concurrency: int) -> None:
    async with lanes(concurrency=concurrency) as shipping:
        shipping.sink.faults["urgent"] = TROUBLES[trouble]
        for number in range(40):
            shipping.accept(f"urgent {number}", lane=Lane.URGENT)
        await asyncio.sleep(1)

        await feed(shipping, Lane.ROUTINE, alerts=20_000, seconds=10)
        await asyncio.sleep(3)

        assert len(shipping.sink.messages("routine")) == 20_000


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("lane", [Lane.ROUTINE, Lane.OTHER])
@pytest.mark.parametrize("concurrency", [1, 2, 4])
async def test_trouble_of_another_stream_does_not_delay_an_urgent_alert(
    trouble: str, lane: Lane, concurrency: int
) -> None:
    async with lanes(concurrency=concurrency) as shipping:
        shipping.sink.faults[str(lane)] = TROUBLES[trouble]
        for _ in range(12):
            shipping.accept(*[ALERT] * 1000, lane=lane)
        await asyncio.sleep(1)

        for number in range(20):
            assert await shipping.latency(f"urgent {number}") < 0.2
            await asyncio.sleep(1.5)


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_trouble_of_the_stream_for_other_lines_does_not_stop_the_routine_lane(trouble: str) -> None:
    async with lanes() as shipping:
        shipping.sink.faults["other"] = TROUBLES[trouble]
        for _ in range(12):
            shipping.accept(*[ALERT] * 1000, lane=Lane.OTHER)
        await asyncio.sleep(1)

        await feed(shipping, Lane.ROUTINE, alerts=20_000, seconds=10)
        await asyncio.sleep(1)

        assert len(shipping.sink.messages("routine")) == 20_000


@pytest.mark.parametrize("trouble", ["throttled", "unavailable", "hung"])
@pytest.mark.parametrize("outage_seconds", [3.0, 45.0, 120.0])
@pytest.mark.parametrize("interval_seconds", [0.1, 2.0])
async def test_after_trouble_of_its_stream_a_new_urgent_alert_arrives_within_a_second(
    trouble: str, outage_seconds: float, interval_seconds: float
) -> None:
    async with lanes() as shipping:
        shipping.sink.faults["urgent"] = TROUBLES[trouble]
        until = now() + outage_seconds
        number = 0
        while now() < until:
            shipping.accept(f"during {number}", lane=Lane.URGENT)
            number += 1
            await asyncio.sleep(interval_seconds)
        shipping.sink.faults.clear()

        latencies = [await shipping.latency(f"after {number}") for number in range(5)]

        assert max(latencies) < 1.0
        await asyncio.sleep(TIMEOUT_SECONDS + 1)
        assert set(shipping.sink.messages("urgent")) >= {f"during {one}" for one in range(number)}


async def test_urgent_requests_that_hang_are_bounded() -> None:
    async with lanes() as shipping:
        shipping.sink.faults["urgent"] = hanging
        for number in range(600):
            shipping.accept(f"{number}", lane=Lane.URGENT)
            await asyncio.sleep(0.1)

        assert shipping.sink.most_under_way["urgent"] <= 4 + 8 + 12 * 3
        assert shipping.sink.puts["urgent"] < 300


async def test_an_endpoint_that_is_slow_gets_each_urgent_event_once() -> None:
    async def slow(messages: list[str]) -> PutReply | None:
        await asyncio.sleep(4)
        return None

    async with lanes() as shipping:
        shipping.sink.faults["urgent"] = slow
        for number in range(30):
            shipping.accept(f"{number}", lane=Lane.URGENT)
            await asyncio.sleep(1)
        await asyncio.sleep(10)

        assert sorted(shipping.sink.messages("urgent"), key=int) == [f"{number}" for number in range(30)]


async def test_urgent_alerts_of_one_outage_arrive_soon_after_the_endpoint_answers_again() -> None:
    async with lanes() as shipping:
        shipping.sink.faults["urgent"] = hanging
        shipping.accept("first", lane=Lane.URGENT)
        await asyncio.sleep(5)
        shipping.sink.faults.clear()
        await shipping.latency("second")
        await asyncio.sleep(0.5)

        assert "first" in shipping.sink.messages("urgent")


async def test_a_throttled_urgent_stream_costs_the_routine_lane_at_most_a_fifth_of_its_time() -> None:
    async with lanes(max_puts_per_second=1000) as shipping:
        shipping.sink.faults["urgent"] = TROUBLES["throttled"]
        shipping.accept("urgent", lane=Lane.URGENT)
        await asyncio.sleep(0.2)
        for number in range(600):
            shipping.accept(f"{number}")
            await asyncio.sleep(0.1)
        stamps = [when for when, _ in shipping.sink.arrived["routine"]]
        pauses = [later - earlier for earlier, later in pairwise(stamps) if later - earlier > 0.5]

        assert len(stamps) >= 580
        assert sum(pauses) <= 60 / 5 + 1


async def test_routine_batches_that_were_throttled_are_not_sent_again_during_a_pause_for_an_urgent_one() -> None:
    random.seed(1)
    async with lanes(max_puts_per_second=1000) as shipping:
        shipping.sink.faults |= {"urgent": TROUBLES["throttled"], "routine": TROUBLES["throttled"]}
        for number in range(3):
            shipping.accept(f"routine {number}")
            await asyncio.sleep(0.06)
        shipping.accept("urgent", lane=Lane.URGENT)
        await asyncio.sleep(2 * PUT_SECONDS)
        before = shipping.sink.puts["routine"]
        await asyncio.sleep(LONGEST_PAUSE_SECONDS - 2 * PUT_SECONDS)

        assert shipping.sink.puts["routine"] == before
        await asyncio.sleep(2)
        assert shipping.sink.puts["routine"] > before


async def test_in_an_account_above_its_quota_urgent_alerts_arrive_within_a_second_in_spite_of_a_flood() -> None:
    random.seed(1)
    quota = Quota(per_second=10)
    async with lanes(max_puts_per_second=1000) as shipping:
        shipping.sink.faults |= {"urgent": quota.put, "routine": quota.put}
        flood = asyncio.create_task(accept_again_and_again(shipping, every_seconds=0.01))
        await asyncio.sleep(5)
        alerts: list[asyncio.Task[float]] = []
        for number in range(240):
            alerts.append(asyncio.create_task(shipping.latency(f"urgent {number}")))
            await asyncio.sleep(0.25)

        latencies = sorted(await asyncio.gather(*alerts))

        flood.cancel()
        assert latencies[-3] < 1.0
        assert latencies[120] < 0.2


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("concurrency", [1, 2, 4])
async def test_trouble_of_one_stream_of_the_urgent_lane_does_not_delay_another_stream(
    trouble: str, concurrency: int
) -> None:
    async with lanes(concurrency=concurrency) as shipping:
        shipping.sink.faults["a/urgent"] = TROUBLES[trouble]
        await shipping.latency("first of b", namespace="b")
        for number in range(20):
            shipping.accept(f"a {number}", lane=Lane.URGENT, namespace="a")
            await asyncio.sleep(0.07)

        latencies = [await shipping.latency(f"b {number}", namespace="b") for number in range(20)]

        assert max(latencies) < 1.0


@pytest.mark.parametrize("trouble", ["denied", "refused", "unavailable", "hung"])
@pytest.mark.parametrize("concurrency", [1, 2, 4])
@pytest.mark.parametrize("lane", [Lane.ROUTINE, Lane.OTHER])
async def test_trouble_of_one_stream_does_not_delay_another_stream_of_its_lane(
    trouble: str, concurrency: int, lane: Lane
) -> None:
    async with lanes(concurrency=concurrency) as shipping:
        shipping.sink.faults[f"a/{lane}"] = TROUBLES[trouble]
        for number in range(20):
            shipping.accept(f"a {number}", lane=lane, namespace="a")
            await asyncio.sleep(0.07)

        latencies = [await shipping.latency(f"b {number}", lane=lane, namespace="b") for number in range(10)]

        assert max(latencies) < 1.0


async def test_the_shipper_knows_what_a_lane_holds_of_the_budget() -> None:
    async with lanes(out_of_window="reject") as shipping:
        shipping.sink.faults["urgent"] = raising(lambda: Denied("no", reason="denied"))
        shipping.accept("urgent", lane=Lane.URGENT)
        shipping.accept("routine")
        await asyncio.sleep(1)
        assert shipping.shipper.held_bytes(Lane.URGENT) == shipping.budget.used_bytes > 0
        assert shipping.shipper.held_bytes(Lane.ROUTINE) == 0

        shipping.sink.faults.clear()
        await asyncio.sleep(40)
        assert shipping.shipper.held_bytes(Lane.URGENT) == 0


async def test_when_half_of_their_puts_are_throttled_urgent_alerts_arrive_within_a_second() -> None:
    late = [await _late_when_half_are_throttled(seed) for seed in range(5)]

    assert sum(late) <= 15, "more than one of a hundred"


async def _late_when_half_are_throttled(seed: int) -> int:
    """How many of 300 alerts took longer than a second."""
    chance = Random(seed)
    random.seed(seed)  # the jitter of the waits

    async def half(messages: list[str]) -> PutReply | None:
        if chance.random() < 0.5:
            raise Throttled("no", reason="throttled")
        return None

    async with lanes() as shipping:
        shipping.sink.faults["urgent"] = half
        latencies = []
        async with asyncio.TaskGroup() as tasks:
            for number in range(300):
                latencies.append(tasks.create_task(shipping.latency(f"urgent {number}")))
                await asyncio.sleep(0.1)
        return sum(task.result() > 1.0 for task in latencies)
