"""Files of one source that are closed because file descriptors are short, although more may be written to them.

A file is closed only when nothing of it is in flight; its position is kept as for a restart. Each scan compares the
size and the time of the last write with those at the closing. A file that was written to, or that has unread bytes, is
opened again, and its identity is checked as after a restart.
"""

from __future__ import annotations

import os

from msgspec import Struct
from msgspec.structs import replace

from agent.tail.checkpoint import Position
from agent.tail.types import FoundFile, Source


class ClosedFile(Struct, frozen=True):
    """A file at its closing."""

    file_id: str
    """Empty: it holds too little to tell which log it is."""
    state: tuple[int, int]
    """Size, and time of the last write in nanoseconds."""
    has_unread: bool


class ClosedFiles:
    """The closed files of one source."""

    def __init__(self, source: Source, positions: dict[str, Position]) -> None:
        self._source = source
        self._positions = positions
        self._files: dict[FoundFile, ClosedFile] = {}
        self.unread: dict[tuple[int, int], int] = {}
        """Unread bytes of files that have to be opened again, by device and inode."""
        self._reopening: dict[tuple[int, int], str] = {}
        """Ids of files that have more bytes now than were read of them: their bytes, or those of another log."""

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, seen: FoundFile) -> bool:
        return seen in self._files

    @property
    def ids(self) -> set[str]:
        return {closed.file_id for closed in self._files.values()}

    def add(self, seen: FoundFile, closed: ClosedFile) -> None:
        self._files[seen] = closed

    def take_vanished(self, found: tuple[FoundFile, ...]) -> list[tuple[FoundFile, ClosedFile]]:
        """Files that are not there any more. A file with another name has to be looked at again. Both are forgotten."""
        if not self._files:
            return []
        names, keys = set(found), {seen.key for seen in found}
        gone = [(seen, closed) for seen, closed in self._files.items() if seen.key not in keys]
        self._files = {seen: closed for seen, closed in self._files.items() if seen in names}
        return gone

    def take_changed(self) -> bool:
        """Whether there are files to open again. They are not kept any longer."""
        if not self._files:
            return False
        changed = False
        for seen, closed in list(self._files.items()):
            try:
                status = os.stat(self._source.root.joinpath(*seen.relative))
            except OSError:
                continue
            state = (status.st_size, status.st_mtime_ns)
            if closed.has_unread or state != closed.state or (status.st_dev, status.st_ino) != seen.key:
                del self._files[seen]
                changed = True
                if (known := self._positions.get(closed.file_id)) is not None:
                    self.unread[seen.key] = max(0, status.st_size - known.offset)
                    if status.st_size > known.offset:
                        self._reopening[seen.key] = closed.file_id
        return changed

    def take_truncated(self, seen: FoundFile, file_id: str) -> list[str]:
        """The file is open again and holds the log `file_id`. Returns the id of the log that it held before.

        Bytes of that log may be lost. Nothing is returned where it is the same log, or was read to its end.
        """
        before = self._reopening.pop(seen.key, file_id)
        return [] if before == file_id else [before]

    def note_vanished(self, gone: FoundFile) -> list[str]:
        """The file vanished before it was open again: its unread bytes are a gap. Returns the ids of its logs."""
        self._reopening.pop(gone.key, None)
        known = {
            file_id: position
            for file_id, position in self._positions.items()
            if (position.device, position.inode) == gone.key
        }
        for file_id, position in known.items():
            self._positions[file_id] = replace(position, size=max(position.size, gone.size))
        return list(known)
