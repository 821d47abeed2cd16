"""Alerts that a log shipper loses, or sends twice: when it is killed again and again, and over an outage of CloudWatch.

In the first part alerts arrive steadily, and the shipper is killed with signal 9 at random moments after it has begun
to ship. In the second part the sink answers 503 while twice as many bytes are written as kubelet keeps, with kubelet's
rotation. A shipper that ends is started again, as kubelet does. Then every alert that was written is looked for in the
sink. Peers are named as for `benchmarks.catch_up`; one that reads a growing file again from its beginning is left out.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.alerts import log_path, pod_list, write_log, write_metadata
from benchmarks.image import as_in_the_image
from benchmarks.processes import META, MIB, Sink, Subject, sink
from benchmarks.results import arguments, keep_peers, publish
from benchmarks.rotation import FalcoLog
from benchmarks.shippers import (
    PODS_FILE,
    Shipper,
    absent_peers,
    add_peer_options,
    chosen_peers,
    defaults_of_the_agent,
    ours,
)

ROTATE_BYTES = 10 * MIB
"""kubelet's default size for a rotation. It keeps five files, so 50 MiB."""

FIRST_ALERTS = 500
TICK_SECONDS = 0.05
LOOK_SECONDS = 2.0
STARTS_WITHIN_SECONDS = 60.0
RESTART_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """The size of a run."""

    kills: int
    outage_bytes: int
    rotate_bytes: int
    alerts_per_second: int
    quiet_seconds: float
    """Nothing more is expected when nothing has arrived for this long. Retries can be minutes apart."""
    look_seconds: float = LOOK_SECONDS
    """Time between two looks at what has arrived. Each look counts every alert."""


