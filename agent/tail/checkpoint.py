"""Progress on disk: for each log file, up to where every record is settled.

Written whole to a temporary file, flushed to the disk, then renamed over the last one, which is
kept; with a version and a digest, so that a torn or foreign file is recognised, set aside and named.
One agent at a time: the directory is locked for as long as this process lives.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import orjson

from agent.errors import CheckpointCorrupt, StateLocked, StateUnwritable

VERSION: Final = 2
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Position:
    """How far one file is settled."""

    path: str
    offset: int
    """Uncompressed bytes."""
    size: int = 0
    """Bytes that were there; what is missing of them after a restart is a gap."""
    device: int = 0
    inode: int = 0
    complete: bool = False
    """It was read to its end after it was rotated: nothing more will come."""
    islands: tuple[int, ...] = ()
    """Records beyond `offset`, by where they begin, that are settled already."""
    seen_at: float = 0.0
    """When it was last there, in seconds since 1970."""
    marker: str = ""
    """Digest of the bytes just before `offset`: whether they are still the same. Empty: not known."""


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An event of our own that CloudWatch has not acknowledged: it is in no file, so a crash would lose it."""

    id: str
    time_ms: int
    message: str


@dataclass(frozen=True, slots=True)
class Restored:
    """What was on disk."""

    positions: dict[str, Position]
    """By file id."""
    first_start: bool
    """There was none: this node has never been read."""
    pending_events: tuple[PendingEvent, ...] = ()


class Checkpoint:
    """The state directory's checkpoint and lock. Open it before anything is read."""

    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir
        self._path = state_dir / "checkpoint.json"
        self._previous = state_dir / "checkpoint.previous.json"
        self._written: bytes | None = None
        self._lock = -1
        self._turn = threading.Lock()

    def open(self) -> Restored:
        """Locks the directory and reads what is there. Raises StateLocked, StateUnwritable."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise StateLocked(
                f"{self._directory}: another falcowatch holds it; stop that one or set another state_dir"
            ) from error
        except OSError as error:
            self.close()
            raise StateUnwritable(
                f"{self._directory}: cannot be used ({error.strerror}); it must be a directory this user may write"
            ) from error
        return self._restore()

    def save(self, positions: dict[str, Position], pending_events: Sequence[PendingEvent] = ()) -> bool:
        """Makes these durable; False when the disk holds them already. Blocks: call it in a thread.

        Raises StateUnwritable.
        """
        body = orjson.dumps({"files": positions, "untold": pending_events})[1:-1]
        # A save that was cancelled still runs in its thread: the next one waits for it.
        with self._turn:
            if body == self._written:
                return False
            self._write(body)
            self._written = body
            return True

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _write(self, body: bytes) -> None:
        document = b'{"version":%d,"sha256":"%s",%b}\n' % (VERSION, sha256(body).hexdigest().encode(), body)
        fresh = self._directory / "checkpoint.new.json"
        try:
            with fresh.open("wb") as file:
                file.write(document)
                file.flush()
                os.fsync(file.fileno())
            if self._path.exists():
                self._path.replace(self._previous)
            fresh.replace(self._path)
            directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise StateUnwritable(
                f"{self._path}: progress cannot be saved ({error.strerror}); shipping goes on, "
                "a restart would send again what has been sent since the last save"
            ) from error

    def _restore(self) -> Restored:
        present = False
        for path in (self._path, self._previous):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StateUnwritable(f"{path}: cannot be read ({error.strerror}); mend it or remove it") from error
            present = True
            try:
                return parse(data)
            except CheckpointCorrupt as error:
                aside = path.with_name(f"{path.name}.corrupt-{time.time_ns()}")
                path.replace(aside)
                log.error("checkpoint was corrupt", extra={"path": str(path), "kept_as": str(aside), "why": str(error)})
        return Restored({}, first_start=not present)


def parse(data: bytes) -> Restored:
    """Raises CheckpointCorrupt for anything but a whole checkpoint of this version."""
    try:
        document = orjson.loads(data)
        if document["version"] != VERSION:
            raise CheckpointCorrupt(f"version {document['version']!r}, this agent reads {VERSION}")
        files, pending_events = document["files"], document["untold"]
        _, _, body = data.removesuffix(b"}\n").partition(b'",')
        if sha256(body).hexdigest() != document["sha256"]:
            raise CheckpointCorrupt("its digest does not match")
        positions = {key: Position(**{**value, "islands": tuple(value["islands"])}) for key, value in files.items()}
        return Restored(positions, False, tuple(PendingEvent(**event) for event in pending_events))
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise CheckpointCorrupt(f"it is no checkpoint ({error})") from error


def this_hour() -> float:
    """In seconds since 1970: as exact as `Position.seen_at` is, so that time alone is no reason to write."""
    return time.time() // 3600 * 3600
