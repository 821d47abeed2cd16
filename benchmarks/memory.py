"""Resident memory of the agent: idle, with growing backlogs while CloudWatch is unreachable, and over a long time.

A backlog lies in rotated files. A proxy refuses connections until the agent has filled its budget, then accepts them.
The long run repeats the events of days on a busy node in minutes: rotations, restarts of Falco, compressed and deleted
files, reset connections. The sink counts the events that arrive.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, cast

import orjson

from benchmarks.alerts import log_path, pod_list, write_log
from benchmarks.api_server import api_server
from benchmarks.image import as_in_the_image
from benchmarks.processes import MIB, Sink, Subject, agent, sink
from benchmarks.proxy import Proxy, proxy_to
from benchmarks.results import arguments, publish
from benchmarks.rotation import FalcoLog
from benchmarks.start import enrichment

IDLE_GOAL_MB = {"none": 70.0, "file": 105.0, "api": 105.0}
FLAT = 0.05
FILLS_THE_BUDGET_MB = 64.0
LINE_BYTES = 1_066
SEGMENT_BYTES = 64 * MIB
"""Size of a rotated file."""
SAMPLE_SECONDS = 0.25
ROTATIONS_OF_A_DAY = 144
"""One rotation in ten minutes, which is 17 alerts a second at kubelet's default of 10 MB a file."""


def main() -> None:
    parser = arguments("Resident memory")
    parser.add_argument("--most", type=float, metavar="MB", help="largest backlog; default: 10,000")
    parser.add_argument(
        "--rotations", type=int, metavar="N", help=f"default: {ROTATIONS_OF_A_DAY}, a day with one every ten minutes"
    )
    parser.add_argument(
        "--only",
        choices=("idle", "backlogs", "long_time"),
        help="measure only this part",
    )
    chosen = parser.parse_args()
    most = chosen.most or (4.0 if chosen.quick else 10_000.0)
    sizes = [size for size in (10.0, 100.0, 1_000.0, 10_000.0) if size < most] + [most]
    sizes = sizes[-2:] if chosen.quick else sizes
    rotations = chosen.rotations or (8 if chosen.quick else ROTATIONS_OF_A_DAY)
    patience = 0.3 if chosen.quick else 15.0
    kinds = ("api",) if chosen.quick else tuple(IDLE_GOAL_MB)

    with (
        tempfile.TemporaryDirectory() as directory,
        as_in_the_image(Path(directory), quick=chosen.quick),
        api_server(Path(directory)),
    ):
        place = Path(directory)
        (place / "pods.json").write_bytes(pod_list())
        if not chosen.quick:
            _idle(place / "first", "api", 0.0)  # compiles the bytecode
        parts: dict[str, Callable[[], list[dict[str, Any]]]] = {
            "idle": lambda: [_idle(place / kind, kind, patience) for kind in kinds],
            "backlogs": lambda: [_backlog(place / "backlog", size, patience) for size in sizes],
            "long_time": lambda: _long_time(place / "day", rotations, 200 if chosen.quick else 10_000),
        }
        found = {name: measure() for name, measure in parts.items() if chosen.only in (None, name)}

    if chosen.only is not None:
        last = orjson.loads((chosen.results / "memory.json").read_bytes())
        found = {name: found.get(name, last[name]) for name in parts}
    rows = _table(found["idle"], found["backlogs"], found["long_time"])
    title = "resident MB: idle, with a backlog, over a long time"
    publish("memory", title, rows, chosen, flat_within=FLAT, **found)


def _idle(place: Path, kind: str, seconds: float) -> dict[str, Any]:
    """Memory of an agent that has shipped its first alert and is idle."""
    write_log(log_path(place / "pods"), 1)
    with sink(place, tls=True) as target, agent(place, target, **enrichment(kind, place.parent)) as subject:
        target.wait_for(1, subject)
        watched = list(_watch(subject, seconds))
        used = subject.stop()
    resident = median(watched)
    goal = IDLE_GOAL_MB[kind]
    return {
        "enrichment": kind,
        "resident_mb": resident,
        "peak_mb": used.peak_bytes / MIB,
        "goal_mb": goal,
        "met": resident <= goal,
    }


