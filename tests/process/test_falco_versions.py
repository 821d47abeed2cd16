"""Alerts of the supported versions of Falco arrive byte for byte: captured ones, and some shaped like the newest."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from agent.core.falco_output import output_of
from agent.local.emulator import EmbeddedCloudWatch
from tests.process.driver import PATIENCE_SECONDS, agent, append, container, cri

FALCO = Path(__file__).parents[1] / "data/falco"
CAPTURED_ON = datetime(2026, 11, 23, 9, tzinfo=UTC)


@pytest.fixture
async def cloudwatch(tmp_path: Path) -> AsyncIterator[EmbeddedCloudWatch]:
    async with EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as endpoint:
        yield endpoint


def lines_of(version: str) -> list[bytes]:
    """The alerts, with their times moved close to now and their order kept."""
    delta = datetime.now(UTC) - CAPTURED_ON

    def moved(found: re.Match[bytes]) -> bytes:
        time = datetime.fromisoformat(found[1].decode()).replace(tzinfo=UTC) + delta
        return f'"time":"{time:%Y-%m-%dT%H:%M:%S}'.encode()

    lines = b"".join(path.read_bytes() for path in sorted(FALCO.rglob(f"{version}-*.jsonl"))).split(b"\n")
    return [re.sub(rb'"time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)', moved, line) for line in lines if line]


@pytest.mark.parametrize("version", ["0.40.0", "0.44.1", "0.45.0"])
async def test_each_line_arrives_byte_for_byte_and_once(
    tmp_path: Path, cloudwatch: EmbeddedCloudWatch, version: str
) -> None:
    lines = lines_of(version)
    append(container(tmp_path) / "0.log", *map(cri, lines))

    async with agent(tmp_path, cloudwatch.url, enrich__mode="none", falco__missing_seconds="0") as running:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await cloudwatch.until(lambda: cloudwatch.count("falco") >= len(lines))
        assert await running.terminate() == 0

    arrived = [event.message for event in cloudwatch.events("falco")]
    of_falco = [message for message in arrived if b'"source":"falcowatch"' not in message]
    assert sorted(message.rpartition(b',"falcowatch":')[0] + b"}" for message in of_falco) == sorted(lines)


def test_the_lines_of_the_newest_version_have_escapes_and_times_that_go_back() -> None:
    lines = lines_of("0.45.0")
    times = [orjson.loads(line)["time"] for line in lines]

    assert b"".join(lines).count(b"\\u0000") == b"".join(lines).count(b"\\u001b") == 2
    assert times != sorted(times)
    assert max(times) > (datetime.now(UTC) - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize("version", ["0.40.0", "0.44.1", "0.45.0"])
def test_the_text_of_an_alert_is_known_as_text(version: str) -> None:
    """With `json_output: false`, Falco prints the key `output`; 0.45 escapes control characters in it as in JSON."""
    for line in lines_of(version):
        text = orjson.loads(line).get("output")
        if text is None or orjson.loads(line)["source"] == "internal":
            continue
        log = cri(orjson.dumps(text)[1:-1])

        assert output_of(log, log).format == "text"
