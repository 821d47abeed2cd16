"""The records of one file that the urgent scan shipped before reading came to them, and when they are settled.

These are out-of-order acknowledgements: reading later skips the records, and the file is not committed beyond a record
that is still in flight.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence, Set

from msgspec import Struct, field

from agent.core.reading.ledger import Entry
from agent.core.reading.records import Origin, Records, without


class Skipped(Struct, frozen=True):
    """What reading found of the scanned records."""

    left: Records
    """The records that were not scanned."""
    in_flight: list[ScanEntry] = field(default_factory=list)
    """The entries with removed records that are still in flight."""
    offsets: list[int] = field(default_factory=list)
    """Of the removed records that were shipped."""
    payloads: list[bytes] = field(default_factory=list)
    not_found: int = 0
    """Scanned lines that are no records: reading takes them for parts of other records."""


class ScanEntry:
    """Records that the urgent scan shipped together."""

    __slots__ = ("_held", "offsets", "pending", "read_at")

    def __init__(self, offsets: Sequence[int], read_at: float) -> None:
        self.offsets = offsets
        """Where the records begin, ascending."""
        self.pending = len(offsets)
        self.read_at = read_at
        """When they were read, in seconds of the monotonic clock."""
        self._held: list[Entry] = []

    def settle(self, records: int) -> None:
        """`records` more of the records are shipped, filtered or rejected."""
        if records > self.pending:
            raise ValueError(f"settled {records} of {self.pending} scanned records at {self.offsets[0]}")
        self.pending -= records
        if not self.pending:
            for entry in self._held:
                entry.release()
            self._held.clear()

    def hold(self, entry: Entry) -> None:
        """Reading has come to these records: the ledger's entry waits until they are settled."""
        self._held.append(entry)


class ScanLedger:
    """What the urgent scan has done in one file."""

    def __init__(self) -> None:
        self.scanned = 0
        """The offset up to which the file was scanned."""
        self._entries: deque[ScanEntry] = deque()
        self._ahead: deque[tuple[int, ScanEntry]] = deque()
        """The records that reading has not come to yet, in the order of the file."""
        self.unshipped: set[int] = set()
        """The offsets of scanned records that a rule of the configuration settled."""

    def enter(self, offsets: Sequence[int], read_at: float) -> ScanEntry:
        """Adds records. They lie behind all records that were added before."""
        entry = ScanEntry(offsets, read_at)
        self._entries.append(entry)
        self._ahead.extend((offset, entry) for offset in offsets)
        return entry

    def note_unshipped(self, unshipped: Set[int | Origin], filtered: Mapping[str, int]) -> None:
        """These scanned records are settled by a rule of the configuration. `filtered` counts them by reason."""
        self.unshipped |= {record for record in unshipped if isinstance(record, int)}

    def skip_scanned(self, records: Records, end: int) -> Skipped:
        """Removes scanned records from those that were read up to `end`.

        If reading takes a scanned line for a part of another record, nothing waits for the scanned line: both are
        shipped.
        """
        if not self._ahead or self._ahead[0][0] >= end:
            return Skipped(records)
        passed: dict[int, ScanEntry] = {}
        while self._ahead and self._ahead[0][0] < end:
            offset, entry = self._ahead.popleft()
            passed[offset] = entry
        in_flight = {
            id(scanned): scanned
            for offset in records.offsets
            if (scanned := passed.get(offset)) is not None and scanned.pending
        }
        removed = [*filter(lambda record: record[0] in passed, zip(records.offsets, records.payloads, strict=True))]
        others = passed.keys() - {offset for offset, _ in removed} - {one.offset for one in records.unusual}
        shipped = [record for record in removed if record[0] not in self.unshipped]
        return Skipped(
            without(records, passed.keys()),
            [*in_flight.values()],
            [offset for offset, _ in shipped],
            [payload for _, payload in shipped],
            len(others),
        )

    def forget(self, committed: int) -> None:
        """Drops settled entries before the committed offset."""
        if self.unshipped:
            self.unshipped = {offset for offset in self.unshipped if offset >= committed}
        while self._entries and not self._entries[0].pending and self._entries[0].offsets[-1] < committed:
            self._entries.popleft()

    @property
    def settled(self) -> Iterable[int]:
        """The offsets of settled records that were not dropped."""
        return (offset for entry in self._entries if not entry.pending for offset in entry.offsets)

    @property
    def in_flight(self) -> int:
        return sum(entry.pending for entry in self._entries)

    def __len__(self) -> int:
        """The number of records that are kept."""
        return sum(len(entry.offsets) for entry in self._entries)
