"""Every metric, declared once. docs/metrics.md tables them, and a test refuses drift.

Counters move once a chunk or once a put, never once a record. Values that exist elsewhere (bytes in
flight, open files, lag) are read when /metrics is asked, through `set_function`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

from agent.core.values import Lane
from agent.telemetry.defects import Defects
from agent.telemetry.findings import Findings
from agent.telemetry.histogram import LatencyHistogram

disable_created_metrics()  # type: ignore[no-untyped-call]  # upstream has no annotation

PREFIX = "falcowatch_"

LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
PUT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
EVENTS_BUCKETS = (1, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)
BYTES_BUCKETS = (1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 512 << 10, 768 << 10, 1 << 20)

LARGEST_RULE_COUNT = 300
"""Rules that get a series of their own; the rest are counted as `other`."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All samples of one moment, by full name without the prefix and by labels."""

    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    def value(self, name: str, **labels: str) -> float:
        """One sample, 0 when there is none."""
        return self.samples.get((name, frozenset(labels.items())), 0.0)

    def total(self, name: str) -> float:
        """The sum over all labels."""
        return sum(value for (sample, _), value in self.samples.items() if sample == name)

    def by(self, label: str, name: str) -> dict[str, float]:
        """The sums of a metric for each value of one of its labels."""
        sums: dict[str, float] = {}
        for (sample, labels), value in self.samples.items():
            if sample == name and (label_value := dict(labels).get(label)) is not None:
                sums[label_value] = sums.get(label_value, 0.0) + value
        return sums


