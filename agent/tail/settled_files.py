"""Files of one source that are still there, closed, and have nothing left to read. A late write opens a file again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from agent.tail.checkpoint import Position
from agent.tail.types import FoundFile, Source

MOST_KEPT: Final = 256
"""Positions of settled files of one log that are kept."""


class SettledFiles:
    """The settled files of one source, in the order in which they were found, with their ids."""

    def __init__(self, source: Source, positions: Mapping[str, Position]) -> None:
        self._source = source
        self._positions = positions
        self._files: dict[FoundFile, str] = {}
        self.forgotten: frozenset[str] = frozenset()
        """Ids of files that are there and whose positions are not kept any more: they are never read again."""

    def __contains__(self, seen: FoundFile) -> bool:
        return seen in self._files

    @property
    def ids(self) -> list[str]:
        return list(self._files.values())

    def add(self, seen: FoundFile, file_id: str) -> None:
        self._files[seen] = file_id

    def keep(self, found: tuple[FoundFile, ...]) -> None:
        """Forgets files that are not there any more."""
        there = set(found)
        self._files = {seen: file_id for seen, file_id in self._files.items() if seen in there}

    def forget_oldest(self) -> frozenset[str]:
        """Ids of the oldest files, beyond those whose positions are kept.

        A host keeps rotated logs for years. At the next start, files that are older than every known one are skipped,
        so the positions of the newest are enough. Kubelet bounds the number of rotated files of a container itself.
        """
        if not self._source.pod_uid:
            self.forgotten = frozenset([file_id for file_id in self._files.values() if file_id][:-MOST_KEPT])
        return self.forgotten

    def take_grown(self) -> bool:
        """Whether some file has been written to since it was closed. It is not kept any longer."""
        grown = [seen for seen, file_id in self._files.items() if self._has_grown(seen, file_id)]
        for seen in grown:
            del self._files[seen]
        return bool(grown)

    def _has_grown(self, seen: FoundFile, file_id: str) -> bool:
        position = self._positions.get(file_id)
        if seen.compressed or seen.live or position is None or not position.offset:
            return False
        try:
            status = os.stat(self._source.root.joinpath(*seen.relative), follow_symlinks=False)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == seen.key and status.st_size > position.size
