"""A Prometheus histogram with one label that observes a whole batch in one step.

The shipper observes thousands of latencies at once, sorted by event time. Each bucket is therefore one bisection and
the total is one built-in sum, without an operation per record.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from msgspec import Struct
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector


class _Series(Struct):
    counts: list[int]
    """Observations per bucket, not cumulative; `collect` accumulates them."""
    sum_ms: int = 0


class LatencyHistogram(Collector):
    """Seconds from an event's time until now. `buckets` are upper bounds in seconds, ascending, without infinity."""

    def __init__(
        self, name: str, documentation: str, buckets: Sequence[float], label: str, label_values: Iterable[str] = ()
    ) -> None:
        if list(buckets) != sorted(set(buckets)) or not buckets:
            raise ValueError(f"{name}: buckets must ascend")
        self._name = name
        self._documentation = documentation
        self._label = label
        self._bounds_ms = [round(bound * 1000) for bound in buckets]
        self._bounds = [*(str(float(bound)) for bound in buckets), "+Inf"]
        # A series that exists with value 0 from the start has a rate from its first observation on.
        self._series: dict[str, _Series] = {str(value): self._empty() for value in label_values}

    def observe_many(self, label_value: str, sorted_values_ms: Sequence[int], now_ms: int) -> None:
        """Counts `now_ms` minus each of the ascending timestamps; one from the future counts as 0."""
        series = self._series.get(label_value)
        if series is None:
            series = self._series[str(label_value)] = self._empty()
        older = len(sorted_values_ms)
        for bucket, bound_ms in enumerate(self._bounds_ms):
            # Timestamps before now - bound belong to a later bucket.
            still_older = bisect_left(sorted_values_ms, now_ms - bound_ms, 0, older)
            series.counts[bucket] += older - still_older
            older = still_older
            if not older:
                break
        series.counts[-1] += older
        past = bisect_right(sorted_values_ms, now_ms)
        series.sum_ms += now_ms * past - sum(sorted_values_ms[:past])

    def describe(self) -> Iterator[HistogramMetricFamily]:
        yield self._family()

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = self._family()
        for label_value, series in self._series.items():
            buckets = list(zip(self._bounds, accumulate(series.counts), strict=True))
            family.add_metric([label_value], buckets, sum_value=series.sum_ms / 1000)
        yield family

    def _empty(self) -> _Series:
        return _Series([0] * len(self._bounds))

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._name, self._documentation, labels=[self._label])
