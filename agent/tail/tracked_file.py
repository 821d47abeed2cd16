"""One log file in hand: its bytes, where reading stands, and what of it is settled.

Synchronous throughout; the tailer decides when to read. A file that has ended stays open until its
records are settled and for a while longer, since its writer may have been about to write. Its bytes may
move meanwhile, into a copy or a compressed file; reading goes on there.
"""

from __future__ import annotations

import time
from collections.abc import Set
from typing import Final

from agent.core.reading.ledger import Entry, Ledger
from agent.core.reading.line_formats import recognise
from agent.core.reading.partials import Joiner
from agent.core.reading.records import Records
from agent.core.reading.scan_ledger import ScanEntry, ScanLedger
from agent.core.reading.splitter import SplitLines, Splitter
from agent.tail.checkpoint import Position, this_hour
from agent.tail.content import LogBytes
from agent.tail.fingerprint import MARKER_BYTES, digest
from agent.tail.types import FoundFile, Source

SETTLE_SECONDS: Final = 1.0
"""So long a file that was left inside a record is given to end it before the next file is begun."""

LATE_SECONDS: Final = 5.0
"""So long a rotated file stays open: the runtime opens the new file before it leaves the old one."""

ORPHAN_SECONDS: Final = 600.0
"""So long a file that was deleted and has no successor stays open: its writer may not know of it."""

LOOKS_FOR_A_COPY: Final = 2
"""After so many looks nobody has kept a copy of what stood in a truncated file: it is made before the truncation."""


Turn = tuple[str, int]
"""The rotated name under which a file was seen and 0; of the live one, the last rotated name by then and 1."""


