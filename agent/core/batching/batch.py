"""The events of one PutLogEvents request: sorted, encoded, and traced back to their records.

A batch does not change after it was made, so a retry sends the same bytes. `pending` makes batches within every limit.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.core.batching.limits import EVENT_OVERHEAD_BYTES
from agent.core.batching.span import Span, held_bytes


class Part(NamedTuple):
    """The events `start` to `stop` of a span."""

    span: Span
    start: int
    stop: int

    @property
    def events(self) -> int:
        return self.stop - self.start


class Where(NamedTuple):
    """The place of an event: its span and its index there."""

    span: Span
    at: int


class Batch:
    """Events that go in one put, sorted by time."""

    __slots__ = ("_order", "counted_bytes", "events", "held_bytes", "parts", "timestamps")

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        timestamps = [stamp for span, start, stop in parts for stamp in span.timestamps[start:stop]]
        self._order: list[int] | None = None
        ordered = sorted(timestamps)
        if ordered != timestamps:
            # The sort is stable: records of one millisecond keep the order in which Falco wrote them.
            self._order = sorted(range(len(timestamps)), key=timestamps.__getitem__)
        self.timestamps = ordered
        self.events = len(timestamps)
        message_bytes = sum(sum(span.sizes[start:stop]) for span, start, stop in parts)
        self.counted_bytes = message_bytes + EVENT_OVERHEAD_BYTES * self.events
        """The size of the batch as PutLogEvents counts it."""
        self.held_bytes = sum(held_bytes(span.texts[start:stop]) for span, start, stop in parts)
        """How much of the memory budget the batch holds."""

    def encode(self) -> list[bytes]:
        """The value of `logEvents` in the request, as pieces of JSON. To join them here would copy the body twice."""
        heads = {stamp: b'"},{"timestamp":%d,"message":"' % stamp for stamp in set(self.timestamps)}
        pieces = [b""] * (4 * self.events)
        pieces[0::4] = map(heads.__getitem__, self.timestamps)
        pieces[1::4] = self._sorted([text for span, start, stop in self.parts for text in span.texts[start:stop]])
        pieces[2::4] = self._sorted([more for span, start, stop in self.parts for more in span.appended[start:stop]])
        pieces[3::4] = self._sorted([end for span, start, stop in self.parts for end in span.ends[start:stop]])
        pieces[0] = pieces[0].replace(b'"},', b"[", 1)
        pieces.append(b'"}]')
        return pieces

    def _sorted(self, column: list[bytes]) -> list[bytes]:
        return column if self._order is None else [column[index] for index in self._order]

    def where(self, position: int) -> Where:
        """The place of the event at this position of the put."""
        if self._order is not None:
            position = self._order[position]
        for part in self.parts:
            if position < part.events:
                return Where(part.span, part.start + position)
            position -= part.events
        raise IndexError(position)

    def halves(self) -> tuple[Batch, Batch]:
        """Two batches with half of the events each. Repeated halving finds the one event that CloudWatch refuses."""
        middle = self.events // 2
        first: list[Part] = []
        second: list[Part] = []
        for span, start, stop in self.parts:
            split = start + max(0, min(middle, stop - start))
            middle -= split - start
            if split > start:
                first.append(Part(span, start, split))
            if split < stop:
                second.append(Part(span, split, stop))
        return Batch(first), Batch(second)

    def settle(self) -> None:
        """Every record of the batch is settled."""
        for part in self.parts:
            if part.span.entry is not None:
                part.span.entry.settle(part.events)