FULL = Load(20, 100 * MIB, ROTATE_BYTES, 2_000, 240.0)
QUICK = Load(1, MIB, MIB // 10, 500, 20.0, look_seconds=0.1)


@dataclass(frozen=True, slots=True)
class Compared:
    """What was written, compared with what arrived, in alerts."""

    written: int
    lost: int
    twice: int
    """Events beyond the first of each alert."""


def main() -> None:
    parser = arguments("Alerts that a kill -9 and an outage lose")
    parser.add_argument("--kills", type=int, metavar="N", help=f"default: {FULL.kills}")
    parser.add_argument("--outage-mb", type=int, metavar="MB", help=f"default: {FULL.outage_bytes // MIB}")
    parser.add_argument("--quiet", type=float, metavar="S", help=f"default: {FULL.quiet_seconds:.0f} seconds")
    add_peer_options(parser)
    chosen = parser.parse_args()
    usual = QUICK if chosen.quick else FULL
    load = Load(
        chosen.kills or usual.kills,
        chosen.outage_mb * MIB if chosen.outage_mb else usual.outage_bytes,
        usual.rotate_bytes,
        usual.alerts_per_second,
        chosen.quiet or usual.quiet_seconds,
        usual.look_seconds,
    )
    peers = chosen_peers(chosen, parser)
    shippers = [ours(), *(each for each in peers if each.tails)]
    for each in peers:
        if not each.tails:
            print(f"{each.name}: does not follow a file that grows, so its losses are not measured")
    with tempfile.TemporaryDirectory() as directory, as_in_the_image(Path(directory), quick=chosen.quick):
        place = Path(directory)
        (place / PODS_FILE).write_bytes(pod_list())
        write_metadata(place / META)
        if not chosen.quick:
            _compile(place)
        rows = [_row(place, shipper, load) for shipper in shippers]
    keep_peers("losses", {shipper.name for shipper in shippers}, chosen)
    publish(
        "losses", f"{load.kills} kills, then an outage of {load.outage_bytes // MIB} MB of alerts", rows, chosen,
        kills=load.kills, outage_mb=load.outage_bytes // MIB, alerts_per_second=load.alerts_per_second,
        quiet_seconds=load.quiet_seconds, defaults=defaults_of_the_agent(),
        versions={shipper.name: shipper.version for shipper in shippers if shipper.version},
        absent_peers=absent_peers(shippers),
    )  # fmt: skip


def compare(written: range, arrived: Sequence[int]) -> Compared:
    """Compares by the times of the alerts. Events with other times are of the log shipper itself."""
    ours_only = [time_of for time_of in arrived if time_of in written]
    distinct = len(set(ours_only))
    return Compared(len(written), len(written) - distinct, len(ours_only) - distinct)


def _row(place: Path, shipper: Shipper, load: Load) -> dict[str, Any]:
    killed = _killed(place, shipper, load)
    outage, seconds, ends = _outage(place, shipper, load)
    return {
        "shipper": shipper.name,
        "kills": load.kills,
        "written": killed.written,
        "lost_by_kills": killed.lost,
        "sent_twice_after_kills": killed.twice,
        "outage_seconds": seconds,
        "written_in_outage": outage.written,
        "lost_by_outage": outage.lost,
        "sent_twice_after_outage": outage.twice,
        "ended_by_itself": ends,
    }


def _killed(place: Path, shipper: Shipper, load: Load) -> Compared:
    log = _new_log(place, shipper)
    chance = random.Random(1)
    with sink(place, tls=shipper.tls, identify=True) as target:
        with _steady_writing(log, load.alerts_per_second):
            for _ in range(load.kills):
                before = target.report()["events"]
                with shipper.start(place, target) as subject:
                    _until_it_ships(target, subject, before)
                    time.sleep(chance.uniform(0.2, 1.2))
                    if subject.is_alive:
                        subject.kill()
        with _Container(place, target, shipper) as container:
            return _arrived(target, container, log, load)


def _outage(place: Path, shipper: Shipper, load: Load) -> tuple[Compared, float, int]:
    """What the outage lost, its seconds, and how often the log shipper ended by itself."""
    log = _new_log(place, shipper)
    with sink(place, tls=shipper.tls, identify=True) as target, _Container(place, target, shipper) as container:
        _until_it_ships(target, container.subject, 0)
        target.close_gate()
        began, rotated_at, before = time.monotonic(), 0, log.alerts
        while log.bytes < load.outage_bytes:
            log.write(int((time.monotonic() - began) * load.alerts_per_second) - (log.alerts - before))
            if log.bytes - rotated_at >= load.rotate_bytes:
                rotated_at = log.bytes
                log.rotate()
            container.keep_running()
            time.sleep(TICK_SECONDS)
        target.open_gate()
        seconds = time.monotonic() - began
        return _arrived(target, container, log, load), seconds, container.ends


class _Container:
    """The log shipper, started again after it has ended, as kubelet does."""

    def __init__(self, place: Path, target: Sink, shipper: Shipper) -> None:
        self.ends = 0
        self._place, self._target, self._shipper = place, target, shipper
        self._running = ExitStack()

    def __enter__(self) -> _Container:
        self.subject = self._running.enter_context(self._shipper.start(self._place, self._target))
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def keep_running(self) -> None:
        if not self.subject.is_alive and time.monotonic() - self.subject.started_at > RESTART_SECONDS:
            self.ends += 1
            self._running.close()
            self.__enter__()


def _arrived(target: Sink, container: _Container, log: FalcoLog, load: Load) -> Compared:
    """Waits until every alert has arrived, or until nothing has arrived for `load.quiet_seconds`."""
    events, changed_at = -1, time.monotonic()
    while True:
        found = target.report()["events"]
        if found != events:
            events, changed_at = found, time.monotonic()
        compared = compare(log.times, target.times())
        if not compared.lost or time.monotonic() - changed_at > load.quiet_seconds:
            return compared
        container.keep_running()
        time.sleep(min(load.look_seconds, load.quiet_seconds / 2))


def _until_it_ships(target: Sink, subject: Subject, before: int) -> None:
    """Until more than `before` events have arrived. Some log shippers ship nothing new after a kill: 60 s at most."""
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while target.report()["events"] <= before and time.monotonic() < deadline:
        if not subject.is_alive:
            raise RuntimeError(f"{subject.name} ended by itself:\n{subject.log_tail()}")
        time.sleep(TICK_SECONDS)


def _new_log(place: Path, shipper: Shipper) -> FalcoLog:
    shipper.forget(place)
    shutil.rmtree(place / "pods", ignore_errors=True)
    log = FalcoLog(place / "pods")
    log.write(FIRST_ALERTS)
    return log


@contextmanager
def _steady_writing(log: FalcoLog, per_second: int) -> Iterator[None]:
    stop = threading.Event()
    began, before = time.monotonic(), log.alerts

    def write() -> None:
        while not stop.wait(TICK_SECONDS):
            log.write(int((time.monotonic() - began) * per_second) - (log.alerts - before))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _compile(place: Path) -> None:
    """Compiles the agent's bytecode, which the image already contains."""
    write_log(log_path(place / "pods"), 1)
    with sink(place) as target, ours().start(place, target) as subject:
        target.wait_for(1, subject)


if __name__ == "__main__":
    main()