class Telemetry:
    """All metrics over a registry of their own, so that a process may hold several agents."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

        # The books: read = shipped + filtered + rejected + in flight.
        self.read_bytes = self._counter("read_bytes", "Bytes read from log files.")
        self.records_read = self._counter("records_read", "Records read: lines, after joining partial ones.")
        self.records_shipped = self._counter("records_shipped", "Records that CloudWatch accepted.", "lane")
        self.records_filtered = self._counter("records_filtered", "Records settled by our own rules.", "reason")
        self.records_rejected = self._counter("records_rejected", "Records that can never be accepted.", "reason")
        self.records_in_flight = self._gauge("records_in_flight", "Records read and not yet settled.")
        self.records_synthetic = self._counter(
            "records_synthetic",
            "Events of our own (heartbeat, silence, gap, storm) that CloudWatch accepted; not in the books.",
            "kind",
        )

        # What was seen.
        self.alerts = self._counter("alerts", "Alerts read.", "priority", "source")
        self.alerts_by_rule = self._counter(
            "alerts_by_rule", "Alerts read, by rule (bounded; the rest as `other`).", "rule"
        )
        self.falco_internal = self._counter("falco_internal", "Falco's messages about itself.", "rule")
        self.falco_syscall_drops = self._counter("falco_syscall_drops", "System calls Falco says it could not see.")
        self.falco_events = self._counter("falco_events", "Kernel events Falco has seen, by its metrics snapshots.")
        self.falco_output_drops = self._gauge(
            "falco_output_drops", "Alerts Falco dropped in its output queue, by its last snapshot."
        )
        self.falco_rules_loaded = Info(
            f"{PREFIX}falco_rules_loaded", "Falco's version and the digests of its rules files.", registry=self.registry
        )
        self.falco_silent_seconds = self._gauge("falco_silent_seconds", "Time since a Falco on this node last wrote.")
        self.falco_silent = self._gauge("falco_silent", "1 while a Falco on this node is announced as silent.")

        # Reading.
        self.lag_bytes = self._gauge("lag_bytes", "Bytes written to log files and not yet settled.")
        self.lag_seconds = self._gauge("lag_seconds", "Age of the oldest record unread or unsettled.")
        self.files_open = self._gauge("files_open", "Log files open.")
        self.gap_bytes = self._counter("gap_bytes", "Bytes that vanished before they could be read.")
        self.budget_bytes = self._gauge("budget_bytes", "The bound on bytes in flight.")
        self.budget_used_bytes = self._gauge("budget_used_bytes", "Bytes in flight.")
        self.backpressure_active = self._gauge("backpressure_active", "1 while reading waits for the budget.")
        self.backpressure_seconds = self._counter(
            "backpressure_seconds", "Time that reading has waited for the budget."
        )

        # Shipping.
        self.lane_records = self._gauge("lane_records", "Records waiting in a lane.", "lane")
        self.oldest_unacknowledged = self._gauge(
            "oldest_unacknowledged_seconds",
            "Time since the oldest record of a lane that is unsettled was read.",
            "lane",
        )
        self.puts = self._counter("puts", "PutLogEvents calls.", "outcome")
        self.put_seconds = self._histogram("put_seconds", "Duration of a put.", PUT_BUCKETS)
        self.put_events = self._histogram("put_events", "Events in a put.", EVENTS_BUCKETS)
        self.put_bytes = self._histogram("put_bytes", "Bytes of a put, as CloudWatch counts them.", BYTES_BUCKETS)
        self.send_slots = self._gauge("send_slots", "Puts allowed at once now.")
        self.send_slots_used = self._gauge("send_slots_used", "Puts under way.")
        self.retries = self._counter("retries", "Puts sent again.", "reason")
        self.throttled = self._counter("throttled", "Puts refused for their rate.")
        self.alert_latency = LatencyHistogram(
            f"{PREFIX}alert_latency_seconds",
            "Falco's event time to acknowledgement.",
            LATENCY_BUCKETS,
            "lane",
            label_values=Lane,
        )
        self.registry.register(self.alert_latency)
        self.dead_letters = self._counter("dead_letters", "Records written to the dead letters.", "reason")
        self.last_acknowledged = self._gauge(
            "last_acknowledged_timestamp_seconds", "When CloudWatch last accepted a put."
        )
        self.settings_drift = self._gauge(
            "settings_drift", "1 where the log group differs from the configuration.", "setting"
        )
        self.entity_rejected = self._counter(
            "entity_rejected", "Puts whose entity was rejected; the stream goes on without.", "reason"
        )

        self.findings = Findings()

        # Unforeseen exceptions.
        self.defects = Defects(
            self._counter(
                "defects", "Unforeseen exceptions, each of which concerned one record, one file or one part.", "part"
            )
        )

        # State.
        self.checkpoint_age = self._gauge("checkpoint_age_seconds", "Time since progress was last on disk.")
        self.checkpoint_errors = self._counter("checkpoint_errors", "Checkpoints that could not be written.")

        # Pods.
        self.kube_pods = self._gauge("kube_pods", "Pods known, deleted ones included.")
        self.kube_watch_restarts = self._counter("kube_watch_restarts", "Watches begun anew.")
        self.enrichment = self._counter(
            "enrichment", "Alerts by what was known of their pod: hit, miss, host, late.", "result"
        )

        self.build_info = Info(f"{PREFIX}build", "Version of the agent.", registry=self.registry)
        self.build_info.info({"version": version})

    def snapshot(self) -> Snapshot:
        """Every sample as it is now, collected once: for whoever asks for many."""
        return Snapshot(
            {
                (sample.name.removeprefix(PREFIX), frozenset(sample.labels.items())): sample.value
                for metric in self.registry.collect()
                for sample in metric.samples
            }
        )

    def value(self, name: str, **labels: str) -> float:
        """One sample by its full name without the prefix, 0 when it has none. Collects everything: see `snapshot`."""
        return self.snapshot().value(name, **labels)

    def total(self, name: str) -> float:
        """The sum of a metric over its labels. Collects everything: see `snapshot`."""
        return self.snapshot().total(name)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}{name}", documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}{name}", documentation, labels, registry=self.registry)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}{name}", documentation, labels, buckets=buckets, registry=self.registry)
