"""Bytes → physical lines → records: cutting at newlines, and the joining of partial lines.

A record that a runtime cut into parts is joined by stream, bytes first, since the cuts fall inside
characters. stdout and stderr interleave, so a file may only be committed up to the start of its oldest
open run. What a line looks like is its line_format's.
"""

from __future__ import annotations

from collections.abc import Set
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from agent.core.reading.line_formats import Cri, LineFormat
from agent.core.reading.partial_record import PartialRecord
from agent.core.reading.records import Records

if TYPE_CHECKING:
    pass


_WHOLE: Final = b" stdout F "


_NEVER: Final = b"\n\n"
"""What no line holds: while a run of stdout is open, none of its lines is whole."""


class Joiner:
    """Cuts one container's lines into records, across chunks and across the files of a rotation."""

    def __init__(self, line_format: LineFormat, max_record_bytes: int) -> None:
        self.line_format = line_format
        self._max_record_bytes = max_record_bytes
        self._runs: dict[str, PartialRecord] = {}

    def feed(self, lines: list[bytes], offset: int, now: float) -> Records:
        """The records that end in these lines, newline and all, of which the first begins at `offset`."""
        if isinstance(self.line_format, Cri):
            return self._only_whole(lines, offset) or self._mixed(lines, offset, now)
        records = Records()
        for line in lines:
            self._careful(line, offset, now, records)
            offset += len(line)
        return records

    def _only_whole(self, lines: list[bytes], offset: int) -> Records | None:
        """What a flood looks like: whole lines of stdout and nothing else. None: there is something else."""
        if "stdout" in self._runs or not lines or max(map(len, lines)) > self._max_record_bytes:
            return None
        payloads = [
            line[space + 10 : -1] for line in lines if line[(space := line.find(b" ", 20)) : space + 10] == _WHOLE
        ]
        if len(payloads) < len(lines):
            return None
        return Records(payloads, [*accumulate(map(len, lines[:-1]), initial=offset)], lines)

    def _mixed(self, lines: list[bytes], offset: int, now: float) -> Records:
        """The same where parts of records, lines of stderr or overlong ones stand between them."""
        records = Records()
        payloads, offsets, firsts = records.payloads, records.offsets, records.lines
        longest = self._max_record_bytes
        whole = _WHOLE if "stdout" not in self._runs else _NEVER
        for line in lines:
            space = line.find(b" ", 20)
            if line[space : space + 10] == whole and len(line) <= longest:
                payloads.append(line[space + 10 : -1])
                offsets.append(offset)
                firsts.append(line)
            else:
                self._careful(line, offset, now, records)
                whole = _WHOLE if "stdout" not in self._runs else _NEVER
            offset += len(line)
        return records

    def committable(self, end: int) -> int:
        """Up to where the file may be committed, when lines up to `end` have been fed."""
        return min((run.anchor for run in self._runs.values()), default=end)

    @property
    def open_runs(self) -> int:
        return len(self._runs)

    @property
    def waiting_since(self) -> float | None:
        """When the oldest open run began."""
        return min((run.since for run in self._runs.values()), default=None)

    def give_up(self) -> Records:
        """The open runs as they are, marked: their last part never came."""
        records = Records()
        for run in sorted(self._runs.values(), key=lambda run: run.start):
            run.close(records, self._max_record_bytes, incomplete=True)
        self._runs.clear()
        return records

    def cross(self, file_id: str, settled: Set[int] = frozenset()) -> int:
        """The next lines come from the next file. Returns how many open runs had crossed before.

        `settled` holds where records of the file that ends here begin that are done already.
        """
        before = sum(run.origin is not None for run in self._runs.values())
        for run in self._runs.values():
            if run.origin is None:
                run.origin = (file_id, run.start)
                run.settled = run.start in settled
            run.start = run.anchor = 0
        return before

    def _careful(self, line: bytes, offset: int, now: float, records: Records) -> None:
        written = line[:-1]
        entry = self.line_format.text(written)
        if entry is None:
            stream, text, more = "stdout", written, False
            run = None
        else:
            stream, text, more = entry
            run = self._runs.get(stream)
        if run is None:
            run = PartialRecord(offset, line, now)
            if more:
                self._runs[stream] = run
        run.add(text, self._max_record_bytes)
        if not more:
            if entry is not None and self._runs.pop(stream, None) is not None:
                for other in self._runs.values():
                    other.anchor = min(other.anchor, run.anchor)
            run.close(records, self._max_record_bytes)
