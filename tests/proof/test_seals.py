"""The agent as a process: its seals prove, from the events in CloudWatch alone, everything that it has shipped."""

import asyncio
import random

import orjson
import pytest

from agent.audit.history import RawEvent
from agent.local.emulator import EmbeddedCloudWatch
from tests.audit.audited import audited, shown
from tests.process.driver import PATIENCE_SECONDS, agent, alert, append, container, cri
from tests.proof.reference import problems


@pytest.fixture
async def cloudwatch(tmp_path):
    async with EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as endpoint:
        yield endpoint


def messages(cloudwatch):
    return [event.message.decode() for event in cloudwatch.events("falco")]


def audit(cloudwatch):
    """The exit code of the agent's own audit, and what it found."""
    events = [RawEvent(one.stream, one.timestamp, one.ingested, one.message) for one in cloudwatch.events("falco")]
    result = audited(events, max(one.ingested_ms for one in events))
    return result.exit_code, [line for line in shown(result) if not line.startswith("restarted")]


def seals(cloudwatch):
    return [event["seal"] for message in messages(cloudwatch) if "seal" in (event := orjson.loads(message))]


def stated(cloudwatch):
    """Records that the seals state, by file: the highest number of each segment."""
    shipped: dict[tuple[str, int], int] = {}
    for seal in seals(cloudwatch):
        for one in seal["files"]:
            key = one["file"], one["from"]
            shipped[key] = max(shipped.get(key, 0), one["shipped"])
    return sum(shipped.values())


async def until(cloudwatch, reached):
    async with asyncio.timeout(PATIENCE_SECONDS):
        await cloudwatch.until(reached)


async def everything_stated(cloudwatch, records):
    await until(cloudwatch, lambda: stated(cloudwatch) >= records)


async def test_the_last_seal_of_an_agent_that_leaves_covers_everything(tmp_path, cloudwatch):
    append(container(tmp_path) / "0.log", *(cri(alert(number)) for number in range(500)))

    async with agent(tmp_path, cloudwatch.url, heartbeat_seconds="300") as running:
        await until(cloudwatch, lambda: cloudwatch.count("falco") >= 501)
        assert await running.terminate() == 0

    first, last = seals(cloudwatch)
    assert (first["number"], first["begins"], first["files"]) == (1, "first start", [])
    assert last["number"] == 2
    assert last["leaving"]
    assert [file["shipped"] for file in last["files"]] == [500]
    assert problems(messages(cloudwatch)) == []
    assert audit(cloudwatch) == (0, [])


async def test_a_removed_changed_or_added_event_is_found(tmp_path, cloudwatch):
    append(container(tmp_path) / "0.log", *(cri(alert(number)) for number in range(20)))
    async with agent(tmp_path, cloudwatch.url, heartbeat_seconds="300") as running:
        await until(cloudwatch, lambda: cloudwatch.count("falco") >= 21)
        assert await running.terminate() == 0

    honest = messages(cloudwatch)
    alerts = [number for number, message in enumerate(honest) if '"seal"' not in message]
    assert problems(honest) == []
    assert problems(honest[: alerts[3]] + honest[alerts[3] + 1 :])
    changed = honest[alerts[5]].replace("Terminal", "terminal")
    assert problems([*honest[: alerts[5]], changed, *honest[alerts[5] + 1 :]])
    assert problems([*honest, honest[alerts[5]].replace('"id":"', '"id":"f')])
    for number, message in enumerate(honest):
        if '"leaving":true' not in message:
            assert problems(honest[:number] + honest[number + 1 :]), message


async def test_interleaved_streams_filtered_rules_and_a_rotation_are_proved(tmp_path, cloudwatch):
    directory = container(tmp_path)
    live = directory / "0.log"
    whole = [alert(number) for number in range(60)]
    lines = [
        cri(whole[0][:50], tag="P"),
        cri(b"a line on stderr", stream="stderr"),
        *(cri(one, stream="stderr") for one in whole[1:20]),
        cri(whole[0][50:]),
        cri(alert(900, rule="Unwanted")),
        cri(alert(901, priority="Debug")),
        cri(b"\xff\xfe not UTF-8  "),
        cri(b"   "),
        cri(alert(902, priority="Critical") + b"  "),
        cri(b'{"source":"falcowatch","rule":"Falcowatch: heartbeat","priority":"Critical","output":"forged"}'),
        cri(b'{"output":"' + b"x" * 70_000 + b'","priority":"Notice","rule":"long","source":"syscall"}'),
        cri(b'{"output":"' + b"y" * 1_048_000 + b'","priority":"Notice","rule":"too long","source":"syscall"}'),
        cri(b"z" * 1_200_000),
        cri(whole[20][:50], tag="P"),
        *(cri(one, stream="stderr") for one in whole[21:30]),
    ]
    append(live, *lines)
    settings = {
        "heartbeat_seconds": "0.3",
        "falco__minimum_priority": "informational",
        "falco__drop_rules": '["Unwanted"]',
    }
    async with agent(tmp_path, cloudwatch.url, **settings) as running:
        await until(cloudwatch, lambda: stated(cloudwatch) >= 20)
        live.rename(directory / "0.log.20261128-090000")
        append(live, cri(whole[20][50:]), *(cri(one) for one in whole[30:]))
        await until(cloudwatch, lambda: stated(cloudwatch) >= 67)
        assert await running.terminate() == 0

    assert problems(messages(cloudwatch)) == []
    assert audit(cloudwatch) == (0, [])
    filtered = [one["filtered"] for seal in seals(cloudwatch) for one in seal["files"] if one["filtered"]]
    assert filtered[-1] == {"rule": 1, "priority": 1, "empty": 1}


@pytest.mark.parametrize("resume", ["at_least_once", "exact"])
async def test_an_agent_that_is_killed_again_and_again_leaves_an_unbroken_proof(tmp_path, cloudwatch, resume):
    live = container(tmp_path) / "0.log"
    numbers = random.Random(17)
    written = 0
    for life in range(8):
        async with agent(
            tmp_path, cloudwatch.url, heartbeat_seconds="0.2", cloudwatch__resume=resume, falco__express_bytes="4096"
        ) as running:
            for _ in range(6):
                count = numbers.randrange(400)
                append(
                    live,
                    *(
                        cri(alert(written + number, priority=numbers.choice(["Notice", "Notice", "Critical"])))
                        for number in range(count)
                    ),
                )
                written += count
                await asyncio.sleep(numbers.random() / 5)
            if life < 7:
                running.process.kill()
                await running.process.wait()
                continue
            await everything_stated(cloudwatch, written)
            assert await running.terminate() == 0

    assert problems(messages(cloudwatch)) == []
    assert audit(cloudwatch) == (0, [])
    numbers_of = [seal["number"] for seal in seals(cloudwatch)]
    assert sorted(set(numbers_of)) == list(range(1, max(numbers_of) + 1))
    assert len({seal["chain"] for seal in seals(cloudwatch)}) == 1
