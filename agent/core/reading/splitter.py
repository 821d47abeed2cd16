"""From the bytes of a file to physical lines.

Lines end at the byte `\\n` and nowhere else. Falco writes characters such as U+2028 unescaped, and `str.splitlines`
would split there. An unfinished last line waits for more bytes. Of a line that is longer than the limit only the head,
the size and the digest are kept, and reading goes on at the next newline.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

from agent.core.reading.partial_record import PartialRecord
from agent.core.reading.records import UnusualRecord


@dataclass(frozen=True, slots=True)
class SplitLines:
    """Whole physical lines with their newlines. The first line begins at `offset`."""

    lines: list[bytes]
    offset: int
    overlong: UnusualRecord | None = None
    """A line over the limit that ended in front of these lines."""


class Splitter:
    """Splits the bytes of one file, in the order of the file."""

    def __init__(self, offset: int, longest_bytes: int) -> None:
        self.offset = offset
        """Where the unfinished line begins."""
        self._longest_bytes = longest_bytes
        self._rest = b""
        """The unfinished line."""
        self._overlong: PartialRecord | None = None
        self._overlong_end = 0

    @property
    def end(self) -> int:
        """The offset up to which the file was fed."""
        return self.offset + len(self._rest) if self._overlong is None else self._overlong_end

    def feed(self, data: bytes, now: float) -> SplitLines:
        """The lines that end in `data`."""
        ended = None
        if self._overlong is not None:
            head, newline, data = data.partition(b"\n")
            self._overlong.add(head, self._longest_bytes)
            self._overlong_end += len(head) + len(newline)
            if not newline:
                return SplitLines([], self.offset)
            ended = self._end_overlong(self._overlong)
        # `readlines` costs a third of `split`: it finds newlines with memchr.
        lines = BytesIO(data).readlines()
        if not lines:
            return SplitLines([], self.offset, ended)
        offset = self.offset
        self.offset += len(self._rest) + len(data)
        # Only the first line is joined with the rest, because joining `data` would copy all of it.
        lines[0] = self._rest + lines[0]
        self._rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
        self.offset -= len(self._rest)
        if len(self._rest) > self._longest_bytes:
            self._overlong = PartialRecord(self.offset, self._rest[:128], now)
            self._overlong.add(self._rest, self._longest_bytes)
            self._overlong_end = self.offset + len(self._rest)
            self._rest = b""
        return SplitLines(lines, offset, ended)

    def finish(self) -> SplitLines:
        """The file has ended. The unfinished line ends here, and gets the newline that it lacks."""
        overlong = None if self._overlong is None else self._end_overlong(self._overlong)
        lines = [self._rest + b"\n"] if self._rest else []
        split = SplitLines(lines, self.offset, overlong)
        self.offset += len(self._rest)
        self._rest = b""
        return split

    def _end_overlong(self, overlong: PartialRecord) -> UnusualRecord:
        self._overlong = None
        self.offset = self._overlong_end
        return overlong.unusual()
