"""The metrics: dashboards and alert rules depend on their names."""

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from agent.telemetry import Telemetry

PROMISED = (
    "read_bytes_total",
    "records_read_total",
    "records_shipped_total{lane}",
    "records_filtered_total{reason}",
    "records_rejected_total{reason}",
    "records_in_flight",
    "alerts_total{priority,source}",
    "alerts_by_rule_total{rule}",
    "alert_bytes_total{rule}",
    "lag_bytes",
    "lag_seconds",
    "files_open",
    "files_waiting",
    "gap_bytes_total",
    "budget_bytes",
    "budget_used_bytes",
    "backpressure_active",
    "backpressure_seconds_total",
    "lane_records{lane}",
    "oldest_unacknowledged_seconds{lane}",
    "puts_total{outcome}",
    "put_seconds",
    "put_events",
    "put_bytes",
    "send_slots",
    "send_slots_used",
    "retries_total{reason}",
    "throttled_total",
    "alert_latency_seconds{lane}",
    "checkpoint_age_seconds",
    "checkpoint_errors_total",
    "dead_letters_total{reason}",
    "dead_letters_lost_total{reason}",
    "last_acknowledged_timestamp_seconds",
    "kube_pods",
    "kube_watch_restarts_total",
    "enrichment_total{result}",
    "falco_internal_total{rule}",
    "falco_syscall_drops_total",
    "falco_silent_seconds",
    "build_info",
)
"""The public interface; a name leaves this list only with a major version."""


def touch_every_label(telemetry: Telemetry) -> None:
    """Creates a sample of each metric with labels; it has none before its first use."""
    for metric in vars(telemetry).values():
        if getattr(metric, "_labelnames", ()) and hasattr(metric, "labels"):
            metric.labels(*("x" for _ in metric._labelnames))


def test_every_promised_metric_exists_with_its_labels():
    telemetry = Telemetry("1.2.3")
    touch_every_label(telemetry)
    telemetry.alerts.add(("x", "x"), 1)
    telemetry.alerts_by_rule.add(("x",), 1)
    telemetry.alert_bytes.add(("x",), 1)

    labels_of = {
        sample.name: set(sample.labels) - {"le", "version"}
        for family in telemetry.registry.collect()
        for sample in family.samples
    }
    for promise in PROMISED:
        name, _, labels = promise.removesuffix("}").partition("{")
        names = {f"falcowatch_{name}", f"falcowatch_{name}_count"}
        found = names & labels_of.keys()
        assert found, f"{name} is missing"
        assert labels_of[found.pop()] == set(filter(None, labels.split(","))), f"labels of {name}"


def test_both_expositions_parse_and_hold_the_same_values():
    telemetry = Telemetry("1.2.3")
    touch_every_label(telemetry)
    telemetry.alert_latency.observe_many("urgent", [1_000, 2_000], 2_000)
    telemetry.alert_bytes.add(('a "rule"',), 1_500)
    telemetry.alert_bytes.add(('a "rule"',), 500)
    telemetry.records_read.inc(7)

    plain = list(parse(generate_latest(telemetry.registry).decode()))
    opened = list(parse_openmetrics(generate_openmetrics(telemetry.registry).decode()))

    def ours(families: list[Metric]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        return {
            (s.name, frozenset(s.labels.items())): s.value
            for family in families
            for s in family.samples
            if s.name.startswith("falcowatch_")
        }

    assert ours(plain) == ours(opened)
    assert ours(plain)["falcowatch_records_read_total", frozenset()] == 7
    assert ours(plain)["falcowatch_alert_bytes_total", frozenset({("rule", 'a "rule"')})] == 2_000
    assert ours(plain)["falcowatch_alert_latency_seconds_count", frozenset({("lane", "urgent")})] == 2


def test_every_metric_has_a_description():
    for family in Telemetry("1").registry.collect():
        if family.name.startswith("falcowatch_"):
            assert family.documentation.rstrip().endswith("."), family.name


def test_the_latency_of_every_lane_is_exposed_as_zero_from_the_start():
    telemetry = Telemetry("1")

    counts = telemetry.snapshot().by("lane", "alert_latency_seconds_count")

    assert counts == {"routine": 0, "urgent": 0, "other": 0}


def test_a_snapshot_answers_for_one_sample_a_sum_and_each_value_of_a_label():
    telemetry = Telemetry("1")
    telemetry.alerts.add(("Critical", "syscall"), 3)
    telemetry.alerts.add(("Critical", "internal"), 2)
    telemetry.alerts.add(("Notice", "syscall"), 1)

    snapshot = telemetry.snapshot()
    telemetry.alerts.add(("Notice", "syscall"), 1)

    assert snapshot.value("alerts_total", priority="Critical", source="syscall") == 3
    assert snapshot.value("alerts_total", priority="Critical", source="never") == 0
    assert snapshot.total("alerts_total") == 6
    assert snapshot.by("priority", "alerts_total") == {"Critical": 5, "Notice": 1}
    assert telemetry.total("alerts_total") == 7
    assert telemetry.value("build_info", version="1") == 1


def test_two_agents_in_one_process_count_apart():
    one, other = Telemetry("1"), Telemetry("1")

    one.records_read.inc()

    assert (one.value("records_read_total"), other.value("records_read_total")) == (1, 0)
