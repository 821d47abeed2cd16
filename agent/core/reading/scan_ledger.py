"""Records that the urgent scan shipped ahead of the ordinary pass, and when they are settled."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from agent.core.reading.ledger import Entry
from agent.core.reading.records import Records, without


class ScanEntry:
    """Records that went ahead together and settle together."""

    __slots__ = ("_waiting", "offsets", "pending", "read_at")

    def __init__(self, offsets: Sequence[int], read_at: float) -> None:
        self.offsets = offsets
        """Where they begin, ascending."""
        self.pending = len(offsets)
        self.read_at = read_at
        """Seconds of the monotonic clock."""
        self._waiting: list[Entry] = []

    def settle(self, records: int) -> None:
        """`records` more of them are shipped, filtered or rejected."""
        if records > self.pending:
            raise ValueError(f"settled {records} of {self.pending} express records at {self.offsets[0]}")
        self.pending -= records
        if not self.pending:
            for entry in self._waiting:
                entry.release()
            self._waiting.clear()

    def hold(self, entry: Entry) -> None:
        """The ordinary pass has come by: its entry waits until these are settled."""
        self._waiting.append(entry)


class ScanLedger:
    """What of one file went ahead of the ordinary pass."""

    def __init__(self) -> None:
        self.scanned = 0
        """Up to where the file was scanned."""
        self._entries: deque[ScanEntry] = deque()
        self._ahead: deque[tuple[int, ScanEntry]] = deque()
        """What the ordinary pass has not come to yet, in file order."""

    def enter(self, offsets: Sequence[int], read_at: float) -> ScanEntry:
        """New ones, beyond all that were entered before."""
        entry = ScanEntry(offsets, read_at)
        self._entries.append(entry)
        self._ahead.extend((offset, entry) for offset in offsets)
        return entry

    def pass_over(self, records: Records, end: int) -> tuple[Records, list[ScanEntry]]:
        """What is left of these records, the file's up to `end`; and the entries that are still under way among them.

        A line that the ordinary pass takes for a part of some other record is not waited for: it ships as that too.
        """
        if not self._ahead or self._ahead[0][0] >= end:
            return records, []
        passed: dict[int, ScanEntry] = {}
        while self._ahead and self._ahead[0][0] < end:
            offset, entry = self._ahead.popleft()
            passed[offset] = entry
        under_way = {
            id(ahead): ahead
            for offset in records.offsets
            if (ahead := passed.get(offset)) is not None and ahead.pending
        }
        return without(records, passed.keys()), list(under_way.values())

    def forget(self, committed: int) -> None:
        """The ordinary pass is settled up to there."""
        while self._entries and not self._entries[0].pending and self._entries[0].offsets[-1] < committed:
            self._entries.popleft()

    @property
    def settled(self) -> Iterable[int]:
        """Where those begin that are settled and not forgotten."""
        return (offset for entry in self._entries if not entry.pending for offset in entry.offsets)

    @property
    def in_flight(self) -> int:
        return sum(entry.pending for entry in self._entries)

    def __len__(self) -> int:
        """How many are remembered."""
        return sum(len(entry.offsets) for entry in self._entries)
