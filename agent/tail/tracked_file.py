"""One open log file: its bytes, how far it was read, and how far its records are settled.

Synchronous throughout; the tailer decides when to read. The life of the file is a `FileState`. A file that has ended
stays open until its records are settled and nobody can write to it any more. When its bytes move into a copy or into a
compressed file, reading goes on there.
"""

from __future__ import annotations

import time

from agent.core.proof.no_digest import Digest
from agent.core.reading.line_formats import recognise
from agent.core.reading.splitter import SplitLines
from agent.tail.checkpoint import Position, this_hour
from agent.tail.closed_files import ClosedFile
from agent.tail.content import LogBytes
from agent.tail.file_records import FileRecords
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


class TrackedFile(FileRecords):
    """A file that is identified and open."""

    def __init__(
        self, source: Source, found: FoundFile, content: LogBytes, head: bytes, file_digest: Digest, longest: int
    ) -> None:
        """`head`: the bytes that it was identified by. `longest`: bytes of the longest record."""
        super().__init__(file_digest, recognise(head), longest)
        self.source = source
        self.found = found
        self.path = source.root.joinpath(*found.relative)
        self.state = FileState.OPEN
        self.turn: Turn = (found.rotated, 0)
        """Sorts the files of a source, oldest first."""
        self.confirmed = False
        """A scan that was made after the file was opened has shown its place among the others."""
        self.alias = (0, 0)
        """Device and inode of the file that held the same log under another name when it was last seen."""
        self.caught_up_at = time.monotonic()
        """The last time at which nothing was unread."""
        self.turn_since = time.monotonic()
        """The time at which reading of it began; before that, the time at which it was opened."""
        self.scans = 0
        """The number of scans since it was opened."""
        self.is_paused = False
        """It is not read, so that it can be closed for other files."""
        self._bytes = VerifiedBytes(content, head)
        self.active_at = time.monotonic()
        self._looks_since_replaced = 0
        self._successor = self._source_is_gone = self._directory_is_gone = False
        self._marker = (0, "")

    def go_to_start(self) -> None:
        """Starts at the beginning, wherever the content stands. Raises OSError."""
        self._place(0)

    def go_on_from(self, known: Position) -> None:
        """Starts where the last run of the agent has stopped. Raises OSError."""
        self.note_settled(frozenset(known.settled_out_of_order))
        self._bytes.largest_size = known.size
        self._place(known.offset, known.marker)

    def go_to_end(self) -> None:
        """Starts at the end of the file, after any unfinished line. Raises OSError."""
        content = self._bytes.content
        self._place(content.whole_size())
        self.skip_first_line = not content.ends_a_line()

    def begin(self, previous: FileRecords | None) -> None:
        """Its turn has come. Takes over the unfinished records of `previous`: their last parts are in this file."""
        self.active_at = self.turn_since = time.monotonic()
        super().begin(previous)

    # Reading

    def readable(self, most: int) -> int:
        """The number of bytes to read next, at most `most`. Raises OSError."""
        if not self.state.is_readable or self.is_paused:
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
            self.active_at = time.monotonic()
        return data

    def last_line(self) -> SplitLines | None:
        """A last line without a newline, once nobody can write the rest of it."""
        if self.state.has_ended and self._splitter.end > self._splitter.offset and self._may_be_closed:
            return self._splitter.finish()
        return None

    def look_ahead(self, offset: int, most: int) -> bytes:
        """The bytes from `offset` on, without moving; of a compressed file none. Raises OSError."""
        if self.found.compressed or not self.state.is_readable:
            return b""
        data = self._bytes.peek(offset, most)
        if data is None:
            self._happened(Happening.OVERWRITTEN)
        return data or b""

    def rewind(self) -> None:
        """Starts again at the committed offset: what was read behind it may not have been delivered. Raises OSError."""
        self.forget_records()
        self._place(self.ledger.committed)

    # Facts that a scan shows

    def note_scan(self, found: tuple[FoundFile, ...], *, copy_may_come: bool) -> None:
        """A scan has seen these files of the source. `copy_may_come`: one of them may be its copy. Raises OSError."""
        self.scans += 1
        self._looks_since_replaced += self.state is FileState.REPLACED and not copy_may_come
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
    def copy_marker(self) -> tuple[int, str]:
        """An offset, and the digest of the last bytes before it: a copy holds the same bytes there. Raises OSError."""
        return self._bytes.copy_marker(readable=self.state.is_readable)

    def move(self, found: FoundFile, content: LogBytes) -> None:
        """Goes on in a copy of its bytes. Raises OSError."""
        self._bytes.move(content)
        self.found = found
        self.path = self.source.root.joinpath(*found.relative)
        self._happened(Happening.COPY_OPENED)

    # Facts that are known

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
    def vanished_bytes(self) -> int:
        """Bytes that were there, are not there any more, and were not read."""
        return max(0, self._bytes.largest_size - self._splitter.end)

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
        """The time of the last write, in seconds of the monotonic clock."""
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
    def is_complete(self) -> bool:
        """Its writer has left it, or it was overwritten, and all that was seen of it is read and settled.

        A late write is still read: the next run of the agent compares the size of the file with its position.
        """
        settled = self.ledger.committed >= self.end and not self.scan_ledger.in_flight
        # A file that was replaced before any of it was read is not complete: its copy may still be found.
        was_read = self.state is FileState.REPLACED and self.end > 0 and not self.vanished_bytes
        has_ended = self.state.has_ended or was_read
        return has_ended and settled and not self.unread

    @property
    def is_done(self) -> bool:
        """It has ended, all of it is settled, and nobody can write to it any more."""
        settled = self.ledger.committed >= self.end and not self.scan_ledger.in_flight
        return self.state.has_ended and settled and not self.unread and self._may_be_closed

    @property
    def can_be_reopened(self) -> bool:
        """It has a name, and it is read through that name: its bytes are not lost when it is closed."""
        return self.state in (FileState.OPEN, FileState.ENDED)

    @property
    def is_settled(self) -> bool:
        """Nothing of it is in flight, no record is partly read, and no record was shipped ahead of the others."""
        in_flight = self.ledger.oldest_read_at is not None or self.scan_ledger.in_flight
        return not (in_flight or self.joiner.open_records or self.all_settled_out_of_order())

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
            complete=self.is_complete,
            settled_out_of_order=self.all_settled_out_of_order(),
            seen_at=this_hour(),
            marker=self._committed_marker(),
        )

    def closed(self) -> ClosedFile:
        """The facts that are kept of the file while it is closed."""
        state = self._bytes.content.state()
        return ClosedFile(self.id, state, has_unread=not self.found.compressed and state[0] > self.end)

    def close(self) -> None:
        self._bytes.content.close()

    def _place(self, offset: int, marker: str = "") -> None:
        is_ours = self._bytes.seek(offset, marker)
        self.start_at(offset)
        if not is_ours:  # it was truncated after it was identified
            self._happened(Happening.OVERWRITTEN)

    def _check(self) -> None:
        if self.state.is_readable and not self._bytes.still_ours():
            self._happened(Happening.OVERWRITTEN)

    def _happened(self, happening: Happening) -> None:
        before, self.state = self.state, after(self.state, happening)
        if before.is_readable and not self.state.is_readable:
            self.active_at = time.monotonic()
            self._looks_since_replaced = 0

    @property
    def _may_be_closed(self) -> bool:
        return may_be_closed(self.state, self._facts(), time.monotonic())

    def _facts(self) -> Facts:
        # The kernel is asked only where the answer decides.
        is_quiet = time.monotonic() - self.active_at >= LATE_SECONDS
        asks_kernel = self.state.is_deleted or (self.state.has_ended and is_quiet)
        return Facts(
            compressed=self.found.compressed,
            rotated=bool(self.found.rotated),
            has_successor=self._successor,
            source_is_gone=self._source_is_gone,
            has_writer=has_writer(self._bytes.content.fileno()) if asks_kernel and not self.found.compressed else None,
            directory_is_gone=self._directory_is_gone,
            looks_since_replaced=self._looks_since_replaced,
            active_at=self.active_at,
            wrote_at=self._bytes.wrote_at,
        )

    def _container_directory_is_gone(self) -> bool:
        return bool(self.source.pod_uid) and not self.source.path.parent.is_dir()

    def _committed_marker(self) -> str:
        offset = self.ledger.committed
        if self._marker[0] != offset or not self._marker[1]:
            self._marker = (offset, self._digest_before(offset))
        return self._marker[1]

    def _digest_before(self, offset: int) -> str:
        if not self.state.is_readable:
            return ""
        try:
            before = self._bytes.before(offset)
        except OSError:
            return ""
        return digest(before) if before else ""
