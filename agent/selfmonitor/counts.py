"""Counts what the pipeline has read: once a chunk, for Prometheus and for the status page.

The same numbers are kept twice, because looking a number up in Prometheus' registry collects every metric.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from agent.core.processing.kinds import MOST_KINDS, Kind
from agent.core.processing.result import ProcessingResult
from agent.selfmonitor.last_alerts import LastAlerts
from agent.telemetry import Telemetry
from agent.telemetry.metrics import LARGEST_RULE_COUNT

OTHER_RULES: Final = "other"
"""The label of all rules beyond the first LARGEST_RULE_COUNT."""


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
        self.last_alerts = LastAlerts()
        self._telemetry = telemetry
        self._rules_with_series: set[str] = set()
        self._series: dict[Kind, tuple[Callable[[float], None], ...]] = {}
        """The counters of each kind of alert: finding a labelled series costs four times what adding to it does."""

    def add(self, result: ProcessingResult, payloads: Sequence[bytes] = ()) -> None:
        """Counts one processed chunk. `payloads`: its records."""
        self.last_alerts.note(payloads)
        for kind, alerts in result.seen.items():
            for increment in self._series.get(kind) or self._find_series(kind):
                increment(alerts)
            if kind.source == "internal":
                self._telemetry.falco_internal.labels(kind.rule).inc(alerts)
            self.alerts[kind.priority] += alerts
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
        if len(self._series) >= MOST_KINDS:
            self._series.clear()
        alerts = self._telemetry.alerts.labels(kind.priority, kind.source)
        by_rule = self._telemetry.alerts_by_rule.labels(self._rule_label(kind.rule))
        series = self._series[kind] = (alerts.inc, by_rule.inc)
        return series

    def _rule_label(self, rule: str) -> str:
        if rule not in self._rules_with_series:
            if len(self._rules_with_series) >= LARGEST_RULE_COUNT:
                return OTHER_RULES
            self._rules_with_series.add(rule)
        return rule
