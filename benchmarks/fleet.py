"""Many nodes that share one account's quota of puts a second: how many nodes fit, and what happens beyond.

The result is calculated (the quota divided by the puts of one node) and simulated: nodes on a simulated clock, each
with the agent's own pace, slots, backoff and batch limits (`benchmarks.fleet_model`), send to a token bucket of one
second. The simulation assumes the arrival of alerts, the duration of a put, and that a refused put uses no quota.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from agent.settings import CloudWatch, Settings
from agent.ship.shipper import URGENT_PACE_FACTOR
from benchmarks.fleet_model import ALERT_BYTES, FULL, Load, Outcome, run
from benchmarks.results import arguments, publish, shown

QUOTAS = (800, 1_500, 5_000)
"""Puts a second of one account in one region: two numbers from older AWS documentation, and one from 2026."""

LOADS = {
    "quiet": Load(routine=0.1, urgent=1 / 600),
    "usual": Load(routine=1.0, urgent=1 / 60),
    "busy": Load(routine=20.0, urgent=1 / 10),
}
"""Alerts a second on each node."""

STORM = Load(routine=1.0, urgent=1 / 60, storm=1_000.0, storm_seconds=30.0)
"""The usual load, and for half a minute many more alerts on all nodes at once."""

NODES = (1, 10, 100, 300, 1_000, 3_000, 5_000)
LEAST_SHARE = 0.001
"""A smaller share of throttled puts counts as none."""

Row = dict[str, Any]


def main() -> None:
    parser = arguments("A fleet of nodes and the account's quota")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="default: 1")
    parser.add_argument("--seconds", type=float, metavar="S", help="simulated seconds under normal load; default: 30")
    parser.add_argument("--nodes", type=int, metavar="N", help="largest fleet with a storm of alerts; default: 5,000")
    chosen = parser.parse_args()
    seconds = chosen.seconds or (5.0 if chosen.quick else 30.0)
    most = chosen.nodes or (10 if chosen.quick else NODES[-1])
    quotas = QUOTAS[:1] if chosen.quick else QUOTAS
    began = time.process_time()

    alone = {name: _puts_per_second(load, chosen.seed, seconds) for name, load in LOADS.items()}
    fits = [_fit(name, quota, alone[name]) for name in LOADS for quota in quotas]
    beyond = [] if chosen.quick else list(_beyond(fits, chosen.seed, seconds))
    storms = [_storm(nodes, quota, chosen.seed) for quota in quotas for nodes in NODES if nodes <= most]

    cloudwatch = CloudWatch()
    publish(
        "fleet", "largest fleet with default settings within the quota", fits, chosen, seed=chosen.seed,
        max_puts_per_second=cloudwatch.max_puts_per_second, urgent_pace_factor=URGENT_PACE_FACTOR,
        concurrency=cloudwatch.concurrency, alert_bytes=ALERT_BYTES, simulated_cpu_seconds=time.process_time() - began,
        loads={name: {"routine": load.routine, "urgent": load.urgent} for name, load in LOADS.items()},
        storm={"alerts_per_second": STORM.storm, "seconds": STORM.storm_seconds}, beyond=beyond, storms=storms,
    )  # fmt: skip
    for title, rows in (("near and above that number of nodes", beyond), ("a storm of alerts on every node", storms)):
        _print(f"{title}; times in seconds", rows)


def _puts_per_second(load: Load, seed: int, seconds: float) -> float:
    """Puts a second of one node without throttling: the mean of many nodes, because one node has few alerts."""
    nodes = 50
    return run(nodes, 1e9, load, seed, seconds).puts / nodes / seconds


def _fit(load: str, quota: int, puts_per_second: float) -> Row:
    # A single alert is one put. Above the pace alerts share a put, and full batches are not paced.
    of_the_load = LOADS[load]
    most = CloudWatch().max_puts_per_second
    beat = Settings().heartbeat_seconds
    on_paper = min(of_the_load.routine + (1 / beat if beat else 0.0), most) + min(
        of_the_load.urgent, most * URGENT_PACE_FACTOR
    )
    return {
        "load": load,
        "quota": quota,
        "puts_per_node_on_paper": on_paper,
        "puts_per_node": puts_per_second,
        "nodes_on_paper": int(quota / on_paper),
        "nodes": int(quota / puts_per_second),
    }


def _beyond(fits: list[Row], seed: int, seconds: float) -> Iterator[Row]:
    """Simulations slightly below the number of nodes that fit, and above it."""
    for fit in fits:
        for factor in (0.95, 1.25, 2.0, 4.0):
            nodes = int(fit["nodes"] * factor)
            outcome = run(nodes, fit["quota"], LOADS[fit["load"]], seed, seconds)
            yield {"load": fit["load"], "quota": fit["quota"], "nodes": nodes, "of_what_fits": factor} | _row(outcome)


def _storm(nodes: int, quota: int, seed: int) -> Row:
    puts = STORM.storm * STORM.storm_seconds / FULL
    outcome = run(nodes, quota, STORM, seed)
    return {
        "quota": quota,
        "nodes": nodes,
        "drained_on_paper": max(0.0, nodes * puts / quota - STORM.storm_seconds),
        "drained_median": median(outcome.drained_at) - STORM.storm_ends_at,
        "drained_last": outcome.drained_at[-1] - STORM.storm_ends_at,
    } | _row(outcome)


def _row(outcome: Outcome) -> Row:
    routine, urgent = outcome.latency["routine"], outcome.latency["urgent"]
    return {
        "throttled_percent": 100 * outcome.throttled / max(1, outcome.throttled + outcome.puts),
        "puts_per_node": outcome.puts / outcome.nodes / outcome.seconds,
        "alerts_per_put": outcome.alerts / max(1, outcome.puts),
        "routine_p50": routine.percentile(50),
        "routine_p99": routine.percentile(99),
        "urgent_p50": urgent.percentile(50),
        "urgent_p99": urgent.percentile(99),
        "urgent_worst": urgent.percentile(100),
    }


def _print(title: str, rows: Sequence[Row]) -> None:
    if not rows:
        return
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(shown(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


if __name__ == "__main__":
    main()
