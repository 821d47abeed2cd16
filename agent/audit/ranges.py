"""Ranges of a file that are stated, and the holes between them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Range = tuple[int, int]


def joined(ranges: Iterable[Range]) -> list[Range]:
    """The same bytes in as few ranges as possible, in order. Empty ranges are left out."""
    found: list[Range] = []
    for start, end in sorted(ranges):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def holes(stated: Sequence[Range], gaps: Sequence[Range]) -> list[Range]:
    """The ranges between the first and the last stated byte that neither a statement nor a gap covers."""
    if not stated:
        return []
    place, last = min(start for start, _ in stated), max(end for _, end in stated)
    found: list[Range] = []
    for start, end in joined([*stated, *gaps]):
        if place < start and place < last:
            found.append((place, min(start, last)))
        place = max(place, end)
    return found


def is_in(offset: int, ranges: Iterable[Range]) -> bool:
    return any(start <= offset < end for start, end in ranges)
