"""Events on disk, for this process alone: their files have no name and are gone with it.

The log files remain the buffer that survives a crash. A block is written once and read once. Blocks lie in segments,
so that the disk space of blocks that were read becomes free.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

from msgspec import Struct

from agent.core.batching.span import Span
from agent.core.batching.spilled import Head, pack, shortened, unpack

SEGMENT_BYTES: Final = 16 * 1024 * 1024


class _Segment:
    """A file without a name."""

    def __init__(self, directory: Path) -> None:
        # It is closed when its last block was read.
        self.file: IO[bytes] = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115
        self.size = 0
        self.blocks = 0
        """How many blocks were not read yet."""


class Block(Struct, frozen=True):
    """Where bytes lie."""

    segment: _Segment
    start: int
    size: int


class Spilled:
    """Events on disk."""

    __slots__ = ("block", "heads", "read_at", "records")

    def __init__(self, heads: list[Head], block: Block) -> None:
        self.heads = heads
        self.block = block
        self.records = sum(head.events for head in heads)
        self.read_at = min(head.read_at for head in heads)
        """When the oldest of the records was read, in seconds of the monotonic clock."""

    def shorten(self) -> None:
        """Lets go of heads that the ledger does not need any more."""
        self.heads = shortened(self.heads)


class SpillFile:
    """At most `limit_bytes` in files below `directory`. Every method blocks."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        self._directory = directory
        self._limit_bytes = limit_bytes
        self._segments: list[_Segment] = []
        self._turn = threading.Lock()
        """A write that was cancelled still runs in its thread: nothing is closed before it has ended."""
        self._is_closed = False

    @property
    def used_bytes(self) -> int:
        """Disk space."""
        return sum(segment.size for segment in self._segments)

    def spill(self, spans: Sequence[Span]) -> Spilled | None:
        """Writes the events. None: the limit does not allow it, or everything is closed.

        Raises OSError, and then nothing was written.
        """
        heads, data = pack(spans)
        with self._turn:
            block = None if self._is_closed else self._write(data)
        return None if block is None else Spilled(heads, block)

    def load(self, spilled: Spilled) -> list[Span]:
        """Reads the events, whose place on disk is then free. Raises OSError, ValueError."""
        with self._turn:
            data = self._read(spilled.block)
        return unpack(spilled.heads, data)

    def close(self) -> None:
        """Frees the disk space. Nothing is written from now on."""
        with self._turn:
            self._is_closed = True
            for segment in self._segments:
                segment.file.close()
            self._segments = []

    def _write(self, data: bytes) -> Block | None:
        if self.used_bytes + len(data) > self._limit_bytes:
            return None
        if not self._segments or self._segments[-1].size >= SEGMENT_BYTES:
            self._segments.append(_Segment(self._directory))
        segment = self._segments[-1]
        written = 0
        while written < len(data):
            written += os.pwrite(segment.file.fileno(), memoryview(data)[written:], segment.size + written)
        block = Block(segment, segment.size, len(data))
        segment.size += len(data)
        segment.blocks += 1
        return block

    def _read(self, block: Block) -> bytes:
        segment = block.segment
        data = os.pread(segment.file.fileno(), block.size, block.start)
        segment.blocks -= 1
        if not segment.blocks:
            self._segments.remove(segment)
            segment.file.close()
        return data
