"""Progress on disk: for each log file, the offset before which every record is settled.

The checkpoint is written whole to a temporary file, flushed to the disk, and renamed over the last one, which is kept.
It carries a version and a digest, so a damaged file is recognised, set aside and named. A checkpoint of an older
version is read; one of a newer version is refused. One agent at a time: the directory is locked as long as this process
lives, and every save makes sure that the lock is still the one in the directory.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson

from agent.core.proof.seal import SealState
from agent.errors import CheckpointCorrupt, CheckpointTooNew, LockLost, StateLocked, StateUnwritable

VERSION: Final = 2

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Position:
    """The committed offset of one file, and the facts by which a later run recognises the file."""

    path: str
    offset: int
    """In uncompressed bytes. Everything before it is settled."""
    size: int = 0
    """Bytes that were there. Those that are missing after a restart are a gap."""
    device: int = 0
    inode: int = 0
    complete: bool = False
    """It was read to its end after its writer had left it."""
    settled_out_of_order: tuple[int, ...] = ()
    """Offsets of records beyond `offset` that are settled already. `islands` in the file."""
    seen_at: float = 0.0
    """The time at which a scan last found the file, in seconds since 1970."""
    marker: str = ""
    """Digest of the bytes just before `offset`: shows whether the file is still the same. Empty: not known."""


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An own event that CloudWatch has not acknowledged. It is in no log file, so a crash would lose it."""

    id: str
    time_ms: int
    message: str


@dataclass(frozen=True, slots=True)
class Restored:
    """The checkpoint that was found at the start."""

    positions: dict[str, Position]
    """By file id."""
    first_start: bool
    """There was none: this node has never been read."""
    pending_events: tuple[PendingEvent, ...] = ()
    seal: SealState | None = None
    """None: the last run wrote no seals."""
    is_older_copy: bool = False
    """The last checkpoint could not be read, and this is the one before it."""
    progress_lost: str = ""
    """There were checkpoints, and none could be read: the name under which the last one was set aside."""


class Checkpoint:
    """The checkpoint and the lock of a state directory. Open it before anything is read."""

    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir
        self._path = state_dir / "checkpoint.json"
        self._previous = state_dir / "checkpoint.previous.json"
        self._lock_path = state_dir / "lock"
        self._lock = -1
        self._written: bytes | None = None
        self._encoded: dict[str, tuple[Position, bytes]] = {}
        """Positions as they were last encoded: most of them stay the same from save to save."""
        self._saving = threading.Lock()

    def open(self) -> Restored:
        """Locks the directory and reads the checkpoint. Raises StateLocked, StateUnwritable, CheckpointTooNew."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
        try:
            return self._restore()
        except Exception:
            self.close()
            raise

    def save(
        self,
        positions: dict[str, Position],
        pending_events: Sequence[PendingEvent] = (),
        seal: SealState | None = None,
    ) -> bool:
        """Makes these durable. False: the disk holds them already. Blocks: call it in a thread.

        Raises StateUnwritable, and LockLost when the directory was replaced by another one.
        """
        # A save that was cancelled still runs in its thread: the next one waits for it.
        with self._saving:
            self._check_lock()
            body = self._body(positions, pending_events, seal)
            if body == self._written:
                return False
            self._write(body)
            self._written = body
            return True

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _check_lock(self) -> None:
        """Two agents that read the same logs would both ship them."""
        if self._lock < 0:
            return
        try:
            there = os.stat(self._lock_path)
        except OSError:
            return  # the directory is away, so nobody else can have locked it; the write will say so
        ours = os.fstat(self._lock)
        if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            raise LockLost(
                f"{self._directory}: was removed and made again while this agent was running, so another agent may "
                "use it; this agent stops. Start it again, and never remove the state directory of a running agent"
            )

    def _body(
        self, positions: dict[str, Position], pending_events: Sequence[PendingEvent], seal: SealState | None
    ) -> bytes:
        encoded: dict[str, tuple[Position, bytes]] = {}
        for file_id, position in positions.items():
            known = self._encoded.get(file_id)
            if known is None or (known[0] is not position and known[0] != position):
                known = (position, orjson.dumps(file_id) + b":" + orjson.dumps(_fields(position)))
            encoded[file_id] = known
        self._encoded = encoded
        files = b",".join(text for _, text in encoded.values())
        sealed = b"" if seal is None else b',"seal":%b' % seal.encoded()
        return b'"files":{%b},"untold":%b%b' % (files, orjson.dumps(pending_events), sealed)

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
        is_older_copy = False
        for path in (self._path, self._previous):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StateUnwritable(f"{path}: cannot be read ({error.strerror}); repair or remove it") from error
            try:
                return replace(parse(data), is_older_copy=is_older_copy)
            except CheckpointTooNew as error:
                raise CheckpointTooNew(f"{path}: {error}") from error
            except CheckpointCorrupt as error:
                aside = path.with_name(f"{path.name}.corrupt-{time.time_ns()}")
                path.replace(aside)
                is_older_copy = True
                log.error("checkpoint was corrupt", extra={"path": str(path), "kept_as": str(aside), "why": str(error)})
        # They stay, so a run that dies before its first save does not make the next one look like a first start.
        set_aside = sorted(path.name for path in self._directory.glob("checkpoint*.corrupt-*"))
        return Restored({}, first_start=not set_aside, progress_lost=set_aside[-1] if set_aside else "")


def parse(data: bytes) -> Restored:
    """Reads a checkpoint of this version or an older one. Raises CheckpointCorrupt, CheckpointTooNew."""
    try:
        document = orjson.loads(data)
        version = document["version"]
        if isinstance(version, int) and version > VERSION:
            raise CheckpointTooNew(
                f"was written by a newer falcowatch (format {version}, this one reads up to {VERSION}); run the newer "
                "version again, or move the file away to read every log from its beginning"
            )
        if version not in _BODY:
            raise CheckpointCorrupt(f"unknown version {version!r}")
        if sha256(_BODY[version](data)).hexdigest() != document["sha256"]:
            raise CheckpointCorrupt("its digest does not match")
        positions = {key: _position(value) for key, value in document["files"].items()}
        # Version 1 kept no pending events.
        events = document["untold"] if version > 1 else []
        seal = SealState.decoded(document["seal"]) if "seal" in document else None
        return Restored(positions, False, tuple(PendingEvent(**event) for event in events), seal)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointCorrupt(f"it is no checkpoint ({error})") from error


def _body_of_version_1(data: bytes) -> bytes:
    """The digest was over the value of `files`, with its keys sorted."""
    return orjson.dumps(orjson.loads(data)["files"], option=orjson.OPT_SORT_KEYS)


def _body_of_version_2(data: bytes) -> bytes:
    """The digest is over everything behind it."""
    return data.removesuffix(b"}\n").partition(b'",')[2]


_BODY: Final = {1: _body_of_version_1, 2: _body_of_version_2}


def _fields(position: Position) -> dict[str, object]:
    return {
        "path": position.path,
        "offset": position.offset,
        "size": position.size,
        "device": position.device,
        "inode": position.inode,
        "complete": position.complete,
        "islands": position.settled_out_of_order,
        "seen_at": position.seen_at,
        "marker": position.marker,
    }


def _position(fields: dict[str, Any]) -> Position:
    islands = fields.pop("islands", ())
    return Position(**fields, settled_out_of_order=tuple(islands))


def this_hour() -> float:
    """The start of this hour, in seconds since 1970: time alone is no reason to write a checkpoint."""
    return time.time() // 3600 * 3600
