"""The bulk histogram: it must say what a plain histogram over the same observations would say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.registry import Collector

from agent.telemetry.histogram import LatencyHistogram
from agent.telemetry.metrics import LATENCY_BUCKETS

NOW_MS = 1_795_419_136_336


def samples(collector: Collector) -> dict[tuple[str, str | None], float]:
    return {(s.name, s.labels.get("le")): s.value for metric in collector.collect() for s in metric.samples}


@given(st.lists(st.integers(min_value=NOW_MS - 8_000_000, max_value=NOW_MS + 5_000), min_size=1, max_size=200))
def test_it_counts_what_a_plain_histogram_counts(timestamps):
    bulk = LatencyHistogram("latency_seconds", "…", LATENCY_BUCKETS, "lane")
    plain = Histogram("latency_seconds", "…", ["lane"], buckets=LATENCY_BUCKETS, registry=CollectorRegistry())

    bulk.observe_many("urgent", sorted(timestamps), NOW_MS)
    for timestamp in timestamps:
        plain.labels("urgent").observe(max(0, NOW_MS - timestamp) / 1000)

    expected = {key: value for key, value in samples(plain).items() if not key[0].endswith("_created")}
    assert samples(bulk) == pytest.approx(expected)


def test_batches_add_up_in_each_lane_alone():
    histogram = LatencyHistogram("latency_seconds", "…", (0.1, 1), "lane", label_values=["urgent", "routine"])

    histogram.observe_many("urgent", [9_000, 9_950], 10_000)
    histogram.observe_many("urgent", [9_999], 10_000)

    family = next(iter(histogram.collect()))
    counts = {(s.labels["lane"], s.labels["le"]): s.value for s in family.samples if s.name.endswith("_bucket")}
    assert counts == {
        ("urgent", "0.1"): 2, ("urgent", "1.0"): 3, ("urgent", "+Inf"): 3,
        ("routine", "0.1"): 0, ("routine", "1.0"): 0, ("routine", "+Inf"): 0,
    }  # fmt: skip


def test_a_time_from_the_future_counts_as_none_and_does_not_lower_the_sum():
    histogram = LatencyHistogram("latency_seconds", "…", (1,), "lane")

    histogram.observe_many("urgent", [9_500, 99_000], 10_000)

    assert samples(histogram)["latency_seconds_sum", None] == 0.5
    assert samples(histogram)["latency_seconds_bucket", "1.0"] == 2


def test_its_names_are_taken_in_the_registry():
    registry = CollectorRegistry()
    registry.register(LatencyHistogram("latency_seconds", "…", (1,), "lane"))

    with pytest.raises(ValueError, match="Duplicated"):
        Histogram("latency_seconds", "…", registry=registry)


@pytest.mark.parametrize("buckets", [(), (1, 1), (2, 1)])
def test_buckets_that_do_not_ascend_are_refused(buckets):
    with pytest.raises(ValueError, match="latency_seconds: buckets must ascend"):
        LatencyHistogram("latency_seconds", "…", buckets, "lane")
