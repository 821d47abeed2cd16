"""Which bytes of a file are settled. The ledger alone decides when an offset may move.

Each chunk has one entry, with the count of its unsettled records. The committed offset is the end of the longest
prefix of settled entries, so after a crash only the bytes that were in flight are read again. The records of a chunk
may settle in any order. To settle a thousand records takes one subtraction. While one record cannot be sent for hours,
settled entries behind it are joined, so memory does not grow with what ships meanwhile. When a whole lane cannot be
sent for hours, unsettled neighbours are joined too: they are committed together, and no entry is kept for each record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from agent.core.proof.segment import Standing

FEWEST_TO_JOIN: Final = 1024
"""Entries of one file from which on settled neighbours are joined, and then pairs of unsettled ones."""

NEWEST_NOT_JOINED: Final = 16
"""The records of the newest entries may not be delivered yet."""


class Entry:
    """A range of one file, in which `pending` records are unsettled."""

    __slots__ = (
        "_joined_to",
        "_ledger",
        "_tied_to",
        "_waiting",
        "end",
        "holds",
        "may_be_joined",
        "pending",
        "read_at",
        "standing",
        "start",
    )

    def __init__(self, ledger: Ledger, start: int, end: int, pending: int, read_at: float) -> None:
        self._ledger = ledger
        self.start = start
        self.end = end
        self.pending = pending
        self.read_at = read_at
        """When the range was read, in seconds of the monotonic clock."""
        self.holds = 0
        """How many other entries must settle before this one is committed: their records lie in this range."""
        self.standing: Standing | None = None
        """The digest of the file up to the end of this entry, for the seals."""
        self._tied_to: tuple[Entry, int] | None = None
        self._waiting: list[Entry] = []
        """Tied entries that wait until this one is the next to be committed."""
        self.may_be_joined = True
        self._joined_to: Entry | None = None
        """The later entry that has taken over the range and the records of this one."""

    def tie(self, before: Entry, records: int) -> None:
        """Commits `before`, an entry of the previous file, together with this one: `records` begin there and end here.

        These records settle in `before` only when this entry is committed. Otherwise the agent would find their last
        parts after a crash, but not their first parts. This entry waits until everything in front of `before` is
        settled. Otherwise the agent would read the first parts again, and would join them with the wrong last parts.
        """
        self._tied_to = (before, records)
        if not before._is_next:
            self.holds += 1
            before._waiting.append(self)

    def settle(self, records: int) -> None:
        """`records` more records of this entry are shipped, filtered or rejected."""
        entry = self.current
        if records > entry.pending:
            raise ValueError(f"settled {records} of {entry.pending} records at {entry.start}")
        entry.pending -= records
        if not entry.pending:
            entry._ledger._advance()

    @property
    def current(self) -> Entry:
        """The entry that this one was joined to; this entry if it was joined to none."""
        entry = self
        while entry._joined_to is not None:
            entry = entry._joined_to
        if entry is not self:
            self._joined_to = entry
        return entry

    def release(self) -> None:
        """One of the entries that held this one is settled."""
        self.holds -= 1
        self._ledger._advance()

    def can_join(self, earlier: Entry) -> bool:
        """The standing of this entry states all that a seal says about both, and nothing else depends on them."""
        is_stated = earlier.standing is None or (
            self.standing is not None and self.standing.start == earlier.standing.start
        )
        return is_stated and earlier._is_alone and self._is_alone

    def join(self, earlier: Entry) -> None:
        """Takes over the range and the records of the entry in front of this one."""
        self.start = earlier.start
        self.read_at = min(self.read_at, earlier.read_at)
        self.pending += earlier.pending
        earlier.pending = 0
        earlier._joined_to = self

    @property
    def _is_alone(self) -> bool:
        """Nothing waits for this entry, and it waits for nothing but its records and the entries in front of it."""
        return self.may_be_joined and not (self.holds or self._waiting) and self._tied_to is None

    @property
    def _is_next(self) -> bool:
        """Only this entry's own records keep it from being committed."""
        return self._ledger._entries[0] is self and not self.holds

    def _release_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for entry in waiting:
            entry.release()

    def _settle_tied(self) -> None:
        if self._tied_to is not None:
            before, records = self._tied_to
            self._tied_to = None
            before.settle(records)


class Ledger:
    """The entries of one file, from the committed offset on."""

    __slots__ = ("_entries", "_join_at", "_note_standing", "committed")

    def __init__(self, committed: int = 0, note_standing: Callable[[Standing], None] | None = None) -> None:
        """`note_standing` gets the standing of each entry that is committed."""
        self.committed = committed
        """Every record before this offset is settled."""
        self._note_standing = note_standing
        self._entries: deque[Entry] = deque()
        self._join_at = FEWEST_TO_JOIN

    def enter(
        self, end: int, records: int, read_at: float = 0.0, holds: int = 0, standing: Standing | None = None
    ) -> Entry:
        """Adds an entry from the end of the last one to `end`. Without records and holds it is settled at once."""
        start = self._entries[-1].end if self._entries else self.committed
        if end < start:
            raise ValueError(f"entry would end at {end}, before its start at {start}")
        entry = Entry(self, start, end, records, read_at)
        entry.holds = holds
        entry.standing = standing
        self._entries.append(entry)
        if not records and not holds:
            self._advance()
        if len(self._entries) >= self._join_at:
            self._join_entries()
        return entry

    def detach(self) -> None:
        """Reading begins anew in another ledger: what settles here does not count for the digest of the file."""
        self._note_standing = None

    @property
    def in_flight(self) -> int:
        """The number of unsettled records."""
        return sum(entry.pending for entry in self._entries)

    @property
    def oldest_read_at(self) -> float | None:
        """When the oldest unsettled entry was read; None if everything is settled."""
        return self._entries[0].read_at if self._entries else None

    @property
    def end(self) -> int:
        """The end of the last entry, where the next entry starts."""
        return self._entries[-1].end if self._entries else self.committed

    def _join_entries(self) -> None:
        """Joins settled neighbours. If many entries are left, also joins two unsettled neighbours each."""
        kept: deque[Entry] = deque()
        for entry in self._entries:
            if kept and not entry.pending and not kept[-1].pending and entry.can_join(kept[-1]):
                entry.join(kept.pop())
            kept.append(entry)
        if len(kept) >= FEWEST_TO_JOIN:
            kept = _joined_in_pairs(kept)
        self._entries = kept
        # A pass over entries that cannot be joined is repeated only when there are twice as many.
        more = FEWEST_TO_JOIN // 2 if len(kept) < FEWEST_TO_JOIN else len(kept)
        self._join_at = max(FEWEST_TO_JOIN, len(kept) + more)

    def _advance(self) -> None:
        entries = self._entries
        while entries and not entries[0].pending and not entries[0].holds:
            entry = entries.popleft()
            self.committed = entry.end
            if entry.standing is not None and self._note_standing is not None:
                self._note_standing(entry.standing)
            entry._settle_tied()
        if entries and not entries[0].holds:
            entries[0]._release_waiting()


def _joined_in_pairs(entries: deque[Entry]) -> deque[Entry]:
    joined: deque[Entry] = deque()
    left = len(entries) - NEWEST_NOT_JOINED
    is_pair = True
    for number, entry in enumerate(entries):
        if number < left and not is_pair and entry.can_join(joined[-1]):
            entry.join(joined.pop())
            is_pair = True
        else:
            is_pair = False
        joined.append(entry)
    return joined
