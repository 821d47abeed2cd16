"""Remembers when the files of one source were last written to: a file that has just been written may be a copy that
is still being made.
"""

from __future__ import annotations

import time
from collections.abc import Set
from typing import Final

from agent.tail.content import LogBytes
from agent.tail.types import FoundFile

COPYING_SECONDS: Final = 5.0
"""A copy that nobody has written to for so long is complete."""

State = tuple[int, int]
"""Size, and time of the last write in nanoseconds."""


class LastWrites:
    """The last writes to the files of one source. A file is known by its device and inode."""

    def __init__(self) -> None:
        self._writes: dict[tuple[int, int], tuple[State, float]] = {}
        """The state of the file, and when it was last written to, in seconds of the monotonic clock."""

    def keep(self, keys: Set[tuple[int, int]]) -> None:
        """Forgets all other files."""
        self._writes = {key: written for key, written in self._writes.items() if key in keys}

    def are_recent(self, seen: FoundFile, content: LogBytes) -> bool:
        """Whether the file was written to within the last seconds."""
        now, state = time.monotonic(), content.state()
        known = self._writes.get(seen.key)
        if known is None or known[0] != state:
            # From here on the monotonic clock counts: a wall clock that was set back must not make this last.
            known = (state, now - max(0.0, time.time() - content.changed_at()))
            self._writes[seen.key] = known
        return now - known[1] < COPYING_SECONDS

    def followed(self, seen: FoundFile, content: LogBytes) -> bool:
        """Whether the file was written to since it was last asked about."""
        known = self._writes.get(seen.key)
        return known is not None and known[0] != content.state()
