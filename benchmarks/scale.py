"""CPU time for each alert with more alerts, more files and more unrelated pods; and CPU time of an idle agent.

CPU time is measured from the moment the alerts appear in the log tree until all have arrived, so the agent's start is
not included. Small numbers of alerts are measured several times with one agent; all sizes are measured in turns, and
the median is reported. Idle: nothing is written; then one alert a second is written to each file, or one unrelated pod
is created or removed each second.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.alerts import cri_lines, log_path, pod_list
from benchmarks.image import as_in_the_image
from benchmarks.processes import MIB, Sink, Subject, agent, sink
from benchmarks.results import arguments, publish
from benchmarks.start import enrichment

FLAT = 0.10
IDLE_GOAL_PERCENT = 0.5
SCAN_GOAL_MS = 5.0
WARM_ALERTS = 20_000
"""After this number of alerts the interpreter has specialised its code and memory has reached its size."""
QUICK_WARM_ALERTS = 500
SETTLED_SECONDS = 8.0
"""Time after the last alert in which the agent still scans files and writes its checkpoint."""
TURNS = 3
"""Number of turns. A shared machine is slower for minutes at a time, so compared sizes are measured in turns."""
MOST_IN_TURNS = 1_000_000
"""More alerts than this take minutes and are measured once."""
_CHUNK_LINES = 10_000

Row = dict[str, Any]
Warm = Callable[..., AbstractContextManager[tuple[Sink, Subject, "Tree"]]]
"""Starts a warm agent: the name of its directory and the number of unrelated pods."""


def main() -> None:
    parser = arguments("CPU time with more alerts, files and pods")
    parser.add_argument("--most", type=int, metavar="N", help="alerts; default: 10,000,000")
    parser.add_argument("--idle-seconds", type=float, metavar="S", help="default: 15")
    chosen = parser.parse_args()
    most = chosen.most or (1_500 if chosen.quick else 10_000_000)
    idle_seconds = chosen.idle_seconds or (0.2 if chosen.quick else 15.0)
    settled_seconds = 0.0 if chosen.quick else SETTLED_SECONDS
    warm_alerts = QUICK_WARM_ALERTS if chosen.quick else WARM_ALERTS
    sizes = [size for size in (10**power for power in range(3, 8)) if size < most] + [most]
    files = (2,) if chosen.quick else (1, 10, 100, 500)
    pods = (2,) if chosen.quick else (1, 100, 1_000, 5_000)
    in_files, beside_pods = min(most, 1_000_000), min(most, 200_000)

    with tempfile.TemporaryDirectory() as directory, as_in_the_image(Path(directory), quick=chosen.quick):
        place = Path(directory)
        (place / "pods.json").write_bytes(pod_list())
        warm = partial(_warm_agent, place, warm_alerts)
        if not chosen.quick:
            with warm("compiles"):
                pass
        turns = 1 if chosen.quick else TURNS
        alerts_rows = _in_turns(turns, "alerts", sizes, lambda number: _alerts(warm, number))
        files_rows = _in_turns(turns, "files", files, lambda number: _files(warm, number, in_files))
        pods_rows = _in_turns(turns, "pods", pods, lambda number: _pods(warm, number, beside_pods))
        for row in files_rows:
            row |= _idle_files(warm, row["number"], settled_seconds, idle_seconds)
        for row in pods_rows:
            row |= _idle_pods(warm, row["number"], settled_seconds, idle_seconds)

    rows = [*_compared(alerts_rows, -1), *_compared(files_rows, 0), *_compared(pods_rows, 0)]
    publish(
        "scale", "CPU time per alert and of an idle agent", rows, chosen, flat_within=FLAT,
        idle_goal_percent=IDLE_GOAL_PERCENT, scan_goal_ms_per_second=SCAN_GOAL_MS,
        alerts=alerts_rows, files=files_rows, pods=pods_rows,
    )  # fmt: skip


def _in_turns(turns: int, scaled: str, numbers: Sequence[int], measure: Callable[[int], Row]) -> list[Row]:
    """For each number the medians of `turns` measurements."""
    measured: dict[int, list[Row]] = {number: [] for number in numbers}
    for turn in range(turns):
        for number in numbers:
            if turn == 0 or number <= MOST_IN_TURNS:
                measured[number].append(measure(number))
    return [
        {"scaled": scaled, "number": number, "times": len(rows)}
        | {name: median(row[name] for row in rows) for name in rows[0]}
        for number, rows in measured.items()
    ]


def _alerts(warm: Warm, alerts: int) -> Row:
    """This number of alerts in one file."""
    times = max(1, min(9, 100_000 // alerts))
    with warm(f"alerts-{alerts}") as (target, subject, tree):
        costs = [_us_per_alert(target, subject, lambda: tree.appear(alerts, [0]), alerts) for _ in range(times)]
        return {"us_per_alert": median(costs)} | _size(subject)


def _files(warm: Warm, files: int, alerts: int) -> Row:
    """Alerts spread over files, each of its own Falco pod."""
    with warm(f"files-{files}") as (target, subject, tree):
        cost = _us_per_alert(target, subject, lambda: tree.appear(alerts, range(files)), alerts)
        return {"us_per_alert": cost} | _size(subject)


def _pods(warm: Warm, pods: int, alerts: int) -> Row:
    """Alerts in one file, with unrelated pods on the node; each of these has one container with a log."""
    with warm(f"pods-{pods}", pods) as (target, subject, tree):
        cost = _us_per_alert(target, subject, lambda: tree.appear(alerts, [0]), alerts)
        return {"us_per_alert": cost} | _size(subject)


def _idle_files(warm: Warm, files: int, settled_seconds: float, idle_seconds: float) -> Row:
    """Idle with this number of files; then with one alert a second in each of them."""
    with warm(f"files-{files}") as (target, subject, tree):
        # As on a real node, each Falco has written since the agent started.
        _us_per_alert(target, subject, lambda: tree.appear(files, range(files)), files)
        _us_per_alert(target, subject, lambda: tree.append_one(range(files)), files)
        time.sleep(settled_seconds)
        idle = _idle_ms(subject, idle_seconds)
        trickling = _idle_ms(subject, idle_seconds, lambda: tree.append_one(range(files)))
        return _idle_columns(idle) | {"trickling_ms_per_second": trickling}


def _idle_pods(warm: Warm, pods: int, settled_seconds: float, idle_seconds: float) -> Row:
    """Idle with unrelated pods; then one of them is created or removed every second."""
    with warm(f"pods-{pods}", pods) as (_, subject, tree):
        time.sleep(settled_seconds)
        idle = _idle_ms(subject, idle_seconds)
        return _idle_columns(idle) | {"churning_ms_per_second": _idle_ms(subject, idle_seconds, tree.change_pods)}


def _idle_columns(idle_ms: float) -> Row:
    return {"idle_ms_per_second": idle_ms, "idle_percent": idle_ms / 10}


def _size(subject: Subject) -> Row:
    return {"resident_mb": subject.resident_bytes / MIB}


def _us_per_alert(target: Sink, subject: Subject, appear: Callable[[], None], alerts: int) -> float:
    """Microseconds of CPU time for each alert."""
    wanted = target.report()["events"] + alerts
    before = subject.cpu_seconds
    appear()
    target.wait_for(wanted, subject)
    return (subject.cpu_seconds - before) / alerts * 1e6


def _idle_ms(subject: Subject, seconds: float, every_second: Callable[[], None] = lambda: None) -> float:
    """Milliseconds of CPU time for each second."""
    before, began = subject.cpu_seconds, time.monotonic()
    while (elapsed := time.monotonic() - began) < seconds:
        every_second()
        time.sleep(min(1.0, max(0.0, seconds - elapsed)))
    return (subject.cpu_seconds - before) / (time.monotonic() - began) * 1e3


def _compared(rows: list[Row], base_at: int) -> Iterator[Row]:
    """The rows of the table, each compared with the base row."""
    base = rows[base_at]["us_per_alert"]
    for row in rows:
        yield {
            "scaled": row["scaled"],
            "number": row["number"],
            "us_per_alert": row["us_per_alert"],
            "against_base": f"{row['us_per_alert'] / base - 1:+.0%}",
            "idle_percent": row.get("idle_percent", ""),
            "churning_ms_per_second": row.get("churning_ms_per_second", ""),
            "trickling_ms_per_second": row.get("trickling_ms_per_second", ""),
            "resident_mb": row["resident_mb"],
            "goal": "met" if _meets(row, base) else "missed",
        }


def _meets(row: Row, base: float) -> bool:
    change, idle_percent = row["us_per_alert"] / base - 1, row.get("idle_percent", 0.0)
    return bool(abs(change) <= FLAT and idle_percent < IDLE_GOAL_PERCENT)


class Tree:
    """kubelet's log tree below `place`. New files are written elsewhere and moved into it complete."""

    def __init__(self, place: Path, unrelated: int) -> None:
        self._root = place / "pods"
        self._aside = place / "aside"
        self._aside.mkdir(parents=True)
        self._lines = cri_lines(time.time_ns() - 3600 * 10**9)
        self._restart = -1
        self._pods = itertools.count()
        self._present: list[Path] = []
        for _ in range(unrelated):
            self._create_pod()

    def appear(self, alerts: int, falcos: range | list[int]) -> None:
        """Spread alerts over a new file of each of these Falco pods. The files are moved in when complete."""
        self._restart += 1
        written = []
        for position, number in enumerate(falcos):
            share = alerts * (position + 1) // len(falcos) - alerts * position // len(falcos)
            path = self._aside / f"{number}.log"
            with path.open("wb") as file:
                for start in range(0, share, _CHUNK_LINES):
                    file.write(b"".join(itertools.islice(self._lines, min(_CHUNK_LINES, share - start))))
            written.append((path, number))
        for path, number in written:
            path.rename(log_path(self._root, number).with_name(f"{self._restart}.log"))

    def append_one(self, falcos: range) -> None:
        """Append one alert to the newest file of each pod."""
        for number in falcos:
            with log_path(self._root, number).with_name(f"{self._restart}.log").open("ab") as file:
                file.write(next(self._lines))

    def change_pods(self) -> None:
        """Create one pod, and at the next call remove it."""
        number = len(self._present)
        if number % 2:
            shutil.rmtree(self._present.pop())
        else:
            self._create_pod()

    def _create_pod(self) -> None:
        number = next(self._pods)
        pod = self._root / f"shop_web-7d4b9c6f5-{number:05}_1b9d6a7e-1c2d-4e3f-8a9b-{number:012}"
        (pod / "web").mkdir(parents=True)
        (pod / "web" / "0.log").write_bytes(b"2026-11-23T10:00:00.000000000Z stdout F ready\n")
        self._present.append(pod)


@contextmanager
def _warm_agent(place: Path, warm_alerts: int, name: str, unrelated: int = 0) -> Iterator[tuple[Sink, Subject, Tree]]:
    """A new agent that has shipped enough alerts to run at its normal speed."""
    here = place / name
    tree = Tree(here, unrelated)
    tree.appear(warm_alerts, [0])
    try:
        with sink(here, tls=True) as target, agent(here, target, **enrichment("file", place)) as subject:
            target.wait_for(warm_alerts, subject)
            yield target, subject, tree
            subject.stop()
    finally:
        shutil.rmtree(here)


if __name__ == "__main__":
    main()
