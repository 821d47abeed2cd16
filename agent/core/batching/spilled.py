"""Spans that leave memory while their stream accepts nothing: their events as bytes, and their owners as heads.

Pure. The bytes are read again by the same process only, so their form is Python's own (`marshal`), compressed. The
owners of the records stay in memory. Neighbours with one owner share a head.
"""

from __future__ import annotations

import marshal
import zlib
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from agent.core.batching.span import Settles, Span
from agent.core.reading.ledger import Entry

FASTEST: Final = 1
"""The level of compression: alerts shrink to an eighth, and better levels cost more than their bytes."""


class Head(Struct, frozen=True):
    """What a span knows of its events as a whole, and their number."""

    entry: Settles | None
    own: str
    file: str
    read_at: float
    redated: bool
    events: int


def pack(spans: Sequence[Span]) -> tuple[list[Head], bytes]:
    """The heads of the spans, and their events."""
    heads = [Head(span.entry, span.own, span.file, span.read_at, span.redated, len(span)) for span in spans]
    columns = [(span.timestamps, span.texts, span.appended, span.ends, span.sizes, span.offsets) for span in spans]
    joined = [[each for column in same for each in column] for same in zip(*columns, strict=True)]
    return shortened(heads), zlib.compress(marshal.dumps(joined), FASTEST)


def unpack(heads: Sequence[Head], data: bytes) -> list[Span]:
    """The spans again, one for each head. Raises ValueError if the bytes are not those that were packed."""
    try:
        columns = marshal.loads(zlib.decompress(data))  # our own bytes, from a file without a name
    except (zlib.error, EOFError, TypeError) as error:
        raise ValueError(f"{len(data)} bytes cannot be unpacked: {error}") from error
    ends = [0, *accumulate(head.events for head in heads)]
    if len(columns[0]) != ends[-1]:
        raise ValueError(f"{len(columns[0])} events were unpacked, and {ends[-1]} were packed")
    return [
        Span(head.entry, head.own, head.file, head.read_at, head.redated, *(column[start:end] for column in columns))
        for head, (start, end) in zip(heads, pairwise(ends), strict=True)
    ]


def shortened(heads: Sequence[Head]) -> list[Head]:
    """The same heads, where neighbours whose records have one owner by now are one head."""
    short: list[Head] = []
    for head in heads:
        entry = head.entry.current if isinstance(head.entry, Entry) else head.entry
        last = short[-1] if short else None
        same = last is not None and last.entry is entry and (last.own, last.file) == (head.own, head.file)
        if last is not None and same and last.redated == head.redated:
            short[-1] = replace(last, read_at=min(last.read_at, head.read_at), events=last.events + head.events)
        else:
            short.append(replace(head, entry=entry))
    return short
