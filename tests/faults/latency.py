"""`python -m tests.faults.latency`: the time from the writing of a Critical to its acknowledgement, in trouble.

    python -m tests.faults.latency                    play the five cases
    python -m tests.faults.latency --only hung --seconds 60

Each case runs the whole agent as a process against the embedded CloudWatch, plays one trouble of the routine lane or of
the urgent stream, and writes a Critical ten times a second meanwhile. It prints the latencies of the Criticals and the
peak memory of the agent. Exit code 1: a p99 over a second, a lost Critical, or too much memory.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.enrich.cluster import serving, write_kubeconfig
from tests.faults.isolation.arrivals import alert_lines, arrivals, cri, numbered_alert
from tests.faults.isolation.result import percentile
from tests.faults.isolation.stage import CHART_LIMIT_BYTES, MAX_PEAK_BYTES, Fault, Stage, stage

MAX_P99_SECONDS = 1.0
SETTLE_SECONDS = 20.0
TICK_SECONDS = 0.1
FIRST_CRITICAL = 1_000_000
FLOOD_PER_TICK, SOME_PER_TICK, UNKNOWN_PER_TICK, SCATTERED_PER_TICK = 1_000, 200, 100, 100
DAY_NS = 86_400 * 10**9
DAYS = 12

Load = Callable[[Stage, int], None]
"""Writes the routine alerts of the tick with this number."""


def _repeated(per_tick: int) -> Load:
    lines = b"".join(alert_lines(range(per_tick)))
    return lambda node, tick: node.append(lines)


def _unknown_pods(node: Stage, tick: int) -> None:
    first = tick * UNKNOWN_PER_TICK
    for number in range(first, first + UNKNOWN_PER_TICK):
        node.append(*alert_lines([number], pod=f"gone-{number}"))


def _scattered(node: Stage, tick: int) -> None:
    now = time.time_ns()
    for number in range(SCATTERED_PER_TICK):
        at = now - (number * 7 % DAYS) * DAY_NS - number * 10**6
        node.append(cri(numbered_alert(number, at_ns=at), at_ns=at))


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    load: Load
    faults: tuple[Fault, ...] = ()
    knows_pods: bool = False
    """The agent watches an API server, which knows no pod that the alerts name."""


@dataclass(slots=True)
class Measured:
    criticals: int
    seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0

    @property
    def line(self) -> str:
        p50, p99, worst = (percentile(self.seconds, percent) for percent in (50, 99, 100))
        return (
            f"p50 {p50:6.3f} s   p99 {p99:6.3f} s   max {worst:6.3f} s   "
            f"{len(self.seconds)} of {self.criticals} Criticals   peak {self.peak_bytes / 2**20:.0f} MiB"
        )

    @property
    def is_good(self) -> bool:
        is_complete = len(self.seconds) == self.criticals
        return is_complete and percentile(self.seconds, 99) <= MAX_P99_SECONDS and self.peak_bytes < MAX_PEAK_BYTES


CASES = (
    Case("routine lane flooded", _repeated(FLOOD_PER_TICK)),
    Case(
        "urgent-only throttled",
        _repeated(SOME_PER_TICK),
        ({"kind": "throttle", "operation": "PutLogEvents", "stream": "node-a/urgent", "probability": 0.5},),
    ),
    Case(
        "routine hung",
        _repeated(SOME_PER_TICK),
        ({"kind": "hang", "operation": "PutLogEvents", "stream": "node-a"},),
    ),
    Case("unknown pods at 1,000/s", _unknown_pods, knows_pods=True),
    Case("scattered times", _scattered),
)


async def measure(case: Case, place: Path, seconds: float) -> Measured:
    place.mkdir(parents=True, exist_ok=True)
    criticals = range(FIRST_CRITICAL, FIRST_CRITICAL + round(seconds / TICK_SECONDS))
    measured = Measured(len(criticals))
    async with AsyncExitStack() as stack:
        variables: Mapping[str, str] = {}
        if case.knows_pods:
            _, url = await stack.enter_async_context(serving())
            kubeconfig = write_kubeconfig(place / "kubeconfig", url, place / "token")
            variables = {"KUBECONFIG": str(kubeconfig), "FALCOWATCH_ENRICH__MODE": "api"}
        node = await stack.enter_async_context(stage(place))
        await stack.enter_async_context(node.running(limit_bytes=CHART_LIMIT_BYTES, variables=variables))
        node.append(*alert_lines([0]), *alert_lines([1], priority="Critical"))
        await node.until(_count_reaches(node.all_arrived, 2))
        await node.set_faults(*case.faults)
        await _play(case.load, node, criticals)
        arrived = node.arrived
        await node.until(_count_reaches(lambda: arrived("node-a/urgent"), 1 + len(criticals)), SETTLE_SECONDS)
        measured.peak_bytes = node.peak_bytes
    found = await arrivals(place)
    measured.seconds = [found.seconds[number] for number in criticals if number in found.seconds]
    return measured


async def _play(load: Load, node: Stage, criticals: range) -> None:
    began = time.monotonic()
    for tick, number in enumerate(criticals):
        load(node, tick)
        node.append(*alert_lines([number], priority="Critical"))
        await asyncio.sleep(max(0.0, began + (tick + 1) * TICK_SECONDS - time.monotonic()))


def _count_reaches(count: Callable[[], Awaitable[int]], wanted: int) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return await count() >= wanted

    return reached


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.latency", description=__doc__)
    parser.add_argument("--only", metavar="TEXT", default="", help="play the cases whose name contains this text")
    parser.add_argument("--seconds", type=float, metavar="S", default=30.0, help="duration of each case; default: 30")
    given = parser.parse_args()
    failed = 0
    for case in CASES:
        if given.only not in case.name:
            continue
        with tempfile.TemporaryDirectory(prefix="falcowatch-latency-") as place:
            measured = asyncio.run(measure(case, Path(place), given.seconds))
        failed += not measured.is_good
        sys.stdout.write(f"{'ok' if measured.is_good else 'FAILED':6} {case.name:25} {measured.line}\n")
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
