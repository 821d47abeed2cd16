"""Counts what the pipeline has read: once a chunk, for Prometheus and for the status page.

The same numbers are kept twice, because looking a number up in Prometheus' registry collects every metric.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final, NamedTuple

from agent.core.processing.kinds import MOST_KINDS, Kind
from agent.core.processing.result import ProcessingResult
from agent.telemetry import Telemetry
from agent.telemetry.labels import BoundedLabel, label_value
from agent.telemetry.metrics import LARGEST_RULE_COUNT

LAST_ALERTS: Final = 10
MOST_PRIORITIES: Final = 24
"""Falco has eight; each may be written in capitals, in small letters, or with one capital."""
MOST_SOURCES: Final = 32
MOST_INTERNAL_RULES: Final = 64
LONGEST_REMEMBERED: Final = 512
"""Characters of a kind's names. The counters of a kind with longer names are found anew for each chunk."""


class LastAlert(NamedTuple):
    priority: str
    rule: str
    read_at: float
    """Seconds since 1970."""


class Counts:
    """Totals since the start of the agent."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.read = 0
        """Records."""
        self.filtered: Counter[str] = Counter()
        """Records settled by a rule of the configuration, by reason."""
        self.alerts: Counter[str] = Counter()
        """Alerts by priority."""
        self.enriched: Counter[str] = Counter()
        """Alerts by what was known of their pod."""
        self.last_alerts: deque[LastAlert] = deque(maxlen=LAST_ALERTS)
        """One entry for each kind of alert in the last chunks, newest last."""
        self._telemetry = telemetry
        self._priorities = BoundedLabel(MOST_PRIORITIES)
        self._sources = BoundedLabel(MOST_SOURCES)
        self._rules = BoundedLabel(LARGEST_RULE_COUNT)
        self._internal_rules = BoundedLabel(MOST_INTERNAL_RULES)
        self._series: dict[Kind, tuple[Callable[[float], None], ...]] = {}
        """The counters of each kind of alert: finding a labelled series costs four times what adding to it does."""

    def add(self, result: ProcessingResult) -> None:
        """Counts one processed chunk."""
        for kind, alerts in result.seen.items():
            for increment in self._series.get(kind) or self._find_series(kind):
                increment(alerts)
            if kind.source == "internal":
                self._telemetry.falco_internal.labels(self._internal_rules.of(kind.rule)).inc(alerts)
            self.alerts[self._priorities.of(kind.priority)] += alerts
            self.last_alerts.append(LastAlert(label_value(kind.priority), label_value(kind.rule), time.time()))
        for reason, records in result.filtered.items():
            self.filter(reason, records)
        for label, alerts in result.enriched.items():
            self.enriched[label] += alerts
            self._telemetry.enrichment.labels(label).inc(alerts)

    def filter(self, reason: str, records: int) -> None:
        """Counts records that a rule of the configuration settled."""
        self.filtered[reason] += records
        self._telemetry.records_filtered.labels(reason).inc(records)

    def _find_series(self, kind: Kind) -> tuple[Callable[[float], None], ...]:
        priority, source = self._priorities.of(kind.priority), self._sources.of(kind.source)
        alerts = self._telemetry.alerts.labels(priority, source)
        by_rule = self._telemetry.alerts_by_rule.labels(self._rules.of(kind.rule))
        series = alerts.inc, by_rule.inc
        if len(kind.priority) + len(kind.source) + len(kind.rule) <= LONGEST_REMEMBERED:
            if len(self._series) >= MOST_KINDS:
                self._series.clear()
            self._series[kind] = series
        return series
