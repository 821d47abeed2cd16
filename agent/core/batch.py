"""Events → batches that PutLogEvents accepts whole.

Limits, from the PutLogEvents reference (read 2026-11): 1,048,576 bytes a batch, counted as the UTF-8
bytes of each message plus 26; 10,000 events; one event at most as large as a batch; timestamps in
order; at most 24 hours between the first and the last. JSON escaping does not count.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, NamedTuple, Protocol

import orjson

from agent.core.values import PutReply

MOST_BYTES: Final = 1_048_576
MOST_EVENTS: Final = 10_000
EVENT_OVERHEAD_BYTES: Final = 26
LARGEST_MESSAGE_BYTES: Final = MOST_BYTES - EVENT_OVERHEAD_BYTES
LONGEST_SPAN_MS: Final = 24 * 3600 * 1000

HELD_OVERHEAD_BYTES: Final = 300
"""What an event costs in memory beyond its text: three integers, two heads of bytes and the end of its id, six places
in lists (CPython 3.11)."""


class Settles(Protocol):
    """Whoever wants to know that records are done: a ledger's entry, or what an event of our own stands for."""

    def settle(self, records: int) -> None: ...


@dataclass(slots=True)
class Span:
    """The events of one chunk in one lane, by columns and in file order.

    A message is kept as it will stand in the request, escaped as the inside of a JSON string is, and in three pieces:
    so what thousands have in common is one object, and nothing is copied before the request's body is joined.
    """

    entry: Settles | None = None
    """Who is told that they are done."""
    own: str = ""
    """What kind of event of our own making this is, which is in no file and not in the books; empty: it is none."""
    file: str = ""
    read_at: float = 0.0
    """Seconds of the monotonic clock."""
    timestamps: list[int] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    """The first piece of each message: the record's own bytes."""
    appended: list[bytes] = field(default_factory=list)
    """The second: its pod, which many share."""
    ends: list[bytes] = field(default_factory=list)
    """The third: the end of its id and all that follows."""
    sizes: list[int] = field(default_factory=list)
    """UTF-8 bytes of each message, not escaped."""
    offsets: list[int] = field(default_factory=list)

    def append(self, time_ms: int, message: bytes, offset: int) -> None:
        """One event more; its message, which is UTF-8, in a single piece."""
        self.timestamps.append(time_ms)
        self.texts.append(escaped(message.decode()))
        self.appended.append(b"")
        self.ends.append(b"")
        self.sizes.append(len(message))
        self.offsets.append(offset)

    def extend(
        self,
        timestamps: Iterable[int],
        texts: Iterable[bytes],
        appended: Iterable[bytes],
        ends: Iterable[bytes],
        sizes: Iterable[int],
        offsets: Iterable[int],
    ) -> None:
        """Many events more, by columns."""
        self.timestamps += timestamps
        self.texts += texts
        self.appended += appended
        self.ends += ends
        self.sizes += sizes
        self.offsets += offsets

    def __len__(self) -> int:
        return len(self.timestamps)

    def message(self, at: int) -> str:
        """As CloudWatch will show it."""
        message: str = orjson.loads(b'"%b%b%b"' % (self.texts[at], self.appended[at], self.ends[at]))
        return message

    def conclusion(self, at: int) -> str:
        """The end of that message, as much of it as holds our id."""
        if not self.ends[at]:
            return self.message(at)
        conclusion: str = orjson.loads(b'"%b%b"' % (self.appended[at], self.ends[at]))
        return conclusion

    @property
    def messages(self) -> list[str]:
        return [self.message(at) for at in range(len(self))]

    @property
    def held_bytes(self) -> int:
        """What the span counts for in the budget."""
        return held_bytes(self.texts)

    def put_in_file_order(self) -> None:
        if self.offsets == sorted(self.offsets):
            return
        order = sorted(range(len(self)), key=self.offsets.__getitem__)
        for numbers in (self.timestamps, self.sizes, self.offsets):
            numbers[:] = [numbers[at] for at in order]
        for pieces in (self.texts, self.appended, self.ends):
            pieces[:] = [pieces[at] for at in order]


def escaped(text: str) -> bytes:
    """As it stands inside a JSON string."""
    return orjson.dumps(text)[1:-1]


def held_bytes(texts: Sequence[bytes]) -> int:
    """What events with these texts count for in the budget."""
    return sum(map(len, texts)) + HELD_OVERHEAD_BYTES * len(texts)


class Part(NamedTuple):
    """Events `start` to `stop` of a span."""

    span: Span
    start: int
    stop: int

    @property
    def events(self) -> int:
        return self.stop - self.start


class Where(NamedTuple):
    """An event of a batch, found again in its span."""

    span: Span
    at: int


