"""A simulation of many nodes on a simulated clock: the agent's pace, slots and backoff with one account's quota.

Each node sends as `agent.ship.shipper` does, with its constants and the classes of `agent.flow`. Files, memory and
encoding do not affect the quota and are left out. The simulation assumes that urgent alerts are found at once, which is
the task of the urgent scan. All random numbers come from one seed.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from agent.core.backoff import Backoff
from agent.core.batching.limits import EVENT_OVERHEAD_BYTES, MOST_BYTES, MOST_EVENTS
from agent.flow.pace import Pace
from agent.flow.slots import Slots
from agent.settings import Settings
from agent.ship.retries import ROUTINE_BACKOFF, URGENT_BACKOFF
from agent.ship.shipper import FEWEST_DELIVERIES, NEARLY_FULL, URGENT_PACE_FACTOR

ALERT_BYTES = 1_700
"""Size of an alert of 1 KB with pod metadata, as PutLogEvents counts it."""

COUNTED_BYTES = ALERT_BYTES + EVENT_OVERHEAD_BYTES
FULL = min(MOST_EVENTS, MOST_BYTES // COUNTED_BYTES)
"""Number of alerts in a full batch."""

PUT_SECONDS = (0.02, 0.08)
"""Shortest and longest duration of a put within the region: an assumption, evenly distributed."""

MOST_NODES = 250
"""Number of nodes that are simulated for a larger fleet, with their share of the quota."""

LONGEST_SECONDS = 4 * 3600.0
"""The simulation ends then; a storm that is still not delivered counts as delivered at this time."""


@dataclass(frozen=True, slots=True)
class Load:
    """Alerts a second on each node. A storm adds routine alerts for a limited time."""

    routine: float
    urgent: float
    storm: float = 0.0
    storm_seconds: float = 0.0
    storm_starts_at: float = 5.0

    @property
    def storm_ends_at(self) -> float:
        return self.storm_starts_at + self.storm_seconds


@dataclass(slots=True)
class Latency:
    """Times from alert to acknowledgement. Each batch counts with the time of its middle alert."""

    seen: list[tuple[float, int]] = field(default_factory=list)

    def percentile(self, percent: float) -> float:
        ordered = sorted(self.seen)
        rank = percent / 100 * sum(events for _, events in ordered)
        for seconds, events in ordered:
            rank -= events
            if rank <= 0:
                return seconds
        return ordered[-1][0] if ordered else 0.0


@dataclass(slots=True)
class Outcome:
    """The result of a simulation."""

    nodes: int = 0
    """Number of simulated nodes."""
    puts: int = 0
    throttled: int = 0
    alerts: int = 0
    seconds: float = 0.0
    """Simulated time."""
    latency: dict[str, Latency] = field(default_factory=lambda: {"routine": Latency(), "urgent": Latency()})
    drained_at: list[float] = field(default_factory=list)
    """Times at which the nodes had delivered their part of the storm, sorted."""


def run(nodes: int, quota: float, load: Load, seed: int, seconds: float = LONGEST_SECONDS) -> Outcome:
    """Simulate nodes with default settings. A storm ends the simulation when all nodes have delivered it.

    Alerts that are not delivered at the end count with the time that they have waited so far.
    """
    outcome = Outcome()
    part = min(nodes, MOST_NODES)
    account = Account(quota * part / nodes, Random(seed), outcome)
    with asyncio.Runner(loop_factory=SimulatedClockLoop) as runner:
        runner.run(_live(part, account, load, seconds))
    outcome.drained_at.sort()
    outcome.nodes = part
    return outcome


async def _live(nodes: int, account: Account, load: Load, seconds: float) -> None:
    outcome = account.outcome
    fleet: list[Node] = []
    try:
        async with asyncio.timeout(seconds) as deadline, asyncio.TaskGroup() as tasks:

            def drained() -> None:
                outcome.drained_at.append(account.now())
                if len(outcome.drained_at) == nodes:
                    deadline.reschedule(account.now())

            for _ in range(nodes):
                fleet.append(Node(account, load, tasks, drained))
    except TimeoutError:
        outcome.seconds = account.now()
    for node in fleet:
        node.note_unfinished()


class Account:
    """The account's quota: a token bucket of one second."""

    def __init__(self, quota: float, random: Random, outcome: Outcome) -> None:
        self.random = random
        self.outcome = outcome
        self._pace = Pace(quota, self.now, burst=max(1.0, quota))

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def put(self) -> bool:
        """Attempt one put. False: throttled."""
        one_way_seconds = self.random.uniform(*PUT_SECONDS) / 2
        await asyncio.sleep(one_way_seconds)
        admitted = self._pace.delay_seconds() <= 0
        if admitted:
            self._pace.spend()
            self.outcome.puts += 1
        else:
            self.outcome.throttled += 1
        await asyncio.sleep(one_way_seconds)
        return admitted


