"""CPU time for each alert when the agent catches up with a full log file and the sink accepts everything.

The agent does its whole job in a separate process: CRI lines of about 1 KB, decoding, pod metadata, PutLogEvents with
TLS, without TLS, without seals, and with plain bodies. All CPU time from the start to the end of the process is counted.
Each round also measures the baseline and other log shippers on the same file and the same sink: `--with NAME` for those
of `known_peers`, `--peer NAME=COMMAND` for any other. A peer that cannot trust the sink's certificate is measured
without TLS, like the agent in the same round. The results are medians over the rounds.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.alerts import log_path, pod_list, write_log, write_metadata
from benchmarks.baseline import baseline
from benchmarks.image import as_in_the_image
from benchmarks.known_peers import KNOWN_PEERS, MissingPeer, command_of, named
from benchmarks.processes import META, MIB, Sink, Subject, agent, peer, sink
from benchmarks.results import arguments, middle, publish

Start = Callable[[Path, Sink], AbstractContextManager[Subject]]


def main() -> None:
    parser = arguments("CPU time for each alert when catching up")
    parser.add_argument("--alerts", type=int, metavar="N", help="default: 1,000,000")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds, of which the median is reported; default: 3")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND", help="another log shipper")
    parser.add_argument(
        "--with", dest="known", action="append", default=[], metavar="NAME",
        help="a log shipper that benchmarks.install_peers knows: " + ", ".join(known.name for known in KNOWN_PEERS),
    )  # fmt: skip
    chosen = parser.parse_args()
    alerts = chosen.alerts or (5_000 if chosen.quick else 1_000_000)
    rounds = chosen.rounds or (1 if chosen.quick else 3)
    shippers: dict[str, Start] = {"falcowatch": _ours(), "falcowatch-plain": _ours(cloudwatch__compression="none")}
    for name, command in _peers(chosen.known, chosen.peer, parser):
        shippers[name] = _peer(name, command)

    with tempfile.TemporaryDirectory() as directory, as_in_the_image(Path(directory)):
        place = Path(directory)
        (place / "pods.json").write_bytes(pod_list())
        write_metadata(place / META)
        log = log_path(place / "pods")
        write_log(log, 1)
        with sink(place, tls=True) as target:
            _measure(place, target, _ours(), 1)  # compiles the bytecode, which the image already contains
        line_bytes = write_log(log, alerts) / alerts
        measured = [row for _ in range(rounds) for row in _round(place, log, alerts, shippers)]

    rows = [
        _summary(name, "on" if tls else "off", measured)
        for tls in (True, False)
        for name in _shippers(shippers, tls=tls)
    ]
    absent = [known.name for known in KNOWN_PEERS if known.name not in shippers]
    publish(
        "catch_up", f"{alerts:,} alerts, lines of {line_bytes:,.0f} bytes, median of {rounds}", rows, chosen,
        alerts=alerts, line_bytes=line_bytes, absent_peers=", ".join(absent) or "none", rounds=measured,
    )  # fmt: skip


def _round(place: Path, log: Path, alerts: int, shippers: dict[str, Start]) -> Iterator[dict[str, Any]]:
    for tls in (True, False):
        with sink(place, tls=tls) as target:
            baseline_us = baseline(target, [log])
            for name in _shippers(shippers, tls=tls):
                yield {"shipper": name, "tls": "on" if tls else "off", "baseline_us": baseline_us} | _measure(
                    place, target, shippers[name], alerts
                )


def _peers(known: list[str], others: list[str], parser: ArgumentParser) -> Iterator[tuple[str, str]]:
    """Name and command of each peer. Ends the program when one is not there; of `all`, takes those that are there."""
    for name in [listed.name for listed in KNOWN_PEERS] if known == ["all"] else known:
        try:
            yield name, command_of(named(name))
        except MissingPeer as error:
            if known != ["all"]:
                parser.error(str(error))
    for name, _, command in (each.partition("=") for each in others):
        yield name, command


def _shippers(names: Iterable[str], *, tls: bool) -> list[str]:
    """Those that are measured with or without TLS. AWS does not offer plain HTTP: the agent shows the cost of TLS."""
    without = {known.name for known in KNOWN_PEERS if not known.tls}
    return [name for name in names if (name not in without if tls else name in without or name == "falcowatch")]


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
        "message_bytes": (after["message_bytes"] - before["message_bytes"]) / alerts,
        "sink_cpu_seconds": after["cpu_seconds"] - before["cpu_seconds"],
    }


def _summary(name: str, tls: str, measured: list[dict[str, Any]]) -> dict[str, Any]:
    ours = [row for row in measured if (row["shipper"], row["tls"]) == (name, tls)]
    base = [row for row in measured if (row["shipper"], row["tls"]) == ("falcowatch", tls)]
    cost, baseline_us = middle(ours, "us_per_alert"), middle(ours, "baseline_us")
    return {
        "shipper": name,
        "tls": tls,
        "us_per_alert": cost,
        "alerts_per_cpu_second": 1e6 / cost,
        "falcowatch_is": f"{cost / middle(base, 'us_per_alert'):.2f} ×",
        "baseline_us": baseline_us,
        "of_the_baseline": f"{cost / baseline_us:.2f} ×",
        "wall_seconds": middle(ours, "wall_seconds"),
        "peak_mb": middle(ours, "peak_mb"),
        "puts": middle(ours, "puts"),
        "wire_bytes": middle(ours, "wire_bytes"),
        "message_bytes": middle(ours, "message_bytes"),
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
