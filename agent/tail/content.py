"""The uncompressed bytes of a log file.

`LogBytes` is what all kinds of files share: a descriptor and what the kernel says about it. `PlainBytes` reads a file
as it is; `compressed.CompressedBytes` decompresses.

Questions about size and time never raise: where the kernel does not answer, the last answer stands. Reading raises
OSError.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod

from agent.tail.fingerprint import FINGERPRINT_BYTES, JSON_FINGERPRINT_BYTES, MARKER_BYTES, is_cut


class DamagedLog(OSError):
    """A compressed file that is truncated or invalid: the bytes behind the damage cannot be read."""


class LogBytes(ABC):
    """The uncompressed bytes of an open file, in order."""

    compressed = False

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self._size = status.st_size
        self._state = (status.st_size, status.st_mtime_ns)
        self.key = (status.st_dev, status.st_ino)
        """Device and inode."""

    @abstractmethod
    def read(self, most: int) -> bytes:
        """The next bytes; empty at the end of the file."""

    @abstractmethod
    def seek(self, offset: int) -> bytes:
        """Continues at `offset`. Returns the MARKER_BYTES before it; fewer when the file is shorter."""

    @abstractmethod
    def before(self, offset: int) -> bytes | None:
        """The MARKER_BYTES before `offset` as they are now, without moving. None: cannot be read without moving."""

    @abstractmethod
    def peek(self, offset: int, most: int) -> bytes:
        """Bytes from `offset` on, without moving. Empty for a compressed file."""

    @abstractmethod
    def head(self) -> bytes:
        """The first line, or as much of it as the file id needs, without moving."""

    @abstractmethod
    def whole_size(self) -> int:
        """The number of uncompressed bytes, as far as it is known without reading them."""

    @abstractmethod
    def remaining(self) -> int:
        """The number of bytes that have not been read, as far as it is known without reading them."""

    @abstractmethod
    def ends_a_line(self) -> bool:
        """Whether the file ends with a newline, or is empty."""

    def size(self) -> int:
        """Bytes on disk now."""
        try:
            self._size = os.lseek(self._descriptor, 0, os.SEEK_END)  # costs a third of fstat
        except OSError:
            return self._size
        return self._size

    def state(self) -> tuple[int, int]:
        """Size and time of the last write in nanoseconds: the same as long as nobody writes."""
        try:
            status = os.fstat(self._descriptor)
        except OSError:
            return self._state
        self._state = (status.st_size, status.st_mtime_ns)
        return self._state

    def changed_at(self) -> float:
        """The time of the last write, in seconds since 1970."""
        return self.state()[1] / 1e9

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1  # its number may soon belong to another file


class PlainBytes(LogBytes):
    """A file that is not compressed."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._offset = 0

    def read(self, most: int) -> bytes:
        data = os.pread(self._descriptor, most, self._offset)
        self._offset += len(data)
        return data

    def seek(self, offset: int) -> bytes:
        self._offset = offset
        return self.before(offset)

    def before(self, offset: int) -> bytes:
        start = max(0, offset - MARKER_BYTES)
        return os.pread(self._descriptor, offset - start, start)

    def peek(self, offset: int, most: int) -> bytes:
        return os.pread(self._descriptor, most, offset)

    def head(self) -> bytes:
        head = os.pread(self._descriptor, FINGERPRINT_BYTES, 0)
        return os.pread(self._descriptor, JSON_FINGERPRINT_BYTES, 0) if is_cut(head) else head

    def whole_size(self) -> int:
        return self.size()

    def remaining(self) -> int:
        return max(0, self.size() - self._offset)

    def ends_a_line(self) -> bool:
        size = self.size()
        return size == 0 or os.pread(self._descriptor, 1, size - 1) == b"\n"
