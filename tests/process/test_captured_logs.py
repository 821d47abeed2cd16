"""Log files captured from versions of containerd and kubelet are read whole, and each alert arrives byte for byte."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from agent.core.reading.line_formats import Cri
from agent.local.emulator import EmbeddedCloudWatch
from agent.tail.types import Source
from tests.process.driver import PATIENCE_SECONDS, agent
from tests.real import session
from tests.real.written import ends_inside_a_character, files_of, parts_in
from tests.tail.following import following

LOGS = Path(__file__).parents[1] / "data/logs"
CAPTURES = [*sorted(LOGS.glob("containerd-[0-9]*")), *sorted(LOGS.glob("kubelet-[0-9]*"))]
PART_BYTES = 16_384

captures = pytest.mark.parametrize("capture", CAPTURES, ids=[capture.name for capture in CAPTURES])


@captures
async def test_every_file_is_read_whole_and_no_gap_is_found(capture: Path) -> None:
    printed = [*session.ALERTS, *session.MESSAGES, session.UNFINISHED]

    async with following(capture, partial_seconds=0.2) as seen:
        await seen.until(lambda: len(seen.payloads) >= len(printed))
        await seen.looks()
        sources = {source for source, _ in seen.reader.sightings}
        positions = seen.reader.positions()

    (directory,) = capture.iterdir()
    namespace, pod, uid = directory.name.split("_")
    assert sources == {
        Source(capture, (directory.name, "falco", name), namespace, pod, uid, "falco") for name in ("0.log", "1.log")
    }
    assert sorted(seen.payloads) == sorted(printed)
    assert {type(chunk.line_format) for chunk in seen.chunks} == {Cri}
    assert len(positions) == 4
    assert all(position.offset == position.size for position in positions.values())
    assert not seen.gaps


@captures
async def test_only_the_line_that_falco_did_not_finish_is_incomplete(capture: Path) -> None:
    async with following(capture, partial_seconds=0.2) as seen:
        await seen.until(lambda: session.UNFINISHED in seen.payloads)

    unusual = {one.payload: one.mark for chunk in seen.chunks for one in chunk.records.unusual}
    assert [payload for payload, mark in unusual.items() if mark.incomplete] == [session.UNFINISHED]
    assert [payload for payload, mark in unusual.items() if mark.origin] == [session.CUT_BY_ROTATION]


@captures
async def test_each_alert_arrives_byte_for_byte_and_once(tmp_path: Path, capture: Path) -> None:
    others = [line.decode() for line in [*session.MESSAGES, session.UNFINISHED]]
    settings = {"tail__root": str(capture), "tail__partial_seconds": "0.2", "falco__missing_seconds": "0"}
    # The captured files may have been written at any time before.
    settings |= {"falco__silent_seconds": "0"}

    async with EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch:
        async with agent(tmp_path, cloudwatch.url, enrich__mode="none", **settings) as running:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await cloudwatch.until(lambda: cloudwatch.count("falco") >= len(session.ALERTS) + len(others))
            assert await running.terminate() == 0
        arrived = [event.message for event in cloudwatch.events("falco")]

    alerts = [message for message in arrived if b'"output":' in message and b'"source":"falcowatch"' not in message]
    assert sorted(alert[: alert.rfind(b',"falcowatch":{')] + b"}" for alert in alerts) == sorted(session.ALERTS)
    wrapped = [orjson.loads(message) for message in arrived if message.startswith(b'{"log":')]
    assert sorted(event["log"] for event in wrapped) == sorted(others)
    assert len(arrived) == len(alerts) + len(wrapped)


@captures
def test_the_capture_holds_the_lines_that_are_hard_to_read(capture: Path) -> None:
    (log,) = capture.glob("*/falco/0.log")
    packed, rotated, live = files_of(log)
    parts = [part for file in (packed, rotated, live) for part in parts_in(file)]

    assert (packed.suffix, live) == (".gz", log)
    assert {len(part) for part in parts} >= {PART_BYTES, len(session.UNFINISHED)}
    assert any(ends_inside_a_character(part) for part in parts)
