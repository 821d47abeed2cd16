"""The events of one stream in one append-only file, readable by a person and read back after a restart.

The file begins with a line that names the stream. Each batch adds one block: a JSON line with times and byte lengths,
then the messages, each followed by a newline. One system call writes a block. Loading the file cuts off an incomplete
last block (the process was killed) and refuses every other damage.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from agent.errors import FalcowatchError
from agent.local.emulator.rules import Batch
from agent.local.emulator.segments import SegmentIndex


class CorruptDataError(FalcowatchError):
    """A file in the data directory is damaged, or was not written by the embedded CloudWatch."""


@dataclass(frozen=True, slots=True)
class Block:
    """One accepted batch in the file. `position` is the offset of its first message."""

    ingested_ms: int
    timestamps: list[int]
    lengths: list[int]
    position: int

    @property
    def end(self) -> int:
        return self.position + sum(self.lengths) + len(self.lengths)


class StreamLog:
    """Appends batches and keeps totals. The file is opened for each call, so many streams need few descriptors."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.index = SegmentIndex()
        self.end = 0
        self.batches = 0
        self.events = 0
        self.message_bytes = 0
        self.first_ms: int | None = None
        self.last_ms: int | None = None
        self.last_ingested_ms: int | None = None

    def create(self, header: dict[str, object]) -> None:
        line = orjson.dumps(header) + b"\n"
        self.path.write_bytes(line)
        self.end = len(line)

    def append(self, batch: Batch, ingested_ms: int) -> None:
        """Append a batch. Raises OSError when the write fails; the file is then unchanged."""
        head = orjson.dumps({"ingested": ingested_ms, "timestamps": batch.timestamps, "lengths": batch.lengths})
        start = self.end
        length = len(head) + len(batch.payload) + 2
        descriptor = os.open(self.path, os.O_WRONLY)
        try:
            written = os.pwritev(descriptor, (head, b"\n", batch.payload, b"\n"), start)
            if written != length:
                os.ftruncate(descriptor, start)
                raise OSError(f"{self.path}: only {written} of {length} bytes could be written: is the disk full?")
        finally:
            os.close(descriptor)
        self._account(start, Block(ingested_ms, list(batch.timestamps), list(batch.lengths), start + len(head) + 1))

    def count(self, batch: Batch, ingested_ms: int) -> None:
        """Add a batch to the totals without storing it."""
        self._account_totals(batch.timestamps[0], batch.timestamps[-1], len(batch.lengths), sum(batch.lengths))
        self.last_ingested_ms = ingested_ms

    def load(self) -> dict[str, object]:
        """Load the index from the heads of all blocks and return the file's header. Raises CorruptDataError."""
        with self.path.open("rb") as file:
            line = file.readline()
            if not line.endswith(b"\n"):
                raise self._corrupt(0)
            self.end = file.tell()
            header = _decoded(line)
            size = os.fstat(file.fileno()).st_size
            while self.end < size:
                line = file.readline()
                if not line.endswith(b"\n"):
                    break
                block = _block_of(line, self.end)
                if block is None:
                    raise self._corrupt(self.end)
                if block.end > size:
                    break
                file.seek(block.end - 1)
                if file.read(1) != b"\n":
                    raise self._corrupt(self.end)
                self._account(self.end, block)
        if self.end < size:
            os.truncate(self.path, self.end)
        if header is None:
            raise self._corrupt(0)
        return header

    def blocks(self, start: int | None = None, end: int | None = None) -> Iterator[tuple[Block, bytes]]:
        """The blocks of [start, end) in order of arrival, each with the bytes of its messages."""
        with self.path.open("rb") as file:
            if start is None:
                file.readline()
                start = file.tell()
            end = self.end if end is None else end
            file.seek(start)
            while start < end:
                block = _block_of(file.readline(), start)
                if block is None:
                    raise self._corrupt(start)
                yield block, file.read(block.end - block.position)
                start = block.end

    def messages(self, places: Iterable[tuple[int, int]]) -> Iterator[bytes]:
        """The messages at these positions, with these lengths."""
        with self.path.open("rb", buffering=0) as file:
            for position, length in places:
                yield os.pread(file.fileno(), length, position)

    def _account(self, start: int, block: Block) -> None:
        oldest, newest = block.timestamps[0], block.timestamps[-1]
        self.index.add(start, block.end, oldest, newest)
        self.end = block.end
        self._account_totals(oldest, newest, len(block.lengths), sum(block.lengths))
        self.last_ingested_ms = block.ingested_ms

    def _account_totals(self, oldest_ms: int, newest_ms: int, events: int, message_bytes: int) -> None:
        self.batches += 1
        self.events += events
        self.message_bytes += message_bytes
        self.first_ms = oldest_ms if self.first_ms is None else min(self.first_ms, oldest_ms)
        self.last_ms = newest_ms if self.last_ms is None else max(self.last_ms, newest_ms)

    def _corrupt(self, offset: int) -> CorruptDataError:
        return CorruptDataError(
            f"{self.path}: no block of log events at byte {offset}: "
            "the file was changed by something else; move it away or give another data directory"
        )


def _block_of(line: bytes, start: int) -> Block | None:
    head = _decoded(line)
    if head is None:
        return None
    ingested, timestamps, lengths = head.get("ingested"), head.get("timestamps"), head.get("lengths")
    if not isinstance(ingested, int) or not isinstance(timestamps, list) or not isinstance(lengths, list):
        return None
    if not timestamps or len(timestamps) != len(lengths):
        return None
    return Block(ingested, timestamps, lengths, start + len(line))


def _decoded(line: bytes) -> dict[str, object] | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
