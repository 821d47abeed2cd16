"""Dead letters: what CloudWatch will never take, or not whole, kept as JSON lines for a person to look at and replay.

Promises that `bury` returns only when the letters are on the disk, and that files are readable by their owner alone
and bounded in size and in sum. What to bury and what to say about it is the shipper's, putting it again
`deadletter_replay`'s.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from agent.core.values import Destination
from agent.errors import StateUnwritable

log = logging.getLogger(__name__)

MAX_FILE_BYTES = 4 * 1024 * 1024
"""What goes at once when room is needed, and at most what a replay that broke off puts a second time."""
MAX_TOTAL_BYTES = 64 * 1024 * 1024
"""Some sixty thousand alerts: weeks of honest rejects, and a flood of them does not fill the node's disk."""

LETTERS_SUFFIX = ".jsonl"
REPLAYING_SUFFIX = ".replaying"
"""Taken by a replay: nobody appends to it, nobody removes it for room."""
UNREADABLE_SUFFIX = ".unreadable"
"""Replayed but for some lines that are no letters; kept for a person to look at."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    time: str
    """When it was buried, RFC 3339."""
    reason: str
    """too_old, too_new, expired, invalid, truncated …: the label of `dead_letters_total`."""
    file: str
    offset: int
    destination: Destination
    timestamp_ms: int
    """The event's own time, as it was or would have been put."""
    size: int
    digest: str
    """SHA-256 of the message, as the event that says `truncated` names it."""
    message: bytes
    """The whole original text."""


def dead_letter(
    message: bytes, *, reason: str, file: str, offset: int, destination: Destination, timestamp_ms: int, now: datetime
) -> DeadLetter:
    return DeadLetter(
        time=now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        reason=reason,
        file=file,
        offset=offset,
        destination=destination,
        timestamp_ms=timestamp_ms,
        size=len(message),
        digest=hashlib.sha256(message).hexdigest(),
        message=message,
    )


class DeadLetters:
    """The burying side, one for each state directory."""

    def __init__(
        self, directory: Path, *, max_file_bytes: int = MAX_FILE_BYTES, max_total_bytes: int = MAX_TOTAL_BYTES
    ) -> None:
        self._directory = directory
        self._max_file_bytes = max_file_bytes
        self._max_total_bytes = max_total_bytes
        self._turn = threading.Lock()

    def bury(self, letters: Sequence[DeadLetter]) -> int:
        """Appends the letters in one write and waits for the disk; how many older ones had to be removed for room.

        Blocks as long as the disk does, so call it as `await asyncio.to_thread(dead_letters.bury, letters)`; several
        threads take turns. Raises StateUnwritable, and then none of the letters is in the file. A call that was
        cancelled may have buried them: a second time is possible, losing them is not.
        """
        if not letters:
            return 0
        lines = b"".join(map(_encoded, letters))
        with self._turn:
            try:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                current = self._append(lines)
            except OSError as error:
                raise StateUnwritable(
                    f"{self._directory}: {len(letters)} dead letters cannot be written ({error.strerror}); "
                    "make room or make it writable"
                ) from error
            return self._make_room(keep=current)

    def _append(self, lines: bytes) -> Path:
        number = max((_number(path) for path in letter_files(self._directory)), default=1)
        while True:
            path = self._directory / f"{number:08d}{LETTERS_SUFFIX}"
            with _opened_for_append(path) as (descriptor, size):
                if size is not None and (size == 0 or size + len(lines) <= self._max_file_bytes):
                    _write_whole(descriptor, lines, size)
                    if size == 0:
                        _sync_directory(self._directory)
                    return path
            number += 1  # full, or taken by a replay

    def _make_room(self, *, keep: Path) -> int:
        sizes = {path: size for path in letter_files(self._directory) if (size := _size(path)) is not None}
        total, removed = sum(sizes.values()), 0
        for path, size in sizes.items():
            if total <= self._max_total_bytes:
                break
            if path != keep and path.suffix != REPLAYING_SUFFIX:
                total -= size
                removed += _remove(path)
        return removed


