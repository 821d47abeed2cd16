"""Which bytes of a file are settled: the only source of progress.

One entry a chunk, with a count of its unsettled records. The committed offset is the end of the
longest prefix of settled entries, so a crash at any moment reads again what was in flight and
nothing else. Records of a chunk may settle in any order; settling a thousand costs one subtraction.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Entry:
    """A stretch of one file: `pending` records of it are unsettled."""

    __slots__ = ("_ledger", "end", "pending", "read_at", "start", "tied")

    def __init__(self, ledger: Ledger, start: int, end: int, pending: int, read_at: float) -> None:
        self._ledger = ledger
        self.start = start
        self.end = end
        self.pending = pending
        self.read_at = read_at
        """When it was read, in seconds of the monotonic clock."""
        self.tied: Entry | None = None
        """An entry of the file before, whose last record ends in this one: it settles together with this."""

    def settle(self, records: int) -> None:
        """`records` more of this entry are shipped, filtered or rejected."""
        if records > self.pending:
            raise ValueError(f"settled {records} of {self.pending} records at {self.start}")
        self.pending -= records
        if not self.pending:
            if self.tied is not None:
                self.tied.settle(1)
                self.tied = None
            self._ledger._advance()


class Ledger:
    """The books of one file, from `committed` on."""

    __slots__ = ("_entries", "_on_progress", "committed")

    def __init__(self, committed: int = 0, on_progress: Callable[[], None] | None = None) -> None:
        self.committed = committed
        self._entries: deque[Entry] = deque()
        self._on_progress = on_progress

    def enter(self, end: int, records: int, read_at: float = 0.0) -> Entry:
        """A new entry from the end of the last one to `end`. One without records is settled at once."""
        start = self._entries[-1].end if self._entries else self.committed
        if end < start:
            raise ValueError(f"entry would end at {end}, before its start at {start}")
        entry = Entry(self, start, end, records, read_at)
        self._entries.append(entry)
        if not records:
            self._advance()
        return entry

    @property
    def in_flight(self) -> int:
        """Unsettled records."""
        return sum(entry.pending for entry in self._entries)

    @property
    def oldest_read_at(self) -> float | None:
        """When the oldest unsettled entry was read; None when all is settled."""
        return self._entries[0].read_at if self._entries else None

    @property
    def end(self) -> int:
        """The end of the last entry: where the next one starts."""
        return self._entries[-1].end if self._entries else self.committed

    def _advance(self) -> None:
        entries = self._entries
        before = self.committed
        while entries and not entries[0].pending:
            self.committed = entries.popleft().end
        if self._on_progress is not None and self.committed != before:
            self._on_progress()
