"""The books balance in every scrape, while records are read, filtered, shipped, rejected, on a slow disk too."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.app import Agent
from agent.local.emulator import EmbeddedCloudWatch
from agent.telemetry.metrics import Snapshot
from tests.process.driver import alert, append, container, cri
from tests.selfmonitor.whole_agent import aws_environment, built, running, until

DAYS = 24 * 3600


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    aws_environment(monkeypatch, tmp_path)


def unaccounted(sample: Snapshot) -> int:
    settled = sum(sample.total(f"records_{way}_total") for way in ("shipped", "filtered", "rejected"))
    return int(sample.value("records_read_total") - settled - sample.value("records_in_flight"))


@asynccontextmanager
async def scraped(agent: Agent) -> AsyncIterator[list[int]]:
    """Scrapes in every iteration of the event loop that leaves room for it; yields what did not add up."""
    wrong: list[int] = []

    async def scrape() -> None:
        while True:
            if missing := unaccounted(agent.parts.telemetry.snapshot()):
                wrong.append(missing)
            if missing := agent.status.books().unaccounted:
                wrong.append(missing)
            await asyncio.sleep(0)

    async with running(scrape()):
        yield wrong


def alert_of(day: float, number: int, **fields: str) -> bytes:
    written = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - day * DAYS)).encode()
    line = alert(number, **fields)
    at = line.index(b'"time":"') + len(b'"time":"')
    return line[:at] + written + line[at + len(written) :]


async def test_the_books_balance_in_every_scrape_while_dead_letters_are_written_on_a_slow_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_down_dead_letters(monkeypatch)
    live = container(tmp_path) / "0.log"
    rules = {"minimum_priority": "notice", "storm_limit": 3, "storm_keys": ["container.id"]}
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(
            tmp_path,
            cloudwatch.url,
            falco=rules,
            tail={"root": tmp_path / "pods", "max_record_bytes": 4 * 1024 * 1024},
        ) as agent,
        running(agent.parts.reader.run(), agent.parts.shipper.run(), agent.parts.duplicates.run()),
        scraped(agent) as wrong,
    ):
        for number in range(30):
            append(
                live,
                cri(alert(number)),
                cri(alert(number, rule=f"rule {number}")),
                cri(alert(number, priority="Debug")),
                cri(alert_of(30, number, rule=f"old {number}")),
                cri(alert_of(30, number, priority="Critical")),
                cri(b"text"),
            )
            if number == 10:
                append(live, cri(alert(number)[:-1] + b',"fat":"' + b"x" * (1 << 20) + b'"}'))
            await asyncio.sleep(0.02)
        agent.parts.duplicates.publish(at_once=True)
        await until(lambda: agent.status.books().read >= 181 and not agent.status.books().in_flight)

    assert wrong == []
    assert agent.status.books().balanced


def slow_down_dead_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    from agent.deadletters import store

    append_now: Any = store.DeadLetterStore.append

    def append_slowly(self: store.DeadLetterStore, letters: Any) -> int:
        time.sleep(0.05)
        count: int = append_now(self, letters)
        return count

    monkeypatch.setattr(store.DeadLetterStore, "append", append_slowly)
