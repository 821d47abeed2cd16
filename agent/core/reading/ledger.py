"""Which bytes of a file are settled: the only source of progress.

One entry a chunk, with a count of its unsettled records. The committed offset is the end of the
longest prefix of settled entries, so a crash at any moment reads again what was in flight and
nothing else. Records of a chunk may settle in any order; settling a thousand costs one subtraction.
"""

from __future__ import annotations

from collections import deque


class Entry:
    """A stretch of one file: `pending` records of it are unsettled."""

    __slots__ = ("_followers", "_ledger", "_tied", "end", "holds", "pending", "read_at", "start")

    def __init__(self, ledger: Ledger, start: int, end: int, pending: int, read_at: float) -> None:
        self._ledger = ledger
        self.start = start
        self.end = end
        self.pending = pending
        self.read_at = read_at
        """When it was read, in seconds of the monotonic clock."""
        self.holds = 0
        """So many others, whose records lie in this stretch, have to be settled as well."""
        self._tied: tuple[Entry, int] | None = None
        self._followers: list[Entry] = []
        """Entries tied to this one that wait for its turn."""

    def tie(self, before: Entry, records: int) -> None:
        """So many records that began in `before`, in the file before this one, end here.

        Both are committed together. They settle in `before` when this entry is committed: else a crash would find
        their last parts without the first. And this entry waits until all that stands before `before` is settled:
        else a crash would read the first parts again, without the last, and join them with whatever follows here.
        """
        self._tied = (before, records)
        if not before._is_next:
            self.holds += 1
            before._followers.append(self)

    def settle(self, records: int) -> None:
        """`records` more of this entry are shipped, filtered or rejected."""
        if records > self.pending:
            raise ValueError(f"settled {records} of {self.pending} records at {self.start}")
        self.pending -= records
        if not self.pending:
            self._ledger._advance()

    def release(self) -> None:
        """One of those that held it is settled."""
        self.holds -= 1
        self._ledger._advance()

    @property
    def _is_next(self) -> bool:
        """Nothing but its own records keeps it from being committed."""
        return self._ledger._entries[0] is self and not self.holds

    def _call_followers(self) -> None:
        followers, self._followers = self._followers, []
        for entry in followers:
            entry.release()

    def _committed(self) -> None:
        if self._tied is not None:
            before, crossing = self._tied
            self._tied = None
            before.settle(crossing)


class Ledger:
    """The books of one file, from `committed` on."""

    __slots__ = ("_entries", "committed")

    def __init__(self, committed: int = 0) -> None:
        self.committed = committed
        """Every record before this offset is settled."""
        self._entries: deque[Entry] = deque()

    def enter(self, end: int, records: int, read_at: float = 0.0, holds: int = 0) -> Entry:
        """A new entry from the end of the last one to `end`. One without records and holds is settled at once."""
        start = self._entries[-1].end if self._entries else self.committed
        if end < start:
            raise ValueError(f"entry would end at {end}, before its start at {start}")
        entry = Entry(self, start, end, records, read_at)
        entry.holds = holds
        self._entries.append(entry)
        if not records and not holds:
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
        while entries and not entries[0].pending and not entries[0].holds:
            entry = entries.popleft()
            self.committed = entry.end
            entry._committed()
        if entries and not entries[0].holds:
            entries[0]._call_followers()
