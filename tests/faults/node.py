"""The node of a scenario: log files with their writer, an embedded CloudWatch, and the agent as a real process."""

import asyncio
import json
import random
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from sys import executable

import aiohttp
import orjson
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.scenario import CLOUDWATCH_FAULTS, Outcome, Scenario
from tests.faults.writers import WRITERS, Writer
from tests.process.driver import Agent, environment

PATIENCE_SECONDS = 120.0
BUDGET_BYTES = 16 * 1024 * 1024


class Node:
    """The files of a node, the URL of CloudWatch, and the running agent."""

    def __init__(self, place: Path, scenario: Scenario, outcome: Outcome) -> None:
        self.place = place
        self.scenario = scenario
        self.outcome = outcome
        self.writer: Writer = WRITERS[scenario.writer](place, scenario.seed)
        self.random = random.Random(scenario.seed)
        self.endpoint = ""
        self.agent: Agent | None = None
        self._starts = 0
        self._committed_at_start = 0

    async def start_agent(self) -> Agent:
        self._committed_at_start = self._committed_bytes()
        log_path = self.place / f"agent-{self._starts}.log"
        self._starts += 1
        settings = {"cloudwatch__timeout_seconds": "2", "drain_seconds": "5"}
        settings |= self.writer.settings() | dict(self.scenario.settings)
        with log_path.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                executable,
                "-m",
                "agent.cli",
                "run",
                stderr=output,
                env=environment(self.place, self.endpoint, **({"heartbeat_seconds": "0.7"} | settings)),
            )
        self.agent = Agent(process, log_path)
        return self.agent

    async def kill(self) -> None:
        if self.agent is not None:
            read = await self._read_bytes()
            self.agent.process.kill()
            await self.agent.process.wait()
            self.outcome.kills += 1
            self._count_in_flight(read)

    async def terminate(self) -> None:
        """Stop the agent as kubelet does. An exit code other than 0, or a late exit, is a problem."""
        if self.agent is not None:
            await self.agent.url()
            read = await self._read_bytes()
            self.agent.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            async with asyncio.timeout(30):
                code = await self.agent.process.wait()
            self.outcome.terminations += 1
            if code != 0 or time.monotonic() - began > 15:
                self.outcome.problems.append(f"SIGTERM: exit code {code} after {time.monotonic() - began:.1f} s")
            self._count_in_flight(read)  # records left after the drain's deadline are sent again

    async def set_fault(self, name: str | None) -> None:
        """Set one of `CLOUDWATCH_FAULTS` for PutLogEvents; None: no fault."""
        faults = [] if name is None else [{"operation": "PutLogEvents", **CLOUDWATCH_FAULTS[name]}]
        url = f"{self.endpoint}/_faults?seed={self.random.randrange(1 << 30)}"
        async with aiohttp.ClientSession() as session, session.put(url, data=orjson.dumps(faults)) as answer:
            assert answer.status == 200, await answer.text()

    async def metrics(self) -> dict[str, float]:
        """The values on /metrics, each summed over its labels."""
        assert self.agent is not None
        status, text = await self.agent.get("/metrics")
        assert status == 200
        sums: defaultdict[str, float] = defaultdict(float)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                sums[sample.name.removeprefix("falcowatch_")] += sample.value
        return dict(sums)

    async def _read_bytes(self) -> float:
        """Bytes read by this process. A process that does not answer yet has read at most its budget."""
        try:
            async with asyncio.timeout(0.5):
                return (await self.metrics())["read_bytes_total"]
        except (TimeoutError, aiohttp.ClientError, AssertionError):
            return min(BUDGET_BYTES, self.writer.written_bytes - self._committed_at_start)

    def _count_in_flight(self, read: float) -> None:
        committed = self._committed_bytes() - self._committed_at_start
        self.outcome.in_flight_bytes += max(0, int(read) - committed)

    def _committed_bytes(self) -> int:
        try:
            files = json.loads((self.place / "state" / "checkpoint.json").read_bytes())["files"]
        except FileNotFoundError:
            return 0
        return sum(position["offset"] for position in files.values())


async def first_file_is_open(node: Node) -> None:
    """Wait until the first file is open and in the checkpoint. Files rotated away before are not in the promise."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not ((await node.metrics())["files_open"] and (node.place / "state" / "checkpoint.json").exists()):
            await asyncio.sleep(0.05)


@asynccontextmanager
async def cloudwatch(data: Path) -> AsyncIterator[str]:
    """Run the embedded CloudWatch as a process. Yields its URL."""
    process = await asyncio.create_subprocess_exec(
        executable, "-m", "agent.local.emulator", "--data", str(data), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        first = (await process.stdout.readline()).decode()
        yield first.removeprefix("listening on ").strip()
    finally:
        process.terminate()
        await process.communicate()
