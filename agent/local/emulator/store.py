"""The log groups and streams of one account, stored in one directory and loaded at the next start.

A change whose method returned without an error survives the end of the process. The store does not check limits; a
missing or existing name raises the error that AWS would answer with.
"""

import hashlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import orjson

from agent.local.emulator.replies import already_exists, not_found
from agent.local.emulator.rules import Batch
from agent.local.emulator.streamlog import CorruptDataError, StreamLog

GROUP_FILE = "group.json"
STREAM_SUFFIX = ".events"


class StoredEvent(NamedTuple):
    timestamp: int
    message: bytes
    ingested: int
    stream: str


@dataclass(frozen=True, slots=True)
class GroupSettings:
    created_ms: int
    log_class: str = "STANDARD"
    retention_days: int | None = None
    kms_key_id: str | None = None
    deletion_protection: bool = False
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Stream:
    name: str
    created_ms: int
    log: StreamLog
    last_batch: bytes = b""
    """Digest of the last accepted batch, for DataAlreadyAccepted. It is not kept over a restart."""


@dataclass(slots=True)
class Group:
    name: str
    folder: Path
    settings: GroupSettings
    streams: dict[str, Stream] = field(default_factory=dict)

    def stream(self, name: str) -> Stream:
        stream = self.streams.get(name)
        if stream is None:
            raise not_found("log stream")
        return stream

    @property
    def stored_bytes(self) -> int:
        return sum(stream.log.message_bytes for stream in self.streams.values())


class Store:
    """All methods are synchronous and run on one thread, so a reader never sees an incomplete change."""

    def __init__(self, folder: Path, *, discard: bool = False) -> None:
        """Raises OSError or CorruptDataError when the folder cannot be used."""
        self._folder = folder
        self._discard = discard
        self.groups: dict[str, Group] = {}
        self.accepted_events = 0
        for path in sorted(folder.glob(f"*/{GROUP_FILE}")):
            group = _load_group(path)
            self.groups[group.name] = group

    def group(self, name: str) -> Group:
        group = self.groups.get(name)
        if group is None:
            raise not_found("log group")
        return group

    def create_group(self, name: str, settings: GroupSettings) -> None:
        if name in self.groups:
            raise already_exists("log group")
        group = Group(name, self._folder / _file_name(name), settings)
        if group.folder.exists():  # the process ended in the middle of a deletion
            shutil.rmtree(group.folder)
        group.folder.mkdir()
        _save_group(group)
        self.groups[name] = group

    def change_group(self, group: Group, settings: GroupSettings) -> None:
        group.settings = settings
        _save_group(group)

    def delete_group(self, group: Group) -> None:
        del self.groups[group.name]
        (group.folder / GROUP_FILE).unlink()
        shutil.rmtree(group.folder)

    def create_stream(self, group: Group, name: str, created_ms: int) -> None:
        if name in group.streams:
            raise already_exists("log stream")
        log = StreamLog(group.folder / (_file_name(name) + STREAM_SUFFIX))
        log.create({"stream": name, "created": created_ms})
        group.streams[name] = Stream(name, created_ms, log)

    def delete_stream(self, group: Group, stream: Stream) -> None:
        del group.streams[stream.name]
        stream.log.path.unlink()

    def append(self, stream: Stream, batch: Batch, ingested_ms: int) -> None:
        if self._discard:
            stream.log.count(batch, ingested_ms)
        else:
            stream.log.append(batch, ingested_ms)
        self.accepted_events += len(batch.lengths)

    def events(self, group: str, stream: str | None = None) -> Iterator[StoredEvent]:
        """The events of each stream in order of arrival. Empty for a missing group or stream."""
        for found in self.streams(group, stream):
            yield from _events_of(found, None, found.log.end)

    def follow(self, group: str) -> "Follower":
        return Follower(self, group)

    def streams(self, group: str, stream: str | None = None) -> list[Stream]:
        """All streams of a group, or the named one. Empty for a missing group or stream."""
        streams = self.groups[group].streams if group in self.groups else {}
        return [found for name, found in streams.items() if stream in (None, name)]


class Follower:
    """Returns each event of a group once, for a live view."""

    def __init__(self, store: Store, group: str) -> None:
        self._store = store
        self._group = group
        self._read_until: dict[Path, int] = {}

    def new_events(self) -> Iterator[StoredEvent]:
        """The events since the last call. The iterator of the last call must be exhausted."""
        for stream in self._store.streams(self._group):
            path, end = stream.log.path, stream.log.end
            yield from _events_of(stream, self._read_until.get(path), end)
            self._read_until[path] = end


def _events_of(stream: Stream, start: int | None, end: int) -> Iterator[StoredEvent]:
    for block, contents in stream.log.blocks(start, end):
        offset = 0
        for timestamp, length in zip(block.timestamps, block.lengths, strict=True):
            yield StoredEvent(timestamp, contents[offset : offset + length], block.ingested_ms, stream.name)
            offset += length + 1


def _file_name(name: str) -> str:
    """A safe file name, which ends in a digest. Names of groups and streams have slashes and up to 512 characters."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{re.sub(r'[^A-Za-z0-9.-]+', '_', name)[:80].lstrip('.')}-{digest}"


def _save_group(group: Group) -> None:
    settings = group.settings
    path = group.folder / GROUP_FILE
    written = path.with_suffix(".new")
    written.write_bytes(
        orjson.dumps(
            {
                "name": group.name,
                "created": settings.created_ms,
                "class": settings.log_class,
                "retention_days": settings.retention_days,
                "kms_key_id": settings.kms_key_id,
                "deletion_protection": settings.deletion_protection,
                "tags": settings.tags,
            }
        )
    )
    written.replace(path)


def _load_group(path: Path) -> Group:
    try:
        saved = orjson.loads(path.read_bytes())
        settings = GroupSettings(
            created_ms=saved["created"],
            log_class=saved["class"],
            retention_days=saved["retention_days"],
            kms_key_id=saved["kms_key_id"],
            deletion_protection=saved["deletion_protection"],
            tags=saved["tags"],
        )
        group = Group(saved["name"], path.parent, settings)
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise CorruptDataError(
            f"{path}: not the settings of a log group; move it away or give another folder"
        ) from error
    for file in sorted(path.parent.glob(f"*{STREAM_SUFFIX}")):
        log = StreamLog(file)
        header = log.load()
        name, created_ms = header.get("stream"), header.get("created")
        if not isinstance(name, str) or not isinstance(created_ms, int):
            raise CorruptDataError(f"{file}: its first line names no log stream; move it away or give another folder")
        group.streams[name] = Stream(name, created_ms, log)
    return group
