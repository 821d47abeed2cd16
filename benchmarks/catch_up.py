"""CPU time for each alert when the agent catches up with a full log file and the sink accepts everything.

The agent does its whole job in a separate process, with its default settings: CRI lines of about 1 KB, decoding, pod
metadata, seals, PutLogEvents with compressed bodies and TLS. It is measured again without TLS, without seals, and with
plain bodies. All CPU time from the start to the end of the process is counted. Each round also measures the baseline
and other log shippers on the same file and the same sink: `--with NAME` for those of `known_peers`, `--peer
NAME=COMMAND` for any other. A peer that cannot trust the sink's certificate is measured without TLS, like the agent in
the same round. The results are medians over the rounds.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.alerts import log_path, pod_list, write_log, write_metadata
from benchmarks.baseline import baseline
from benchmarks.image import as_in_the_image
from benchmarks.processes import META, MIB, Sink, sink
from benchmarks.results import arguments, keep_peers, middle, publish
from benchmarks.shippers import (
    PODS_FILE,
    Shipper,
    absent_peers,
    add_peer_options,
    chosen_peers,
    defaults_of_the_agent,
    ours,
)

OURS = ours()
VARIANTS = (
    ours("falcowatch-no-seals", seal__enabled="false"),
    ours("falcowatch-plain", cloudwatch__compression="none"),
)
"""The agent with one setting that is not the default: the difference is the cost of what the default does."""


def main() -> None:
    parser = arguments("CPU time for each alert when catching up")
    parser.add_argument("--alerts", type=int, metavar="N", help="default: 1,000,000")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds, of which the median is reported; default: 3")
    add_peer_options(parser)
    chosen = parser.parse_args()
    alerts = chosen.alerts or (1_000 if chosen.quick else 1_000_000)
    rounds = chosen.rounds or (1 if chosen.quick else 3)
    shippers = [OURS, *VARIANTS, *chosen_peers(chosen, parser)]

    with tempfile.TemporaryDirectory() as directory, as_in_the_image(Path(directory), quick=chosen.quick):
        place = Path(directory)
        (place / PODS_FILE).write_bytes(pod_list())
        write_metadata(place / META)
        log = log_path(place / "pods")
        write_log(log, 1)
        with sink(place, tls=True) as target:
            if not chosen.quick:
                _measure(place, target, OURS, 1)  # compiles the bytecode, which the image already contains
        line_bytes = write_log(log, alerts) / alerts
        measured = [row for _ in range(rounds) for row in _round(place, log, alerts, shippers)]

    rows = [
        _summary(shipper.name, "on" if tls else "off", measured)
        for tls in (True, False)
        for shipper in _measured(shippers, tls=tls)
    ]
    keep_peers("catch_up", {shipper.name for shipper in shippers}, chosen)
    publish(
        "catch_up", f"{alerts:,} alerts, lines of {line_bytes:,.0f} bytes, median of {rounds}", rows, chosen,
        alerts=alerts, line_bytes=line_bytes, defaults=defaults_of_the_agent(),
        versions={shipper.name: shipper.version for shipper in shippers if shipper.version},
        absent_peers=absent_peers(shippers), rounds=measured,
    )  # fmt: skip


def _round(place: Path, log: Path, alerts: int, shippers: Iterable[Shipper]) -> Iterator[dict[str, Any]]:
    for tls in (True, False):
        with sink(place, tls=tls) as target:
            baseline_us = baseline(target, [log])
            for shipper in _measured(shippers, tls=tls):
                yield {"shipper": shipper.name, "tls": "on" if tls else "off", "baseline_us": baseline_us} | _measure(
                    place, target, shipper, alerts
                )


def _measured(shippers: Iterable[Shipper], *, tls: bool) -> list[Shipper]:
    """Those that are measured with or without TLS. AWS does not offer plain HTTP: the agent shows the cost of TLS."""
    return [shipper for shipper in shippers if (shipper.tls if tls else not shipper.tls or shipper is OURS)]


def _measure(place: Path, target: Sink, shipper: Shipper, alerts: int) -> dict[str, Any]:
    shipper.forget(place)
    before = target.report()
    began = time.monotonic()
    with shipper.start(place, target) as subject:
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


if __name__ == "__main__":
    main()
