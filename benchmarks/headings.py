"""Headings of the tables: the name of a column in the stored results, in words that a reader knows, with its unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, str]] = {
    "us": "µs",
    "mb": "MB",
    "cpu": "CPU",
    "tls": "TLS",
    "per": "a",
}
"""Words of many columns. All other words stay as they are."""

NAMES: Final[Mapping[str, str]] = {
    # Benchmarks of one agent.
    "us_per_alert": "µs of CPU an alert",
    "alerts_per_cpu_second": "alerts a CPU second",
    "falcowatch_is": "CPU, × ours",
    "baseline_us": "baseline, µs",
    "of_the_baseline": "CPU, × baseline",
    "wall_seconds": "seconds",
    "peak_mb": "peak MB",
    "wire_bytes": "bytes on the wire",
    "sink_cpu_seconds": "CPU seconds of the sink",
    "cpu_percent": "% of a core",
    "writer_late_p99_ms": "delay of the writer, p99 ms",
    "refused_a_second": "refused puts a second",
    "still_waiting": "waiting at the end",
    "most_mb": "peak MB",
    "without_a_file_mb": "MB without a file",
    "against_base": "difference",
    "idle_percent": "idle, % of a core",
    "churning_ms_per_second": "pods change, CPU ms a second",
    "trickling_ms_per_second": "files grow, CPU ms a second",
    # Benchmarks of a fleet: "calculated" is the formula, all others are simulated.
    "quota": "quota, puts a second",
    "puts_per_node_on_paper": "puts a second and node, calculated",
    "puts_per_node": "puts a second and node",
    "nodes_on_paper": "nodes, calculated",
    "of_what_fits": "of the nodes that fit",
    "throttled_percent": "throttled, %",
    "alerts_per_put": "alerts a put",
    "drained_on_paper": "delivered, calculated",
    "drained_median": "delivered, median node",
    "drained_last": "delivered, last node",
}


def heading(column: str) -> str:
    return NAMES.get(column) or " ".join(WORDS.get(word, word) for word in column.split("_"))
