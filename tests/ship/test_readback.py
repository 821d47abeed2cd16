"""What is asked of CloudWatch after a crash: the real client, the embedded endpoint, its faults."""

import asyncio
import time
from collections.abc import AsyncIterator

import orjson
import pytest

from agent.core.values import Destination
from agent.errors import Unavailable
from agent.local.emulator import EmbeddedCloudWatch, Fault
from agent.ship.journal import Intent
from agent.ship.readback import ARRIVAL_SECONDS, MOST_UNEXPECTED, arrived
from tests.cloudwatch.clients import client_of

STREAM = Destination("falco", "node-a")
NOW_MS = int(time.time() * 1000)


def event(offset: int, *, file: str = "f00") -> dict[str, object]:
    return {"timestamp": NOW_MS + offset, "message": f'{{"rule":"R","falcowatch":{{"id":"{file}:{offset}"}}}}'}


def intent(*offsets: int, file: str = "f00", stream: Destination = STREAM) -> Intent:
    return Intent(stream, NOW_MS + min(offsets), NOW_MS + max(offsets), {file: offsets})


@pytest.fixture
async def cloudwatch(tmp_path):
    async with EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as endpoint:
        yield endpoint


@pytest.fixture
async def client(cloudwatch):
    async with client_of(cloudwatch) as opened:
        await opened.create(STREAM)
        yield opened


async def put(client, *events):
    await client.put(STREAM, [orjson.dumps(list(events))])


async def test_what_arrived_of_several_batches_is_found_in_one_read_where_their_times_overlap(cloudwatch, client):
    await put(client, event(0), event(5, file="f01"), event(10), event(20))
    cloudwatch.requests.clear()

    found = await arrived(client, [intent(0, 10), intent(5, file="f01"), intent(10, 20)])

    assert found == {"f00": {0, 10, 20}, "f01": {5}}
    assert cloudwatch.requests.count("GetLogEvents") == 2


async def test_a_fault_in_one_range_does_not_ask_for_the_others_again(cloudwatch, client):
    await put(client, *(event(offset) for offset in range(0, 100_000, 5_000)))
    cloudwatch.requests.clear()
    cloudwatch.faults.add(Fault("error", operation="GetLogEvents", count=1, skip=20))

    found = await arrived(client, [intent(offset) for offset in range(0, 100_000, 5_000)])

    assert found == {"f00": set(range(0, 100_000, 5_000))}
    assert cloudwatch.requests.count("GetLogEvents") <= 20 * 2 + 2


async def test_other_records_of_the_stream_and_events_of_our_own_do_not_count(client):
    own = {"timestamp": NOW_MS + 1, "message": '{"rule":"Falcowatch: heartbeat","falcowatch":{"node":"node-a"}}'}
    await put(client, event(0), own, event(2))

    assert await arrived(client, [intent(0)]) == {"f00": {0}}


async def test_what_shows_late_is_waited_for(client):
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(arrived(client, [intent(0, 1)]))
        await put(client, event(0))
        await asyncio.sleep(0.7)
        await put(client, event(1))

    assert asking.result() == {"f00": {0, 1}}


class Shows:
    """A stream in which one event shows at once and another one `late_seconds` after the first look."""

    def __init__(self, late_seconds: float) -> None:
        self._late_seconds = late_seconds
        self._first: float | None = None

    async def read_back(self, destination: Destination, start_ms: int, end_ms: int) -> AsyncIterator[tuple[int, str]]:
        now = asyncio.get_running_loop().time()
        self._first = now if self._first is None else self._first
        for offset in (0, 1) if now - self._first >= self._late_seconds else (0,):
            yield NOW_MS, str(event(offset)["message"])

    async def reopen(self) -> None:
        raise AssertionError


@pytest.mark.parametrize(("late_seconds", "found"), [(ARRIVAL_SECONDS - 1, {0, 1}), (ARRIVAL_SECONDS + 1, {0})])
@pytest.mark.looptime
async def test_what_does_not_show_in_time_has_not_arrived(late_seconds, found):
    assert await arrived(Shows(late_seconds), [intent(0, 1)]) == {"f00": found}


@pytest.mark.looptime
async def test_the_time_that_earlier_runs_have_waited_counts():
    began = asyncio.get_running_loop().time()

    assert await arrived(Shows(ARRIVAL_SECONDS), [intent(0, 1)], waited_seconds=ARRIVAL_SECONDS - 1) == {"f00": {0}}
    assert asyncio.get_running_loop().time() - began == pytest.approx(1, abs=0.6)

    assert await arrived(Shows(ARRIVAL_SECONDS), [intent(0, 1)], waited_seconds=3600) == {"f00": {0}}
    assert asyncio.get_running_loop().time() - began < 2


async def test_in_a_stream_that_does_not_exist_nothing_arrived(cloudwatch, client):
    other = Destination("falco", "node-b")

    assert await arrived(client, [intent(0, stream=other)]) == {}
    assert cloudwatch.requests.count("GetLogEvents") == 1


async def test_without_the_permission_nothing_counts_as_arrived_and_the_log_names_it(cloudwatch, client, caplog):
    await put(client, event(0))
    cloudwatch.faults.add(Fault("denied", operation="GetLogEvents"))

    assert await arrived(client, [intent(0)]) == {}
    assert "needs the permission logs:GetLogEvents" in caplog.text


async def test_a_group_whose_class_does_not_support_it_is_not_asked_for_ever(cloudwatch, client, caplog):
    await put(client, event(0))
    cloudwatch.faults.add(Fault("error", operation="GetLogEvents", status=400, code="InvalidOperationException"))

    assert await arrived(client, [intent(0)]) == {}
    assert cloudwatch.requests.count("GetLogEvents") == 1
    assert "a log group whose class supports it" in caplog.text


class NeverUnderstood:
    """A CloudWatch, or a proxy in front of it, that answers each GetLogEvents with an error that no rule explains."""

    asked = 0

    async def read_back(self, destination: Destination, start_ms: int, end_ms: int) -> AsyncIterator[tuple[int, str]]:
        self.asked += 1
        raise Unavailable("GetLogEvents: HTTP 404", reason="unexpected")
        yield

    async def reopen(self) -> None:
        """Nothing to reopen."""


@pytest.mark.looptime
async def test_refusals_that_no_rule_explains_do_not_keep_the_agent_from_reading_for_ever():
    sink = NeverUnderstood()

    assert await arrived(sink, [intent(0)]) == {}
    assert sink.asked == MOST_UNEXPECTED


@pytest.mark.parametrize("kind", ["throttle", "error", "reset", "expired_token"])
async def test_a_fault_that_passes_is_waited_for(cloudwatch, client, kind):
    await put(client, event(0))
    cloudwatch.faults.add(Fault(kind, operation="GetLogEvents", count=2))

    assert await arrived(client, [intent(0)]) == {"f00": {0}}