def read_letters(directory: Path) -> Iterator[DeadLetter]:
    """Every letter that can be read, oldest first, also those whose replay broke off."""
    for path in letter_files(directory):
        for letter in letters_in(path):
            if letter is not None:
                yield letter


def _encoded(letter: DeadLetter) -> bytes:
    fields: dict[str, object] = {
        "time": letter.time,
        "reason": letter.reason,
        "file": letter.file,
        "offset": letter.offset,
        "destination": {"group": letter.destination.group, "stream": letter.destination.stream},
        "timestamp_ms": letter.timestamp_ms,
        "size": letter.size,
        "digest": letter.digest,
    }
    try:
        fields["message"] = letter.message.decode()
    except UnicodeDecodeError:
        fields["message_base64"] = base64.b64encode(letter.message).decode()
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


def _decoded(line: bytes) -> DeadLetter | None:
    """None for what is no letter: cut short by a crash, or not what was written."""
    try:
        fields = orjson.loads(line)
        encoded = fields.get("message_base64")
        message = fields["message"].encode() if encoded is None else base64.b64decode(encoded, validate=True)
        if hashlib.sha256(message).hexdigest() != fields["digest"]:
            return None
        return DeadLetter(
            time=fields["time"],
            reason=fields["reason"],
            file=fields["file"],
            offset=fields["offset"],
            destination=Destination(**fields["destination"]),
            timestamp_ms=fields["timestamp_ms"],
            size=fields["size"],
            digest=fields["digest"],
            message=message,
        )
    except (orjson.JSONDecodeError, binascii.Error, KeyError, TypeError, AttributeError):
        return None


def letters_in(path: Path) -> Iterator[DeadLetter | None]:
    """None for each line that cannot be read, except a last one that a crash cut: it was never promised to anyone."""
    try:
        lines = path.open("rb")
    except FileNotFoundError:  # removed for room, or replayed, since it was listed
        return
    with lines:
        for line in lines:
            letter = _decoded(line)
            if letter is not None or line.endswith(b"\n"):
                yield letter


def letter_files(directory: Path) -> list[Path]:
    """Oldest first; of the same number, the one in replay first."""
    if not directory.is_dir():
        return []
    known = (
        path for path in directory.iterdir() if path.suffix in (LETTERS_SUFFIX, REPLAYING_SUFFIX, UNREADABLE_SUFFIX)
    )
    return sorted(
        (path for path in known if path.stem.isdigit()),
        key=lambda path: (_number(path), path.suffix != REPLAYING_SUFFIX),
    )


def _number(path: Path) -> int:
    return int(path.stem)


@contextmanager
def _opened_for_append(path: Path) -> Iterator[tuple[int, int | None]]:
    """The descriptor, locked, and the file's size; None when a replay took the file, or its number."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # a replay holds it just while it renames the file
        size = None if _is_taken(path, descriptor) else os.fstat(descriptor).st_size
        yield descriptor, size
    finally:
        os.close(descriptor)


def _is_taken(path: Path, descriptor: int) -> bool:
    if not path.exists() or not os.path.samestat(os.fstat(descriptor), path.stat()):
        return True
    if any(path.with_suffix(suffix).exists() for suffix in (REPLAYING_SUFFIX, UNREADABLE_SUFFIX)):
        if not os.fstat(descriptor).st_size:
            path.unlink()  # just made by us: two files of one number would end up under one name
        return True
    return False


def _write_whole(descriptor: int, lines: bytes, size: int) -> None:
    """All of it on the disk, or nothing of it in the file."""
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        lines = b"\n" + lines  # a crash cut the last line: it must not swallow the next one
    try:
        view = memoryview(lines)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fdatasync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def _sync_directory(directory: Path) -> None:
    """Otherwise a crash of the node may forget the name of a file whose content is safe."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # replayed meanwhile
        return None


def _remove(path: Path) -> int:
    """How many letters went with it; none when it could not be removed, which the next burial tries again."""
    try:
        with path.open("rb") as lines:
            lost = sum(1 for _ in lines)
        path.unlink()
    except OSError as error:
        log.error("dead letters not removed", extra={"file": str(path), "error": str(error)})
        return 0
    log.error("dead letters removed for room", extra={"file": str(path), "letters": lost})
    return lost
