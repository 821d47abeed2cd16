"""One open log file: its bytes, how far it was read, and how far its records are settled.

Synchronous throughout; the tailer decides when to read. The life of the file is a `FileState`. A file that has ended
stays open until its records are settled and nobody can write to it any more. When its bytes move into a copy or into a
compressed file, reading goes on there.
"""

from __future__ import annotations

import time
from collections.abc import Set

from agent.core.reading.ledger import Entry, Ledger
from agent.core.reading.line_formats import recognise
from agent.core.reading.partials import Joiner
from agent.core.reading.records import Records
from agent.core.reading.scan_ledger import ScanEntry, ScanLedger
from agent.core.reading.splitter import SplitLines, Splitter
from agent.tail.checkpoint import Position, this_hour
from agent.tail.content import LogBytes
from agent.tail.file_state import (
    LATE_SECONDS,
    Facts,
    FileState,
    Happening,
    after,
    is_inside_a_record,
    may_be_closed,
    writer_has_left,
)
from agent.tail.fingerprint import digest
from agent.tail.names import printable
from agent.tail.types import FoundFile, Source
from agent.tail.verified import VerifiedBytes
from agent.tail.writers import has_writer

Turn = tuple[str, int]
"""Sort key. Rotated file: (its suffix, 0). Live file: (newest suffix seen, 1)."""


