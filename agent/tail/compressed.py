"""The uncompressed bytes of a rotated file that was compressed: gzip, bzip2, xz or zstd.

A file is read as a stream, member after member. Where it is damaged, the bytes before the damage are read first, and
the next read raises DamagedLog.
"""

from __future__ import annotations

import bz2
import errno
import lzma
import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from agent.tail.content import DamagedLog, LogBytes
from agent.tail.fingerprint import FINGERPRINT_BYTES, JSON_FINGERPRINT_BYTES, MARKER_BYTES, is_cut

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

INPUT_BYTES: Final = 1 << 16

SKIP_BYTES: Final = 1 << 18

XZ_MEMORY_BYTES: Final = 80 << 20
"""`xz -9`, the largest preset, needs 65 MiB (xz(1))."""

ZSTD_WINDOW_LOG: Final = 26
"""A window of 64 MiB; the presets up to `zstd -19` need 8 MiB (zstd(1))."""

SALVAGE_STEPS: Final = (1 << 12, 1 << 6, 1)
"""Bytes that are decompressed at once while the last byte before the damage is searched."""

TRAILER_BYTES: Final = 64
"""At least the size of what follows the data in a file: checksums and sizes."""

_DECODE_ERRORS: Final = (zlib.error, lzma.LZMAError, zstd.ZstdError, EOFError, ValueError, OSError)


class Decompressor(Protocol):
    """The interface that the standard library's `bz2` and `lzma` share."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class GzipDecompressor:
    """`zlib` with the interface of `bz2` and `lzma`."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        waiting = self._stream.unconsumed_tail
        output = self._stream.decompress(waiting + data if waiting else data, max_length)
        # zlib may hold output back although it has taken all of the input.
        self.needs_input = not self._stream.unconsumed_tail and len(output) < max_length
        return output


DECOMPRESSORS: Final[dict[str, Callable[[], Decompressor]]] = {
    "gz": GzipDecompressor,
    "bz2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY_BYTES),
    "zst": lambda: zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}),
}
"""By the suffix of the file name."""


class CompressedBytes(LogBytes):
    """A compressed file. Nobody writes to it any more."""

    compressed = True

    def __init__(self, descriptor: int, path: Path, compression: str) -> None:
        super().__init__(descriptor)
        self._path = path
        self._compression = compression
        self._stream = DECOMPRESSORS[compression]()
        self._input = b""
        self._input_offset = 0
        self._position = 0
        self._last = b""
        self._damage: DamagedLog | None = None
        self._spares_trailer = False
        """The end of the input is read byte by byte: a wrong checksum must not cost the data before it."""

    def read(self, most: int) -> bytes:
        if self._damage is not None:
            raise self._damage
        try:
            data = self._next(most)
        except DamagedLog as error:
            data = self._salvaged(most)
            if not data:
                raise
            self._damage = error
        self._position += len(data)
        self._last = (self._last + data[-MARKER_BYTES:])[-MARKER_BYTES:]
        return data

    def seek(self, offset: int) -> bytes:
        if offset < self._position:
            self._restart()
        while self._position < offset:
            if not self.read(min(offset - self._position, SKIP_BYTES)):
                return b""
        return self._last

    def before(self, offset: int) -> bytes | None:
        """The bytes are at hand only for the place that was read last."""
        return self._last if offset == self._position else None

    def peek(self, offset: int, most: int) -> bytes:
        return b""

    def head(self) -> bytes:
        reader = CompressedBytes(os.dup(self._descriptor), self._path, self._compression)
        try:
            head = reader._up_to(FINGERPRINT_BYTES)
            return head + reader._up_to(JSON_FINGERPRINT_BYTES - len(head)) if is_cut(head) else head
        finally:
            reader.close()

    def whole_size(self) -> int:
        if self._compression != "gz":
            return self.size()
        # The last four bytes of a gzip member are the size of its content (RFC 1952); kubelet writes one member.
        try:
            trailer = os.pread(self._descriptor, 4, max(0, self.size() - 4))
        except OSError:
            return self.size()
        return int.from_bytes(trailer, "little")

    def remaining(self) -> int:
        return max(0, self.whole_size() - self._position)

    def ends_a_line(self) -> bool:
        return True

    def _up_to(self, most: int) -> bytes:
        """As many bytes as there are, at most `most`. Raises DamagedLog when there are none because of damage."""
        data = b""
        while len(data) < most:
            try:
                more = self.read(most - len(data))
            except DamagedLog:
                if not data:
                    raise
                break
            if not more:
                break
            data += more
        return data

    def _restart(self) -> None:
        self._stream = DECOMPRESSORS[self._compression]()
        self._input = b""
        self._input_offset = 0
        self._position = 0
        self._last = b""
        self._damage = None

    def _next(self, most: int) -> bytes:
        """The next bytes; empty at the end of the file."""
        while True:
            if self._stream.eof:
                # Several members may follow each other in one file, with NUL bytes behind the last one.
                self._input = self._stream.unused_data.lstrip(b"\0") or self._refilled().lstrip(b"\0")
                if not self._input:
                    return b""
                self._stream = DECOMPRESSORS[self._compression]()
            if self._stream.needs_input and not self._input:
                self._input = self._refilled()
                if not self._input:
                    raise self._damaged("it ends too early")
            data, self._input = self._input, b""
            try:
                output = self._stream.decompress(data, most)
            except _DECODE_ERRORS as error:
                raise self._damaged(str(error)) from error
            if output:
                return output

    def _refilled(self) -> bytes:
        most = INPUT_BYTES
        if self._spares_trailer:
            most = max(1, min(most, self.size() - TRAILER_BYTES - self._input_offset))
        data = os.pread(self._descriptor, most, self._input_offset)
        self._input_offset += len(data)
        return data

    def _salvaged(self, most: int) -> bytes:
        """The bytes between the last read and the damage, at most `most`."""
        start, last, salvaged = self._position, self._last, b""
        for step in SALVAGE_STEPS:
            try:
                self._restart()
                self._spares_trailer = step == 1
                skip = start + len(salvaged)
                while skip and (data := self._next(min(skip, SKIP_BYTES))):
                    skip -= len(data)
                while len(salvaged) < most and (data := self._next(min(step, most - len(salvaged)))):
                    salvaged += data
            except DamagedLog:
                continue
            break
        self._position, self._last = start, last
        return salvaged

    def _damaged(self, why: str) -> DamagedLog:
        return DamagedLog(errno.EIO, f"is damaged {self._compression} ({why})", str(self._path))
