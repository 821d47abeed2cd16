"""How long an alert is on its way: from being written to its log file until CloudWatch has it.

A lone alert after quiet, steady streams, and the case that matters most: a Critical in the midst of a flood of
Notices, while CloudWatch takes only ten puts a second. The alert carries the time it was written; the sink, on the
same machine, notes when it came.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.alerts import cri_line, log_path
from benchmarks.processes import Sink, Subject, agent, sink
from benchmarks.results import arguments, publish

TICK_SECONDS = 0.01
THROTTLED_PUTS = 10.0
SETTLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Case:
    """One way of writing alerts."""

    name: str
    notices_per_second: float
    seconds: float
    criticals_per_second: float = 0.0
    puts_per_second: float = 0.0
    """What CloudWatch takes; 0: all."""
    watched: str = "Notice"


def main() -> None:
    chosen = arguments("Latency from the log file to CloudWatch").parse_args()
    long = 1.0 if chosen.quick else 20.0
    cases = [
        Case("a lone alert after quiet", 0.5, 4 if chosen.quick else 60),
        Case("50 a second", 50, long),
        Case("2,000 a second", 2_000, long),
        Case(
            "Critical in 50,000 Notices a second, 10 puts a second",
            2_000 if chosen.quick else 50_000, long, 2, THROTTLED_PUTS, "Critical",
        ),
    ]  # fmt: skip
    rows = [_measure(case) for case in cases]
    publish("latency", "From written to received, in milliseconds", rows, chosen)


def _measure(case: Case) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        log = log_path(place / "pods")
        with (
            sink(place, tls=True, puts_per_second=case.puts_per_second, watch=True) as target,
            agent(place, target, enrich__mode="none") as subject,
        ):
            _warm(log, target, subject)
            before = target.report()
            criticals = _write(log, case, lambda: subject.is_alive)
            report = _received(target, subject, case, before, criticals)
            ways = sorted(report["way_seconds"][case.watched][len(before["way_seconds"].get(case.watched, [])) :])
            elapsed = report["last_at"] - before["last_at"]
            return {
                "case": case.name,
                "alerts": len(ways),
                "p50_ms": _quantile(ways, 0.5) * 1000,
                "p99_ms": _quantile(ways, 0.99) * 1000,
                "worst_ms": ways[-1] * 1000,
                "puts_a_second": (report["puts"] - before["puts"]) / elapsed,
                "still_waiting": max(0, int(case.notices_per_second * case.seconds) - report["events"]),
            }


def _warm(log: Path, target: Sink, subject: Subject) -> None:
    """Connections and streams exist before anything is measured."""
    log.write_bytes(cri_line("Notice") + cri_line("Critical"))
    target.wait_for(2, subject)
    time.sleep(SETTLE_SECONDS)


def _write(log: Path, case: Case, going: Callable[[], bool]) -> int:
    """Writes at the case's pace, in ticks; how many Criticals."""
    began = time.monotonic()
    notices = criticals = 0
    with log.open("ab", buffering=0) as file:
        while (elapsed := time.monotonic() - began) < case.seconds and going():
            due = int(elapsed * case.notices_per_second) + 1 - notices
            if due > 0:
                # Within a tick only the first of a flood is made anew: the writer must not use the core of the agent.
                file.write(cri_line("Notice", number=notices) * due)
                notices += due
            if int(elapsed * case.criticals_per_second) + 1 > criticals and case.criticals_per_second:
                file.write(cri_line("Critical", number=criticals))
                criticals += 1
            time.sleep(TICK_SECONDS)
    return criticals


def _received(target: Sink, subject: Subject, case: Case, before: dict[str, Any], criticals: int) -> dict[str, Any]:
    """The report when all that is watched has come; the Notices of a flood are not waited for."""
    deadline = time.monotonic() + 60
    while True:
        report = target.report()
        came = len(report["way_seconds"].get(case.watched, []))
        wanted = criticals if case.watched == "Critical" else None
        already = len(before["way_seconds"].get(case.watched, []))
        if wanted is None:
            time.sleep(SETTLE_SECONDS)
            return target.report()
        if came - already >= wanted or time.monotonic() > deadline or not subject.is_alive:
            return report
        time.sleep(0.1)


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


if __name__ == "__main__":
    main()