class TrackedFile:
    """A file that is identified and open."""

    def __init__(
        self, source: Source, found: FoundFile, content: LogBytes, head: bytes, file_id: str, max_record_bytes: int
    ) -> None:
        """`head`: the bytes that it was identified by."""
        self.id = file_id
        self.source = source
        self.found = found
        self.path = source.root.joinpath(*found.relative)
        self.state = FileState.OPEN
        self.joiner = Joiner(recognise(head), max_record_bytes)
        self.settled_out_of_order: frozenset[int] = frozenset()
        """Offsets of records beyond the committed offset that a previous run of the agent has settled."""
        self.scan_ledger = ScanLedger()
        """Records that the urgent scan has shipped in this run."""
        self.begun = False
        """Its turn to be read has come."""
        self.turn: Turn = (found.rotated, 0)
        """Sorts the files of a source, oldest first."""
        self.confirmed = False
        """A scan that was made after the file was opened has shown its place among the others."""
        self.alias = (0, 0)
        """Device and inode of the file that held the same log under another name when it was last seen."""
        self.caught_up_at = time.monotonic()
        """When there was last nothing unread."""
        self._bytes = VerifiedBytes(content, head)
        self._max_record_bytes = max_record_bytes
        self._longest_line = self.joiner.line_format.longest_line(max_record_bytes)
        self._active_at = time.monotonic()
        self._looks_since_replaced = 0
        self._successor = False
        self._source_is_gone = False
        self._directory_is_gone = False
        self._ahead: list[ScanEntry] = []
        """Entries of the urgent scan that wait for records of the last join."""
        self._last_settled_out_of_order = -1
        self._crossing: Entry | None = None
        """The end of this file, when the last part of its last record is in the next file."""
        self._crossed_from: Entry | None = None
        """The `_crossing` of the file before."""
        self._crossed = 0
        """Records that began in the file before and ended here, where this file may not be committed yet."""
        self._skip_first_line = False
        self._marker = (0, "")
        self._place(0)

    def go_on_from(self, known: Position) -> None:
        """Starts where the last run of the agent has stopped. Raises OSError."""
        self.note_settled(frozenset(known.settled_out_of_order))
        self._bytes.largest_size = known.size
        self._place(known.offset)
        # The file may have been truncated since it was looked at.
        if known.marker not in ("", digest(self._bytes.last)):
            self._happened(Happening.OVERWRITTEN)

    def go_to_end(self) -> None:
        """Starts at the end of the file, after any unfinished line. Raises OSError."""
        content = self._bytes.content
        self._place(content.whole_size())
        self._skip_first_line = not content.ends_a_line()

    def begin(self, previous: TrackedFile | None) -> None:
        """Its turn has come. Takes over the unfinished records of `previous`: their last parts are in this file."""
        self.begun = True
        self._active_at = time.monotonic()
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

    # Reading

    def readable(self, most: int) -> int:
        """How many bytes to read next, at most `most`. Raises OSError."""
        if not self.state.is_readable:
            return 0
        if self.found.compressed:
            return 0 if self.state.has_ended else most
        size = self.note_size()
        self._check()
        return 0 if self.replaced else max(0, min(most, size - self._splitter.end))

    def read(self, most: int) -> bytes:
        """The next bytes; empty at the end, and when the file turns out to be another one. Raises OSError."""
        if not self.state.is_readable:
            return b""
        data = self._bytes.read(most)
        if data is None:
            self._happened(Happening.OVERWRITTEN)
            return b""
        if data:
            self._active_at = time.monotonic()
        return data

    def cut(self, data: bytes, now: float) -> SplitLines:
        cut = self._splitter.feed(data, now)
        return self._without_first_line(cut) if self._skip_first_line else cut

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

    def last_line(self) -> SplitLines | None:
        """A last line without a newline, once nobody can write the rest of it."""
        if self.state.has_ended and self._splitter.end > self._splitter.offset and self._may_be_closed:
            return self._splitter.finish()
        return None

    def look_ahead(self, offset: int, most: int) -> bytes:
        """The bytes from `offset` on, without moving; of a compressed file none. Raises OSError."""
        if self.found.compressed or not self.state.is_readable:
            return b""
        return self._bytes.content.peek(offset, most)

    def rewind(self) -> None:
        """Starts again at the committed offset: what was read behind it may not have been delivered. Raises OSError."""
        self.joiner = Joiner(self.joiner.line_format, self._max_record_bytes)
        self.scan_ledger = ScanLedger()
        self._ahead = []
        self._crossed_from, self._crossed = None, 0
        self._place(self.ledger.committed)

    def note_settled(self, offsets: Set[int]) -> None:
        """Records that a previous run of the agent has settled. Called before they are read."""
        self.settled_out_of_order |= offsets
        self._last_settled_out_of_order = max(self.settled_out_of_order, default=-1)

    # What a scan shows

    def note_scan(self, found: tuple[FoundFile, ...]) -> None:
        """A scan has seen these files of the source. Raises OSError."""
        self._looks_since_replaced += self.state is FileState.REPLACED
        named = any(self.is_same(seen) for seen in found)
        self._happened(Happening.SEEN if named else Happening.NOT_SEEN)
        self._successor = bool(found) and found[-1].live and not self.is_same(found[-1])
        self._source_is_gone = not found
        self._directory_is_gone = self.state.is_deleted and self._container_directory_is_gone()
        if self._bytes.note_scan():
            self._check()

    def writer_has_left(self) -> bool:
        """Whether the file may be finished, and the next one begun."""
        return writer_has_left(self.state, self._facts(), time.monotonic())

    @property
    def is_inside_a_record(self) -> bool:
        """The rest of a record may still be written to it."""
        unfinished = bool(self.joiner.open_records) or self._splitter.end > self._splitter.offset
        return is_inside_a_record(self.state, self._facts(), unfinished, time.monotonic())

    def finish(self) -> None:
        """Its writer has left it, and all of it was read."""
        self._happened(Happening.FINISHED)

    def give_up(self) -> int:
        """Leaves the unread bytes unread. Returns how many bytes that are."""
        lost = self._bytes.content.remaining() if self.state.is_readable else 0
        self._happened(Happening.GIVEN_UP)
        return lost

    def is_same(self, found: FoundFile) -> bool:
        return self.state.is_readable and self.found.key == found.key

    @property
    def copy_marker(self) -> tuple[int, bytes]:
        """An offset and the bytes before it: a copy holds the same bytes there. Raises OSError."""
        return self._bytes.copy_marker(readable=self.state.is_readable)

    def move(self, found: FoundFile, content: LogBytes) -> None:
        """Goes on in a copy of its bytes. Raises OSError."""
        self._bytes.move(content)
        self.found = found
        self.path = self.source.root.joinpath(*found.relative)
        self._happened(Happening.COPY_OPENED)

    # What is known

    @property
    def replaced(self) -> bool:
        return not self.state.is_readable

    @property
    def deleted(self) -> bool:
        return self.state.is_deleted

    @property
    def ended(self) -> bool:
        return self.state.has_ended

    @property
    def reached(self) -> int:
        """The start of the first line that was not read to its end."""
        return self._splitter.offset

    @property
    def end(self) -> int:
        """Up to here the file was read."""
        return self._splitter.end

    @property
    def vanished_bytes(self) -> int:
        """Bytes that were there, are not there any more, and were not read."""
        return max(0, self._bytes.largest_size - self._splitter.end)

    @property
    def in_flight(self) -> int:
        """Records read and not settled. A record that ends in the next file counts there."""
        crossing = self._crossing.pending if self._crossing is not None else 0
        return self.ledger.in_flight + self.scan_ledger.in_flight - crossing

    @property
    def unread(self) -> int:
        """Bytes on disk that were not read yet; of a compressed file all bytes until it has ended."""
        if not self.state.is_readable or (self.found.compressed and self.state.has_ended):
            return 0
        size = self._bytes.content.size()
        return size if self.found.compressed else max(0, size - self._splitter.end)

    def note_size(self) -> int:
        """Bytes on disk now. That the file has grown is noted, whether or not it can be read at once."""
        return self._bytes.measure()

    @property
    def noted_size(self) -> int:
        return self._bytes.noted_size

    @property
    def wrote_at(self) -> float:
        """When the file was last written to, in seconds of the monotonic clock."""
        return self._bytes.wrote_at

    @property
    def is_idle(self) -> bool:
        """Everything is read and settled; only a write changes that."""
        waits_for_a_scan = self.state is not FileState.OPEN or not self.begun or self.ledger.committed < self.end
        return not waits_for_a_scan and self._bytes.content.size() == self.end

    def changed_since_scan(self, *, closely: bool) -> bool:
        """Whether an idle file was written to since the last scan. Not `closely`: whether its size has changed."""
        return self._bytes.changed_since_scan(closely=closely)

    @property
    def is_done(self) -> bool:
        """It has ended, all of it is settled, and nobody can write to it any more."""
        settled = self.ledger.committed >= self.end and not self.scan_ledger.in_flight
        return self.state.has_ended and settled and not self.unread and self._may_be_closed

    @property
    def may_be_written(self) -> bool:
        """Some process has the file open for writing, or the kernel does not tell."""
        return self._facts().has_writer is not False

    @property
    def known_size(self) -> int:
        """Uncompressed bytes in the file, as far as they are known without reading them."""
        return max(self.end, self._bytes.content.whole_size()) if self.state.is_readable else self.end

    @property
    def position(self) -> Position:
        grows = self.state.is_readable and not self.found.compressed
        return Position(
            path=printable(self.path),
            offset=self.ledger.committed,
            size=max(self.end, self._bytes.largest_size) if grows else self.end,
            device=self.found.device,
            inode=self.found.inode,
            complete=self.is_done,
            settled_out_of_order=self._all_settled_out_of_order(),
            seen_at=this_hour(),
            marker=self._committed_marker(),
        )

    def close(self) -> None:
        self._bytes.content.close()

    def _place(self, offset: int) -> None:
        self._bytes.seek(offset)
        self.ledger = Ledger(offset)
        self._splitter = Splitter(offset, self._longest_line)

    def _check(self) -> None:
        if self.state.is_readable and not self._bytes.still_ours():
            self._happened(Happening.OVERWRITTEN)

    def _happened(self, happening: Happening) -> None:
        before, self.state = self.state, after(self.state, happening)
        if before.is_readable and not self.state.is_readable:
            self._active_at = time.monotonic()
            self._looks_since_replaced = 0

    @property
    def _may_be_closed(self) -> bool:
        return may_be_closed(self.state, self._facts(), time.monotonic())

    def _facts(self) -> Facts:
        # The kernel is asked only where the answer decides.
        is_quiet = time.monotonic() - self._active_at >= LATE_SECONDS
        asks_kernel = self.state.is_deleted or (self.state.has_ended and is_quiet)
        return Facts(
            compressed=self.found.compressed,
            rotated=bool(self.found.rotated),
            has_successor=self._successor,
            source_is_gone=self._source_is_gone,
            has_writer=has_writer(self._bytes.content.fileno()) if asks_kernel and not self.found.compressed else None,
            directory_is_gone=self._directory_is_gone,
            looks_since_replaced=self._looks_since_replaced,
            active_at=self._active_at,
            wrote_at=self._bytes.wrote_at,
        )

    def _container_directory_is_gone(self) -> bool:
        return bool(self.source.pod_uid) and not self.source.path.parent.is_dir()

    def _without_first_line(self, cut: SplitLines) -> SplitLines:
        """Reading began inside a line: that line is left out, and no other."""
        if cut.overlong is not None:
            self._skip_first_line = False
            return SplitLines(cut.lines, cut.offset)
        if not cut.lines:
            return cut
        self._skip_first_line = False
        return SplitLines(cut.lines[1:], cut.offset + len(cut.lines[0]))

    def _all_settled_out_of_order(self) -> tuple[int, ...]:
        committed = self.ledger.committed
        self.scan_ledger.forget(committed)
        settled = {*self.settled_out_of_order, *self.scan_ledger.settled}
        return tuple(sorted(start for start in settled if start >= committed))

    def _committed_marker(self) -> str:
        offset = self.ledger.committed
        if self._marker[0] != offset:
            self._marker = (offset, self._digest_before(offset))
        return self._marker[1]

    def _digest_before(self, offset: int) -> str:
        if not self.state.is_readable:
            return ""
        try:
            before = self._bytes.content.before(offset)
        except OSError:
            return ""
        return digest(before) if before else ""
