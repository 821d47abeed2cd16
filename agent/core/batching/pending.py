"""The spans of one lane that wait to be sent, and the batches that are made of them.

A batch must span less than 24 hours, so events wait apart for each day (UTC) in which they happened. Events with times
scattered over many days then need one put for each day, and not one for each event. Events of today go first, in turns
with the events that have waited longest: so old or forged times cannot delay what happens now, and are not left behind.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from typing import Final

from agent.core.batching.batch import Batch, Part
from agent.core.batching.limits import (
    EVENT_OVERHEAD_BYTES,
    LONGEST_SPAN_MS,
    MOST_BYTES,
    MOST_EVENTS,
)
from agent.core.batching.span import Span

DAY_MS: Final = LONGEST_SPAN_MS
"""The first and the last event of one day are less than this apart."""


class PendingSpans:
    """Spans by day, and their size."""

    __slots__ = ("_days", "_prefers_today", "events")

    def __init__(self) -> None:
        self._days: dict[int, _Day] = {}
        self._prefers_today = True
        self.events = 0

    def add(self, span: Span) -> None:
        if not len(span):
            return
        self.events += len(span)
        first, last = min(span.timestamps) // DAY_MS, max(span.timestamps) // DAY_MS
        for number, part in [(first, span)] if first == last else _by_day(span):
            day = self._days.get(number)
            if day is None:
                day = self._days[number] = _Day()
            day.add(part)

    @property
    def counted_bytes(self) -> int:
        """The size of the fullest day, as PutLogEvents counts it."""
        return max((day.counted_bytes for day in self._days.values()), default=0)

    @property
    def fills_a_batch(self) -> bool:
        return any(day.counted_bytes >= MOST_BYTES or day.events >= MOST_EVENTS for day in self._days.values())

    @property
    def oldest_read_at(self) -> float | None:
        return min((day.oldest_read_at for day in self._days.values()), default=None)

    def take(self, now_ms: int) -> Batch:
        """The largest batch that every limit allows, of one day. At least one event must be pending."""
        number = self._next(now_ms // DAY_MS)
        day = self._days[number]
        batch = day.take()
        self.events -= batch.events
        if not day.events:
            del self._days[number]
        return batch

    def take_last(self, least_bytes: int) -> list[Span]:
        """Removes the spans that were added last, of at least so many held bytes together, or as many as there are.

        The first span of each day stays: it may be in batches in part, and it is the next to be sent.
        """
        taken: list[Span] = []
        left = least_bytes
        for day in self._days.values():
            while left > 0 and (span := day.take_last()) is not None:
                left -= span.held_bytes
                self.events -= len(span)
                taken.append(span)
        return taken[::-1]

    def __iter__(self) -> Iterator[Span]:
        """The spans, day by day."""
        return chain.from_iterable(day.spans for day in self._days.values())

    def _next(self, today: int) -> int:
        others = [number for number in self._days if number != today]
        if not others:
            return today
        if today in self._days:
            self._prefers_today = not self._prefers_today
            if not self._prefers_today:
                return today
        return min(others, key=lambda number: self._days[number].oldest_read_at)


class _Day:
    """The spans of one day, in the order in which they were added."""

    __slots__ = ("_taken", "counted_bytes", "events", "spans")

    def __init__(self) -> None:
        self.spans: deque[Span] = deque()
        self._taken = 0
        """How many events of the first span are in batches already."""
        self.events = 0
        self.counted_bytes = 0

    def add(self, span: Span) -> None:
        self.spans.append(span)
        self.events += len(span)
        self.counted_bytes += sum(span.sizes) + EVENT_OVERHEAD_BYTES * len(span)

    @property
    def oldest_read_at(self) -> float:
        return self.spans[0].read_at

    def take_last(self) -> Span | None:
        """Removes the span that was added last; None if it is the only one."""
        if len(self.spans) < 2:
            return None
        span = self.spans.pop()
        self.events -= len(span)
        self.counted_bytes -= sum(span.sizes) + EVENT_OVERHEAD_BYTES * len(span)
        return span

    def take(self) -> Batch:
        parts: list[Part] = []
        events, counted = 0, 0
        while self.spans:
            span = self.spans[0]
            start = self._taken
            stop = _fits(span.sizes, start, MOST_BYTES - counted, MOST_EVENTS - events)
            if stop > start:
                parts.append(Part(span, start, stop))
                events += stop - start
                counted += sum(span.sizes[start:stop]) + EVENT_OVERHEAD_BYTES * (stop - start)
            if stop < len(span):
                self._taken = stop
                break
            self.spans.popleft()
            self._taken = 0
        self.events -= events
        self.counted_bytes -= counted
        return Batch(parts)


def _by_day(span: Span) -> list[tuple[int, Span]]:
    """The events of each day, as spans of their own. They settle in the same ledger entry."""
    days: dict[int, list[int]] = {}
    for at, time_ms in enumerate(span.timestamps):
        days.setdefault(time_ms // DAY_MS, []).append(at)
    return [(number, span.selected(positions)) for number, positions in days.items()]


def _fits(sizes: Sequence[int], start: int, room_bytes: int, room_events: int) -> int:
    """The index behind the last event that fits into the room."""
    ends = [*accumulate(sizes[start : start + room_events])]
    return start + bisect_right(range(len(ends)), room_bytes, key=lambda at: ends[at] + EVENT_OVERHEAD_BYTES * (at + 1))
