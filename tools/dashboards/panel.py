"""The data types of the dashboard: queries, panels, rows, and threshold colours. Layout and JSON are in render.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

OURS = 'job=~"$job", cluster=~"$cluster", node=~"$node"'
"""Label selector for the agents that the user picked at the top of the dashboard. A series without the label `cluster`
matches while all clusters are selected, because `.*` matches the empty value."""

RED_ABOVE_ZERO = [{"color": "green", "value": None}, {"color": "red", "value": 0.000001}]
ORANGE_ABOVE_ZERO = [{"color": "green", "value": None}, {"color": "orange", "value": 0.000001}]
RED_UNLESS_ZERO = [{"color": "red", "value": None}, {"color": "green", "value": 0}, {"color": "red", "value": 0.5}]
NEUTRAL = [{"color": "blue", "value": None}]


@dataclass(frozen=True, slots=True)
class Query:
    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Word:
    """A value that is shown as a word with a colour."""

    value: int
    text: str
    colour: str


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    description: str
    queries: Sequence[Query]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 7
    steps: Sequence[dict[str, Any]] = ()
    stacked: bool = False
    hidden_columns: Sequence[str] = ()
    words: Sequence[Word] = ()
    most: int | None = None
    """End of the vertical axis; None: Grafana chooses it."""


@dataclass(frozen=True, slots=True)
class Row:
    question: str
    panels: Sequence[Panel] = field(default_factory=tuple)


def stat(title: str, description: str, expr: str, unit: str = "short", steps: Any = RED_ABOVE_ZERO) -> Panel:
    return Panel(title, description, [Query(expr)], unit=unit, kind="stat", width=4, height=4, steps=steps)


def quantiles(metric: str, by: str, legend: str) -> list[Query]:
    buckets = f"sum by ({by}) (rate({metric}_bucket{{{OURS}}}[$__rate_interval]))"
    return [Query(f"histogram_quantile({q}, {buckets})", f"{legend} p{int(q * 100)}") for q in (0.5, 0.99)]
