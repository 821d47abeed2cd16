"""Files that a scan has seen and that are not open yet: when they vanish, their bytes are lost.

A file could not be opened, or it has to be looked at again first: a compressed file that may still be written.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.tail.types import FoundFile


class Unopened:
    """The unopened files of one source."""

    def __init__(self) -> None:
        self._files: dict[tuple[int, int], FoundFile] = {}
        self._unread: dict[tuple[int, int], int] = {}

    def add(self, seen: FoundFile, unread: int = 0) -> None:
        """`unread`: bytes that will be read as soon as the file can be opened, as far as they are known."""
        self._files[seen.key] = seen
        self._unread[seen.key] = unread

    def discard(self, seen: FoundFile) -> None:
        """The file is open, or there is nothing to read in it."""
        self._files.pop(seen.key, None)
        self._unread.pop(seen.key, None)

    @property
    def unread(self) -> int:
        """Bytes that wait to be read in these files."""
        return sum(self._unread.values())

    def take_vanished(self, found: Iterable[FoundFile]) -> list[FoundFile]:
        """Files with content that are not there any more, and were not compressed. They are forgotten."""
        there = {seen.key: seen for seen in found}
        names = {seen.relative[-1] for seen in there.values() if seen.compressed}
        lost = []
        for key, seen in list(self._files.items()):
            if key in there:
                self._files[key] = there[key]
                continue
            self.discard(seen)
            was_compressed = any(name.startswith(seen.relative[-1]) for name in names) and not seen.compressed
            if seen.size and not was_compressed:
                lost.append(seen)
        return lost
