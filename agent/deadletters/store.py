"""The dead letters on disk: one JSON line for each record that CloudWatch rejected or could not take whole.

Promises: `append` returns only when the dead letters are on the disk. Only the owner can read the files. Each file
and the sum of all files are bounded in size. The shipper decides which records become dead letters; `replay` puts
them again.
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
from pathlib import Path

import orjson

from agent.core.dead_letter import DeadLetter
from agent.core.values import Destination
from agent.errors import StateUnwritable

log = logging.getLogger(__name__)

MAX_FILE_BYTES = 4 * 1024 * 1024
"""A whole file is removed when room is needed, and a replay that broke off puts at most one file a second time."""
MAX_TOTAL_BYTES = 64 * 1024 * 1024
"""About sixty thousand alerts. A flood of rejected records must not fill the node's disk."""

SUFFIX = ".jsonl"
REPLAYING_SUFFIX = ".replaying"
"""A replay works on this file: nobody appends to it, and it is not removed for room."""
UNREADABLE_SUFFIX = ".unreadable"
"""The file was replayed, except for lines that are not dead letters. It is kept for a person to look at."""


class DeadLetterStore:
    """Appends dead letters; one store for each state directory."""

    def __init__(
        self, directory: Path, *, max_file_bytes: int = MAX_FILE_BYTES, max_total_bytes: int = MAX_TOTAL_BYTES
    ) -> None:
        self._directory = directory
        self._max_file_bytes = max_file_bytes
        self._max_total_bytes = max_total_bytes
        self._turn = threading.Lock()

    def append(self, dead_letters: Sequence[DeadLetter]) -> int:
        """Appends the dead letters in one write, waits for the disk, and returns how many older ones made room.

        Blocks as long as the disk does: call it in a thread; several threads take turns. Raises StateUnwritable, and
        then none of the dead letters is in the file. A call that was cancelled may have written them all the same, so
        a dead letter can be written twice, but not lost.
        """
        if not dead_letters:
            return 0
        lines = b"".join(map(_encoded, dead_letters))
        with self._turn:
            try:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                current = self._append_lines(lines)
            except OSError as error:
                raise StateUnwritable(
                    f"{self._directory}: {len(dead_letters)} dead letters cannot be written ({error.strerror}); "
                    "make room or make it writable"
                ) from error
            return self._make_room(keep=current)

    def _append_lines(self, lines: bytes) -> Path:
        number = max((_number(path) for path in dead_letter_files(self._directory)), default=1)
        while True:
            path = self._directory / f"{number:08d}{SUFFIX}"
            with _opened_for_append(path) as (descriptor, size):
                if size is not None and (size == 0 or size + len(lines) <= self._max_file_bytes):
                    _write_whole(descriptor, lines, size)
                    if size == 0:
                        _sync_directory(self._directory)
                    return path
            number += 1  # full, or taken by a replay

    def _make_room(self, *, keep: Path) -> int:
        sizes = {path: size for path in dead_letter_files(self._directory) if (size := _size(path)) is not None}
        total, removed = sum(sizes.values()), 0
        for path, size in sizes.items():
            if total <= self._max_total_bytes:
                break
            if path != keep and path.suffix != REPLAYING_SUFFIX:
                total -= size
                removed += _remove(path)
        return removed


def read_dead_letters(directory: Path) -> Iterator[DeadLetter]:
    """Every dead letter that can be read, oldest first, also from a replay that broke off."""
    for path in dead_letter_files(directory):
        for dead_letter in dead_letters_in(path):
            if dead_letter is not None:
                yield dead_letter


def _encoded(dead_letter: DeadLetter) -> bytes:
    fields: dict[str, object] = {
        "time": dead_letter.time,
        "reason": dead_letter.reason,
        "file": dead_letter.file,
        "offset": dead_letter.offset,
        "destination": {"group": dead_letter.destination.group, "stream": dead_letter.destination.stream},
        "timestamp_ms": dead_letter.timestamp_ms,
        "size": dead_letter.size,
        "digest": dead_letter.digest,
    }
    try:
        fields["message"] = dead_letter.message.decode()
    except UnicodeDecodeError:
        fields["message_base64"] = base64.b64encode(dead_letter.message).decode()
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


def _decoded(line: bytes) -> DeadLetter | None:
    """None when the line is not a dead letter: a crash cut it short, or it was changed."""
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


def dead_letters_in(path: Path) -> Iterator[DeadLetter | None]:
    """None for each line that cannot be read. A torn last line was never acknowledged, so it is left out."""
    try:
        lines = path.open("rb")
    except FileNotFoundError:  # it was removed for room, or replayed, since it was listed
        return
    with lines:
        for line in lines:
            dead_letter = _decoded(line)
            if dead_letter is not None or line.endswith(b"\n"):
                yield dead_letter


def dead_letter_files(directory: Path) -> list[Path]:
    """Oldest first. Of two files with the same number, the one in replay comes first."""
    try:
        found = list(directory.iterdir())
    except FileNotFoundError:
        return []
    known = (path for path in found if path.suffix in (SUFFIX, REPLAYING_SUFFIX, UNREADABLE_SUFFIX))
    return sorted(
        (path for path in known if path.stem.isdigit()),
        key=lambda path: (_number(path), path.suffix != REPLAYING_SUFFIX),
    )


def _number(path: Path) -> int:
    return int(path.stem)


@contextmanager
def _opened_for_append(path: Path) -> Iterator[tuple[int, int | None]]:
    """The locked descriptor and the size of the file; the size is None when a replay took the file or its number."""
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
            path.unlink()  # we have just made it; two files of one number would end up under one name
        return True
    return False


def _write_whole(descriptor: int, lines: bytes, size: int) -> None:
    """Either all lines are on the disk or none is in the file."""
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        lines = b"\n" + lines  # a crash cut the last line, and the next line must not be joined to it
    try:
        view = memoryview(lines)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fdatasync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def _sync_directory(directory: Path) -> None:
    """Without this, a crash of the node can lose the name of a file whose content is on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a replay removed the file meanwhile
        return None


def _remove(path: Path) -> int:
    """The number of dead letters in the removed file; 0 when it could not be removed, which the next write repeats."""
    try:
        with path.open("rb") as lines:
            lost = sum(1 for _ in lines)
        path.unlink()
    except OSError as error:
        log.error("dead letters not removed", extra={"file": str(path), "error": str(error)})
        return 0
    log.error("dead letters removed for room", extra={"file": str(path), "dead_letters": lost})
    return lost
