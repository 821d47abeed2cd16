"""In which order the files of one source are read: oldest first, whatever happens to their names.

A scan and the opening of the files it has found are two moments, and rotations may come in between: a name, and even
an inode, may belong to a younger file by then. So a file begins only when a scan that was made after it was opened has
shown its place among the others, and no file begins while an older one could not be opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from agent.tail.tracked_file import TrackedFile, Turn
from agent.tail.types import FoundFile

OLDEST: Final[Turn] = ("", -1)


class ReadingOrder:
    def __init__(self) -> None:
        self.is_complete = False
        """All files that were found last were considered, so another scan may tell more."""
        self._found: tuple[FoundFile, ...] = ()
        self._newest = ""
        """The newest suffix of a rotated file that was seen."""
        self._waits_for: Turn | None = None
        """The oldest file that was found and is not open yet. Later files wait for it."""

    def start(self, found: tuple[FoundFile, ...]) -> None:
        """The files of this scan are considered now."""
        self._found = found
        self._waits_for = None
        self.is_complete = False

    @contextmanager
    def waiting_for(self, seen: FoundFile) -> Iterator[None]:
        """Files that are younger than `seen` wait when the block raises."""
        try:
            yield
        except FileNotFoundError:
            self.wait_for(seen)
            raise

    def wait_for(self, seen: FoundFile) -> None:
        turn = self._turn_of(seen)
        self._waits_for = turn if self._waits_for is None else min(turn, self._waits_for)

    def wait_for_all(self) -> None:
        """It is not known which file could not be opened: no file begins."""
        if self._waits_for is None:
            self._waits_for = OLDEST

    @property
    def is_waiting(self) -> bool:
        return self._waits_for is not None

    @property
    def live_turn(self) -> Turn:
        """The turn of the live file as of the scans before this one."""
        return self._newest, 1

    def may_begin(self, file: TrackedFile) -> bool:
        """Every older file has been found."""
        return file.confirmed and (self._waits_for is None or file.turn < self._waits_for)

    def sort(self, files: list[TrackedFile]) -> None:
        """Puts the files that have not begun in order, also where an older one was found later.

        A file that was renamed and compressed between two scans is recognised by its alias. Until then, and when it
        was deleted, it keeps the place where it was last seen: after everything that had been rotated by then.
        """
        self._newest = max([self._newest, *(seen.rotated for seen in self._found)])
        places = {seen.key: seen for seen in self._found}
        for file in files:
            seen = places.get(file.found.key) or places.get(file.alias)
            if seen is not None:
                file.turn = self._turn_of(seen)
        begun = [file for file in files if file.begun]
        waiting = sorted((file for file in files if not file.begun), key=lambda file: file.turn)
        current, begun = begun[-1:], begun[:-1]
        # A file that could be opened only now is read before the one that is being read is gone on with.
        late = [file for file in waiting if current and file.turn < current[0].turn]
        files[:] = [*begun, *late, *current, *waiting[len(late) :]]
        self.is_complete = True

    def confirm(self, before: list[TrackedFile]) -> None:
        """Files that were open before this scan stand where it has seen them.

        A file that was opened after the scan may be a younger one: its name and its inode may both have been reused
        in between. While it is open, nobody else gets its inode.
        """
        seen_again = {seen.key for seen in self._found}
        for file in before:
            if self._waits_for is None or {file.found.key, file.alias} & seen_again:
                file.confirmed = True

    def _turn_of(self, seen: FoundFile) -> Turn:
        if seen.rotated:
            return seen.rotated, 0
        return max([self._newest, *(other.rotated for other in self._found)]), 1
