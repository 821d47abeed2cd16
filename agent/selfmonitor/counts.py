"""Counts what the pipeline has read: once a chunk, for Prometheus and for the status page.

The same numbers are kept twice, because looking a number up in Prometheus' registry collects every metric.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from agent.core.processing.kinds import MOST_KINDS, Kind
from agent.core.processing.result import ProcessingResult
from agent.selfmonitor.last_alerts import LastAlerts
from agent.telemetry import Telemetry
from agent.telemetry.labels import BoundedLabels
from agent.telemetry.metrics import LARGEST_RULE_COUNT

MOST_PRIORITIES: Final = 16
MOST_SOURCES: Final = 32
MOST_INTERNAL_RULES: Final = 64
"""Falco has 8 priorities, a source for each plugin, and about ten internal rules."""

MOST_LABEL_BYTES: Final = 32 * 1024
"""Bound on all values of one label, in bytes."""

LONGEST_KIND_CHARS: Final = 512
"""Series of a kind with longer names are looked up each time, so that the names do not stay in memory."""


class _Series(NamedTuple):
    """The labels of one kind of alert."""

    priority_and_source: tuple[str, str]
    rule: tuple[str]


class Counts:
    """Totals since the start of the agent."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.read = 0
        """Records."""
        self.read_bytes = 0
        self.filtered: Counter[str] = Counter()
        """Records settled by a rule of the configuration, by reason."""
        self.alerts: Counter[str] = Counter()
        """Alerts by priority."""
        self.enriched: Counter[str] = Counter()
        """Alerts by what was known of their pod."""
        self.last_alerts = LastAlerts()
        self._telemetry = telemetry
        self._priorities = BoundedLabels(MOST_PRIORITIES, MOST_LABEL_BYTES)
        self._sources = BoundedLabels(MOST_SOURCES, MOST_LABEL_BYTES)
        self._rules = BoundedLabels(LARGEST_RULE_COUNT, MOST_LABEL_BYTES)
        self._internal_rules = BoundedLabels(MOST_INTERNAL_RULES, MOST_LABEL_BYTES)
        self._series: dict[Kind, _Series] = {}
        """The labels of each kind of alert."""

    def add(self, result: ProcessingResult) -> None:
        """Counts one processed chunk."""
        telemetry = self._telemetry
        for kind, alerts in result.seen.items():
            series = self._series.get(kind) or self._find_series(kind)
            telemetry.alerts.add(series.priority_and_source, alerts)
            telemetry.alerts_by_rule.add(series.rule, alerts)
            if (billed_bytes := result.billed_bytes.get(kind, 0)) > 0:
                telemetry.alert_bytes.add(series.rule, billed_bytes)
            if kind.source == "internal":
                telemetry.falco_internal.labels(self._internal_rules.of(kind.rule)).inc(alerts)
            self.alerts[series.priority_and_source[0]] += alerts
        for reason, records in result.filtered.items():
            self.filter(reason, records)
        for outcome, alerts in result.enriched.items():
            self.enriched[outcome] += alerts
            telemetry.enrichment.labels(outcome).inc(alerts)

    def filter(self, reason: str, records: int) -> None:
        """Counts records that a rule of the configuration settled."""
        self.filtered[reason] += records
        self._telemetry.records_filtered.labels(reason).inc(records)

    def _find_series(self, kind: Kind) -> _Series:
        if len(self._series) >= MOST_KINDS:
            self._series.clear()
        series = _Series(
            (self._priorities.of(kind.priority), self._sources.of(kind.source)), (self._rules.of(kind.rule),)
        )
        if len(kind.priority) + len(kind.source) + len(kind.rule) <= LONGEST_KIND_CHARS:
            self._series[kind] = series
        return series
