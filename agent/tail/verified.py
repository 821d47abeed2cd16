"""The bytes of an open log file, checked to be still those of the log that was identified.

A file can be truncated, or overwritten under its name, between two reads. The bytes before the place of reading show
that: `still_ours` compares them with those that were read. Sizes count only when that comparison held after they were
taken, so the size of another log is never taken for bytes of this one.
"""

from __future__ import annotations

import time

from agent.tail.content import LogBytes
from agent.tail.fingerprint import MARKER_BYTES


class VerifiedBytes:
    """The last bytes that were read of a file, its size, and the time of its last write."""

    def __init__(self, content: LogBytes, head: bytes) -> None:
        """`head`: the bytes that the file was identified by."""
        self.content = content
        self.end = 0
        """Up to here the file was read."""
        self.last = b""
        """The last bytes that were read."""
        self._head = head[:MARKER_BYTES]
        self.noted_size = content.size()
        """Bytes on disk when that was last asked."""
        self.largest_size = 0 if content.compressed else self.noted_size
        """The most bytes that were there and were ours."""
        self.wrote_at = time.monotonic() - max(0.0, time.time() - content.changed_at())
        """The time of the last write, in seconds of the monotonic clock."""
        self._state_at_last_scan = (-1, 0)

    def seek(self, offset: int) -> None:
        """Raises OSError."""
        self.last = self.content.seek(offset)
        self.end = offset

    def read(self, most: int) -> bytes | None:
        """The next bytes. None: the file is another one now. Raises OSError."""
        data = self.content.read(most)
        # Compared after reading, so that bytes behind a truncation are not taken for the continuation.
        if not self.still_ours():
            return None
        if data:
            self.end += len(data)
            self.last = (self.last + data[-MARKER_BYTES:])[-MARKER_BYTES:]
        return data

    def still_ours(self) -> bool:
        """Whether the file holds what was read of it or, before that, what it was identified by. Raises OSError."""
        if self.end >= MARKER_BYTES:
            ours = self.content.before(self.end) in (None, self.last)
        else:
            ours = self.content.before(len(self._head)) in (None, self._head)
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

    def copy_marker(self, *, readable: bool) -> tuple[int, bytes]:
        """The end of what was read or, when that is too short to tell a log, of all there is. Raises OSError."""
        if self.end >= MARKER_BYTES or not readable:
            return self.end, self.last
        size = self.content.size()
        return size, self.content.before(size) or b""

    def move(self, content: LogBytes) -> None:
        """Goes on in a copy of the bytes. Raises OSError."""
        content.seek(self.end)
        self.content.close()
        self.content = content
