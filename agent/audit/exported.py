"""Reads events from files, in the three forms in which CloudWatch Logs gives them away, compressed with gzip or not.

- JSON as `aws logs filter-log-events` prints it: objects with a list `events`, one behind the other.
- JSON lines: one event a line, with the same keys.
- Lines as an export to S3 writes them: `<ISO timestamp> <message>`. The directory of the file names the stream.

The form is told from the content. Files may be larger than memory: events are read a few thousand at a time.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from io import BufferedIOBase, BufferedReader
from itertools import islice
from pathlib import Path
from typing import Annotated, cast

import msgspec

from agent.audit.history import UNKNOWN_MS, RawEvent
from agent.audit.json_documents import events_in
from agent.core.proof.read_seal import LATEST_MS
from agent.errors import AuditFailed

EVENTS_AT_ONCE = 2048
LONGEST_LINE_BYTES = 16 * 1024 * 1024
"""A message has 1 MiB at most, and JSON may spell a byte of it with six."""

_GZIP = b"\x1f\x8b"
_NOT_EXPORTED = "aws-logs-write-test"
"""CloudWatch Logs puts this file beside an export to try whether it may write."""


_Time = Annotated[int, msgspec.Meta(ge=UNKNOWN_MS, le=LATEST_MS)]


class _Line(msgspec.Struct, gc=False):
    message: str
    timestamp: _Time
    ingestionTime: _Time = UNKNOWN_MS  # the name of the API
    logStreamName: str = ""


_line = msgspec.json.Decoder(_Line).decode


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The files, and those below the directories. Raises AuditFailed for a path that does not exist."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if file.is_file() and file.name != _NOT_EXPORTED)
        elif path.exists():
            found.append(path)
        else:
            raise AuditFailed(f"{path}: does not exist; --events takes files and directories of exported events")
    return found


def read_files(paths: Sequence[Path], advance: Callable[[int], None]) -> Iterator[list[RawEvent]]:
    """The events in lists of at most EVENTS_AT_ONCE. `advance` is told how many bytes of the files were read.

    Raises AuditFailed when a file cannot be read or has another form.
    """
    for path in files_of(paths):
        told = 0
        try:
            with path.open("rb") as raw:
                stream = _uncompressed(raw)
                events = _events(path, stream)
                while some := [*islice(events, EVENTS_AT_ONCE)]:
                    yield some
                    place = raw.tell()
                    advance(place - told)
                    told = place
        except (OSError, EOFError, zlib.error) as error:
            raise AuditFailed(f"{path}: cannot be read: {error}") from error
        except (UnicodeDecodeError, ValueError, RecursionError) as error:
            raise AuditFailed(f"{path}: {error}") from error


def _uncompressed(raw: BufferedReader) -> BufferedIOBase:
    if raw.peek(2)[:2] != _GZIP:
        return raw
    return BufferedReader(cast("BufferedReader", gzip.GzipFile(fileobj=raw)), 1024 * 1024)


def _events(path: Path, stream: BufferedIOBase) -> Iterator[RawEvent]:
    first = stream.readline(LONGEST_LINE_BYTES)
    while first and not first.strip():
        first = stream.readline(LONGEST_LINE_BYTES)
    if not first:
        return iter(())
    try:
        _line(first)
    except msgspec.MsgspecError:
        if first.lstrip()[:1] in (b"{", b"["):
            return events_in(first, stream)
        return _exported_lines(path, first, stream)
    return _json_lines(first, stream)


def _json_lines(first: bytes, stream: BufferedIOBase) -> Iterator[RawEvent]:
    line, number = first, 1
    while line:
        if line.strip():
            try:
                event = _line(line)
            except msgspec.MsgspecError as error:
                raise ValueError(f"line {number} is not an event: {error}") from error
            yield RawEvent(
                event.logStreamName, event.timestamp, event.ingestionTime, event.message.encode(errors="replace")
            )
        line = stream.readline(LONGEST_LINE_BYTES)
        number += 1


def _exported_lines(path: Path, first: bytes, stream: BufferedIOBase) -> Iterator[RawEvent]:
    name = path.parent.name or path.name
    line, number = first, 1
    while line:
        stamp, _, message = line.partition(b" ")
        time_ms = _time_of(stamp)
        if time_ms is not None:
            yield RawEvent(name, time_ms, UNKNOWN_MS, message.removesuffix(b"\n"))
        elif number == 1:
            raise ValueError(
                "is neither JSON of `aws logs filter-log-events`, nor JSON lines, nor an export to S3 "
                "(lines `<ISO timestamp> <message>`)"
            )
        # Otherwise it is a later line of a message with several lines, which no agent writes.
        line = stream.readline(LONGEST_LINE_BYTES)
        number += 1


def _time_of(stamp: bytes) -> int | None:
    try:
        return round(datetime.fromisoformat(stamp.decode()).timestamp() * 1000) if b"T" in stamp[:11] else None
    except (ValueError, OverflowError, UnicodeDecodeError):
        return None
