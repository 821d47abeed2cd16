"""The journal of exact resume: the intent of each batch is on disk before the batch is sent.

An intent names the stream, the time range and the ids of the records of one batch. After a crash the intents say which
records may have reached CloudWatch, and `readback` asks CloudWatch for them. When the disk refuses an intent, the batch
is sent nevertheless, and may be sent again after a crash.

The journal removes an intent when a checkpoint on disk covers all its records. An acknowledgement alone is not enough,
because it is lost in a crash.

While one record of a file is refused for hours, no checkpoint covers the later records of the file, however many are
delivered. The journal keeps the newest intents, up to KEPT_BYTES. After a crash the agent sends the batches of older
intents again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import orjson
from msgspec import Struct

from agent.core.batching.batch import Batch
from agent.core.event_id import record_id
from agent.core.values import Destination
from agent.errors import StateUnwritable
from agent.telemetry import Occasional

_SUFFIX: Final = ".journal"
_RESUMING: Final = "resuming"
"""The time of this file: when a run first found leftover intents."""
KEPT_BYTES: Final = 512 * 1024
"""Intents of delivered batches that no checkpoint covers: those of some 50,000 records. After a crash, to ask for so
many takes CloudWatch about 10 seconds, and the checkpoint names each of them. On disk, dropped intents come on top
until the next compaction."""
_DIGEST_BYTES: Final = 9
"""Each line begins with eight hexadecimal digits of CRC-32 and a space."""

log = logging.getLogger(__name__)


class Intent(Struct, frozen=True):
    """A batch that is about to be put."""

    destination: Destination
    earliest_ms: int
    latest_ms: int
    records: Mapping[str, tuple[int, ...]]
    """File id → the offset in the id of each record."""


class _LiveIntent(Struct, frozen=True):
    """An intent that no checkpoint covers and that was not dropped."""

    line: bytes
    last: dict[str, int]
    """File id → the last offset."""

    def is_covered(self, committed: Mapping[str, int]) -> bool:
        """Every record is settled; the records of a file that is no longer known are settled too."""
        return all(file not in committed or committed[file] > last for file, last in self.last.items())


class Compaction(Struct, frozen=True):
    """The segments that may be removed once a checkpoint with the same positions is on disk."""

    kept: tuple[int, ...]
    """The batches whose intents are still needed."""
    lines: bytes
    """Their intents, to be written once more."""
    old: tuple[Path, ...]


class Journal:
    """The intents of one agent.

    `open` returns the intents that the previous run left behind; call it before the first put.
    `resumed` says that CloudWatch was asked for them.
    `note` and `write` put the intent of a batch on disk; call both before the put.
    `delivered` says that the batch was delivered.
    `plan_compaction` and `compact` remove intents; call them before and after a checkpoint is written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.resuming_seconds = 0.0
        """How long ago the first run since the crash began to ask for the leftover intents."""
        self._number = 1
        self._segments: dict[Path, int] = {}
        """Segments, and the bytes of the intents in them."""
        self._leftover: dict[Path, int] = {}
        """Segments of the previous run, until CloudWatch was asked for their records."""
        self._live: dict[int, _LiveIntent] = {}
        self._delivered: dict[int, None] = {}
        """Live intents of batches that were delivered, in this order."""
        self._delivered_bytes = 0
        self._unwritten: dict[int, None] = {}
        """Live intents that are not on disk, in this order."""
        self._intents = 0
        self._occasional = Occasional()
        self._turn = asyncio.Lock()

    def open(self) -> list[Intent]:
        """The intents that the previous run left behind. Blocks. Raises StateUnwritable."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._leftover = {path: path.stat().st_size for path in sorted(self._directory.glob(f"*{_SUFFIX}"))}
            intents = [intent for path in self._leftover for intent in _read(path)]
            if intents:
                self.resuming_seconds = _seconds_since_made(self._directory / _RESUMING)
        except OSError as error:
            raise StateUnwritable(
                f"{self._directory}: cannot be used ({error.strerror}); exact resume needs a directory to write to"
            ) from error
        if self._leftover:
            self._number = _number_of([*self._leftover][-1]) + 1
        return intents

    def resumed(self) -> None:
        """CloudWatch was asked for the leftover intents. The next compaction removes them."""
        (self._directory / _RESUMING).unlink(missing_ok=True)
        self._segments = self._leftover | self._segments
        self._leftover = {}

    def note(self, destination: Destination, batch: Batch) -> int:
        """Queues the intent of the batch. Returns the batch's number, for `write` and `delivered`."""
        self._intents += 1
        intent = intent_of(destination, batch)
        if intent.records:
            last = {file: max(offsets) for file, offsets in intent.records.items()}
            self._live[self._intents] = _LiveIntent(encoded(intent), last)
            self._unwritten[self._intents] = None
        return self._intents

    async def write(self, number: int) -> None:
        """Returns when the intent of the batch is on disk; simultaneous calls share a write. Raises StateUnwritable."""
        if number not in self._unwritten:
            return
        async with self._turn:
            if number not in self._unwritten:
                return  # the call before wrote this intent too
            numbers = tuple(self._unwritten)
            try:
                await self._append(b"".join(self._live[number].line for number in numbers), numbers)
            except OSError as error:
                raise StateUnwritable(
                    f"{self._directory}: intents cannot be written ({error.strerror}); shipping goes on, "
                    "after a crash now, the batches under way would be sent again"
                ) from error

    def delivered(self, number: int) -> None:
        """Every event of the batch is accepted, rejected, or queued again under another time for a later batch."""
        if number in self._live:
            self._delivered[number] = None
            self._delivered_bytes += len(self._live[number].line)

    def plan_compaction(self, committed: Mapping[str, int]) -> Compaction | None:
        """Call it together with taking the positions of a checkpoint. None: too few bytes could be removed.

        `committed`: file id → every record before this offset is settled. Later intents go to a new segment, so that
        the old segments can be removed as soon as the checkpoint is on disk.
        """
        for number in [number for number, intent in self._live.items() if intent.is_covered(committed)]:
            self._drop(number)
        self._drop_oldest_delivered()
        lines = b"".join(intent.line for intent in self._live.values())
        # The live intents are written once more, so at least as many bytes must become free.
        if not self._segments or (lines and len(lines) > self._dropped_bytes):
            return None
        self._begin_segment()
        return Compaction(tuple(self._live), lines, tuple(self._segments))

    async def compact(self, plan: Compaction) -> None:
        """Call it when the checkpoint is on disk. Raises StateUnwritable, and then no intent is lost."""
        async with self._turn:
            try:
                if plan.lines:
                    await self._append(plan.lines, plan.kept)
                await asyncio.to_thread(_remove, plan.old)
            except OSError as error:
                raise StateUnwritable(
                    f"{self._directory}: old intents cannot be removed ({error.strerror}); shipping goes on, "
                    "a later checkpoint tries again"
                ) from error
            for path in plan.old:
                self._segments.pop(path, None)

    @property
    def _dropped_bytes(self) -> int:
        """Bytes that dropped intents still take in the segments."""
        live = sum(len(intent.line) for number, intent in self._live.items() if number not in self._unwritten)
        return sum(self._segments.values()) - live

    def _drop(self, number: int) -> None:
        line_bytes = len(self._live.pop(number).line)
        self._unwritten.pop(number, None)
        if number in self._delivered:
            del self._delivered[number]
            self._delivered_bytes -= line_bytes

    def _drop_oldest_delivered(self) -> None:
        dropped = 0
        while self._delivered_bytes > KEPT_BYTES:
            self._drop(next(iter(self._delivered)))
            dropped += 1
        if dropped and (fields := self._occasional.fields("dropped")) is not None:
            log.warning(
                "an alert is not accepted for so long that the journal cannot keep all batches behind it; after a "
                "crash now, these batches would be sent again",
                extra={"batches": dropped, "kept_bytes": self._delivered_bytes, **fields},
            )

    def _begin_segment(self) -> None:
        self._number += 1

    async def _append(self, lines: bytes, numbers: Sequence[int]) -> None:
        """Appends the intents of these batches to the newest segment. Raises OSError."""
        path = self._directory / f"{self._number:08d}{_SUFFIX}"
        self._segments.setdefault(path, 0)
        try:
            await asyncio.to_thread(_append_durably, path, lines)
        except OSError:
            self._begin_segment()  # a torn line must stay the last one of its segment
            raise
        self._segments[path] += len(lines)
        # Only now: an intent that is written twice does no harm, but one that is not written would.
        for number in numbers:
            self._unwritten.pop(number, None)


