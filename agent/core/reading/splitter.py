"""From the bytes of a file to physical lines.

Lines end at the byte `\\n` and nowhere else. Falco writes characters such as U+2028 unescaped, and `str.splitlines`
would split there. An unfinished last line waits for more bytes. Of a line that is longer than the limit only the head,
the size and the digest are kept, and reading goes on at the next newline.

NUL bytes are holes: a power cut leaves them where a block was not written, and copytruncate leaves them below a writer
that did not open the file for appending. A hole ends a line, so the record behind it is read as a record. The hole
itself becomes a line of NULs, however long it is, and it is never held in memory for the next chunk.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import Final

from msgspec import Struct

from agent.core.reading.partial_record import PartialRecord
from agent.core.reading.records import UnusualRecord

_AT_HOLES: Final = re.compile(rb"[^\n\0]+[\n\0]|\0+|\n|[^\n\0]+\Z")
"""Lines, holes, and an unfinished line. The last byte of a line is its newline, or the first NUL of a hole."""

_LINE_END: Final = re.compile(rb"[\n\0]")


class SplitLines(Struct, frozen=True):
    """Whole physical lines, each with the newline or the NUL that ends it. The first line begins at `offset`.

    The lines stand one behind the other in the file. A line that begins with a NUL is a hole.
    """

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

    @property
    def held_bytes(self) -> int:
        """How much memory the unfinished line holds."""
        return len(self._rest) if self._overlong is None else self._overlong.held_bytes

    def feed(self, data: bytes, now: float) -> SplitLines:
        """The lines that end in `data`."""
        ended = None
        if self._overlong is not None:
            end = _LINE_END.search(data)
            stop, after = (len(data), len(data)) if end is None else end.span()
            self._overlong.add(data[:stop], self._longest_bytes)
            self._overlong_end += after
            if end is None:
                return SplitLines([], self.offset)
            ended = self._end_overlong(self._overlong)
            data = data[after:]
        offset = self.offset
        if not data:
            return SplitLines([], offset, ended)
        self.offset += len(self._rest) + len(data)
        if b"\0" in data:
            lines: list[bytes] = _AT_HOLES.findall(self._rest + data)
        else:
            # `readlines` costs a third of `split`: it finds newlines with memchr.
            lines = BytesIO(data).readlines()
            # Only the first line is joined with the rest, because joining `data` would copy all of it.
            lines[0] = self._rest + lines[0]
        self._rest = b"" if lines[-1].endswith((b"\n", b"\0")) else lines.pop()
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
