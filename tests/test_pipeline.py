"""From a log file to CloudWatch and back to the committed offset, in one process, over real files and real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from agent.app import run_agent
from agent.core.processing.result import Defect, ProcessingResult
from agent.core.reading.records import Records
from agent.local.emulator import EmbeddedCloudWatch, Fault
from agent.settings import load_settings
from tests.process.driver import alert, append, container, cri, environment
from tests.selfmonitor.whole_agent import built, running, until

PATIENCE_SECONDS = 120


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in environment(tmp_path, "").items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)


@asynccontextmanager
async def agent(place: Path, cloudwatch: EmbeddedCloudWatch, **settings: str) -> AsyncIterator[None]:
    (place / "pods").mkdir(exist_ok=True)
    loaded = load_settings(environment(place, cloudwatch.url, **settings)).settings
    stop = asyncio.Event()
    running = asyncio.create_task(run_agent(loaded, stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await running


async def arrived(cloudwatch: EmbeddedCloudWatch, count: int) -> list[dict[str, object]]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await cloudwatch.until(lambda: cloudwatch.count("falco") >= count)
    return [orjson.loads(event.message) for event in cloudwatch.events("falco")]


def positions(place: Path) -> list[dict[str, object]]:
    return list(orjson.loads((place / "state" / "checkpoint.json").read_bytes())["files"].values())


async def test_an_alert_arrives_as_it_was_written_and_its_offset_is_saved(tmp_path: Path) -> None:
    log, line = container(tmp_path) / "0.log", alert(1)
    append(log, cri(line))
    async with EmbeddedCloudWatch() as cloudwatch:
        async with agent(tmp_path, cloudwatch):
            await arrived(cloudwatch, 1)
        (event,) = cloudwatch.events("falco")

    assert event.message.startswith(line[:-1])
    assert [(known["offset"], known["size"]) for known in positions(tmp_path)] == [(log.stat().st_size,) * 2]


async def test_filtered_records_move_the_offset_too(tmp_path: Path) -> None:
    log = container(tmp_path) / "0.log"
    append(log, cri(alert(1, priority="Debug")), cri(b""), cri(alert(2)), cri(alert(3, priority="Debug")))
    async with EmbeddedCloudWatch() as cloudwatch, agent(tmp_path, cloudwatch, falco__minimum_priority="notice"):
        await arrived(cloudwatch, 1)

    assert [known["offset"] for known in positions(tmp_path)] == [log.stat().st_size]


async def test_with_a_dead_cloudwatch_it_ends_by_its_deadline_and_the_next_run_ships_everything(
    tmp_path: Path,
) -> None:
    log = container(tmp_path) / "0.log"
    append(log, *[cri(alert(number)) for number in range(100)])
    async with EmbeddedCloudWatch() as cloudwatch:
        cloudwatch.faults.add(Fault("reset"))
        async with agent(tmp_path, cloudwatch, drain_seconds="0.2"):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await cloudwatch.until(lambda: cloudwatch.faults.hits() > 0)
        assert [known["offset"] for known in positions(tmp_path)] == [0]

        cloudwatch.faults.clear()
        async with agent(tmp_path, cloudwatch):
            events = await arrived(cloudwatch, 100)

    assert sorted(int(str(event["output"])) for event in events) == list(range(100))


async def test_a_gap_is_announced_in_cloudwatch_with_file_from_to_and_why(tmp_path: Path) -> None:
    log = container(tmp_path) / "0.log"
    append(log, cri(alert(1)))
    async with EmbeddedCloudWatch() as cloudwatch:
        async with agent(tmp_path, cloudwatch):
            await arrived(cloudwatch, 1)
        read = log.stat().st_size
        log.unlink()
        append(log, cri(alert(2)))
        async with agent(tmp_path, cloudwatch):
            events = await arrived(cloudwatch, 3)

    (gap,) = [event for event in events if event["rule"] == "Falcowatch: gap"]
    assert gap["priority"] == "Critical"
    assert isinstance(gap["output_fields"], dict)
    assert {key: gap["output_fields"][key] for key in ("path", "from", "to", "why", "at_least")} == {
        "path": str(log), "from": read, "to": read, "why": "deleted while the agent was stopped", "at_least": True,
    }  # fmt: skip


async def test_alerts_ship_while_the_state_directory_takes_no_checkpoint(tmp_path: Path) -> None:
    blocking = tmp_path / "state/checkpoint.new.json"
    blocking.mkdir(parents=True)
    append(container(tmp_path) / "0.log", cri(alert(1)))
    async with EmbeddedCloudWatch() as cloudwatch, agent(tmp_path, cloudwatch):
        await arrived(cloudwatch, 1)
        append(container(tmp_path) / "0.log", cri(alert(2)))
        await arrived(cloudwatch, 2)
        assert not (tmp_path / "state/checkpoint.json").exists()
        blocking.rmdir()

    (saved,) = positions(tmp_path)
    assert saved["offset"] == (container(tmp_path) / "0.log").stat().st_size


async def test_under_a_glob_of_namespaces_files_of_tail_paths_have_a_group_and_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "falco.log"
    append(path, alert(1) + b"\n")
    names = {"cloudwatch__log_group": "/{namespace}", "cloudwatch__log_stream": "{namespace}/{node}"}
    async with (
        EmbeddedCloudWatch() as cloudwatch,
        agent(tmp_path, cloudwatch, tail__namespace="falco*", tail__paths=f'["{path}"]', **names),
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        await cloudwatch.until(lambda: cloudwatch.count("/falcowatch", "falcowatch/node-a") == 1)


async def test_a_record_over_cloudwatch_s_limit_ships_shortened_and_its_bytes_are_kept(tmp_path: Path) -> None:
    line = alert(1)[:-1] + b',"fat":"' + b"x" * (1 << 20) + b'"}'
    append(container(tmp_path) / "0.log", *[cri(line[at : at + 16_384], tag="P") for at in range(0, len(line), 16_384)])
    append(container(tmp_path) / "0.log", cri(b""), cri(alert(2)))
    async with EmbeddedCloudWatch() as cloudwatch, agent(tmp_path, cloudwatch, tail__max_record_bytes="4194304"):
        events = await arrived(cloudwatch, 2)

    (small,) = [event for event in events if "truncated" in event]
    assert isinstance(small["truncated"], dict)
    assert small["truncated"]["size"] == len(line)
    (dead_letters,) = (tmp_path / "state" / "dead-letters").glob("*.jsonl")
    assert orjson.loads(dead_letters.read_bytes())["message"].encode() == line


async def test_a_record_with_a_defect_ships_and_is_kept_and_counted_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    append(container(tmp_path) / "0.log", *[cri(alert(number)) for number in range(10)])
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url) as made,
    ):
        parts = made.parts
        process = parts.pipeline._processor.process

        def with_defects(records: Records, **options: Any) -> ProcessingResult:
            result = process(records, **options)
            for payload, offset in zip(records.payloads[:3], records.offsets, strict=False):
                result.defects.append(Defect(offset, payload, ValueError("broken")))
            result.enrichment_error = KeyError("pod")
            return result

        parts.pipeline._processor.process = with_defects  # type: ignore[method-assign]
        async with running(parts.reader.run(), parts.shipper.run()):
            await until(lambda: made.status.books().shipped == 10)

        assert made.status.books().balanced
        assert parts.telemetry.value("defects_total", part="record") == 3
        assert parts.telemetry.value("defects_total", part="enrichment") == 1
    (dead_letters,) = (tmp_path / "state" / "dead-letters").glob("*.jsonl")
    kept = [orjson.loads(line) for line in dead_letters.read_bytes().splitlines()]
    assert [(letter["reason"], orjson.loads(letter["message"])["output"]) for letter in kept] == [
        ("defect", "0"), ("defect", "1"), ("defect", "2"),
    ]  # fmt: skip
    assert [record.message for record in caplog.records].count("defect") == 2


async def test_a_defect_in_counting_or_in_reading_notices_does_not_keep_an_alert_back(tmp_path: Path) -> None:
    append(container(tmp_path) / "0.log", *[cri(alert(number)) for number in range(10)])
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url) as made,
    ):

        def broken(*_: object) -> None:
            raise ValueError("broken")

        made.parts.notices.read = broken  # type: ignore[assignment, method-assign]
        async with running(made.parts.reader.run(), made.parts.shipper.run()):
            await until(lambda: made.status.books().shipped == 10)

        assert made.parts.telemetry.value("defects_total", part="selfmonitor") == 1
