"""The spans of one lane that wait to be sent, and the largest batch that every limit allows."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import accumulate

from agent.core.batching.batch import Batch, Part
from agent.core.batching.limits import (
    EVENT_OVERHEAD_BYTES,
    LONGEST_SPAN_MS,
    MOST_BYTES,
    MOST_EVENTS,
)
from agent.core.batching.span import Span


class PendingSpans:
    """Spans in the order in which they were added, and their size."""

    __slots__ = ("_spans", "_taken", "counted_bytes", "events")

    def __init__(self) -> None:
        self._spans: deque[Span] = deque()
        self._taken = 0
        """How many events of the first span are in batches already."""
        self.events = 0
        self.counted_bytes = 0

    def add(self, span: Span) -> None:
        self._spans.append(span)
        self.events += len(span)
        self.counted_bytes += sum(span.sizes) + EVENT_OVERHEAD_BYTES * len(span)

    @property
    def fills_a_batch(self) -> bool:
        return self.counted_bytes >= MOST_BYTES or self.events >= MOST_EVENTS

    @property
    def oldest_read_at(self) -> float | None:
        return self._spans[0].read_at if self._spans else None

    def take(self) -> Batch:
        """The largest batch that every limit allows, oldest spans first. At least one event must be pending."""
        parts: list[Part] = []
        events, counted = 0, 0
        earliest, latest = None, None
        while self._spans:
            span = self._spans[0]
            start = self._taken
            stop = _fits(span.sizes, start, MOST_BYTES - counted, MOST_EVENTS - events)
            stop, earliest, latest = _within_a_day(span.timestamps, start, stop, earliest, latest)
            if stop > start:
                parts.append(Part(span, start, stop))
                events += stop - start
                counted += sum(span.sizes[start:stop]) + EVENT_OVERHEAD_BYTES * (stop - start)
            if stop < len(span):
                self._taken = stop
                break
            self._spans.popleft()
            self._taken = 0
        self.events -= events
        self.counted_bytes -= counted
        return Batch(parts)

    def __iter__(self) -> Iterator[Span]:
        return iter(self._spans)


def _fits(sizes: Sequence[int], start: int, room_bytes: int, room_events: int) -> int:
    """The index behind the last event that fits into the room."""
    ends = [*accumulate(sizes[start : start + room_events])]
    return start + bisect_right(range(len(ends)), room_bytes, key=lambda at: ends[at] + EVENT_OVERHEAD_BYTES * (at + 1))


def _within_a_day(
    timestamps: Sequence[int], start: int, stop: int, earliest: int | None, latest: int | None
) -> tuple[int, int | None, int | None]:
    """The index up to which the batch spans less than 24 hours, and the batch's earliest and latest time then."""
    if start == stop:
        return stop, earliest, latest
    low, high = min(timestamps[start:stop]), max(timestamps[start:stop])
    if earliest is not None and latest is not None:
        low, high = min(low, earliest), max(high, latest)
    if high - low < LONGEST_SPAN_MS:
        return stop, low, high
    index = start
    while True:  # this ends, because not all of the events fit
        stamp = timestamps[index]
        low = stamp if earliest is None else min(earliest, stamp)
        high = stamp if latest is None else max(latest, stamp)
        if high - low >= LONGEST_SPAN_MS:
            return index, earliest, latest
        earliest, latest = low, high
        index += 1
