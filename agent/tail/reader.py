"""Looks for files, gives each source a tailer, and keeps the books of all of them.

The one place of this station that knows every file: positions for the checkpoint, lag, gaps.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Final

from agent.errors import DiscoveryError
from agent.tail.checkpoint import Position, Restored
from agent.tail.discovery import Discovery
from agent.tail.inotify import Inotify
from agent.tail.reading import Gap, Reading
from agent.tail.tailer import Tailer
from agent.tail.tracked_file import TrackedFile
from agent.tail.types import Found, Source
from agent.telemetry import Occasional

FORGET_AFTER_SECONDS = 7 * 24 * 3600
"""A file that has not been there for so long is not remembered any more."""

SOON_SECONDS: Final = 0.005
"""Until the second look at files that are new: none is begun before its place among the others is known."""

LOOKS_A_SCAN: Final = 5
"""Where the kernel tells of changes, one look in so many goes through all directories nevertheless."""

GONE: Final = "deleted while the agent was stopped"

log = logging.getLogger(__name__)


class Reader:
    """Reads every source there is, until it is cancelled."""

    def __init__(self, reading: Reading, restored: Restored) -> None:
        self._reading = reading
        self._restored = restored
        self._discovery = Discovery(reading.settings)
        self._tailers: dict[Source, Tailer] = {}
        self._by_directory: dict[Path, list[Tailer]] = {}
        self._found: Found = {}
        """At the last look."""
        self._at_end = reading.settings.start_at == "end" and restored.first_start
        """What there is at the first look was there before us."""
        self._look_again = asyncio.Event()
        self._occasional = Occasional()
        self._searched = not restored.positions
        """What was known at the start has been found again, or is known to be gone."""
        self.problem: str | None = None
        """Why nothing can be found now; None: all is well."""
        self.looks = 0
        """How often discovery has looked."""

    async def run(self) -> None:
        inotify = Inotify(self._wake, self._look_again.set, self._discovery.ignores)
        soon_seconds = SOON_SECONDS
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    self._look(inotify, tasks)
                    scan_seconds = self._reading.settings.scan_seconds
                    if self.problem is None and any(tailer.wants_another_look for tailer in self._restless):
                        # Ever later: a file that is never to be opened by its name must not keep us busy.
                        wait_seconds = min(scan_seconds, soon_seconds)
                        soon_seconds *= 2
                    else:
                        wait_seconds, soon_seconds = scan_seconds, SOON_SECONDS
                    try:
                        async with asyncio.timeout(wait_seconds):
                            await self._look_again.wait()
                    except TimeoutError:
                        continue
        finally:
            inotify.close()

    def close(self) -> None:
        """Lets go of every file; after `run` has been cancelled and what was read has been settled."""
        for tailer in self._tailers.values():
            tailer.close()

    @property
    def looked(self) -> bool:
        return self.looks > 0

    def allow(self, settled: Mapping[str, Set[int]]) -> None:
        """Reading may begin. `settled`: file id → where records begin that an earlier life of the agent settled."""
        positions = self._reading.positions
        for file in self.files:
            file.note_settled(settled.get(file.id, frozenset()))
        for file_id in settled.keys() - {file.id for file in self.files}:
            known = positions.get(file_id) or Position("", 0, seen_at=time.time())
            positions[file_id] = replace(known, islands=tuple(sorted({*known.islands, *settled[file_id]})))
        self._reading.allowed.set()

    @property
    def files(self) -> Iterator[TrackedFile]:
        for tailer in self._tailers.values():
            yield from tailer.files

    def path_of(self, file: TrackedFile) -> Path:
        """The path under which the file was found at the last look: rotation gives it another name."""
        for found in self._found.get(file.source, ()):
            if file.is_same(found):
                return file.source.root.joinpath(*found.relative)
        return file.path

    @property
    def in_flight(self) -> int:
        """Records read and not settled."""
        return sum(file.in_flight for tailer in self._restless for file in tailer.files)

    @property
    def sightings(self) -> Iterator[tuple[Source, float]]:
        """Each source that is there, and when it was last written to, in seconds of the monotonic clock."""
        for source, tailer in self._tailers.items():
            if tailer.is_there:
                yield source, tailer.wrote_at

    @property
    def progress(self) -> tuple[int, ...]:
        """Differs when some position does that has to be on disk soon. Much cheaper to ask for than all of them."""
        restless = [file for tailer in self._restless for file in tailer.files]
        return (
            len(restless),
            len(self._reading.positions),
            sum(file.ledger.committed for file in restless),
            sum(file.noted_size for file in restless),
            sum(len(file.scan_ledger) - file.scan_ledger.in_flight for file in restless),
        )

    def positions(self) -> dict[str, Position]:
        """How far each file is settled: those open, and those that are remembered."""
        now = time.time()
        known = self._reading.positions
        for file_id, position in list(known.items()):
            if now - position.seen_at > FORGET_AFTER_SECONDS and not self._is_there(file_id):
                del known[file_id]
        positions = dict(known)
        for tailer in self._tailers.values():
            positions |= tailer.positions()
        return positions

    def _is_there(self, file_id: str) -> bool:
        """Though all of it is settled, and it is not open."""
        return any(file_id in tailer.settled_ids for tailer in self._tailers.values())

    def _look(self, inotify: Inotify, tasks: asyncio.TaskGroup) -> None:
        """Tells each tailer what there is of its source now."""
        self._look_again.clear()
        told = inotify.stirred()
        if self.looks % LOOKS_A_SCAN == 0 or self.problem is not None:
            told = None  # there are file systems that tell of nothing
        elif told is not None:
            # What is on its way to us is not told yet, and with these the order of files depends on the look.
            told |= {tailer.directory for tailer in self._restless}
        before, self._found = self._found, self._discovered(told)
        self.looks += 1
        if self.problem is not None:
            return
        if self._found is not before:
            for source in self._found.keys() - self._tailers.keys():
                tailer = self._tailers[source] = Tailer(source, self._reading, at_end=self._at_end)
                self._by_directory.setdefault(tailer.directory, []).append(tailer)
                tasks.create_task(self._follow(source, tailer), name=f"tail {source.path}")
            inotify.watch(self._discovery.directories)
        for source, tailer in self._tailers.items():
            found = tailer.found if self._found is before else self._found.get(source, ())
            tailer.sighted(found, closely=told is None)
        self._at_end = False
        if not self._searched:
            self._search(self._found.keys())
        self._bound_deleted()

    def _discovered(self, told: Set[Path] | None) -> Found:
        try:
            found = self._discovery.look(told)
        except DiscoveryError as error:
            self.problem = str(error)
            if (fields := self._occasional.fields("root")) is not None:
                log.warning("log root could not be listed", extra={"why": str(error), **fields})
            return {}
        self.problem = None
        return found

    @property
    def _restless(self) -> Iterator[Tailer]:
        """Those that something may still become of, though nobody writes."""
        return (tailer for tailer in self._tailers.values() if not tailer.rests)

    async def _follow(self, source: Source, tailer: Tailer) -> None:
        await tailer.run()
        del self._tailers[source]
        neighbours = self._by_directory[tailer.directory]
        neighbours.remove(tailer)
        if not neighbours:
            del self._by_directory[tailer.directory]

    def _wake(self, directory: Path) -> None:
        for tailer in self._by_directory.get(directory, ()):
            tailer.wake()

    def _search(self, sources: Set[Source]) -> None:
        """Every file that was known and unfinished is in hand now, or it is gone with what was left of it."""
        if any(tailer.is_unsure for tailer in self._tailers.values()):
            return  # at the next look
        self._searched = True
        positions = self._reading.positions
        before = dict(positions)
        lost: list[str] = []
        for file_id, known in before.items():
            if known.complete or file_id in self._reading.followed:
                continue
            del positions[file_id]
            # A log that was rotated away while it is still written to had more than we ever saw of it.
            rotated_away = any(_is_of(known, source) for source in sources)
            if known.size > known.offset or rotated_away:
                lost.append(known.path)
                self._reading.announce(Gap(file_id, known.path, known.offset, known.size, GONE, True))
            else:
                log.warning(
                    "file is gone; it had been read as far as was seen",
                    extra={"path": known.path, "read": known.offset},
                )
        # The oldest are deleted first: where nothing that was known is left, more may be missing after it.
        for source, tailer in self._tailers.items():
            mine = [(file_id, known) for file_id, known in before.items() if _is_of(known, source)]
            if mine and not tailer.is_recognised and not any(known.path in lost for _, known in mine):
                file_id, known = mine[-1]
                self._reading.announce(Gap(file_id, str(source.path), known.size, known.size, GONE, True))

    def _bound_deleted(self) -> None:
        """Beyond `retain_deleted_bytes`, the oldest deleted files are let go of, and what they held is a gap."""
        deleted = [file for tailer in self._restless for file in tailer.files if file.deleted and file.unread]
        excess = sum(file.unread for file in deleted) - self._reading.settings.retain_deleted_bytes
        for file in deleted:
            if excess <= 0:
                return
            excess -= file.unread
            start, lost = file.end, file.abandon()
            self._reading.announce(Gap(file.id, str(file.path), start, start + lost, "deleted"))


def _is_of(known: Position, source: Source) -> bool:
    return known.path.startswith(str(source.path))
