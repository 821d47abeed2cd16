"""One page of events in time order, from any number of streams whose batches may overlap in time.

Both GetLogEvents and FilterLogEvents use it: read the segments from one end of the time range, keep the events nearest
to the cursor, and stop when no remaining segment can contain a nearer event. Memory use is one page and one block.
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
"""A search that found little stops here. AWS also returns a partial or empty page with a token to continue."""


class Key(NamedTuple):
    """Sort key of an event in a log group: time, arrival, stream, position in the stream."""

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
    """The requested events: start_ms <= timestamp < end_ms, beyond `cursor`, and matching."""

    start_ms: int
    end_ms: int
    cursor: Key
    backward: bool
    limit: int
    matches: Callable[[bytes], bool] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Events in reading order. `resume` is the cursor of the next page; None: there is no next page."""

    found: list[Found]
    resume: Key | None


class Place(NamedTuple):
    """A part of one stream's file that may contain requested events."""

    segment: Segment
    stream: str
    log: StreamLog


def places_of(streams: Iterable[tuple[str, StreamLog]], asked: Range) -> list[Place]:
    """The parts of files to read, nearest first. Reads the indexes, so call it on the thread that changes them."""
    places = [
        Place(segment, name, log)
        for name, log in streams
        for segment in log.index
        if segment.newest_ms >= asked.start_ms and segment.oldest_ms < asked.end_ms
    ]
    places.sort(key=lambda place: _nearest_ms(place.segment, asked.backward), reverse=asked.backward)
    return places


def page_of(places: Sequence[Place], asked: Range) -> Page:
    """The page. Reads files only, so it may run on any thread."""
    found: list[Found] = []
    scanned = 0
    for number, (segment, name, log) in enumerate(places):
        horizon = _nearest_ms(segment, asked.backward)
        settled, size = _settled(found, horizon, asked.backward), _page_size(found, asked.limit)
        if settled >= size and (size == asked.limit or size < len(found)):
            # The page is full, and no later segment can contain an event that belongs on it.
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
    """The number of found events that are nearer than every event at or beyond the horizon."""
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
