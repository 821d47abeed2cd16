"""Counts by names from outside: the names fill neither the memory nor the answer to /metrics."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable

import pytest
from prometheus_client import generate_latest

from agent.core.processing.kinds import Kind
from agent.core.processing.result import ProcessingResult
from agent.core.values import Lane
from agent.selfmonitor.counts import Counts
from agent.telemetry import Telemetry
from agent.telemetry.metrics import LARGEST_RULE_COUNT

MIB = 1024 * 1024


def kind(rule: str, source: str = "syscall", priority: str = "Notice") -> Kind:
    return Kind(priority, source, rule, Lane.ROUTINE, filtered="", deduplicated=False, reserved=False)


@pytest.mark.parametrize(
    "make",
    [
        lambda name: kind(name),
        lambda name: kind("rule", source=name),
        lambda name: kind("rule", priority=name),
        lambda name: kind(name, source="internal"),
    ],
    ids=["rules", "sources", "priorities", "internal rules"],
)
@pytest.mark.parametrize(("names", "length"), [(50, 1_000_000), (5_000, 300)], ids=["long", "many"])
def test_names_from_outside_take_bounded_memory(make: Callable[[str], Kind], names: int, length: int) -> None:
    telemetry = Telemetry("1")
    counts = Counts(telemetry)

    tracemalloc.start()
    try:
        for number in range(names):
            counts.add(ProcessingResult(seen=Counter({make(f"{number}-" + "x" * length): 1})))
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert kept < 4 * MIB
    assert len(generate_latest(telemetry.registry)) < MIB // 4
    assert counts.alerts.total() == names
    assert telemetry.total("alerts_total") == names


def test_billed_bytes_are_counted_by_rule_and_beyond_the_bound_together() -> None:
    telemetry = Telemetry("1")
    counts = Counts(telemetry)
    kinds = [kind(f"rule {number}") for number in range(LARGEST_RULE_COUNT + 2)]

    for _ in range(2):
        counts.add(
            ProcessingResult(seen=Counter(dict.fromkeys(kinds, 1)), billed_bytes=Counter(dict.fromkeys(kinds, 100)))
        )

    assert telemetry.value("alert_bytes_total", rule="rule 0") == 200
    assert telemetry.value("alert_bytes_total", rule="other") == 400
    assert telemetry.total("alert_bytes_total") == 200 * len(kinds)


def test_a_rule_whose_alerts_are_filtered_costs_nothing() -> None:
    telemetry = Telemetry("1")

    Counts(telemetry).add(ProcessingResult(seen=Counter({kind("quiet"): 5})))

    assert telemetry.value("alerts_by_rule_total", rule="quiet") == 5
    assert telemetry.value("alert_bytes_total", rule="quiet") == 0
