"""How much CPU an alert costs when there are many to ship: a full log file, and a CloudWatch that takes all at once.

The whole job, in processes of their own: CRI lines of about 1 KB, decoding, the pods of the alerts, PutLogEvents with
and without TLS, and with its bodies compressed; all CPU counts, from the start of the process to its end. Beside it the
floor, and any other shipper:
`--peer NAME=COMMAND` runs it against the same file and the same sink, in turns, and the medians are compared.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.alerts import log_path, pod_list, write_log, write_metadata
from benchmarks.floor import floor
from benchmarks.image import as_in_the_image
from benchmarks.processes import META, MIB, Sink, Subject, agent, peer, sink
from benchmarks.results import arguments, middle, publish

Start = Callable[[Path, Sink], AbstractContextManager[Subject]]

KNOWN_PEERS = ("fluent-bit", "fluent-bit-kubernetes", "fluent-bit-crash-safe")
"""Those with a configuration in `peers/`; named as absent when no command for them is given."""


def main() -> None:
    parser = arguments("CPU of an alert when catching up")
    parser.add_argument("--alerts", type=int, metavar="N", help="default: 1,000,000")
    parser.add_argument("--rounds", type=int, metavar="N", help="of which the median counts; default: 3")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND", help="another shipper")
    chosen = parser.parse_args()
    alerts = chosen.alerts or (5_000 if chosen.quick else 1_000_000)
    rounds = chosen.rounds or (1 if chosen.quick else 3)
    shippers: dict[str, Start] = {"falcowatch": _ours(), "falcowatch-gzip": _ours(cloudwatch__compression="gzip")}
    for name, _, command in (each.partition("=") for each in chosen.peer):
        shippers[name] = _peer(name, command)

    with tempfile.TemporaryDirectory() as directory, as_in_the_image(Path(directory)):
        place = Path(directory)
        (place / "pods.json").write_bytes(pod_list())
        write_metadata(place / META)
        log = log_path(place / "pods")
        write_log(log, 1)
        with sink(place, tls=True) as target:
            _measure(place, target, _ours(), 1)  # compiles, which the image has done
        line_bytes = write_log(log, alerts) / alerts
        measured = [row for _ in range(rounds) for row in _round(place, log, alerts, shippers)]

    rows = [_summary(name, "on", measured) for name in shippers] + [_summary("falcowatch", "off", measured)]
    absent = [name for name in KNOWN_PEERS if name not in shippers]
    publish(
        "catch_up", f"{alerts:,} alerts, lines of {line_bytes:,.0f} bytes, median of {rounds}", rows, chosen,
        alerts=alerts, line_bytes=line_bytes, absent_peers=", ".join(absent) or "none", rounds=measured,
    )  # fmt: skip


def _round(place: Path, log: Path, alerts: int, shippers: dict[str, Start]) -> Iterator[dict[str, Any]]:
    for tls in (True, False):
        with sink(place, tls=tls) as target:
            ground = floor(target, [log])
            # Plain HTTP shows what TLS costs; AWS knows none, so peers need not speak it.
            for name, start in shippers.items() if tls else [("falcowatch", shippers["falcowatch"])]:
                yield {"shipper": name, "tls": "on" if tls else "off", "floor_us": ground} | _measure(
                    place, target, start, alerts
                )


def _measure(place: Path, target: Sink, start: Start, alerts: int) -> dict[str, Any]:
    before = target.report()
    began = time.monotonic()
    with start(place, target) as subject:
        target.wait_for(before["events"] + alerts, subject)
        wall = time.monotonic() - began
        used = subject.stop()
    after = target.report()
    return {
        "us_per_alert": used.cpu_seconds / alerts * 1e6,
        "cpu_seconds": used.cpu_seconds,
        "wall_seconds": wall,
        "peak_mb": used.peak_bytes / MIB,
        "puts": after["puts"] - before["puts"],
        "arrived": after["events"] - before["events"],
        "wire_bytes": (after["body_bytes"] - before["body_bytes"]) / alerts,
        "sink_cpu_seconds": after["cpu_seconds"] - before["cpu_seconds"],
    }


def _summary(name: str, tls: str, measured: list[dict[str, Any]]) -> dict[str, Any]:
    ours = [row for row in measured if (row["shipper"], row["tls"]) == (name, tls)]
    base = [row for row in measured if (row["shipper"], row["tls"]) == ("falcowatch", tls)]
    cost, ground = middle(ours, "us_per_alert"), middle(ours, "floor_us")
    return {
        "shipper": name,
        "tls": tls,
        "us_per_alert": cost,
        "alerts_per_cpu_second": 1e6 / cost,
        "falcowatch_is": f"{cost / middle(base, 'us_per_alert'):.2f} ×",
        "floor_us": ground,
        "of_the_floor": f"{cost / ground:.2f} ×",
        "wall_seconds": middle(ours, "wall_seconds"),
        "peak_mb": middle(ours, "peak_mb"),
        "puts": middle(ours, "puts"),
        "wire_bytes": middle(ours, "wire_bytes"),
        "sink_cpu_seconds": middle(ours, "sink_cpu_seconds"),
    }


def _ours(**settings: str) -> Start:
    @contextmanager
    def start(place: Path, target: Sink) -> Iterator[Subject]:
        shutil.rmtree(place / "state", ignore_errors=True)
        with agent(place, target, enrich__file=str(place / "pods.json"), **settings) as subject:
            yield subject

    return start


def _peer(name: str, command: str) -> Start:
    @contextmanager
    def start(place: Path, target: Sink) -> Iterator[Subject]:
        shutil.rmtree(place / f"state-{name}", ignore_errors=True)
        with peer(name, command, place, target) as subject:
            yield subject

    return start


if __name__ == "__main__":
    main()
