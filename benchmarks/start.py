"""Time from the start of the process to its first put, with an alert in the log, and its memory at that moment.

The agent runs as in the image, with compiled bytecode and trimmed service models. The first start of each kind
compiles bytecode and is not counted. Group and stream exist in the sink. Elapsed time depends on the machine's load,
so CPU time until the first put is reported too.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.alerts import log_path, pod_list, write_log
from benchmarks.api_server import api_server
from benchmarks.image import as_in_the_image
from benchmarks.processes import MIB, agent, sink
from benchmarks.results import arguments, middle, publish

GOAL_SECONDS = 0.6


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of start."""

    enrichment: str
    tls: bool


KINDS = (Kind("none", True), Kind("file", True), Kind("api", True), Kind("none", False))


def main() -> None:
    parser = arguments("Process start to first put")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds, of which the median is reported; default: 15")
    chosen = parser.parse_args()
    rounds = chosen.rounds or (1 if chosen.quick else 15)
    kinds = KINDS[1:2] if chosen.quick else KINDS

    with (
        tempfile.TemporaryDirectory() as directory,
        as_in_the_image(Path(directory), quick=chosen.quick),
        api_server(Path(directory)),
    ):
        place = Path(directory)
        (place / "pods.json").write_bytes(pod_list())
        write_log(log_path(place / "pods"), 1)
        if not chosen.quick:
            for kind in kinds:
                _start(place, kind)
        # In turns, so that other load on the machine affects all kinds alike.
        measured = [_start(place, kind) for _ in range(rounds) for kind in kinds]

    rows = [_summary(kind, measured) for kind in kinds]
    publish(
        "start", f"time from process start to first put, median of {rounds}", rows, chosen,
        goal_seconds=GOAL_SECONDS, rounds=measured,
    )  # fmt: skip


def _start(place: Path, kind: Kind) -> dict[str, Any]:
    shutil.rmtree(place / "state", ignore_errors=True)
    with sink(place, tls=kind.tls) as target, agent(place, target, **enrichment(kind.enrichment, place)) as subject:
        report = target.wait_for(1, subject)
        cpu_seconds, resident_bytes = subject.cpu_seconds, subject.resident_bytes
        looked_after_seconds = time.monotonic() - report["last_at"]
        used = subject.stop()
    return {
        "enrichment": kind.enrichment,
        "tls": _on(kind),
        "seconds": report["first_at"] - subject.started_at,
        # Time from the first put to the reading of CPU time and memory. The agent did nothing else meanwhile.
        "looked_after_seconds": looked_after_seconds,
        "cpu_seconds": cpu_seconds,
        "resident_mb": resident_bytes / MIB,
        "peak_mb": used.peak_bytes / MIB,
    }


def enrichment(kind: str, place: Path) -> dict[str, str]:
    """The settings for enrichment `none`, `file` (`place`/pods.json) or `api` (through $KUBECONFIG)."""
    return {"enrich__file": str(place / "pods.json")} if kind == "file" else {"enrich__mode": kind}


def _summary(kind: Kind, measured: list[dict[str, Any]]) -> Mapping[str, Any]:
    ours = [row for row in measured if (row["enrichment"], row["tls"]) == (kind.enrichment, _on(kind))]
    seconds = middle(ours, "seconds")
    return {
        "enrichment": kind.enrichment,
        "tls": _on(kind),
        "seconds": seconds,
        "fastest_seconds": min(row["seconds"] for row in ours),
        "slowest_seconds": max(row["seconds"] for row in ours),
        "cpu_seconds": middle(ours, "cpu_seconds"),
        "resident_mb": middle(ours, "resident_mb"),
        "peak_mb": middle(ours, "peak_mb"),
        "goal": "met" if seconds < GOAL_SECONDS else "missed",
    }


def _on(kind: Kind) -> str:
    return "on" if kind.tls else "off"


if __name__ == "__main__":
    main()
