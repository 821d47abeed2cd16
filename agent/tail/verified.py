"""The bytes of an open log file, checked to be still those of the log that was identified.

A file can be truncated, or overwritten under its name, between two reads. The bytes before the place of reading show
that: `still_ours` compares them with those that were read. Bytes and sizes count only when that comparison held after
they were taken, so bytes of another log are never taken for bytes of this one.
"""

from __future__ import annotations

import time

from agent.tail.content import LogBytes
from agent.tail.fingerprint import MARKER_BYTES, digest


class VerifiedBytes:
    """The last bytes that were read of a file, its size, and the time of its last write."""

    def __init__(self, content: LogBytes, head: bytes) -> None:
        """`head`: the bytes that the file was identified by."""
        self.content = content
        self.end = 0
        """Up to here the file was read."""
        self.last = b""
        """The last bytes that were read."""
        self._head_bytes, self._head_digest = len(head), digest(head)
        self._line_end = 0
        """The end of the last whole line that was read: the time in that line makes the bytes before it unique."""
        self._last_of_line = b""
        """The last bytes before `_line_end`."""
        self._sought: tuple[int, str] | None = None
        """Offset and marker of a seek that found another log."""
        self.noted_size = content.size()
        """Bytes on disk when that was last asked."""
        self.largest_size = 0
        """The most bytes that were there and were ours."""
        self.wrote_at = time.monotonic() - max(0.0, time.time() - content.changed_at())
        """The time of the last write, in seconds of the monotonic clock."""
        self._state_at_last_scan = (-1, 0)

    def seek(self, offset: int, marker: str = "") -> bool:
        """Continues at `offset`. False: the file is another one now. Raises OSError.

        `marker`: the digest of the last bytes before `offset`; empty: unknown.
        """
        self.last = self._last_of_line = self.content.seek(offset)
        self.end = self._line_end = offset
        is_ours = self._note_ours(marker in ("", digest(self.last)) and self._has_head())
        self._sought = None if is_ours else (offset, marker)
        return is_ours

    def read(self, most: int) -> bytes | None:
        """The next bytes. None: the file is another one now. Raises OSError."""
        data = self.content.read(most)
        # Compared after reading, so that bytes behind a truncation are not taken for the continuation.
        if not self.still_ours():
            return None
        if data:
            if whole_lines := data.rfind(b"\n") + 1:
                newest = data[max(0, whole_lines - MARKER_BYTES) : whole_lines]
                self._last_of_line = (self.last + newest)[-MARKER_BYTES:]
                self._line_end = self.end + whole_lines
            self.end += len(data)
            self.last = (self.last + data[-MARKER_BYTES:])[-MARKER_BYTES:]
        return data

    def peek(self, offset: int, most: int) -> bytes | None:
        """Bytes from `offset` on, without moving. None: the file is another one now. Raises OSError."""
        data = self.content.peek(offset, most)
        return data if self.still_ours() else None

    def before(self, offset: int) -> bytes | None:
        """The last bytes before `offset`. None: they are unknown, or the file is another one now. Raises OSError."""
        data = self.content.before(offset)
        return data if self.still_ours() else None

    def still_ours(self) -> bool:
        """Whether the file holds what was read of it or, before that, what it was identified by. Raises OSError."""
        if self._line_end < MARKER_BYTES:
            return self._note_ours(self._has_head())
        return self._note_ours(self.content.before(self._line_end) in (None, self._last_of_line))

    def _has_head(self) -> bool:
        head = self.content.peek(0, self._head_bytes)
        return self.content.compressed or digest(head) == self._head_digest

    def _note_ours(self, ours: bool) -> bool:
        # The size was taken before the comparison, so it was the size of this log.
        if ours and not self.content.compressed:
            self.largest_size = max(self.largest_size, self.noted_size)
        return ours

    def measure(self) -> int:
        """Bytes on disk now."""
        size = self.content.size()
        if size > self.noted_size:
            self.wrote_at = time.monotonic()
        self.noted_size = size
        return size

    def changed_since_scan(self, *, closely: bool) -> bool:
        """Whether the file was written to since the last scan. Not `closely`: whether its size has changed."""
        if closely:
            return self.content.state() != self._state_at_last_scan
        return self.content.size() != self._state_at_last_scan[0]

    def note_scan(self) -> bool:
        """A scan looks at the file. Whether it was written to since the last scan."""
        state = self.content.state()
        self.measure()
        changed = state != self._state_at_last_scan
        self._state_at_last_scan = state
        return changed

    def copy_marker(self, *, readable: bool) -> tuple[int, str]:
        """An offset, and the digest of the last bytes before it; empty: unknown. Raises OSError.

        It is the end of what was read or, when that is too short to tell a log, of all there is.
        """
        if self._sought is not None:
            return self._sought
        if self.end >= MARKER_BYTES or not readable:
            return self.end, digest(self.last)
        size = self.content.size()
        return size, digest(self.content.before(size) or b"")

    def move(self, content: LogBytes) -> None:
        """Goes on in a copy of the bytes. Raises OSError."""
        self.last = self._last_of_line = content.seek(self.end)
        self._line_end, self._sought = self.end, None
        self.noted_size = content.size()
        self.content.close()
        self.content = content
