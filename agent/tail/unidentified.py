"""Open files of one source that hold too little to tell which log they are."""

from __future__ import annotations

from collections.abc import Iterator, Set

from agent.tail.content import LogBytes
from agent.tail.types import FoundFile


class Unidentified:
    def __init__(self) -> None:
        self._files: dict[tuple[int, int], tuple[FoundFile, LogBytes]] = {}
        self._confirmed: Set[tuple[int, int]] = set()
        """Files that a scan has seen since they were opened."""

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[tuple[FoundFile, LogBytes]]:
        return iter(list(self._files.values()))

    def has(self, seen: FoundFile) -> bool:
        return seen.key in self._files

    def is_confirmed(self, seen: FoundFile) -> bool:
        return seen.key in self._confirmed

    @property
    def has_unconfirmed(self) -> bool:
        return bool(self._files.keys() - self._confirmed)

    def add(self, seen: FoundFile, content: LogBytes) -> None:
        self._files[seen.key] = (seen, content)

    def take(self, seen: FoundFile) -> LogBytes:
        return self._files.pop(seen.key)[1]

    def note_scan(self, keys: Set[tuple[int, int]]) -> None:
        """A scan has seen the files with these keys."""
        self._confirmed = self._files.keys() & keys

    def close(self) -> None:
        for _, content in self._files.values():
            content.close()
        self._files.clear()
