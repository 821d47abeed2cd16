"""Reads the bytes before an offset of a compressed file, in a thread: everything before them has to be decompressed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from msgspec import Struct

from agent.tail.content import LogBytes
from agent.tail.types import FoundFile


class Verification(Struct):
    """One file. While the thread runs, the content belongs to the thread."""

    seen: FoundFile
    content: LogBytes
    markers: dict[int, bytes]
    """Bytes before an offset, as far as they were read."""
    ours: bool
    unread: int
    """Bytes that will be read when the file is opened."""
    done: bool = False
    abandoned: bool = False
    error: Exception | None = None


class Verifications:
    """The verifications of one source. `look_again` is called on the loop when a file can be judged again."""

    def __init__(self, look_again: Callable[[], None]) -> None:
        self._look_again = look_again
        self._running: dict[tuple[int, int], Verification] = {}
        self._markers: dict[FoundFile, tuple[tuple[int, int], dict[int, bytes]]] = {}
        """The state of each file and the markers that were read then, so that no marker is decompressed for twice."""

    def start(
        self,
        seen: FoundFile,
        content: LogBytes,
        offset: int,
        markers: dict[int, bytes],
        *,
        ours: bool,
        unread: int = 0,
    ) -> None:
        self._markers[seen] = (content.state(), markers)
        verification = self._running[seen.key] = Verification(seen, content, markers, ours, unread)
        work = asyncio.get_running_loop().run_in_executor(None, content.seek, offset)
        work.add_done_callback(lambda work: self._end(verification, offset, work))

    def markers_of(self, seen: FoundFile, content: LogBytes) -> dict[int, bytes]:
        """The markers that were read of the file; none if it was renamed or written to since."""
        state, markers = self._markers.get(seen, ((-1, 0), {}))
        return markers if state == content.state() else {}

    def keep(self, found: Collection[FoundFile]) -> None:
        """Forgets the markers of all other files."""
        if self._markers:
            self._markers = {seen: markers for seen, markers in self._markers.items() if seen in found}

    def has(self, seen: FoundFile) -> bool:
        return seen.key in self._running

    @property
    def pending(self) -> list[FoundFile]:
        return [verification.seen for verification in self._running.values()]

    @property
    def unread(self) -> int:
        """Bytes that wait to be read in these files."""
        return sum(verification.unread for verification in self._running.values())

    @property
    def is_done(self) -> bool:
        """Some file can be judged again."""
        return bool(self._running) and any(verification.done for verification in self._running.values())

    def take_done(self) -> list[Verification]:
        done = [verification for verification in self._running.values() if verification.done]
        for verification in done:
            del self._running[verification.seen.key]
        return done

    def close(self) -> None:
        """Closes every file, at once or when its thread is done with it."""
        for verification in self._running.values():
            verification.abandoned = True
            if verification.done:
                verification.content.close()
        self._running.clear()

    def _end(self, verification: Verification, offset: int, work: asyncio.Future[bytes]) -> None:
        verification.done = True
        if verification.abandoned:
            verification.content.close()
            return
        if work.cancelled():
            verification.error = OSError("was not decompressed: the agent stops")
        elif (error := work.exception()) is not None:
            verification.error = error if isinstance(error, Exception) else OSError(str(error))
        else:
            verification.markers[offset] = work.result()
        self._look_again()