class TrackedFile:
    """A file, identified and open."""

    def __init__(
        self, source: Source, found: FoundFile, content: LogBytes, head: bytes, file_id: str, max_record_bytes: int
    ) -> None:
        """`head`: the bytes that it was identified by."""
        self.id = file_id
        self.source = source
        self.found = found
        self.path = source.root.joinpath(*found.relative)
        self.joiner = Joiner(recognise(head), max_record_bytes)
        self.islands: frozenset[int] = frozenset()
        """Where records begin that were settled out of turn by an earlier life of the agent."""
        self.scan_ledger = ScanLedger()
        """What went ahead of the ordinary pass in this life."""
        self._under_way: list[ScanEntry] = []
        """Records of the urgent scan among those that were joined last."""
        self._last_island = -1
        self.begun = False
        """Reading has come to it."""
        self.ended = False
        """Its writer has left it, and it was read to its end."""
        self.replaced = False
        """It holds another log now, or nothing: it was truncated, or abandoned."""
        self.deleted = False
        """It has no name any more; only we keep its bytes."""
        self.caught_up_at = time.monotonic()
        """When there was last nothing unread."""
        self.turn: Turn = (found.rotated, 0)
        """Sorts the files of a source, oldest first."""
        self.confirmed = False
        """A look that was made after it was opened has shown where it stands."""
        self.twin = (0, 0)
        """Device and inode of the file in which the same log was last seen under another name."""
        self.wrote_at = time.monotonic() - max(0.0, time.time() - content.changed_at())
        """When its writer last wrote, in seconds of the monotonic clock."""
        self._content = content
        self._longest_line = self.joiner.line_format.longest_line(max_record_bytes)
        self._head = head[:MARKER_BYTES]
        self._tail = b""
        """The last bytes read: whether the file still is what it was."""
        self.noted_size = content.size()
        """Bytes on disk when that was last looked at."""
        self._largest_size = 0
        self._looked_at = (-1, 0)
        self._crossing: Entry | None = None
        """The end of this file, when the last part of its last record is in the next one."""
        self._crossed_from: Entry | None = None
        """The `_crossing` of the file before."""
        self._crossed = 0
        """Records that began there and ended here, but where this file may not be committed yet."""
        self._active_at = time.monotonic()
        self._looks_since_replaced = 0
        self._skip_first_line = False
        self._marker = (0, "")
        self._place(0)

    def go_on_from(self, known: Position) -> None:
        """Places reading where it was left."""
        self.note_settled(frozenset(known.islands))
        self._largest_size = known.size
        self._place(known.offset)
        # It may have been truncated since it was looked at.
        self.replaced = known.marker not in ("", digest(self._tail))

    def go_to_end(self) -> None:
        """Places reading behind what is there; of a line that is being written, behind that line."""
        self._place(self._content.size())
        self._skip_first_line = not self._content.ends_a_line()

    def begin(self, previous: TrackedFile | None) -> None:
        """Its turn has come. Takes over what `previous` left unfinished: records whose last part is in this file."""
        self.begun = True
        self._active_at = time.monotonic()
        if previous is None or not previous.joiner.open_records:
            return
        self.joiner, previous.joiner = previous.joiner, self.joiner
        self.joiner.line_format, previous.joiner.line_format = previous.joiner.line_format, self.joiner.line_format
        crossing = previous.ledger.enter(previous._splitter.offset, self.joiner.open_records, time.monotonic())
        previous._crossing = crossing
        before = self.joiner.start_next_file(previous.id, previous.islands) + previous._crossed
        if before and previous._crossed_from is not None:
            crossing.tie(previous._crossed_from, before)
        self._crossed_from = crossing

    def readable(self, most: int) -> int:
        """How many bytes to read next, at most `most`."""
        if self.replaced:
            return 0
        if self.found.compressed:
            return 0 if self.ended else most
        size = self.note_size()
        self._check()
        return max(0, min(most, size - self._splitter.end))

    def note_size(self) -> int:
        """Bytes there now. That it has grown is noted, whether or not it can be read at once."""
        size = self._content.size()
        if size > self.noted_size:
            self.wrote_at = time.monotonic()
        self.noted_size = size
        self._largest_size = max(self._largest_size, size)
        return size

    def read(self, most: int) -> bytes:
        """The next bytes; empty at the end, and when the file turns out to be another one."""
        data = b"" if self.replaced else self._content.read(most)
        # Asked afterwards, so that a truncation in between cannot pass for the continuation.
        self._check()
        if self.replaced:
            return b""
        if data:
            self._tail = (self._tail + data[-MARKER_BYTES:])[-MARKER_BYTES:]
            self._active_at = time.monotonic()
        return data

    def cut(self, data: bytes, now: float) -> SplitLines:
        cut = self._splitter.feed(data, now)
        if self._skip_first_line and cut.lines:
            self._skip_first_line = False
            return SplitLines(cut.lines[1:], cut.offset + len(cut.lines[0]), cut.overlong)
        return cut

    def join(self, cut: SplitLines) -> Records:
        records = self.joiner.feed(cut.lines, cut.offset, time.monotonic())
        if cut.overlong is not None:
            records.unusual.append(cut.overlong)
        records, self._under_way = self.scan_ledger.skip_scanned(records, self._splitter.offset)
        return records

    def look_ahead(self, offset: int, most: int) -> bytes:
        """The bytes from there on as they are now, without moving; of a compressed file none."""
        if self.replaced or self.found.compressed:
            return b""
        return self._content.peek(offset, most)

    def note_settled(self, offsets: Set[int]) -> None:
        """Records that an earlier life of the agent settled; before they are read."""
        self.islands |= offsets
        self._last_island = max(self.islands, default=-1)

    def enter(self, records: Records, now: float) -> Entry:
        """The entry for these records: up to the oldest record that is still open."""
        if self.islands and self.ledger.committed > self._last_island:
            self.islands = frozenset()
        end = max(self.joiner.committable(self._splitter.offset), self.ledger.end)
        entry = self.ledger.enter(end, len(records), now, len(self._under_way))
        for express in self._under_way:
            express.hold(entry)
        self._under_way = []
        self._crossed += records.from_previous_file
        is_behind_them = end > entry.start or not self.joiner.open_records
        if self._crossed and self._crossed_from is not None and is_behind_them:
            entry.tie(self._crossed_from, self._crossed)
            self._crossed = 0
        return entry

    def last_line(self) -> SplitLines | None:
        """A last line without a newline, once nobody can be about to write the rest of it."""
        if self.ended and self._is_left and self._splitter.end > self._splitter.offset:
            return self._splitter.finish()
        return None

    def has_ended(self, found: tuple[FoundFile, ...]) -> bool:
        """Its writer has gone on to another file, or there is no writer any more."""
        if self.replaced:
            waited = time.monotonic() - self._active_at >= SETTLE_SECONDS
            return waited and self._looks_since_replaced >= LOOKS_FOR_A_COPY
        if self.found.compressed or self.found.rotated:
            return True
        if found:
            return found[-1].live and not self.is_same(found[-1])
        return bool(self.source.pod_uid) or time.monotonic() - self._active_at >= ORPHAN_SECONDS

    @property
    def is_torn(self) -> bool:
        """It was left inside a record so recently that the rest of it may still be written here."""
        unfinished = self.joiner.open_records or self._splitter.end > self._splitter.offset
        rests = self.found.compressed or self.replaced
        return bool(unfinished) and not rests and time.time() - self._content.changed_at() < SETTLE_SECONDS

    def is_same(self, found: FoundFile) -> bool:
        return not self.replaced and (self.found.device, self.found.inode) == (found.device, found.inode)

    def is_copied_by(self, content: LogBytes) -> bool:
        """Whether what was read of this file stands in the other one as well; before that, whether all of it does."""
        if self.replaced or self._splitter.end >= MARKER_BYTES:
            return content.seek(self._splitter.end) == self._tail
        size = self._content.size()
        return content.seek(size) == self._content.before(size)

    @property
    def needs_a_copy(self) -> bool:
        """Its bytes are gone from under its name and not all of them were read."""
        return not self.ended and (self.replaced or self.deleted)

    def move(self, found: FoundFile, content: LogBytes) -> None:
        """Goes on in a copy of its bytes."""
        content.seek(self._splitter.end)
        self._content.close()
        self._content = content
        self.found = found
        self.path = self.source.root.joinpath(*found.relative)
        self.replaced = self.deleted = False

    def abandon(self) -> int:
        """Leaves unread what is unread; how many bytes that is."""
        lost = 0 if self.replaced else self._content.remaining()
        self.replaced = self.ended = True
        return lost

    def note_look(self, found: tuple[FoundFile, ...]) -> None:
        """Discovery has looked again, and this is what it saw of the source."""
        self._looks_since_replaced += self.replaced
        state = self._content.state()
        if state != self._looked_at:  # as long as nobody writes, there is nothing to be found out
            self._looked_at = state
            self._check()
        self.deleted = not any(self.is_same(seen) for seen in found)

    @property
    def reached(self) -> int:
        """Where the first line begins that was not read to its end."""
        return self._splitter.offset

    @property
    def end(self) -> int:
        """Up to where it was read."""
        return self._splitter.end

    @property
    def vanished_bytes(self) -> int:
        """How many bytes have been there and are not there any more, though they were not read."""
        return max(0, self._largest_size - self._splitter.end)

    @property
    def in_flight(self) -> int:
        """Records read and not settled; a record that is still open at the end of the file before is not read yet."""
        crossing = self._crossing.pending if self._crossing is not None else 0
        return self.ledger.in_flight + self.scan_ledger.in_flight - crossing

    @property
    def unread(self) -> int:
        """Bytes on disk that were not read yet; of a compressed file all of them, until it has ended."""
        if self.replaced or (self.found.compressed and self.ended):
            return 0
        return self._content.size() if self.found.compressed else max(0, self._content.size() - self._splitter.end)

    @property
    def has_work(self) -> bool:
        """A look may bring it on, and no event will: late writes, a truncation, a partial that is due, settlement."""
        unsettled = self.ledger.committed < self.end
        return self.ended or self.replaced or not self.begun or unsettled or self._content.size() != self.end

    @property
    def rests(self) -> bool:
        """Nothing becomes of it but by its writer."""
        return not self.has_work and not self.deleted

    def was_written(self, *, closely: bool) -> bool:
        """Somebody wrote to a file at rest since the last look; not `closely`: it has grown or shrunk."""
        return self._content.state() != self._looked_at if closely else self._content.size() != self._looked_at[0]

    @property
    def is_done(self) -> bool:
        """It has ended, all of it is settled, and nobody will write to it any more."""
        settled = self.ledger.committed >= self.end and not self.scan_ledger.in_flight
        return self.ended and self._is_left and not self.unread and settled

    @property
    def _is_left(self) -> bool:
        gone = self.deleted and bool(self.source.pod_uid)  # kubelet deletes what no container writes to any more
        quiet = time.monotonic() - self._active_at >= LATE_SECONDS
        return self.found.compressed or self.replaced or gone or quiet

    @property
    def known_size(self) -> int:
        """Uncompressed bytes there, of a compressed file as it says itself; those read, where that is more."""
        return self.end if self.replaced else max(self.end, self._content.whole_size())

    @property
    def position(self) -> Position:
        size = self.end if self.found.compressed or self.replaced else max(self.end, self._content.size())
        return Position(
            path=str(self.path),
            offset=self.ledger.committed,
            size=size,
            device=self.found.device,
            inode=self.found.inode,
            complete=self.is_done,
            islands=self._islands(),
            seen_at=this_hour(),
            marker=self._committed_marker(),
        )

    def close(self) -> None:
        self._content.close()

    def _check(self) -> None:
        """Whether the file still holds what was read of it, or, before that, what it was identified by."""
        if self.replaced:
            return
        if self._splitter.end >= MARKER_BYTES:
            self.replaced = self._content.before(self._splitter.end) not in (None, self._tail)
        else:
            self.replaced = self._content.before(len(self._head)) not in (None, self._head)
        if self.replaced:
            self._active_at = time.monotonic()

    def _place(self, offset: int) -> None:
        self._tail = self._content.seek(offset)
        self.ledger = Ledger(offset)
        self._splitter = Splitter(offset, self._longest_line)

    def _islands(self) -> tuple[int, ...]:
        committed = self.ledger.committed
        self.scan_ledger.forget(committed)
        return tuple(sorted(offset for offset in {*self.islands, *self.scan_ledger.settled} if offset >= committed))

    def _committed_marker(self) -> str:
        offset = self.ledger.committed
        if self._marker[0] != offset:
            before = None if self.replaced else self._content.before(offset)
            self._marker = (offset, digest(before) if before else "")
        return self._marker[1]
