"""An index of a stream's file by time, whose size does not grow with the file.

The index divides the file into consecutive segments and stores the oldest and the newest time of each. When it has
`MAX_SEGMENTS` entries, neighbours are merged and segments become twice as long: a reader then reads more bytes.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

MAX_SEGMENTS = 1024
FIRST_SEGMENT_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class Segment:
    start: int
    end: int
    oldest_ms: int
    newest_ms: int


class SegmentIndex:
    def __init__(self, max_segments: int = MAX_SEGMENTS, segment_bytes: int = FIRST_SEGMENT_BYTES) -> None:
        self._max_segments = max_segments
        self._segment_bytes = segment_bytes
        self._starts = array("q")
        self._oldest = array("q")
        self._newest = array("q")
        self._end = 0

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Segment]:
        ends = [*self._starts[1:], self._end]
        return map(Segment, list(self._starts), ends, list(self._oldest), list(self._newest))

    def add(self, start: int, end: int, oldest_ms: int, newest_ms: int) -> None:
        """Add the block [start, end), which must begin at the end of the last block."""
        if self._starts and self._end - self._starts[-1] < self._segment_bytes:
            self._oldest[-1] = min(self._oldest[-1], oldest_ms)
            self._newest[-1] = max(self._newest[-1], newest_ms)
        else:
            if len(self._starts) == self._max_segments:
                self._merge_neighbours()
            self._starts.append(start)
            self._oldest.append(oldest_ms)
            self._newest.append(newest_ms)
        self._end = end

    def _merge_neighbours(self) -> None:
        pairs = range(0, len(self._starts), 2)
        self._oldest = array("q", [min(self._oldest[i : i + 2]) for i in pairs])
        self._newest = array("q", [max(self._newest[i : i + 2]) for i in pairs])
        self._starts = self._starts[::2]
        self._segment_bytes *= 2
