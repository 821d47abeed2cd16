"""Latency of an alert, from its writing until the sink has accepted it, and the number of puts.

Four cases: single alerts after a quiet time, 50 a second, 2,000 a second, and Criticals in a flood above the quota
(a million alerts wait, 50,000 more arrive each second, and the sink accepts 10 puts a second). The agent runs with its
default settings. Each alert carries the time of its writing, and the sink notes when an accepted put was complete.
"""

from __future__ import annotations

import platform
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import IO, Any, Final

from benchmarks.alerts import cri_line, log_path, pod_list, write_log
from benchmarks.image import as_in_the_image
from benchmarks.processes import Sink, Subject, agent, sink
from benchmarks.results import arguments, publish

TICK_SECONDS: Final = 0.01
"""Interval between writes in a flood. Falco, too, writes several alerts in one call."""
FLOOD_PER_SECOND: Final = 50_000
FLOOD_PUTS_PER_SECOND: Final = 10.0
CRITICAL_SECONDS: Final = 0.25
SETTLED_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 30.0
_HERE: Final = b"YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ"

Write = Callable[[IO[bytes]], "Writing"]


@dataclass(frozen=True, slots=True)
class Writing:
    """What was written, and the delay of the writer against its schedule, which the machine's load causes."""

    alerts: int
    seconds: float
    late_seconds: Sequence[float]
    criticals: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """One load, and the priority whose latency is measured."""

    name: str
    write: Write
    watched: str = "Notice"
    waiting: int = 0
    """Number of alerts in the file before the agent starts."""
    quota: float = 0.0
    """Puts a second that the sink accepts; 0: all."""


def main() -> None:
    parser = arguments("Latency from write to receipt")
    parser.add_argument("--seconds", type=float, metavar="S", help="duration of each load; default: 30")
    parser.add_argument("--alone", type=int, metavar="N", help="number of single alerts; default: 30")
    parser.add_argument("--waiting", type=int, metavar="N", help="alerts before the flood; default: 1,000,000")
    chosen = parser.parse_args()
    seconds = chosen.seconds or (0.6 if chosen.quick else 30.0)
    alone = chosen.alone or (2 if chosen.quick else 30)
    waiting = chosen.waiting or (2_000 if chosen.quick else 1_000_000)
    flood = 2_000 if chosen.quick else FLOOD_PER_SECOND
    settled = 0.0 if chosen.quick else SETTLED_SECONDS
    cases = (
        Case("a single alert after a quiet time", _alone(alone, 0.1 if chosen.quick else 2.0)),
        Case("50 a second", _steadily(50, seconds)),
        Case("2,000 a second", _steadily(2_000, seconds)),
        Case("Critical in a flood", _flooding(flood, seconds), "Critical", waiting, FLOOD_PUTS_PER_SECOND),
    )

    with tempfile.TemporaryDirectory() as directory, as_in_the_image(Path(directory), quick=chosen.quick):
        (Path(directory) / "pods.json").write_bytes(pod_list())
        if not chosen.quick:
            with _started(Path(directory) / "compiles", cases[0], 0.0):
                pass
        measured = [_measure(Path(directory) / str(number), case, settled) for number, case in enumerate(cases)]

    rows = [{name: value for name, value in row.items() if not isinstance(value, list)} for row in measured]
    publish(
        "latency", "latency from write to receipt", rows, chosen, date=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=platform.machine(), seconds_of_each=seconds, alerts_waiting_before_the_flood=waiting,
        flood_per_second=flood, flood_quota_puts_per_second=FLOOD_PUTS_PER_SECOND,
        distributions={row["case"]: row["percentiles_ms"] for row in measured},
    )  # fmt: skip


def _measure(place: Path, case: Case, settled: float) -> dict[str, Any]:
    with _started(place, case, settled) as (target, subject, log):
        before, cpu_before, began = target.report(), subject.cpu_seconds, time.monotonic()
        with log.open("ab", buffering=0) as file:
            writing = case.write(file)
        wanted = writing.criticals if case.watched == "Critical" else writing.alerts
        after, latencies = _arrived(target, subject, case.watched, before, wanted)
        cpu_seconds, ended = subject.cpu_seconds - cpu_before, time.monotonic()
        subject.stop()
    log.unlink()
    # The first put has no wait before it, so n puts have n - 1 intervals.
    putting_seconds = max(writing.seconds, after["last_at"] - began)
    written = case.waiting + writing.alerts + writing.criticals
    return {
        "case": case.name,
        "alerts": wanted,
        "missing": wanted - len(latencies),
        "p50_ms": percentile(latencies, 50) * 1e3,
        "p99_ms": percentile(latencies, 99) * 1e3,
        "worst_ms": max(latencies, default=float("inf")) * 1e3,
        "puts_a_second": max(0, after["puts"] - before["puts"] - 1) / putting_seconds,
        "refused_a_second": (after["refused"] - before["refused"]) / putting_seconds,
        "still_waiting": max(0, written - after["events"]) if case.waiting else 0,
        "cpu_percent": 100 * cpu_seconds / (ended - began),
        "writer_late_p99_ms": percentile(writing.late_seconds, 99) * 1e3,
        "percentiles_ms": [percentile(latencies, percent) * 1e3 for percent in range(101)],
    }