class Batch:
    """Events that go in one put, sorted by time; keeps the way back from each to its record."""

    __slots__ = ("_order", "counted_bytes", "events", "held_bytes", "parts", "timestamps")

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        timestamps = [stamp for span, start, stop in parts for stamp in span.timestamps[start:stop]]
        self._order: list[int] | None = None
        ordered = sorted(timestamps)
        if ordered != timestamps:
            # Stable: records of one millisecond keep the order in which Falco wrote them.
            self._order = sorted(range(len(timestamps)), key=timestamps.__getitem__)
        self.timestamps = ordered
        self.events = len(timestamps)
        message_bytes = sum(sum(span.sizes[start:stop]) for span, start, stop in parts)
        self.counted_bytes = message_bytes + EVENT_OVERHEAD_BYTES * self.events
        self.held_bytes = sum(held_bytes(span.texts[start:stop]) for span, start, stop in parts)

    def encode(self) -> list[bytes]:
        """The JSON array that stands as `logEvents` in the request, in pieces: joined, it would be copied once more."""
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
        """The record behind the event at that position of the put."""
        if self._order is not None:
            position = self._order[position]
        for part in self.parts:
            if position < part.events:
                return Where(part.span, part.start + position)
            position -= part.events
        raise IndexError(position)

    def halves(self) -> tuple[Batch, Batch]:
        """Two batches of half the events each: the way to the one that CloudWatch will not take."""
        middle = self.events // 2
        first: list[Part] = []
        second: list[Part] = []
        for span, start, stop in self.parts:
            cut = start + max(0, min(middle, stop - start))
            middle -= cut - start
            if cut > start:
                first.append(Part(span, start, cut))
            if cut < stop:
                second.append(Part(span, cut, stop))
        return Batch(first), Batch(second)

    def settle(self) -> None:
        """Every record of the batch is done."""
        for part in self.parts:
            if part.span.entry is not None:
                part.span.entry.settle(part.events)


class Rejected(NamedTuple):
    """Events of a put that CloudWatch will never take: positions `start` to `stop`, and why."""

    start: int
    stop: int
    reason: str


def rejected(reply: PutReply, events: int) -> list[Rejected]:
    """What a 200 did not accept. Accepted are those from the later of the two ends up to the start."""
    too_old = min(reply.too_old_end or 0, events)
    expired = min(reply.expired_end or 0, events)
    too_new = events if reply.too_new_start is None else max(reply.too_new_start, too_old, expired)
    ranges = [
        Rejected(0, too_old, "too_old"),
        Rejected(too_old, expired, "expired"),
        Rejected(too_new, events, "too_new"),
    ]
    return [part for part in ranges if part.start < part.stop]


class Waiting:
    """The spans of a lane in the order they came, and how much they come to."""

    __slots__ = ("_cursor", "_spans", "counted_bytes", "events")

    def __init__(self) -> None:
        self._spans: deque[Span] = deque()
        self._cursor = 0
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
        """The largest batch that every limit allows, oldest spans first. There must be an event waiting."""
        parts: list[Part] = []
        events, counted = 0, 0
        earliest, latest = None, None
        while self._spans:
            span = self._spans[0]
            start = self._cursor
            stop = _fits(span.sizes, start, MOST_BYTES - counted, MOST_EVENTS - events)
            stop, earliest, latest = _within_a_day(span.timestamps, start, stop, earliest, latest)
            if stop > start:
                parts.append(Part(span, start, stop))
                events += stop - start
                counted += sum(span.sizes[start:stop]) + EVENT_OVERHEAD_BYTES * (stop - start)
            if stop < len(span):
                self._cursor = stop
                break
            self._spans.popleft()
            self._cursor = 0
        self.events -= events
        self.counted_bytes -= counted
        return Batch(parts)

    def __iter__(self) -> Iterator[Span]:
        return iter(self._spans)


def _fits(sizes: Sequence[int], start: int, room_bytes: int, room_events: int) -> int:
    """Up to which event they fit into the room."""
    ends = [*accumulate(sizes[start : start + room_events])]
    return start + bisect_right(range(len(ends)), room_bytes, key=lambda at: ends[at] + EVENT_OVERHEAD_BYTES * (at + 1))


def _within_a_day(
    timestamps: Sequence[int], start: int, stop: int, earliest: int | None, latest: int | None
) -> tuple[int, int | None, int | None]:
    """Up to which event the batch spans less than 24 hours, and what it then spans."""
    if start == stop:
        return stop, earliest, latest
    low, high = min(timestamps[start:stop]), max(timestamps[start:stop])
    if earliest is not None and latest is not None:
        low, high = min(low, earliest), max(high, latest)
    if high - low < LONGEST_SPAN_MS:
        return stop, low, high
    index = start
    while True:  # not all of them fit, so this ends
        stamp = timestamps[index]
        low = stamp if earliest is None else min(earliest, stamp)
        high = stamp if latest is None else max(latest, stamp)
        if high - low >= LONGEST_SPAN_MS:
            return index, earliest, latest
        earliest, latest = low, high
        index += 1
