"""From physical lines to records: joins the parts of a record that the runtime wrote on several lines.

Parts are joined per stream and as bytes: a runtime may cut a record inside a character. The lines of stdout and of
stderr may stand between each other, so a file may only be committed up to the start of its oldest partial record.
The methods are synchronous; one joiner belongs to one container and goes on from file to file.

No line can raise. A line that meets an unforeseen exception becomes a record marked as a defect, and the lines before
and behind it are read as usual.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from itertools import accumulate
from typing import Final

from agent.core.reading.line_formats import Cri, LineFormat, read_line
from agent.core.reading.partial_record import PartialRecord
from agent.core.reading.records import Mark, Records, UnusualRecord

_WHOLE: Final = b" stdout F "
"""The part of a CRI line behind its stamp, if the line is a whole record of stdout."""

_NEVER: Final = b"\n\n"
"""No line contains it. While a record of stdout is partial, no line of stdout is a whole record."""


class Joiner:
    """Makes records of one container's lines, across chunks and across the files of a rotation."""

    def __init__(self, line_format: LineFormat, max_record_bytes: int) -> None:
        self.line_format = line_format
        self._max_record_bytes = max_record_bytes
        self._partials: dict[str, PartialRecord] = {}
        """By stream."""

    def feed(self, lines: list[bytes], offset: int, now: float) -> Records:
        """The records that end in these lines. The first begins at `offset`; each has the byte that ends it."""
        if isinstance(self.line_format, Cri) and (records := self._all_whole(lines, offset)) is not None:
            return records
        records = Records()
        rest = iter(lines)
        if isinstance(self.line_format, Cri):
            offset = self._mixed(rest, offset, now, records)
        for line in rest:
            self._add_line(line, offset, now, records)
            offset += len(line)
            if isinstance(self.line_format, Cri):
                offset = self._mixed(rest, offset, now, records)
        return records

    def _all_whole(self, lines: list[bytes], offset: int) -> Records | None:
        """Fast path for a chunk in which each line is a whole record of stdout. None if a line is not."""
        if "stdout" in self._partials or not lines or max(map(len, lines)) > self._max_record_bytes:
            return None
        payloads = [
            line[space + 10 : -1] for line in lines if line[(space := line.find(b" ", 20)) : space + 10] == _WHOLE
        ]
        if len(payloads) < len(lines):
            return None
        return Records(payloads, [*accumulate(map(len, lines[:-1]), initial=offset)], lines)

    def _mixed(self, lines: Iterator[bytes], offset: int, now: float, records: Records) -> int:
        """The same for lines with parts of records, lines of stderr or overlong lines between them.

        Ends at a line of another format. Returns the offset behind the last line.
        """
        payloads, offsets, firsts = records.payloads, records.offsets, records.lines
        longest = self._max_record_bytes
        whole = _WHOLE if "stdout" not in self._partials else _NEVER
        for line in lines:
            space = line.find(b" ", 20)
            if line[space : space + 10] == whole and len(line) <= longest:
                payloads.append(line[space + 10 : -1])
                offsets.append(offset)
                firsts.append(line)
            else:
                self._add_line(line, offset, now, records)
                whole = _WHOLE if "stdout" not in self._partials else _NEVER
                if not isinstance(self.line_format, Cri):
                    return offset + len(line)
            offset += len(line)
        return offset

    def committable(self, end: int) -> int:
        """The offset up to which the file may be committed, after the lines up to `end` were fed."""
        return min((partial.committable for partial in self._partials.values()), default=end)

    @property
    def open_records(self) -> int:
        """The number of partial records: one for each stream at most."""
        return len(self._partials)

    @property
    def waiting_since(self) -> float | None:
        """When the oldest partial record began, in seconds of the monotonic clock."""
        return min((partial.since for partial in self._partials.values()), default=None)

    def close_incomplete(self) -> Records:
        """Ends the partial records without their last part. They are marked as incomplete."""
        records = Records()
        for partial in sorted(self._partials.values(), key=lambda partial: partial.start):
            partial.close(records, self._max_record_bytes, incomplete=True)
        self._partials.clear()
        return records

    def start_next_file(self, file_id: str, settled: Set[int] = frozenset()) -> int:
        """The next lines come from the next file; `file_id` is the file that ends here.

        `settled` holds the offsets of that file at which settled records begin. Returns the number of partial records
        that had begun in an even older file.
        """
        from_older_files = sum(partial.origin is not None for partial in self._partials.values())
        for partial in self._partials.values():
            if partial.origin is None:
                partial.origin = (file_id, partial.start)
                partial.settled = partial.start in settled
            partial.start = partial.committable = 0
        return from_older_files

    @property
    def held_bytes(self) -> int:
        """How much memory the partial records hold."""
        return sum(partial.held_bytes for partial in self._partials.values())

    def _add_line(self, line: bytes, offset: int, now: float, records: Records) -> None:
        """The general case: any line, one by one."""
        if line[:1] == b"\0":
            return  # a hole
        try:
            self._join(line, offset, now, records)
        except Exception as defect:  # noqa: BLE001 - whatever happens to one line may not harm the others
            records.unusual.append(UnusualRecord(line[:-1], offset, line, Mark(defect=defect)))

    def _join(self, line: bytes, offset: int, now: float, records: Records) -> None:
        written = line[:-1]
        self.line_format, entry = read_line(written, self.line_format)
        if entry is None:
            stream, text, continues = "stdout", written, False
            partial = None
        else:
            stream, text, continues = entry
            partial = self._partials.get(stream)
        if partial is None:
            partial = PartialRecord(offset, line, now)
            if continues:
                self._partials[stream] = partial
        partial.add(text, self._max_record_bytes)
        if not continues:
            if entry is not None and self._partials.pop(stream, None) is not None:
                for other in self._partials.values():
                    other.committable = min(other.committable, partial.committable)
            partial.close(records, self._max_record_bytes)
