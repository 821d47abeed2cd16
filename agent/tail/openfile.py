"""One log file in hand: its bytes, where reading stands, and what of it is settled.

Synchronous throughout; the tailer decides when to read. A file that has ended stays open until its
records are settled, and for a few looks longer, since its writer may have been about to write.
"""

from __future__ import annotations

import time
from typing import Final

from agent.core.ledger import Entry, Ledger
from agent.core.lines import Cut, Cutter, Grammar, Joiner, Records
from agent.tail.checkpoint import Position
from agent.tail.discovery import FoundFile, Source
from agent.tail.files import LogBytes, identify

LATE_LOOKS: Final = 5
"""For so many looks a rotated file stays open: the runtime opens the new file before it leaves the old one."""


class OpenFile:
    """A file, identified and open."""

    def __init__(self, source: Source, found: FoundFile, content: LogBytes, file_id: str) -> None:
        self.id = file_id
        self.source = source
        self.found = found
        self.path = source.root.joinpath(*found.relative)
        self.ledger = Ledger()
        self.joiner: Joiner
        self.islands: frozenset[int] = frozenset()
        """Where records begin that were settled out of turn."""
        self.ended = False
        """Nothing more is to be read of it."""
        self.replaced = False
        """It was truncated: the same inode now holds another log."""
        self.deleted = False
        """It has no name any more; only we keep its bytes."""
        self.caught_up_at = time.monotonic()
        """When there was last nothing unread."""
        self.wrote_at = time.monotonic() - max(0.0, time.time() - content.changed_at())
        """When its writer last wrote, in seconds of the monotonic clock."""
        self.largest_size = 0
        self._content = content
        self._cutter = Cutter(0, 0)
        self._crossing: Entry | None = None
        """The end of this file, when the last part of its last record is in the next one."""
        self._crossed_from: Entry | None = None
        """The `_crossing` of the file before."""
        self._looks_left = LATE_LOOKS
        self._skip_first_line = False

    @classmethod
    def identified(cls, source: Source, found: FoundFile, content: LogBytes, head: bytes) -> OpenFile | None:
        """None while there is not enough of the file to tell which one it is."""
        file_id = identify(source.belongs_to, head)
        return None if file_id is None else cls(source, found, content, file_id)

    def begin(self, known: Position | None, *, at_end: bool, max_record_bytes: int) -> None:
        """Places reading where it was left; in a file never seen, at its beginning or its end."""
        offset = 0
        if known is not None:
            offset = known.offset
            self.islands = frozenset(known.islands)
        elif at_end:
            offset = self._content.size()
            self._skip_first_line = not self._content.ends_a_line()
        self._content.seek(offset)
        self.ledger = Ledger(offset)
        self._cutter = Cutter(offset, self.joiner.grammar.longest_line(max_record_bytes))

    def follow_on(self, previous: OpenFile, grammar: Grammar, max_record_bytes: int) -> None:
        """Takes over what `previous` left unfinished: records whose last part is in this file."""
        self.joiner = previous.joiner
        self.joiner.grammar = grammar
        previous.joiner = Joiner(grammar, max_record_bytes)
        if self.joiner.open_runs:
            crossing = previous.ledger.enter(previous.end, self.joiner.open_runs, time.monotonic())
            previous._crossing = crossing
            if (before := self.joiner.cross(previous.id)) and previous._crossed_from is not None:
                crossing.tie(previous._crossed_from, before)
            self._crossed_from = crossing

    def readable(self, most: int) -> int:
        """How many bytes to read next, at most `most`; 0: none; negative: the file is shorter than what was read."""
        if self.replaced:
            return 0
        if self.found.compressed:
            return 0 if self.ended else most
        size = self._content.size()
        if size > self.largest_size:
            if self.largest_size:
                self.wrote_at = time.monotonic()
            self.largest_size = size
        return min(most, size - self._cutter.end)

    def read(self, most: int) -> bytes:
        return b"" if self.replaced else self._content.read(most)

    def cut(self, data: bytes, now: float) -> Cut:
        cut = self._cutter.feed(data, now)
        if self._skip_first_line and cut.lines:
            self._skip_first_line = False
            return Cut(cut.lines[1:], cut.offset + len(cut.lines[0]) + 1, cut.overlong)
        return cut

    def join(self, cut: Cut) -> Records:
        records = self.joiner.feed(cut.lines, cut.offset, time.monotonic())
        if cut.overlong is not None:
            records.odd.append(cut.overlong)
        return records

    def enter(self, records: Records, now: float) -> Entry:
        """The entry for these records: up to the oldest record that is still open."""
        end = max(self.joiner.committable(self._cutter.offset), self.ledger.end)
        entry = self.ledger.enter(end, len(records), now)
        if records.crossed and self._crossed_from is not None:
            entry.tie(self._crossed_from, records.crossed)
        return entry

    def last_line(self) -> Cut | None:
        """A last line without a newline, once nobody can be about to write the rest of it."""
        return (
            self._cutter.finish() if self.ended and self._is_left and self._cutter.end > self._cutter.offset else None
        )

    def abandon(self) -> None:
        """Leaves unread what is unread."""
        self.replaced = self.ended = True

    def has_ended(self, found: tuple[FoundFile, ...]) -> bool:
        """Its writer has gone on to another file, or there is no writer any more."""
        if not found or self.found.compressed or self.found.rotated:
            return True
        return found[-1].live and not self.is_same(found[-1])

    def is_same(self, found: FoundFile) -> bool:
        return not self.replaced and (self.found.device, self.found.inode) == (found.device, found.inode)

    def note_look(self, found: tuple[FoundFile, ...]) -> None:
        """Discovery has looked again, and this is what it saw of the source."""
        self.deleted = not any(self.is_same(seen) for seen in found)
        if self.ended:
            self._looks_left -= 1

    @property
    def end(self) -> int:
        """Up to where it was read."""
        return self._cutter.end

    @property
    def in_flight(self) -> int:
        """Records read and not settled; a record that is still open at the end of the file before is not read yet."""
        return self.ledger.in_flight - (self._crossing.pending if self._crossing is not None else 0)

    @property
    def unread(self) -> int:
        return 0 if self.replaced or self.found.compressed else max(0, self._content.size() - self._cutter.end)

    @property
    def is_done(self) -> bool:
        """It has ended, all of it is settled, and nobody will write to it any more."""
        return self.ended and self._is_left and self.ledger.committed >= self.end

    @property
    def _is_left(self) -> bool:
        return self.found.compressed or self.replaced or self.deleted or self._looks_left <= 0

    @property
    def position(self) -> Position:
        size = self.end if self.found.compressed or self.replaced else max(self.end, self._content.size())
        return Position(
            path=str(self.path),
            offset=self.ledger.committed,
            size=size,
            device=self.found.device,
            inode=self.found.inode,
            complete=self.ended and self.ledger.committed >= self.end,
            islands=tuple(sorted(offset for offset in self.islands if offset >= self.ledger.committed)),
            seen_at=time.time() // 3600 * 3600,
        )

    def close(self) -> None:
        self._content.close()
