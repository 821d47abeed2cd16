"""From the bytes of one file to records, and how far they are settled.

Bytes are cut into lines, lines are joined into records, and each group of records gets an entry in the ledger of the
file. The parts of one record may lie in two files, when a rotation came between them: the next file takes over what is
unfinished, and the two ledgers advance together. Pure but for the clock, and synchronous.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Set
from typing import Final

from agent.core.proof.canonical import by_digest
from agent.core.proof.no_digest import Digest
from agent.core.proof.segment import Statement
from agent.core.reading.ledger import Entry, Ledger
from agent.core.reading.line_formats import LineFormat
from agent.core.reading.partials import Joiner
from agent.core.reading.records import Origin, Records
from agent.core.reading.scan_ledger import ScanEntry, ScanLedger, Skipped
from agent.core.reading.splitter import SplitLines, Splitter
from agent.tail.undelivered import Undelivered

LONGEST_PART_BYTES: Final = 64 * 1024
"""containerd and Docker write parts of 16 KiB."""


class FileRecords:
    """The records of one file."""

    def __init__(self, digest: Digest, line_format: LineFormat, max_record_bytes: int) -> None:
        self.id = digest.file
        self.joiner = Joiner(line_format, max_record_bytes)
        self.digest = digest
        """The digest of the records that are shipped. Seals state it."""
        self.ledger = Ledger(0, self.digest.commit)
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
        self._skipped = Skipped(Records())
        """Records of the last join that the urgent scan has shipped already."""
        self._skipped_in_entry = self._skipped
        """The same of the last entry."""
        self._last_settled_out_of_order = -1
        self._crossing: Entry | None = None
        """The end of this file, when the last part of its last record is in the next file."""
        self._crossed_from: Entry | None = None
        """The `_crossing` of the file before."""
        self._crossed = 0
        """Records that began in the file before and ended here, where this file may not be committed yet."""
        self._older: dict[str, tuple[Digest, Entry]] = {}
        """By file id: digest and `_crossing` of the files before in which partial records began."""

    def start_at(self, offset: int) -> None:
        """The next bytes are those from `offset` on; everything before it is settled."""
        self.ledger.detach()
        self.digest.restart(offset)
        self.ledger = Ledger(offset, self.digest.commit)
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
        self._skipped = Skipped(Records())
        self._crossed_from, self._crossed = None, 0
        self._older = {}

    def begin(self, previous: FileRecords | None) -> None:
        """Its turn has come. Takes over the unfinished records of `previous`: their last parts are in this file."""
        self.begun = True
        if previous is None or not previous.joiner.open_records:
            return
        self.joiner, previous.joiner = previous.joiner, self.joiner
        self.joiner.line_format, previous.joiner.line_format = previous.joiner.line_format, self.joiner.line_format
        crossing = previous.ledger.enter(previous._splitter.offset, self.joiner.open_records, time.monotonic())
        crossing.may_be_joined = False  # its standing is known when the last of these records has ended
        previous._crossing = crossing
        from_older_files = self.joiner.start_next_file(previous.id, previous.settled_out_of_order)
        crossing.standing = previous.digest.cross(crossing.end, crossing.pending - from_older_files)
        self._older = previous._older | {previous.id: (previous.digest, crossing)}
        # The crossing takes them over: a late write to the file before must not tie them a second time.
        before, previous._crossed = from_older_files + previous._crossed, 0
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
        self._skipped = self.scan_ledger.skip_scanned(records, self._splitter.offset)
        return self._skipped.left

    def enter(self, records: Records, now: float) -> Entry:
        """The ledger entry for these records: up to the start of the oldest unfinished record."""
        if self.settled_out_of_order and self.ledger.committed > self._last_settled_out_of_order:
            self.settled_out_of_order = frozenset()
        end = max(self.joiner.committable(self._splitter.offset), self.ledger.end)
        skipped, self._skipped = self._skipped, Skipped(Records())
        if skipped.not_found:
            self.digest.count_unknown(skipped.not_found)
        # An entry without records may be committed at once, so its digest is computed first.
        standing = None if len(records) else self.digest.add(skipped.offsets, skipped.payloads, end)
        entry = self.ledger.enter(end, len(records), now, len(skipped.in_flight), standing)
        for ahead in skipped.in_flight:
            ahead.hold(entry)
        self._skipped_in_entry = skipped
        self._crossed += records.from_previous_file
        is_behind_them = end > entry.start or not self.joiner.open_records
        if self._crossed and self._crossed_from is not None and is_behind_them:
            entry.tie(self._crossed_from, self._crossed)
            self._crossed = 0
        return entry

    def prove(self, entry: Entry, records: Records, unshipped: Set[int | Origin], filtered: Mapping[str, int]) -> None:
        """Feeds the records of the entry to the digest. Called after `enter`, before one of the records can settle.

        `unshipped` identifies the records that a rule of the configuration settles; `filtered` counts them by reason.
        """
        if not self.digest.is_computed:
            return
        self.digest.filter(filtered)
        left_out = unshipped | self.digest.unshipped if self.digest.unshipped else unshipped
        skipped = self._skipped_in_entry
        offsets, payloads = records.offsets, records.payloads
        if left_out or records.unusual or skipped.offsets:
            whole = dict(zip(offsets, payloads, strict=True)) | dict(
                zip(skipped.offsets, skipped.payloads, strict=True)
            )
            for one in records.unusual:
                payload = by_digest(one.mark.digest) if one.mark.size else one.payload
                if one.mark.origin is None:
                    whole[one.offset] = payload
                else:
                    self._prove_in_older(one.mark.origin, None if one.mark.origin in left_out else payload)
            offsets = sorted(whole.keys() - left_out)
            payloads = [whole[offset] for offset in offsets]
        entry.standing = self.digest.add(offsets, payloads, entry.end)

    def _prove_in_older(self, origin: Origin, payload: bytes | None) -> None:
        """A record that began in a file before has ended: it belongs to the digest of that file."""
        file, offset = origin
        if file in self._older:
            digest, crossing = self._older[file]
            crossing.standing = digest.add_crossed(offset, payload) or crossing.standing

    @property
    def statements(self) -> list[Statement]:
        """The statements about this file that no seal has yet."""
        return self.digest.statements(self.ledger.committed)

    def settled_unshipped(self) -> tuple[list[int], list[int]]:
        """Offsets behind the committed one of records that were rejected, and of records that were filtered."""
        committed = self.ledger.committed
        self.digest.forget_settled(committed)
        filtered = self.digest.unshipped | self.scan_ledger.unshipped
        rejected = sorted(offset for offset in self.digest.rejected if offset >= committed)
        return rejected, sorted(offset for offset in filtered if offset >= committed)

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
        """The bytes of memory that its unfinished records and its unfinished line hold."""
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