def intent_of(destination: Destination, batch: Batch) -> Intent:
    """The intent of the batch's records. The agent's own events are in no file and need no intent."""
    records: dict[str, list[int]] = {}
    for span, start, stop in batch.parts:
        if span.entry is not None:
            # From the message, not from the span: a record that began in the previous file carries the id of that file.
            for identity in map(record_id, map(span.conclusion, range(start, stop))):
                if identity is not None:
                    records.setdefault(identity.file, []).append(identity.offset)
    return Intent(
        destination,
        batch.timestamps[0],
        batch.timestamps[-1],
        {file: tuple(offsets) for file, offsets in records.items()},
    )


def encoded(intent: Intent) -> bytes:
    body = orjson.dumps(
        {
            "group": intent.destination.group,
            "stream": intent.destination.stream,
            "earliest_ms": intent.earliest_ms,
            "latest_ms": intent.latest_ms,
            "records": intent.records,
        }
    )
    return b"%08x %b\n" % (zlib.crc32(body), body)


def decoded(line: bytes) -> Intent | None:
    """None when the line is not a whole intent."""
    body = line[_DIGEST_BYTES:]
    if line[:_DIGEST_BYTES] != b"%08x " % zlib.crc32(body):
        return None
    fields = orjson.loads(body)
    return Intent(
        Destination(fields["group"], fields["stream"]),
        fields["earliest_ms"],
        fields["latest_ms"],
        {file: tuple(offsets) for file, offsets in fields["records"].items()},
    )


