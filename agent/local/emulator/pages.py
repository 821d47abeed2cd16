"""One page of events in time order, from any number of streams whose batches may overlap in time.

GetLogEvents and FilterLogEvents are both this: walk the segments from one end of the time range, keep the nearest
events beyond the cursor, and stop as soon as no segment left can hold a nearer one. Memory is one page and one block.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from agent.local.emulator.rules import EVENT_OVERHEAD_BYTES
from agent.local.emulator.segments import Segment
from agent.local.emulator.streamlog import StreamLog

MAX_PAGE_BYTES = 1_048_576
MAX_PAGE_EVENTS = 10_000
MAX_SCANNED_BYTES = 64 * 1024 * 1024
"""A page that found little ends here: AWS too returns part of a page, or none, with a token to go on."""


class Key(NamedTuple):
    """The place of an event in the order of a log group: time, arrival, stream, place in the stream."""

    timestamp: int
    ingested: int
    stream: str
    position: int


BEFORE_ALL = Key(-1, -1, "", -1)
AFTER_ALL = Key(2**63, -1, "", -1)


class Found(NamedTuple):
    key: Key
    length: int


@dataclass(frozen=True, slots=True)
class Range:
    """What is asked for: events with start_ms <= timestamp < end_ms beyond `cursor` that match."""

    start_ms: int
    end_ms: int
    cursor: Key
    backward: bool
    limit: int
    matches: Callable[[bytes], bool] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Events in the order walked. `resume` is the cursor for the next page, None when nothing is left."""

    found: list[Found]
    resume: Key | None


class Place(NamedTuple):
    """A stretch of one stream's file that may hold events asked for."""

    segment: Segment
    stream: str
    log: StreamLog


def places_of(streams: Iterable[tuple[str, StreamLog]], asked: Range) -> list[Place]:
    """Where to look, nearest first. Reads the indexes, so it belongs on the thread that changes them."""
    places = [
        Place(segment, name, log)
        for name, log in streams
        for segment in log.index
        if segment.newest_ms >= asked.start_ms and segment.oldest_ms < asked.end_ms
    ]
    places.sort(key=lambda place: _nearest_ms(place.segment, asked.backward), reverse=asked.backward)
    return places


def page_of(places: Sequence[Place], asked: Range) -> Page:
    """Only reads files, so it may run on any thread."""
    found: list[Found] = []
    scanned = 0
    for number, (segment, name, log) in enumerate(places):
        horizon = _nearest_ms(segment, asked.backward)
        settled, size = _settled(found, horizon, asked.backward), _page_size(found, asked.limit)
        if settled >= size and (size == asked.limit or size < len(found)):
            # The page is full, and no segment from here on can hold an event that belongs into it.
            return Page(found[:size], found[size - 1].key)
        if scanned >= MAX_SCANNED_BYTES:
            resume = Key(horizon + 1, -1, "", -1) if asked.backward else Key(horizon - 1, 2**63, "", -1)
            if number and (resume < asked.cursor if asked.backward else resume > asked.cursor):
                return Page(found[:settled], resume)
        found += _matching(log, name, segment, asked)
        found.sort(reverse=asked.backward)
        del found[asked.limit + 1 :]
        scanned += segment.end - segment.start
    size = _page_size(found, asked.limit)
    return Page(found[:size], found[size - 1].key if size < len(found) else None)


def _nearest_ms(segment: Segment, backward: bool) -> int:
    return segment.newest_ms if backward else segment.oldest_ms


def _settled(found: list[Found], horizon_ms: int, backward: bool) -> int:
    """How many of the events found lie nearer than anything at or beyond the horizon."""
    if backward:
        return bisect_left(found, -horizon_ms, key=lambda item: -item.key.timestamp)
    return bisect_left(found, horizon_ms, key=lambda item: item.key.timestamp)


def _page_size(found: list[Found], limit: int) -> int:
    fitting = 0
    for total in accumulate(item.length + EVENT_OVERHEAD_BYTES for item in found[:limit]):
        if fitting and total > MAX_PAGE_BYTES:
            break
        fitting += 1
    return fitting


def _matching(log: StreamLog, name: str, segment: Segment, asked: Range) -> list[Found]:
    found = []
    for block, contents in log.blocks(segment.start, segment.end):
        position = block.position
        for timestamp, length in zip(block.timestamps, block.lengths, strict=True):
            if asked.start_ms <= timestamp < asked.end_ms:
                key = Key(timestamp, block.ingested_ms, name, position)
                beyond = key < asked.cursor if asked.backward else key > asked.cursor
                if beyond and (
                    asked.matches is None or asked.matches(_cut(contents, block.position, position, length))
                ):
                    found.append(Found(key, length))
            position += length + 1
    return found


def _cut(contents: bytes, base: int, position: int, length: int) -> bytes:
    return contents[position - base : position - base + length]
