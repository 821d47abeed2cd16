"""Files that a scan has seen and that could not be opened: when they vanish, their bytes are lost."""

from __future__ import annotations

from collections.abc import Iterable

from agent.tail.types import FoundFile


class Unopened:
    """For one source."""

    def __init__(self) -> None:
        self._files: dict[tuple[int, int], FoundFile] = {}

    def add(self, seen: FoundFile) -> None:
        self._files[seen.key] = seen

    def discard(self, seen: FoundFile) -> None:
        """The file is open."""
        self._files.pop(seen.key, None)

    def vanished(self, found: Iterable[FoundFile]) -> list[FoundFile]:
        """Files with content that are not there any more, and were not compressed. They are forgotten."""
        there = {seen.key: seen for seen in found}
        names = {seen.relative[-1] for seen in there.values() if seen.compressed}
        lost = []
        for key, seen in list(self._files.items()):
            if key in there:
                self._files[key] = there[key]
                continue
            del self._files[key]
            was_compressed = any(name.startswith(seen.relative[-1]) for name in names) and not seen.compressed
            if seen.size and not was_compressed:
                lost.append(seen)
        return lost
