"""Exact resume, as its user meets it: kill -9 while puts are under way, and nothing arrives twice."""

import asyncio

import orjson

from agent.local.emulator import EmbeddedCloudWatch, Fault
from tests.process.driver import PATIENCE_SECONDS, agent, alert, append, container, cri
from tests.resume.killing import kill_again_and_again

NEVER_ANSWERED = Fault("hang", operation="PutLogEvents", accepted=True)


async def test_killed_again_and_again_it_loses_nothing_and_sends_nothing_twice(tmp_path):
    outcome = await kill_again_and_again(tmp_path, kills=5, seed=3, resume="exact", express_bytes=20_000)

    assert outcome.written
    assert (outcome.lost, outcome.duplicated) == (0, 0)


async def test_without_the_right_to_read_back_it_goes_on_and_says_what_is_missing(tmp_path):
    live = container(tmp_path) / "0.log"
    append(live, cri(alert(0)))
    async with EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch:
        async with agent(tmp_path, cloudwatch.url, cloudwatch__resume="exact"):
            await _arrived(cloudwatch, 1)
            cloudwatch.faults.add(NEVER_ANSWERED)
            append(live, cri(alert(1)))
            await _arrived(cloudwatch, 2)
        cloudwatch.faults.clear()
        cloudwatch.faults.add(Fault("denied", operation="GetLogEvents"))
        async with agent(tmp_path, cloudwatch.url, cloudwatch__resume="exact") as second:
            await _arrived(cloudwatch, 3)
            assert await second.terminate() == 0

    assert "needs the permission logs:GetLogEvents" in second.log_path.read_text()


async def test_a_clean_stop_leaves_nothing_to_ask_for(tmp_path):
    append(container(tmp_path) / "0.log", *(cri(alert(number)) for number in range(100)))
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        agent(tmp_path, cloudwatch.url, cloudwatch__resume="exact") as first,
    ):
        await _arrived(cloudwatch, 100)
        assert await first.terminate() == 0

    assert list((tmp_path / "state" / "journal").iterdir()) == []


async def test_a_record_that_ends_in_the_next_file_is_not_sent_again(tmp_path):
    directory = container(tmp_path)
    live, whole = directory / "0.log", alert(1)
    append(live, cri(alert(0)))
    async with EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch:
        async with agent(tmp_path, cloudwatch.url, cloudwatch__resume="exact"):
            await _arrived(cloudwatch, 1)
            cloudwatch.faults.add(NEVER_ANSWERED)
            append(live, cri(whole[:40], tag="P"))
            live.rename(directory / "0.log.20261123-100000")
            append(live, cri(whole[40:]), cri(alert(2)))
            await _arrived(cloudwatch, 3)
        cloudwatch.faults.clear()
        append(live, cri(alert(3)))
        async with agent(tmp_path, cloudwatch.url, cloudwatch__resume="exact") as second:
            await _arrived(cloudwatch, 4)
            assert await second.terminate() == 0
        numbers = sorted(int(orjson.loads(event.message)["output"]) for event in cloudwatch.events("falco"))

    assert numbers == [0, 1, 2, 3]


async def _arrived(cloudwatch, count):
    async with asyncio.timeout(PATIENCE_SECONDS):
        while cloudwatch.count("falco") < count:  # a put that hangs announces nothing
            await asyncio.sleep(0.02)