def _backlog(place: Path, megabytes: float, patience: float) -> dict[str, Any]:
    alerts = _fill(place / "pods", int(megabytes * 1e6))
    with _agent_behind_a_proxy(place) as (target, proxy, subject):
        away = list(_watch(subject, patience))
        refused = target.report()["events"]
        proxy.open()
        began = time.monotonic()
        draining = list(_watch_until(target, alerts, subject))
        seconds = time.monotonic() - began
        after = list(_watch(subject, patience / 3))
        arrived = target.report()["events"]
        used = subject.stop()
    shutil.rmtree(place)
    return {
        "backlog_mb": megabytes,
        "alerts": alerts,
        "arrived": arrived - refused,
        "away_mb": median(away),
        "away_most_mb": max(away),
        "draining_mb": median(draining),
        "draining_most_mb": max(draining),
        "first_quarter_mb": median(draining[: len(draining) // 4 + 1]),
        "last_quarter_mb": median(draining[-len(draining) // 4 - 1 :]),
        "after_mb": median(after),
        "peak_mb": used.peak_bytes / MIB,
        "drained_seconds": seconds,
        "cpu_seconds": used.cpu_seconds,
    }


def _fill(root: Path, backlog_bytes: int) -> int:
    """Write rotated files and a live file, as kubelet names them. Returns the number of alerts."""
    log = FalcoLog(root)
    left = max(1, backlog_bytes // LINE_BYTES)
    alerts = left
    while left:
        written = min(left, SEGMENT_BYTES // LINE_BYTES)
        log.write(written)
        left -= written
        if left:
            log.rotate(keep=None)
    return alerts


def _long_time(place: Path, rotations: int, alerts_each: int) -> list[dict[str, Any]]:
    """One row for each eighth of the run."""
    log = FalcoLog(place / "pods")
    log.write(1)
    written = 1
    rows = []
    with _agent_behind_a_proxy(place) as (target, proxy, subject):
        proxy.open()
        for number in range(1, rotations + 1):
            if number % 12 == 0:
                proxy.refuse()
            for _ in range(4):
                log.write(alerts_each // 4)
            written += alerts_each // 4 * 4
            if number % 12 == 0:
                list(_watch(subject, SAMPLE_SECONDS))
                proxy.open()
            target.wait_for(written, subject)
            log.restart() if number % 6 == 0 else log.rotate()
            rows.append(
                {
                    "resident_mb": subject.resident_bytes / MIB,
                    "open_files": _open_files(subject),
                    "cpu_seconds": subject.cpu_seconds,
                }
            )
        arrived = target.report()["events"]
        subject.stop()
    eighth = max(1, rotations // 8)
    return [
        _part(rows[start : start + eighth], start, rows) | {"arrived_more_than_written": arrived - written}
        for start in range(0, rotations, eighth)
    ]


def _part(part: list[dict[str, Any]], start: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "rotations": start + len(part),
        "resident_mb": median(row["resident_mb"] for row in part),
        "most_mb": max(row["resident_mb"] for row in part),
        "open_files": max(row["open_files"] for row in part),
        "cpu_seconds": rows[start + len(part) - 1]["cpu_seconds"],
    }


def _table(
    idle: list[dict[str, Any]], backlogs: list[dict[str, Any]], day: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The rows of the three parts in one table."""
    rows = [
        _row(f"idle, enrichment {row['enrichment']}", row["resident_mb"], row["peak_mb"], row["met"]) for row in idle
    ]
    # A backlog that fits into the budget is no load. Larger ones are compared with the smallest that does not fit.
    base = next((row for row in backlogs if row["backlog_mb"] >= FILLS_THE_BUDGET_MB), backlogs[0])
    for row in backlogs:
        size = f"{row['backlog_mb']:,.0f} MB"
        rows.append(_row(f"CloudWatch unreachable, a backlog of {size}", row["away_mb"], row["away_most_mb"]))
        # Compared by the maximum: a short backlog is gone after one of many samples, so its median shows the wait.
        most, least = row["draining_most_mb"], base["draining_most_mb"]
        flat = _flat(most, least) if row["backlog_mb"] > base["backlog_mb"] else None
        rows.append(_row(f"catching up on {size}", row["draining_mb"], row["draining_most_mb"], flat))
    # The first part includes the warm-up, so the others are compared with the second.
    settled = day[min(1, len(day) - 1)]["resident_mb"]
    for number, row in enumerate(day):
        flat = _flat(row["resident_mb"], settled) if number > 1 else None
        rows.append(_row(f"after {row['rotations']} rotations", row["resident_mb"], row["most_mb"], flat))
    return rows


def _row(when: str, resident_mb: float, most_mb: float, met: bool | None = None) -> dict[str, Any]:
    verdict = "" if met is None else "met" if met else "missed"
    return {"when": when, "resident_mb": resident_mb, "most_mb": most_mb, "goal": verdict}


def _flat(value: float, base: float) -> bool:
    return abs(value / base - 1) <= FLAT


@contextmanager
def _agent_behind_a_proxy(place: Path) -> Iterator[tuple[Sink, Proxy, Subject]]:
    settings = enrichment("file", place.parent)
    # An agent needs only the endpoint of a sink, which the proxy has too.
    with sink(place) as target, proxy_to(target.port) as proxy, agent(place, cast(Sink, proxy), **settings) as subject:
        yield target, proxy, subject


def _watch(subject: Subject, seconds: float) -> Iterator[float]:
    """Samples of resident MB during this time; at least one."""
    deadline = time.monotonic() + seconds
    while True:
        yield subject.resident_bytes / MIB
        if time.monotonic() >= deadline:
            return
        time.sleep(SAMPLE_SECONDS)


def _watch_until(target: Sink, events: int, subject: Subject) -> Iterator[float]:
    """Samples of resident MB until this number of events has arrived."""
    while True:
        yield subject.resident_bytes / MIB
        if target.report()["events"] >= events:
            return
        if not subject.is_alive:
            raise RuntimeError(f"the agent ended:\n{subject.log_tail()}")
        time.sleep(0.05)


def _open_files(subject: Subject) -> int:
    return sum(1 for _ in Path(f"/proc/{subject.pid}/fd").iterdir())


if __name__ == "__main__":
    main()
