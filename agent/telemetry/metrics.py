"""Every metric, declared once. The table in docs/metrics.md is generated from here; a test fails when they differ.

Counters are incremented once per chunk or once per request, never per record. Values that another part holds (bytes in
flight, open files, lag) are read when /metrics is requested, through `set_function`.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

from agent.core.values import Lane
from agent.telemetry.defects import Defects
from agent.telemetry.histogram import LatencyHistogram
from agent.telemetry.totals import Totals

disable_created_metrics()  # type: ignore[no-untyped-call]  # upstream has no annotation

PREFIX = "falcowatch_"

LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
PUT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
EVENTS_BUCKETS = (1, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)
BYTES_BUCKETS = (1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 512 << 10, 768 << 10, 1 << 20)

LARGEST_RULE_COUNT = 300
"""Rules that get their own series; further rules are counted as `other`."""


class Snapshot(Struct, frozen=True):
    """All samples of one moment, by name (without the prefix) and labels."""

    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    def value(self, name: str, **labels: str) -> float:
        """One sample; 0 when it does not exist."""
        return self.samples.get((name, frozenset(labels.items())), 0.0)

    def total(self, name: str) -> float:
        """The sum over all labels."""
        return sum(value for (sample, _), value in self.samples.items() if sample == name)

    def by(self, label: str, name: str) -> dict[str, float]:
        """The sum of a metric for each value of one of its labels."""
        sums: dict[str, float] = {}
        for (sample, labels), value in self.samples.items():
            if sample == name and (label_value := dict(labels).get(label)) is not None:
                sums[label_value] = sums.get(label_value, 0.0) + value
        return sums


class Telemetry:
    """All metrics in their own registry, so that one process can run several agents."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

        # Accounting: read = shipped + filtered + rejected + in flight.
        self.read_bytes = self._counter("read_bytes", "Bytes read from log files.")
        self.records_read = self._counter("records_read", "Records read. Partial lines are joined into one record.")
        self.records_shipped = self._counter("records_shipped", "Records that CloudWatch accepted.", "lane")
        self.records_filtered = self._counter(
            "records_filtered", "Records not shipped because of the agent's settings.", "reason"
        )
        self.records_rejected = self._counter(
            "records_rejected", "Records that CloudWatch can never accept, kept as dead letters.", "reason"
        )
        self.records_in_flight = self._gauge("records_in_flight", "Records read and not yet acknowledged.")
        self.records_synthetic = self._counter(
            "records_synthetic",
            "The agent's own events (heartbeat, silence, gap, storm) that CloudWatch accepted. They come from no file "
            "and are not part of records_read.",
            "kind",
        )

        # Content.
        self.alerts = self._totals("alerts", "Alerts read.", "priority", "source")
        self.alerts_by_rule = self._totals(
            "alerts_by_rule", "Alerts read, by rule. The number of rules is bounded; further rules are `other`.", "rule"
        )
        self.alert_bytes = self._totals(
            "alert_bytes",
            "Bytes of the alerts that are shipped, by rule, as CloudWatch bills them. The rules are those of "
            "falcowatch_alerts_by_rule_total.",
            "rule",
        )
        self.falco_internal = self._counter("falco_internal", "Falco's messages about itself.", "rule")
        self.falco_syscall_drops = self._counter("falco_syscall_drops", "System calls that Falco reports as missed.")
        self.falco_events = self._counter(
            "falco_events", "Kernel events that Falco processed, from its metrics snapshots."
        )
        self.falco_output_drops = self._gauge(
            "falco_output_drops", "Alerts that Falco dropped in its output queue, from its last metrics snapshot."
        )
        self.falco_rules_loaded = Info(
            f"{PREFIX}falco_rules_loaded", "Falco's version and the digests of its rules files.", registry=self.registry
        )
        self.falco_silent_seconds = self._gauge(
            "falco_silent_seconds", "Time since Falco on this node last wrote a line."
        )
        self.falco_silent = self._gauge("falco_silent", "1 while Falco on this node is announced as silent.")

        self.falco_state = self._gauge(
            "falco_state",
            "1 for the state of Falco on this node: reading, text, silent, elsewhere, none. 0 for the other states.",
            "state",
        )
        self.falco_not_read = self._gauge(
            "falco_not_read", "1 while it is announced that no Falco of this node is read (falco.missing_seconds)."
        )

        # Proof.
        self.seal_number = self._gauge("seal_number", "Number of the last seal that this node has written.")
        self.seal_head = self._gauge(
            "seal_head", "First 48 bits of the SHA-256 of the last seal's message, to compare with CloudWatch."
        )

        # Reading.
        self.lag_bytes = self._gauge("lag_bytes", "Bytes written to log files and not yet acknowledged.")
        self.lag_seconds = self._gauge("lag_seconds", "Age of the oldest record that is unread or not acknowledged.")
        self.files_waiting = self._gauge(
            "files_waiting", "Log files that wait for a free file descriptor; they are read in turn."
        )
        self.files_open = self._gauge("files_open", "Log files that are open.")
        self.gap_bytes = self._counter("gap_bytes", "Bytes that were deleted before they could be read.")
        self.budget_bytes = self._gauge(
            "budget_bytes", "The setting memory_budget_bytes: the bound on bytes in flight."
        )
        self.budget_used_bytes = self._gauge("budget_used_bytes", "Bytes in flight.")
        self.backpressure_active = self._gauge(
            "backpressure_active", "1 while reading waits because the budget is used up."
        )
        self.backpressure_seconds = self._counter(
            "backpressure_seconds", "Time that reading has waited because the budget was used up."
        )

        # Shipping.
        self.lane_records = self._gauge("lane_records", "Records that wait in a lane.", "lane")
        self.records_spilled = self._gauge(
            "records_spilled", "Records that wait on disk, because their stream accepts nothing and others do."
        )
        self.oldest_unacknowledged = self._gauge(
            "oldest_unacknowledged_seconds",
            "Time since the oldest unacknowledged record of a lane was read.",
            "lane",
        )
        self.puts = self._counter("puts", "PutLogEvents requests.", "outcome")
        self.put_seconds = self._histogram("put_seconds", "Duration of a PutLogEvents request.", PUT_BUCKETS)
        self.put_events = self._histogram("put_events", "Events in a PutLogEvents request.", EVENTS_BUCKETS)
        self.put_bytes = self._histogram(
            "put_bytes", "Bytes in a PutLogEvents request, as CloudWatch counts them.", BYTES_BUCKETS
        )
        self.send_slots = self._gauge("send_slots", "PutLogEvents requests allowed at the same time now.")
        self.send_slots_used = self._gauge("send_slots_used", "PutLogEvents requests in progress.")
        self.retries = self._counter("retries", "PutLogEvents requests that were repeated.", "reason")
        self.throttled = self._counter("throttled", "PutLogEvents requests that CloudWatch throttled.")
        self.alert_latency = LatencyHistogram(
            f"{PREFIX}alert_latency_seconds",
            "Time from Falco's event to CloudWatch's acknowledgement.",
            LATENCY_BUCKETS,
            "lane",
            label_values=Lane,
        )
        self.registry.register(self.alert_latency)
        self.dead_letters = self._counter("dead_letters", "Records written as dead letters.", "reason")
        self.dead_letters_lost = self._counter(
            "dead_letters_lost", "Rejected records that the disk refused and that could not be held.", "reason"
        )
        self.last_acknowledged = self._gauge(
            "last_acknowledged_timestamp_seconds", "Time at which CloudWatch last accepted a request."
        )
        self.settings_drift = self._gauge(
            "settings_drift", "1 for each setting in which the log group differs from the configuration.", "setting"
        )
        self.entity_rejected = self._counter(
            "entity_rejected",
            "Requests whose entity CloudWatch rejected. The events were accepted; the stream continues without entity.",
            "reason",
        )

        # Unforeseen exceptions.
        self.unforeseen = self._counter(
            "defects", "Unforeseen exceptions, each of which concerned one record, one file or one part.", "part"
        )
        self.defects = Defects(self.unforeseen)

        # State.
        self.checkpoint_age = self._gauge("checkpoint_age_seconds", "Time since the checkpoint was last written.")
        self.checkpoint_errors = self._counter("checkpoint_errors", "Checkpoints that could not be written.")

        # Pods.
        self.enrichment_up = self._gauge(
            "enrichment_up",
            "0 while pod metadata cannot be read, for example because rights are missing. 1 while it works, and when "
            "it is switched off.",
        )
        self.enrichment_up.set(1)
        self.kube_pods = self._gauge("kube_pods", "Pods in the cache, including deleted pods.")
        self.kube_watch_restarts = self._counter("kube_watch_restarts", "Watches started after the first.")
        self.enrichment = self._counter(
            "enrichment", "Alerts by result of the pod lookup: hit, miss, host, late.", "result"
        )

        self.build_info = Info(f"{PREFIX}build", "Version of the agent.", registry=self.registry)
        self.build_info.info({"version": version})

    def snapshot(self) -> Snapshot:
        """Every sample, collected once. Use this to read more than one value."""
        return Snapshot(
            {
                (sample.name.removeprefix(PREFIX), frozenset(sample.labels.items())): sample.value
                for metric in self.registry.collect()
                for sample in metric.samples
            }
        )

    def value(self, name: str, **labels: str) -> float:
        """One sample by name without the prefix; 0 when it does not exist. Collects every metric: see `snapshot`."""
        return self.snapshot().value(name, **labels)

    def total(self, name: str) -> float:
        """The sum of a metric over its labels. Collects every metric: see `snapshot`."""
        return self.snapshot().total(name)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}{name}", documentation, labels, registry=self.registry)

    def _totals(self, name: str, documentation: str, *labels: str) -> Totals:
        totals = Totals(f"{PREFIX}{name}", documentation, *labels)
        self.registry.register(totals)
        return totals

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}{name}", documentation, labels, registry=self.registry)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}{name}", documentation, labels, buckets=buckets, registry=self.registry)