@contextmanager
def _started(place: Path, case: Case, settled: float) -> Iterator[tuple[Sink, Subject, Path]]:
    """An agent that has shipped its first alerts and then was idle for `settled` seconds."""
    log = log_path(place / "pods")
    write_log(log, case.waiting or 1)
    with (
        sink(place, tls=True, puts_per_second=case.quota, watch=True) as target,
        agent(place, target, enrich__file=str(place.parent / "pods.json")) as subject,
    ):
        target.wait_for(1, subject)
        time.sleep(settled)
        yield target, subject, log


def _arrived(
    target: Sink, subject: Subject, watched: str, before: dict[str, Any], wanted: int
) -> tuple[dict[str, Any], list[float]]:
    """The report when all measured alerts have arrived, or the last one, and the sorted latencies in seconds."""
    known = len(before["latency_seconds"].get(watched, ()))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        report = target.report()
        latencies = report["latency_seconds"].get(watched, [])[known:]
        if len(latencies) >= wanted or time.monotonic() > deadline:
            return report, sorted(latencies)
        if not subject.is_alive:
            raise RuntimeError(f"the agent ended:\n{subject.log_tail()}")
        time.sleep(0.1)


def percentile(values: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile, which is a measured value. With fewer than 100 values, p99 is the largest."""
    ordered = sorted(values)
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)] if ordered else float("inf")


def _alone(alerts: int, apart_seconds: float) -> Write:
    def write(file: IO[bytes]) -> Writing:
        began = time.monotonic()
        # Random intervals, so that writes do not coincide with the agent's own timers.
        chance = random.Random(1)
        for number in range(alerts):
            time.sleep(apart_seconds * chance.uniform(0.75, 1.25))
            file.write(cri_line("Notice", number=number))
        return Writing(alerts, time.monotonic() - began, [0.0])

    return write


def _steadily(per_second: int, seconds: float) -> Write:
    def write(file: IO[bytes]) -> Writing:
        late, written = [], 0
        for elapsed, behind in _ticks(max(TICK_SECONDS, 1 / per_second), seconds):
            due = int(elapsed * per_second)
            for number in range(written, due):
                file.write(cri_line("Notice", number=number))
            written = max(written, due)
            late.append(behind)
        return Writing(written, seconds, late)

    return write


def _flooding(per_second: int, seconds: float) -> Write:
    def write(file: IO[bytes]) -> Writing:
        late, written, criticals = [], 0, 0
        block = Block(int(per_second * TICK_SECONDS))
        for elapsed, behind in _ticks(TICK_SECONDS, seconds):
            while written + block.alerts <= elapsed * per_second:
                file.write(block.now())
                written += block.alerts
            if elapsed >= (criticals + 1) * CRITICAL_SECONDS:
                file.write(cri_line("Critical", number=criticals))
                criticals += 1
            late.append(behind)
        return Writing(written, seconds, late, criticals)

    return write


class Block:
    """Notices that are written in one call with the current time. Preparing them costs little more than a copy."""

    def __init__(self, alerts: int) -> None:
        self.alerts = alerts
        lines = (cri_line("Notice", number=number) for number in range(alerts))
        self._lines = b"".join(line.replace(line[: len(_HERE)], _HERE) for line in lines)

    def now(self) -> bytes:
        return self._lines.replace(_HERE, cri_line("Notice")[: len(_HERE)])


def _ticks(beat_seconds: float, seconds: float) -> Iterator[tuple[float, float]]:
    """For each interval: seconds since the start, and the delay against the schedule."""
    began = time.monotonic()
    for number in count(1):
        due = number * beat_seconds
        if (ahead := began + due - time.monotonic()) > 0:
            time.sleep(ahead)
        elapsed = time.monotonic() - began
        yield elapsed, elapsed - due
        if elapsed >= seconds:
            return


if __name__ == "__main__":
    main()
