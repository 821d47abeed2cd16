"""The urgent scan in a running agent: a Critical behind a backlog that cannot be sent, and a kill in between."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from agent.local.emulator import EmbeddedCloudWatch, Fault
from tests.process.driver import PATIENCE_SECONDS, agent, alert, append, container, cri

NOTICES = 20_000
SETTINGS = {"falco__express_bytes": "1000000", "memory_budget_bytes": "2097152"}
ROUTINE_REFUSED = Fault("throttle", operation="PutLogEvents", stream="node-a")


@pytest.fixture
async def cloudwatch(tmp_path):
    async with EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as endpoint:
        endpoint.faults.add(ROUTINE_REFUSED)
        yield endpoint


@pytest.fixture
def live(tmp_path) -> Path:
    path = container(tmp_path) / "0.log"
    append(path, *(cri(alert(number)) for number in range(NOTICES)))
    return path


async def test_a_critical_overtakes_a_backlog_that_cannot_be_sent_and_all_is_counted_once(tmp_path, cloudwatch, live):
    append(live, cri(alert(NOTICES, priority="Critical")))

    async with agent(tmp_path, cloudwatch.url, **SETTINGS) as running:
        await _until(lambda: cloudwatch.count("falco", "node-a/urgent") == 1)
        assert cloudwatch.count("falco", "node-a") == 0
        append(live, cri(alert(NOTICES + 1, priority="Critical")))  # and one that comes while it waits
        await _until(lambda: cloudwatch.count("falco", "node-a/urgent") == 2)

        cloudwatch.faults.clear()
        await _until(lambda: cloudwatch.count("falco") >= NOTICES + 2)
        books = await _settled_books(running)
        assert await running.terminate() == 0

    assert (books["read"], books["shipped"], books["filtered"]) == (NOTICES + 2, NOTICES + 2, 0)
    assert _arrived(cloudwatch) == Counter(range(NOTICES + 2))


async def test_in_files_that_were_rotated_behind_each_other_it_is_found_too(tmp_path, cloudwatch, live):
    live.rename(live.with_name("0.log.20261123-100000"))
    append(live, cri(alert(NOTICES, priority="Critical")))

    async with agent(tmp_path, cloudwatch.url, **SETTINGS) as running:
        await _until(lambda: cloudwatch.count("falco", "node-a/urgent") == 1)
        assert cloudwatch.count("falco", "node-a") == 0
        cloudwatch.faults.clear()
        await _until(lambda: cloudwatch.count("falco") >= NOTICES + 1)
        assert await running.terminate() == 0

    assert _arrived(cloudwatch) == Counter(range(NOTICES + 1))


async def test_killed_after_it_went_ahead_nothing_is_lost_and_it_is_not_sent_again(tmp_path, cloudwatch, live):
    append(live, *(cri(alert(NOTICES + number, priority="Critical")) for number in range(3)))
    append(live, *(cri(alert(NOTICES + 3 + number)) for number in range(100)))

    async with agent(tmp_path, cloudwatch.url, **SETTINGS):
        await _until(lambda: cloudwatch.count("falco", "node-a/urgent") == 3)
        await _until(lambda: len(_settled_out_of_order(tmp_path)) == 3)
    cloudwatch.faults.clear()
    async with agent(tmp_path, cloudwatch.url, **SETTINGS) as second:
        await _until(lambda: cloudwatch.count("falco") >= NOTICES + 103)
        books = await _settled_books(second)
        assert await second.terminate() == 0

    assert _arrived(cloudwatch) == Counter(range(NOTICES + 103))
    assert (books["read"], books["shipped"], books["filtered"]) == (NOTICES + 103, NOTICES + 100, 3)
    assert _settled_out_of_order(tmp_path) == []


async def test_what_is_under_way_ahead_is_neither_sent_again_nor_committed_past(tmp_path, cloudwatch, live):
    append(live, cri(alert(NOTICES, priority="Critical")), cri(alert(NOTICES + 1)))
    cloudwatch.faults.add(Fault("throttle", operation="PutLogEvents", stream="node-a/urgent"))

    async with agent(tmp_path, cloudwatch.url, **SETTINGS):
        await _until(lambda: cloudwatch.requests.count("PutLogEvents", status=400) > 8)
        cloudwatch.faults.clear()
        cloudwatch.faults.add(Fault("throttle", operation="PutLogEvents", stream="node-a/urgent"))
        await _until(lambda: cloudwatch.count("falco", "node-a") == NOTICES + 1)
        await _until(lambda: _position(tmp_path)["offset"] > 1_000_000)
    assert _position(tmp_path)["offset"] < live.stat().st_size - 300

    cloudwatch.faults.clear()
    async with agent(tmp_path, cloudwatch.url, **SETTINGS) as second:
        await _until(lambda: cloudwatch.count("falco", "node-a/urgent") == 1)
        assert await second.terminate() == 0

    arrived = _arrived(cloudwatch)
    assert set(arrived) == set(range(NOTICES + 2))
    assert arrived[NOTICES] == 1


async def _until(reached):
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not reached():
            await asyncio.sleep(0.02)


async def _settled_books(running):
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            books = orjson.loads((await running.get("/status"))[1])["books"]
            if not books["in_flight"]:
                return books
            await asyncio.sleep(0.05)


def _arrived(cloudwatch) -> Counter[int]:
    return Counter(int(orjson.loads(event.message)["output"]) for event in cloudwatch.events("falco"))


def _position(place: Path) -> dict[str, Any]:
    """The only file's, in the checkpoint; before there is one, nothing."""
    try:
        document = orjson.loads((place / "state" / "checkpoint.json").read_bytes())
    except FileNotFoundError:  # also for a moment between two
        return {"offset": 0, "settled_out_of_order": []}
    [position] = document["files"].values()
    return dict(position)


def _settled_out_of_order(place: Path) -> list[int]:
    return list(_position(place).get("islands", []))
