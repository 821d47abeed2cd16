"""From the bytes of one file to records, and how far they are settled.

Bytes are cut into lines, lines are joined into records, and each group of records gets an entry in the ledger of the
file. The parts of one record may lie in two files, when a rotation came between them: the next file takes over what is
unfinished, and the two ledgers advance together. Pure but for the clock, and synchronous.
"""

from __future__ import annotations

import time
from collections.abc import Set
from typing import Final

from agent.core.reading.ledger import Entry, Ledger
from agent.core.reading.line_formats import LineFormat
from agent.core.reading.partials import Joiner
from agent.core.reading.records import Records
from agent.core.reading.scan_ledger import ScanEntry, ScanLedger
from agent.core.reading.splitter import SplitLines, Splitter
from agent.tail.undelivered import Undelivered

LONGEST_PART_BYTES: Final = 64 * 1024
"""containerd and Docker write parts of 16 KiB."""


class FileRecords:
    """The records of one file."""

    def __init__(self, file_id: str, line_format: LineFormat, max_record_bytes: int) -> None:
        self.id = file_id
        self.joiner = Joiner(line_format, max_record_bytes)
        self.ledger = Ledger(0)
        self.settled_out_of_order: frozenset[int] = frozenset()
        """Offsets of records beyond the committed offset that a previous run of the agent has settled."""
        self.scan_ledger = ScanLedger()
        """Records that the urgent scan has shipped in this run."""
        self.undelivered = Undelivered()
        self._failed = self._failed_ahead = 0
        """Records in the ledger, and in that of the urgent scan, that were not handed over."""
        self.begun = False
        """Its turn to be read has come."""
        self.skip_first_line = False
        """Reading begins inside a line, which is left out."""
        self._max_record_bytes = max_record_bytes
        self._longest_line = line_format.longest_line(max_record_bytes)
        self._splitter = Splitter(0, self._longest_line)
        self._ahead: list[ScanEntry] = []
        """Entries of the urgent scan that wait for records of the last join."""
        self._last_settled_out_of_order = -1
        self._crossing: Entry | None = None
        """The end of this file, when the last part of its last record is in the next file."""
        self._crossed_from: Entry | None = None
        """The `_crossing` of the file before."""
        self._crossed = 0
        """Records that began in the file before and ended here, where this file may not be committed yet."""

    def start_at(self, offset: int) -> None:
        """The next bytes are those from `offset` on; everything before it is settled."""
        self.ledger = Ledger(offset)
        self._splitter = Splitter(offset, self._longest_line)

    def not_delivered(self, entry: Entry | ScanEntry) -> None:
        """The delivery of these records has failed: none of them was handed over."""
        if isinstance(entry, ScanEntry):
            self._failed_ahead += entry.pending
        else:
            self._failed += entry.pending

    def forget_records(self) -> None:
        """Lets go of everything behind the committed offset: it will be read again."""
        self.undelivered.leave(self.ledger, self._failed)
        self.undelivered.leave(self.scan_ledger, self._failed_ahead)
        self._failed = self._failed_ahead = 0
        self.joiner = Joiner(self.joiner.line_format, self._max_record_bytes)
        self.scan_ledger = ScanLedger()
        self._ahead = []
        self._crossed_from, self._crossed = None, 0

    def begin(self, previous: FileRecords | None) -> None:
        """Its turn has come. Takes over the unfinished records of `previous`: their last parts are in this file."""
        self.begun = True
        if previous is None or not previous.joiner.open_records:
            return
        self.joiner, previous.joiner = previous.joiner, self.joiner
        self.joiner.line_format, previous.joiner.line_format = previous.joiner.line_format, self.joiner.line_format
        crossing = previous.ledger.enter(previous._splitter.offset, self.joiner.open_records, time.monotonic())
        previous._crossing = crossing
        before = self.joiner.start_next_file(previous.id, previous.settled_out_of_order) + previous._crossed
        if before and previous._crossed_from is not None:
            crossing.tie(previous._crossed_from, before)
        self._crossed_from = crossing

    def cut(self, data: bytes, now: float) -> SplitLines:
        cut = self._splitter.feed(data, now)
        return self._without_first_line(cut) if self.skip_first_line else cut

    def end_long_line(self) -> SplitLines | None:
        """Ends the unfinished line here, if it is longer than the runtimes write."""
        if self._splitter.held_bytes <= LONGEST_PART_BYTES:
            return None
        cut = self._splitter.finish()
        return self._without_first_line(cut) if self.skip_first_line else cut

    @property
    def can_be_cut(self) -> bool:
        """It holds a partial record, or an unfinished line that is longer than the runtimes write."""
        return bool(self.joiner.open_records) or self._splitter.held_bytes > LONGEST_PART_BYTES

    def join(self, cut: SplitLines) -> Records:
        records = self.joiner.feed(cut.lines, cut.offset, time.monotonic())
        if cut.overlong is not None:
            records.unusual.append(cut.overlong)
        records, self._ahead = self.scan_ledger.skip_scanned(records, self._splitter.offset)
        return records

    def enter(self, records: Records, now: float) -> Entry:
        """The ledger entry for these records: up to the start of the oldest unfinished record."""
        if self.settled_out_of_order and self.ledger.committed > self._last_settled_out_of_order:
            self.settled_out_of_order = frozenset()
        end = max(self.joiner.committable(self._splitter.offset), self.ledger.end)
        entry = self.ledger.enter(end, len(records), now, len(self._ahead))
        for ahead in self._ahead:
            ahead.hold(entry)
        self._ahead = []
        self._crossed += records.from_previous_file
        is_behind_them = end > entry.start or not self.joiner.open_records
        if self._crossed and self._crossed_from is not None and is_behind_them:
            entry.tie(self._crossed_from, self._crossed)
            self._crossed = 0
        return entry

    def note_settled(self, offsets: Set[int]) -> None:
        """Records that a previous run of the agent has settled. Called before they are read."""
        self.settled_out_of_order |= offsets
        self._last_settled_out_of_order = max(self.settled_out_of_order, default=-1)

    @property
    def reached(self) -> int:
        """The start of the first line that was not read to its end."""
        return self._splitter.offset

    @property
    def end(self) -> int:
        """Up to here the file was read."""
        return self._splitter.end

    @property
    def held_bytes(self) -> int:
        """How much memory its unfinished records and its unfinished line hold."""
        return self.joiner.held_bytes + self._splitter.held_bytes

    @property
    def in_flight(self) -> int:
        """Records read and not settled. A record that ends in the next file counts there."""
        crossing = self._crossing.pending if self._crossing is not None else 0
        return self.ledger.in_flight + self.scan_ledger.in_flight - crossing + self.undelivered.in_flight

    def _without_first_line(self, cut: SplitLines) -> SplitLines:
        """Reading began inside a line: that line is left out, and no other."""
        if cut.overlong is not None:
            self.skip_first_line = False
            return SplitLines(cut.lines, cut.offset)
        if not cut.lines:
            return cut
        self.skip_first_line = False
        return SplitLines(cut.lines[1:], cut.offset + len(cut.lines[0]))

    def all_settled_out_of_order(self) -> tuple[int, ...]:
        committed = self.ledger.committed
        self.scan_ledger.forget(committed)
        settled = {*self.settled_out_of_order, *self.scan_ledger.settled}
        return tuple(sorted(start for start in settled if start >= committed))
