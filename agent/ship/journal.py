"""The journal of exact resume: the records of a batch are on disk before the batch is sent.

After a crash the journal says which records may have reached CloudWatch, and `readback` asks CloudWatch for them. An
intent names the stream, the time range and the records of one batch. It is removed when a checkpoint on disk covers
every record of it. An acknowledgement alone is not enough, because it is lost in a crash.

While one record of a file is refused for hours, no checkpoint covers the later records of the file, however many are
delivered. The journal then keeps the intents of the last ones, up to KEPT_BYTES. A crash in this time sends the others
again.
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
"""This file says since when runs of the agent have asked for the leftover intents."""
KEPT_BYTES: Final = 512 * 1024
"""Intents of delivered batches that no checkpoint covers, in memory and on disk: those of some 50,000 records. After a
crash, to ask for so many takes CloudWatch about 10 seconds, and the checkpoint names each of them."""
_DIGEST_BYTES: Final = 9
"""Each line begins with eight hexadecimal digits of CRC-32 and a space."""

log = logging.getLogger(__name__)


class Intent(Struct, frozen=True):
    """A batch that is about to be put."""

    destination: Destination
    earliest_ms: int
    latest_ms: int
    records: Mapping[str, tuple[int, ...]]
    """File id → the offsets that the ids of its records name."""


class _LiveIntent(Struct, frozen=True):
    line: bytes
    last: dict[str, int]
    """File id → the last offset."""

    def is_covered(self, committed: Mapping[str, int]) -> bool:
        """Every record is settled; the records of a file that is no longer known are settled too."""
        return all(file not in committed or committed[file] > last for file, last in self.last.items())


class Compaction(Struct, frozen=True):
    """The segments that may be removed once a checkpoint with the same positions is on disk."""

    freed_bytes: int
    kept: bytes
    """The lines of intents that are still needed."""
    into: Path
    """The segment that `kept` is written to."""
    old: tuple[Path, ...]


class Journal:
    """`open` before the first put, `note` and `write` before and `delivered` after each batch, `plan_compaction` and
    `compact` around each checkpoint."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.resuming_seconds = 0.0
        """How long ago the first run since the crash began to ask for the leftover intents."""
        self._number = 1
        self._segments: list[Path] = []
        self._leftover: list[Path] = []
        """Segments of the previous run, until CloudWatch was asked for their records."""
        self._leftover_bytes = 0
        self._live: dict[int, _LiveIntent] = {}
        self._delivered: dict[int, None] = {}
        """Live intents of batches that were delivered, in this order."""
        self._delivered_bytes = 0
        self._occasional = Occasional()
        self._covered_bytes = 0
        """Bytes in segments of intents that are not live any more."""
        self._intents = 0
        self._waiting: list[int] = []
        self._written = 0
        self._turn = asyncio.Lock()

    def open(self) -> list[Intent]:
        """The intents that the previous run left behind. Blocks. Raises StateUnwritable."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._leftover = sorted(self._directory.glob(f"*{_SUFFIX}"))
            self._leftover_bytes = sum(path.stat().st_size for path in self._leftover)
            intents = [intent for path in self._leftover for intent in _read(path)]
            if intents:
                self.resuming_seconds = _seconds_since_made(self._directory / _RESUMING)
        except OSError as error:
            raise StateUnwritable(
                f"{self._directory}: cannot be used ({error.strerror}); exact resume needs a directory to write to"
            ) from error
        if self._leftover:
            self._number = _number(self._leftover[-1]) + 1
        return intents

    def resumed(self) -> None:
        """CloudWatch was asked for the leftover intents; the next checkpoint removes them."""
        (self._directory / _RESUMING).unlink(missing_ok=True)
        self._segments = self._leftover + self._segments
        self._covered_bytes += self._leftover_bytes
        self._leftover = []

    def note(self, destination: Destination, batch: Batch) -> int:
        """The number of the batch, whose intent is to be written."""
        self._intents += 1
        intent = intent_of(destination, batch)
        if intent.records:
            last = {file: max(offsets) for file, offsets in intent.records.items()}
            self._live[self._intents] = _LiveIntent(encoded(intent), last)
            self._waiting.append(self._intents)
        return self._intents

    async def write(self, number: int) -> None:
        """Returns when the intent of the batch is on disk; simultaneous calls share a write. Raises StateUnwritable."""
        if number not in self._live:
            return
        async with self._turn:
            if self._written >= number:
                return  # the call before wrote this intent too
            numbers, self._waiting = [waiting for waiting in self._waiting if waiting in self._live], []
            upto = self._intents
            try:
                await self._append(b"".join(self._live[number].line for number in numbers))
            except BaseException:
                self._waiting = numbers + self._waiting  # writing an intent twice does no harm, not writing it would
                raise
            self._written = upto

    def delivered(self, number: int) -> None:
        """Every event of the batch is accepted or rejected."""
        if number in self._live:
            self._delivered[number] = None
            self._delivered_bytes += len(self._live[number].line)

    def plan_compaction(self, committed: Mapping[str, int]) -> Compaction | None:
        """Call it together with taking the positions of a checkpoint. None: too little could be removed.

        `committed`: file id → every record before this offset is settled. Later intents go to a new segment, so that
        the old segments can be removed as soon as the checkpoint is on disk.
        """
        for number in [number for number, intent in self._live.items() if intent.is_covered(committed)]:
            self._forget(number)
        self._forget_oldest_delivered()
        kept = b"".join(intent.line for intent in self._live.values())
        # The live intents are written once more, so at least as many bytes must become free.
        if not self._segments or (kept and len(kept) > self._covered_bytes):
            return None
        return Compaction(self._covered_bytes, kept, self._next_segment(), tuple(self._segments))

    async def compact(self, plan: Compaction) -> None:
        """Call it when the checkpoint is on disk. Raises StateUnwritable, and then no intent is lost."""
        async with self._turn:
            if plan.kept:
                await self._append(plan.kept, plan.into)
            try:
                await asyncio.to_thread(_remove, plan.old)
            except OSError as error:
                raise self._unwritable(error) from error
            self._segments = [path for path in self._segments if path not in plan.old]
            self._covered_bytes -= plan.freed_bytes

    def _forget(self, number: int) -> None:
        line_bytes = len(self._live.pop(number).line)
        self._covered_bytes += line_bytes
        if number in self._delivered:
            del self._delivered[number]
            self._delivered_bytes -= line_bytes

    def _forget_oldest_delivered(self) -> None:
        forgotten = 0
        while self._delivered_bytes > KEPT_BYTES:
            self._forget(next(iter(self._delivered)))
            forgotten += 1
        if forgotten and (fields := self._occasional.fields("forgotten")) is not None:
            log.warning(
                "an alert is not accepted for so long that the journal cannot keep all batches behind it; after a "
                "crash now, these batches would be sent again",
                extra={"batches": forgotten, "kept_bytes": self._delivered_bytes, **fields},
            )

    def _next_segment(self) -> Path:
        self._number += 1
        return self._current

    @property
    def _current(self) -> Path:
        return self._directory / f"{self._number:08d}{_SUFFIX}"

    async def _append(self, data: bytes, path: Path | None = None) -> None:
        path = path or self._current
        if path not in self._segments:
            self._segments.append(path)
        try:
            await asyncio.to_thread(_append, path, data)
        except OSError as error:
            self._next_segment()  # a torn line must stay the last one of its segment
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> StateUnwritable:
        return StateUnwritable(
            f"{self._directory}: intents cannot be written ({error.strerror}); shipping goes on, "
            "after a crash now, the batches under way would be sent again"
        )


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
    """The intents of a segment. Its last line may be torn; that batch was never put."""
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
        log.info("journal ended in the middle of an intent", extra={"path": str(path), "bytes": len(torn)})
    return [intent for intent in intents if intent is not None]


def _seconds_since_made(marker: Path) -> float:
    """Makes the file when it is missing, or when the clock was set back behind its time."""
    now = time.time()
    if not marker.exists() or marker.stat().st_mtime > now:
        marker.touch(mode=0o600)
        return 0.0
    return now - marker.stat().st_mtime


def _append(path: Path, data: bytes) -> None:
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


def _number(path: Path) -> int:
    digits = path.name.removesuffix(_SUFFIX)
    return int(digits) if digits.isdecimal() else 0
