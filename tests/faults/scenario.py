"""One scenario against the real process, and the proof at its end."""

import asyncio
import json
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from sys import executable

import aiohttp
import orjson
from prometheus_client.parser import text_string_to_metric_families

from agent.local.emulator import EmbeddedCloudWatch
from tests.faults.writers import DELETES, LEAVES_NO_TRACE, WRITERS, Writer
from tests.process.driver import Agent, environment

PATIENCE_SECONDS = 120.0
BUDGET_BYTES = 16 * 1024 * 1024
QUIET_SECONDS = 2.5
"""More than two scans: whatever there is to be found has been found."""

WEATHER: dict[str, dict[str, object]] = {
    "throttled": {"kind": "throttle", "probability": 0.5},
    "quota": {"kind": "throttle", "per_second": 3.0},
    "error-500": {"kind": "error", "status": 500, "probability": 0.5},
    "error-503": {"kind": "error", "status": 503, "probability": 0.5},
    "slow": {"kind": "slow", "seconds": 0.5, "probability": 0.5},
    "hang": {"kind": "hang", "probability": 0.3},
    "reset-before": {"kind": "reset", "probability": 0.4},
    "reset-after": {"kind": "reset", "probability": 0.4, "accepted": True},
    "closed-after": {"kind": "close", "probability": 0.4, "accepted": True},
    "late-after": {"kind": "error", "status": 500, "probability": 0.3, "accepted": True},
    "denied": {"kind": "denied"},
    "expired": {"kind": "expired_token"},
    "bad-key": {"kind": "invalid_token"},
    "missing": {"kind": "error", "status": 400, "code": "ResourceNotFoundException", "probability": 0.3},
    "dead": {"kind": "reset", "operation": "*"},
}
TAKES_BUT_DOES_NOT_SAY = {"reset-after", "closed-after", "late-after", "hang"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is written, how the files are kept, what happens to the process and to CloudWatch."""

    name: str
    seed: int = 0
    writer: str = "kubelet"
    bursts: int = 60
    kills: int = 0
    terminations: int = 0
    weather: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def may_lose(self) -> bool:
        """Files are deleted while nobody is there to hold them."""
        return self.writer in DELETES and bool(self.kills + self.terminations)


@dataclass(slots=True)
class Outcome:
    """What the proof found."""

    written: int = 0
    lost: list[int] = field(default_factory=list)
    duplicated: int = 0
    duplicated_bytes: int = 0
    in_flight_bytes: int = 0
    """Bytes read in a life and not on record as settled at its end, summed over all lives: what may be sent twice."""
    gap_bytes: int = 0
    gaps: int = 0
    kills: int = 0
    terminations: int = 0
    problems: list[str] = field(default_factory=list)

    def line(self) -> str:
        return (
            f"written {self.written:6} lost {len(self.lost):4} duplicated {self.duplicated:6} "
            f"({self.duplicated_bytes} of {self.in_flight_bytes} bytes in flight) "
            f"gaps {self.gaps} ({self.gap_bytes} bytes)"
            f" kills {self.kills} terminations {self.terminations}"
        )


class World:
    """A node's files, a CloudWatch and an agent, each as it would be outside."""

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
                env=environment(self.place, self.endpoint, **settings),
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
        """As kubelet does it; an exit code other than 0, or one that comes too late, is a problem."""
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
            self._count_in_flight(read)  # what a drain that met its deadline left behind is sent again

    async def set_weather(self, name: str | None) -> None:
        faults = [] if name is None else [{"operation": "PutLogEvents", **WEATHER[name]}]
        url = f"{self.endpoint}/_faults?seed={self.random.randrange(1 << 30)}"
        async with aiohttp.ClientSession() as session, session.put(url, data=orjson.dumps(faults)) as answer:
            assert answer.status == 200, await answer.text()

    async def metrics(self) -> dict[str, float]:
        """Sums over all labels."""
        assert self.agent is not None
        status, text = await self.agent.get("/metrics")
        assert status == 200
        sums: defaultdict[str, float] = defaultdict(float)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                sums[sample.name.removeprefix("falcowatch_")] += sample.value
        return dict(sums)

    async def _read_bytes(self) -> float:
        """In this life; while it starts and does not say, what it can have in flight: the budget, or all there is."""
        try:
            async with asyncio.timeout(0.5):
                return (await self.metrics())["read_bytes_total"]
        except (TimeoutError, aiohttp.ClientError, AssertionError):
            return min(BUDGET_BYTES, self.writer.written_bytes - self._committed_at_start)

    def _count_in_flight(self, read: float) -> None:
        on_record = self._committed_bytes() - self._committed_at_start
        self.outcome.in_flight_bytes += max(0, int(read) - on_record)

    def _committed_bytes(self) -> int:
        try:
            files = json.loads((self.place / "state" / "checkpoint.json").read_bytes())["files"]
        except FileNotFoundError:
            return 0
        return sum(position["offset"] for position in files.values())


async def run(scenario: Scenario, place: Path) -> Outcome:
    """Plays it in an empty directory and proves what came of it."""
    place.mkdir(parents=True, exist_ok=True)
    outcome = Outcome()
    world = World(place, scenario, outcome)
    async with cloudwatch(place / "cloudwatch") as endpoint:
        world.endpoint = endpoint
        world.writer.start()
        await world.start_agent()
        try:
            await found(world)
            async with asyncio.TaskGroup() as acts:
                writing = acts.create_task(_write(world))
                acts.create_task(_trouble_the_process(world, writing))
                acts.create_task(_change_the_weather(world, writing))
            await world.set_weather(None)
            try:
                await settled(world)
            except TimeoutError:
                outcome.problems.append(f"not settled after {PATIENCE_SECONDS:.0f} s: {await world.metrics()}"[:600])
            await world.terminate()
        finally:
            if world.agent is not None and world.agent.process.returncode is None:
                world.agent.process.kill()
                await world.agent.process.wait()
    await prove(world)
    return outcome


async def found(world: World) -> None:
    """Until the first file is in hand, and on record: what is rotated away before that is none of ours."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not ((await world.metrics())["files_open"] and (world.place / "state" / "checkpoint.json").exists()):
            await asyncio.sleep(0.05)


async def _write(world: World) -> None:
    for _ in range(world.scenario.bursts):
        world.writer.burst(40)
        await asyncio.sleep(world.random.random() * 0.06)


async def _trouble_the_process(world: World, writing: asyncio.Task[None]) -> None:
    """Kills and terminations, in a random order, at random moments; those that are left when writing is done follow."""
    deeds = [world.kill] * world.scenario.kills + [world.terminate] * world.scenario.terminations
    world.random.shuffle(deeds)
    for deed in deeds:
        # Now and then while it starts.
        if world.agent is not None and world.random.random() < 0.8:
            await world.agent.url()
        pause = world.random.choice((0.1, 0.7, 1.0, 1.5, 2.5))
        await asyncio.sleep(pause * world.random.random())
        if writing.done():
            world.writer.burst(40)
        await deed()
        if world.random.random() < 0.3:
            world.writer.burst(40)
        await world.start_agent()


async def _change_the_weather(world: World, writing: asyncio.Task[None]) -> None:
    while world.scenario.weather and not writing.done():
        await world.set_weather(world.random.choice(world.scenario.weather))
        await asyncio.sleep(0.2 + world.random.random())
        if world.random.random() < 0.5:
            await world.set_weather(None)
            await asyncio.sleep(world.random.random() * 0.5)


async def settled(world: World) -> float:
    """Until the agent says that everything is read and shipped, which it must in the end; since when, monotonic."""
    quiet_since = time.monotonic()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while time.monotonic() - quiet_since < QUIET_SECONDS:
            await asyncio.sleep(0.2)
            books = await world.metrics()
            balance = sum(books.get(f"records_{fate}_total", 0) for fate in ("shipped", "filtered", "rejected"))
            balance += books["records_in_flight"]
            if books["records_read_total"] != balance:
                world.outcome.problems.append(f"books: read {books['records_read_total']:.0f}, accounted {balance:.0f}")
            if books["records_in_flight"] or books["lag_bytes"]:
                quiet_since = time.monotonic()
    return quiet_since


async def prove(world: World) -> None:
    outcome, scenario = world.outcome, world.scenario
    outcome.written = world.writer.written
    arrived: Counter[int] = Counter()
    owner: dict[str, int] = {}
    sizes: dict[int, int] = {}
    async with EmbeddedCloudWatch(world.place / "cloudwatch") as arrivals:
        for event in arrivals.events("falco"):
            said = orjson.loads(event.message)
            if said.get("rule") == "Falcowatch: gap":
                outcome.gaps += 1
                outcome.gap_bytes += said["output_fields"]["bytes"]
            fields = said.get("output_fields", {})
            if "evt.n" in fields:
                number = fields["evt.n"]
                arrived[number] += 1
                sizes[number] = len(event.message)
                if owner.setdefault(said["falcowatch"]["id"], number) != number:
                    outcome.problems.append(f"id {said['falcowatch']['id']} stands for two records")
    outcome.lost = [number for number in range(outcome.written) if not arrived[number]]
    outcome.duplicated = sum(count - 1 for count in arrived.values())
    outcome.duplicated_bytes = sum((count - 1) * sizes[number] for number, count in arrived.items())
    if unknown := set(arrived) - set(range(outcome.written)):
        outcome.problems.append(f"arrived and never written: {sorted(unknown)[:5]}")
    if outcome.lost and not (scenario.may_lose and (outcome.gaps or scenario.writer in LEAVES_NO_TRACE)):
        outcome.problems.append(f"lost without a word: {len(outcome.lost)}, first {outcome.lost[:5]}")
    if outcome.gaps and not scenario.may_lose:
        outcome.problems.append(f"a gap of {outcome.gap_bytes} bytes where nothing was deleted")
    resends = scenario.kills or scenario.terminations or TAKES_BUT_DOES_NOT_SAY & set(scenario.weather)
    if outcome.duplicated and not resends:
        outcome.problems.append(f"sent twice without a reason: {outcome.duplicated}")


@asynccontextmanager
async def cloudwatch(data: Path) -> AsyncIterator[str]:
    """The embedded CloudWatch as a process of its own."""
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
