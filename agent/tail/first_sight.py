"""Decides which files of a source are read when the source is seen for the first time in this run.

Opening the files may take several scans: one of them may be renamed in between, or descriptors may be lacking. The
decision stays the same all that time, so it is made from what was known before the first of these scans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agent.tail.checkpoint import Position
from agent.tail.types import FoundFile, Source


class FirstSight:
    """The facts about a source that decide which of its files are read, although nothing is known about them."""

    def __init__(self, source: Source, positions: Mapping[str, Position]) -> None:
        """`positions`: of all files that a previous run, or this one, has read."""
        self._source = source
        # Of a pod every file is read, so nothing has to be looked up for each of its containers.
        mine = positions.items() if not source.pod_uid else ()
        self._known = frozenset(file_id for file_id, position in mine if position.path.startswith(source.name))
        self._live: tuple[int, int] | None = None
        """Device and inode of the live file at the first scan."""
        self._live_id = ""

    def first_of_ours(
        self, found: tuple[FoundFile, ...], id_of: Callable[[FoundFile], str | None], *, at_end: bool
    ) -> int:
        """The number of the first file to be read. Older files were there before the agent.

        `id_of`: the id of a file; it opens the file and may raise FileNotFoundError.
        """
        live = next((number for number, seen in enumerate(found) if seen.live), len(found))
        if self._source.pod_uid:
            return live if at_end else 0
        # A host keeps rotated logs for years: only files that follow on a known one, or that a pattern names, are read.
        if not self._known:
            return live if at_end else self._first_of_a_new_source(found, live, id_of)
        for number, seen in enumerate(found[:live]):
            if id_of(seen) in self._known:
                return number
        return live if live < len(found) and id_of(found[live]) in self._known else 0

    def note_live(self, file_id: str) -> None:
        """The live file was identified: should it be rotated before it is open, it is read all the same."""
        self._live_id = self._live_id or file_id

    def _first_of_a_new_source(
        self, found: tuple[FoundFile, ...], live: int, id_of: Callable[[FoundFile], str | None]
    ) -> int:
        if self._live is None:
            self._live = found[live].key if live < len(found) else (0, 0)
        for number, seen in enumerate(found[:live]):
            was_live = seen.key == self._live or (self._live_id and id_of(seen) == self._live_id)
            if seen.named or was_live:
                return number
        return live