class Arrivals:
    """Times of arriving alerts: evenly at a rate, with an additional rate between two times."""

    def __init__(self, phase: float, rate: float, extra: float, starts_at: float, ends_at: float) -> None:
        self._phase = phase
        self._rate = rate
        self._extra = extra
        self._starts_at = starts_at
        self._ends_at = ends_at
        self._before = phase + rate * starts_at
        self._after = phase + rate * ends_at + extra * (ends_at - starts_at)

    def count(self, now: float) -> int:
        """Number of alerts that have arrived."""
        extra_seconds = min(max(now - self._starts_at, 0.0), self._ends_at - self._starts_at)
        # `count` and `time_of` are inverse functions except for rounding; an alert that arrives now is counted.
        return math.floor(self._phase + self._rate * now + self._extra * extra_seconds + 1e-6)

    def time_of(self, number: int) -> float:
        """Arrival time of the alert with this number. The first alert is number 1."""
        if number <= self._before:
            return max(0.0, (number - self._phase) / self._rate)
        if number <= self._after:
            return self._starts_at + (number - self._before) / (self._rate + self._extra)
        return self._ends_at + (number - self._after) / self._rate


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Alerts `first` to `last` of a lane."""

    first: int
    last: int

    @property
    def alerts(self) -> int:
        return self.last - self.first + 1


class Lane:
    """One lane of a node: a model of `agent.ship.stream_queue` and of the pump that empties it."""

    def __init__(self, name: str, arrivals: Arrivals, pace: Pace, backoff: Backoff, most_deliveries: int) -> None:
        self.name = name
        self.urgent = name == "urgent"
        self.arrivals = arrivals
        self.pace = pace
        self.backoff = backoff
        self.taken = 0
        self.in_flight: set[Batch] = set()
        self.room = asyncio.Semaphore(max(FEWEST_DELIVERIES, most_deliveries))
        """Bounds the batches that are taken and not settled."""

    def filled(self, now: float) -> bool:
        return self.arrivals.count(now) - self.taken >= FULL

    def take(self, now: float) -> Batch:
        batch = Batch(self.taken + 1, min(self.arrivals.count(now), self.taken + FULL))
        self.taken = batch.last
        self.in_flight.add(batch)
        return batch

    def latency_seconds(self, batch: Batch, now: float) -> float:
        return now - self.arrivals.time_of((batch.first + batch.last) // 2)


class Node:
    """The shipper of one simulated node."""

    def __init__(self, account: Account, load: Load, tasks: asyncio.TaskGroup, drained: Callable[[], None]) -> None:
        settings = Settings()
        cloudwatch = settings.cloudwatch
        self._account = account
        self._tasks = tasks
        self._linger_seconds = cloudwatch.linger_seconds
        self._slots = Slots(cloudwatch.concurrency)
        self._drained = drained
        now, phase = account.now, account.random.random
        routine = load.routine + (1 / settings.heartbeat_seconds if settings.heartbeat_seconds else 0.0)
        storm = (load.storm, load.storm_starts_at, load.storm_ends_at)
        urgent_rate = cloudwatch.max_puts_per_second * URGENT_PACE_FACTOR
        pace = Pace(cloudwatch.max_puts_per_second, now)
        urgent_pace = Pace(urgent_rate, now, burst=max(1.0, urgent_rate))
        self._lanes = (
            Lane("routine", Arrivals(phase(), routine, *storm), pace, ROUTINE_BACKOFF, cloudwatch.concurrency),
            Lane(
                "urgent",
                Arrivals(phase(), load.urgent, 0.0, 0.0, 0.0),
                urgent_pace,
                URGENT_BACKOFF,
                cloudwatch.concurrency,
            ),
        )
        self._last_of_storm = self._lanes[0].arrivals.count(load.storm_ends_at) if load.storm else 0
        self._left_of_storm = self._last_of_storm
        for lane in self._lanes:
            tasks.create_task(self._pump(lane))

    def note_unfinished(self) -> None:
        now = self._account.now()
        for lane in self._lanes:
            if lane.arrivals.count(now) > lane.taken:
                lane.take(now)
            for batch in lane.in_flight:
                self._note_latency(lane, batch)

    async def _pump(self, lane: Lane) -> None:
        while True:
            await self._until(lane.arrivals.time_of(lane.taken + 1))
            await lane.room.acquire()
            await self._until_due(lane)
            await self._slots.acquire(urgent=lane.urgent)
            if not lane.filled(self._account.now()):
                lane.pace.spend()
            batch = lane.take(self._account.now())
            self._tasks.create_task(self._ship(lane, batch))

    async def _until_due(self, lane: Lane) -> None:
        now = self._account.now
        filled_at = lane.arrivals.time_of(lane.taken + FULL)
        while not lane.filled(now()) and (delay := lane.pace.delay_seconds()):
            await self._until(min(filled_at, now() + delay))
        waiting = lane.arrivals.count(now()) - lane.taken
        if not lane.urgent and waiting * COUNTED_BYTES >= NEARLY_FULL * MOST_BYTES:
            await self._until(min(filled_at, lane.arrivals.time_of(lane.taken + 1) + self._linger_seconds))

    async def _ship(self, lane: Lane, batch: Batch) -> None:
        try:
            await self._deliver(lane)
        finally:
            self._slots.release(urgent=lane.urgent)
        lane.room.release()
        lane.in_flight.remove(batch)
        self._account.outcome.alerts += batch.alerts
        self._note_latency(lane, batch)
        if not lane.urgent and batch.first <= self._last_of_storm:
            self._left_of_storm -= min(batch.last, self._last_of_storm) - batch.first + 1
            if self._left_of_storm == 0:
                self._drained()

    async def _deliver(self, lane: Lane) -> None:
        failures = 0
        while not await self._account.put():
            failures += 1
            self._slots.throttled(urgent=lane.urgent)
            await asyncio.sleep(lane.backoff.seconds(failures, self._account.random.random()))
            if not lane.urgent:
                await self._slots.pause_ended()
        self._slots.succeeded(urgent=lane.urgent)

    async def _until(self, time: float) -> None:
        if (seconds := time - self._account.now()) > 0:
            await asyncio.sleep(seconds)

    def _note_latency(self, lane: Lane, batch: Batch) -> None:
        seconds = lane.latency_seconds(batch, self._account.now())
        self._account.outcome.latency[lane.name].seen.append((seconds, batch.alerts))


class SimulatedClockLoop(asyncio.SelectorEventLoop):
    """An event loop with a simulated clock, which jumps to the next timer. It never waits for I/O."""

    def __init__(self) -> None:
        self.seconds = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self.seconds


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop: SimulatedClockLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.seconds += timeout or 0.0
        return []
