"""Kills the agent many times while CloudWatch misbehaves, then compares the written records with those that arrived.

`python -m tests.resume.killing --kills 50 --seed 1` runs for some minutes and prints the counts; the tests run a few
kills. The embedded CloudWatch is a separate process, so it shares nothing with the agent.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from agent.local.emulator import EmbeddedCloudWatch
from tests.process.driver import Agent, agent, alert, append, container, cri

PATIENCE_SECONDS = 120.0
FAULTS = (
    {"kind": "slow", "operation": "PutLogEvents", "probability": 0.5, "seconds": 0.5, "accepted": True},
    {"kind": "throttle", "operation": "PutLogEvents", "probability": 0.2},
    {"kind": "error", "operation": "GetLogEvents", "probability": 0.2},
)
"""A put that was accepted, and whose answer has not arrived when the agent is killed, may be sent twice."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The counts of one run, in records."""

    kills: int
    written: int
    lost: int
    duplicated: int
    """Number of events beyond the first of each record."""
    false_gaps: int
    """Gap events. Nothing is deleted in a run, so every gap event is false."""


class Writer:
    """Writes numbered lines as a container runtime does: alerts, plain text, partial lines and rotations."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.written = 0
        self._directory = directory
        self._random = random.Random(seed)
        self._rotations = 0

    async def write(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._write_some()
            await asyncio.sleep(0.05)

    def _write_some(self) -> None:
        live = self._directory / "0.log"
        for _ in range(self._random.randrange(40)):
            number, self.written = self.written, self.written + 1
            kind = self._random.random()
            if kind < 0.05:
                append(live, cri(b"plain %d" % number))
                continue
            line = alert(number, priority="Critical" if kind < 0.15 else "Notice")
            if kind > 0.9:
                append(live, cri(line[:50], tag="P"))
                if kind > 0.9995:
                    self._rotate(live)  # the record ends in the next file
                line = line[50:]
            append(live, cri(line))
        if self._random.random() < 0.01:
            self._rotate(live)

    def _rotate(self, live: Path) -> None:
        self._rotations += 1
        live.rename(live.with_name(f"0.log.20261123-{100000 + self._rotations:06d}"))
        live.touch()


@asynccontextmanager
async def cloudwatch_process(data: Path) -> AsyncIterator[str]:
    """Run the embedded CloudWatch with `FAULTS` as a process. Yields its URL."""
    faults = [word for fault in FAULTS for word in ("--fault", json.dumps(fault))]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent.local.emulator", "--data", str(data), *faults),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = (await process.stdout.readline()).decode()
        yield line.removeprefix("listening on ").strip()
    finally:
        process.terminate()
        await process.communicate()


async def kill_again_and_again(place: Path, *, kills: int, seed: int, resume: str, express_bytes: int) -> Outcome:
    """Kill the agent `kills` times. The last process runs until everything has arrived."""
    chance = random.Random(seed)
    writer = Writer(container(place), seed)
    stop = asyncio.Event()
    settings = {"cloudwatch__resume": resume, "falco__express_bytes": str(express_bytes)}
    async with cloudwatch_process(place / "cloudwatch") as url, asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(writer.write(stop))
        for _ in range(kills):
            async with agent(place, url, **settings) as running:
                await _until(running, "resumed" if chance.random() < 0.7 else "agent started")
                await asyncio.sleep(chance.uniform(0.0, 1.5))
        stop.set()
        await writing
        async with agent(place, url, **settings) as running:
            await _until_all_is_settled(running, writer.written)
            assert await running.terminate() == 0
    async with EmbeddedCloudWatch(data_dir=place / "cloudwatch") as stored:
        events = [orjson.loads(event.message) for event in stored.events("falco")]
    own = [event for event in events if event.get("source") == "falcowatch"]
    arrived = Counter(_number(event) for event in events if event.get("source") != "falcowatch")
    return Outcome(
        kills,
        writer.written,
        lost=writer.written - len(arrived),
        duplicated=sum(count - 1 for count in arrived.values()),
        false_gaps=sum(event.get("rule") == "Falcowatch: gap" for event in own),
    )


async def _until(running: Agent, event: str) -> None:
    """Wait for this log event, at most 8 s: a start without an unfinished put before it logs no `resumed`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(8):
            while not running.logged(event):
                await asyncio.sleep(0.02)


async def _until_all_is_settled(running: Agent, written: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            _, body = await running.get("/status")
            report = orjson.loads(body)
            if report["books"]["read"] and not report["lag_bytes"]:
                return
            await asyncio.sleep(0.1)


def _number(event: dict[str, Any]) -> int:
    return int(event["output"] if "output" in event else event["log"].removeprefix("plain "))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", choices=("exact", "at_least_once"), default="exact")
    parser.add_argument("--express-bytes", type=int, default=20_000, help="backlog that starts the urgent scan")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        outcome = asyncio.run(
            kill_again_and_again(
                Path(place),
                kills=given.kills,
                seed=given.seed,
                resume=given.resume,
                express_bytes=given.express_bytes,
            )
        )
    sys.stdout.write(f"{outcome}\n")
    sys.exit(1 if outcome.lost or outcome.false_gaps or (given.resume == "exact" and outcome.duplicated) else 0)


if __name__ == "__main__":
    main()
