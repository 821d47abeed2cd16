"""The processes of an isolation scenario: an embedded CloudWatch, and the agent, optionally under a memory limit.

The embedded CloudWatch is a separate process, so that its memory and its event loop are not the test's. The agent's
memory is read from /proc; with a limit it also lives in a memory cgroup of its own (version 1 or 2), where the kernel
enforces the limit as kubelet would.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import resource
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from prometheus_client.parser import text_string_to_metric_families

from tests.process.driver import POD, Agent, environment

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.05
CHART_LIMIT_BYTES = 192 * 1024 * 1024
"""The chart's memory limit: 128 MiB plus four times the default budget."""
MAX_PEAK_BYTES = 160 * 1024 * 1024

_CGROUPS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)
_numbers = itertools.count()
_peaks: ContextVar[list[int]] = ContextVar("peaks")

Fault = Mapping[str, object]


@contextlib.contextmanager
def noting_peaks() -> Iterator[list[int]]:
    """The peak memory of each agent that ends during the block, in bytes."""
    peaks: list[int] = []
    token = _peaks.set(peaks)
    try:
        yield peaks
    finally:
        _peaks.reset(token)


class Stage:
    """A directory with log files, the URL of CloudWatch, and the running agent."""

    def __init__(self, place: Path, endpoint: str) -> None:
        self.place = place
        self.endpoint = endpoint
        self.live = place / "pods" / POD / "falco" / "0.log"
        self.live.parent.mkdir(parents=True, exist_ok=True)
        self._agent: Agent | None = None
        self._peak_bytes = 0

    @property
    def agent(self) -> Agent:
        assert self._agent is not None, "the agent was not started"
        return self._agent

    @property
    def pid(self) -> int:
        return self.agent.process.pid

    @property
    def is_alive(self) -> bool:
        return self.agent.process.returncode is None

    @property
    def peak_bytes(self) -> int:
        """Highest resident memory of the agent so far, also of one that has ended."""
        with contextlib.suppress(OSError, IndexError):
            status = Path(f"/proc/{self.pid}/status").read_text()
            self._peak_bytes = max(self._peak_bytes, int(status.partition("VmHWM:")[2].split()[0]) * 1024)
        return self._peak_bytes

    @asynccontextmanager
    async def running(
        self,
        *,
        started: bool = True,
        limit_bytes: int | None = None,
        descriptors: tuple[int, int] | None = None,
        variables: Mapping[str, str] | None = None,
        **settings: str,
    ) -> AsyncIterator[Agent]:
        """Run the agent during the block, which begins when it listens (`started`).

        Keyword `tail__paths` sets FALCOWATCH_TAIL__PATHS.
        """
        log_path = self.place / f"agent-{len(list(self.place.glob('agent-*.log')))}.log"
        group = _memory_group(limit_bytes)

        def prepare() -> None:
            if group is not None:
                (group / "cgroup.procs").write_text("0")
            if descriptors is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, descriptors)

        with log_path.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "agent.cli", "run"),
                env=environment(self.place, self.endpoint, **settings) | dict(variables or {}),
                stderr=output,
                preexec_fn=prepare,
            )
        self._agent = Agent(process, log_path)
        watching = asyncio.create_task(self._watch_memory())
        try:
            if started:
                await self._agent.url()
            yield self._agent
        finally:
            watching.cancel()
            _peaks.get([]).append(self.peak_bytes)
            if process.returncode is None:
                process.kill()
            await process.wait()
            if group is not None:
                with contextlib.suppress(OSError):
                    group.rmdir()

    async def _watch_memory(self) -> None:
        while True:
            _ = self.peak_bytes
            await asyncio.sleep(POLL_SECONDS)

    def append(self, *lines: bytes, path: Path | None = None) -> None:
        with (path or self.live).open("ab", buffering=0) as file:
            file.write(b"".join(lines))

    def rotate(self, suffix: str) -> Path:
        """Rename the live log as kubelet does, and create a new one."""
        rotated = self.live.with_name(f"{self.live.name}.{suffix}")
        self.live.rename(rotated)
        self.live.touch()
        return rotated

    async def set_faults(self, *faults: Fault) -> None:
        async with aiohttp.ClientSession() as http, http.put(f"{self.endpoint}/_faults", json=list(faults)) as reply:
            assert reply.status == 200, await reply.text()

    async def statistics(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as http, http.get(f"{self.endpoint}/_stats") as reply:
            found: dict[str, Any] = await reply.json()
            return found

    async def arrived(self, stream: str) -> int:
        """Number of events in the stream, such as `node-a` or `node-a/urgent`, in all groups."""
        groups = (await self.statistics())["groups"]
        return sum(streams.get(stream, {}).get("events", 0) for streams in groups.values())

    async def all_arrived(self) -> int:
        groups = (await self.statistics())["groups"]
        return sum(one["events"] for streams in groups.values() for one in streams.values())

    async def metrics(self) -> dict[str, float]:
        """The values on /metrics, each summed over its labels."""
        status, text = await self.agent.get("/metrics")
        assert status == 200, text
        sums: defaultdict[str, float] = defaultdict(float)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                sums[sample.name.removeprefix("falcowatch_")] += sample.value
        return dict(sums)

    async def until(self, reached: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> bool:
        """Whether `reached()` (a coroutine function) became true within `seconds`, while the agent lives."""
        try:
            async with asyncio.timeout(seconds):
                while self.is_alive:
                    with contextlib.suppress(aiohttp.ClientError):
                        if await reached():
                            return True
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            pass
        return False

    async def until_settled(self, seconds: float = PATIENCE_SECONDS) -> bool:
        """Whether everything that the agent has found is read and settled within `seconds`.

        A process that has read nothing may have nothing to read; it is given more time to find files.
        """
        quiet = 0

        async def settled() -> bool:
            nonlocal quiet
            now = await self.metrics()
            quiet = 0 if now["records_in_flight"] or now["lag_bytes"] else quiet + 1
            return quiet > (20 if now["records_read_total"] else 80)

        return await self.until(settled, seconds)


@asynccontextmanager
async def stage(place: Path, *, options: Sequence[str] = ()) -> AsyncIterator[Stage]:
    """An embedded CloudWatch as a process, and an empty log directory. `options` go to the embedded CloudWatch."""
    place.mkdir(parents=True, exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent.local.emulator", "--data", str(place / "cloudwatch"), *options),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        first = (await process.stdout.readline()).decode()
        yield Stage(place, first.removeprefix("listening on ").strip())
    finally:
        process.kill()
        await process.communicate()


def _memory_group(limit_bytes: int | None) -> Path | None:
    """A new memory cgroup with this limit; None where cgroups are not writable (memory is then only measured)."""
    if limit_bytes is None:
        return None
    for root, file in _CGROUPS:
        group = root / f"falcowatch-test-{os.getpid()}-{next(_numbers)}"
        with contextlib.suppress(OSError):
            group.mkdir()
            try:
                (group / file).write_text(str(limit_bytes))
            except OSError:
                group.rmdir()
                continue
            with contextlib.suppress(OSError):
                (group / re.sub(r"memory\..*", "memory.swappiness", file)).write_text("0")
            return group
    return None


def log_entries(agent: Agent) -> list[dict[str, Any]]:
    """All JSON lines of the agent's log."""
    found = []
    for line in agent.log_path.read_bytes().splitlines():
        with contextlib.suppress(orjson.JSONDecodeError):
            found.append(orjson.loads(line))
    return found
