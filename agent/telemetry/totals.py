"""A Prometheus counter with labels whose increment is one access to a dictionary.

The counter of prometheus-client takes a lock and costs six times as much, for each kind of alert of each chunk.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector


class Totals(Collector):
    """Totals by labels. Used from one thread."""

    def __init__(self, name: str, documentation: str, *labels: str) -> None:
        self._name = name
        self._documentation = documentation
        self._labelnames = labels
        """Named as in prometheus-client: the documentation of the metrics reads it."""
        self._totals: dict[tuple[str, ...], float] = {}

    def add(self, values: tuple[str, ...], amount: float) -> None:
        """`values`: one for each label."""
        self._totals[values] = self._totals.get(values, 0.0) + amount

    def describe(self) -> Iterator[CounterMetricFamily]:
        yield self._family()

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = self._family()
        for values, total in self._totals.items():
            family.add_metric(values, total)
        yield family

    def _family(self) -> CounterMetricFamily:
        return CounterMetricFamily(self._name, self._documentation, labels=self._labelnames)