def _read(path: Path) -> list[Intent]:
    """The intents of a segment.

    Its last line may be torn, by a crash or by a full disk. After a crash, the batch was not put. When the disk was
    full, the batch was put nevertheless, and it may be sent again.
    """
    *lines, torn = path.read_bytes().split(b"\n")
    intents = [decoded(line) for line in lines]
    if None in intents:
        aside = path.with_name(f"{path.name}.corrupt-{time.time_ns()}")
        aside.write_bytes(path.read_bytes())
        log.error(
            "journal was corrupt, batches that it no longer names may be sent again",
            extra={"path": str(path), "kept_as": str(aside), "intents": intents.count(None)},
        )
    if torn:
        log.info(
            "journal ended in the middle of an intent, its batch may be sent again",
            extra={"path": str(path), "bytes": len(torn)},
        )
    return [intent for intent in intents if intent is not None]


def _seconds_since_made(marker: Path) -> float:
    """The age of the file. The file is made anew when it is missing, or when the clock was set back behind its time."""
    now = time.time()
    if not marker.exists() or marker.stat().st_mtime > now:
        marker.touch(mode=0o600)
        return 0.0
    return now - marker.stat().st_mtime


def _append_durably(path: Path, data: bytes) -> None:
    fresh = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if fresh:
        _sync_directory(path.parent)


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _number_of(path: Path) -> int:
    digits = path.name.removesuffix(_SUFFIX)
    return int(digits) if digits.isdecimal() else 0
