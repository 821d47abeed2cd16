"""Scans for log files, gives each source a tailer, and knows how far every file is settled.

One task scans; each source has a task of its own. A scan never waits for a tailer. Promises: an exception of one source
does not end the others; what was known at the start and is gone is announced as a gap; positions for the checkpoint
stay bounded. Ends when it is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from agent.core.proof.segment import Statement
from agent.errors import DiscoveryError
from agent.flow.ticks import seconds_to_tick
from agent.tail.checkpoint import Position, Restored
from agent.tail.descriptor_turns import DescriptorTurns
from agent.tail.discovery import Discovery
from agent.tail.inotify import Inotify
from agent.tail.known_files import KnownFiles
from agent.tail.retained import release_excess
from agent.tail.saves import Saves
from agent.tail.tailer import Tailer
from agent.tail.tracked_file import TrackedFile
from agent.tail.types import Found, Gap, Reading, Source
from agent.telemetry import Occasional

NEXT_TURN_SECONDS: Final = 0.05
"""Until the next scan after descriptors became free for other files."""

SOON_SECONDS: Final = 0.005
"""Until the second scan after new files were found: no file begins before its place among the others is known."""

SAVE_LOOP_LATER_SECONDS: Final = 0.005
"""After a write. The save loop looks four times a second."""

CLOSE_SCAN_EVERY: Final = 5
"""If inotify works, scans look only at directories with changes. One scan in this number looks at all of them."""

PROGRESS_LOST: Final = "progress was lost: no checkpoint could be read"

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
        """At the last scan."""
        self._at_end = reading.settings.start_at == "end" and restored.first_start
        """Files of the first scan were there before the agent."""
        self._scan_now = asyncio.Event()
        self._occasional = Occasional()
        self._known_files = KnownFiles(reading, undecided=bool(restored.positions))
        self._root_problem: str | None = None
        self._turns = DescriptorTurns(reading.lacks_descriptors)
        self.looks = 0
        """The number of scans so far."""

    async def run(self) -> None:
        inotify = Inotify(self._wake, self._scan_now.set, self._discovery.ignores)
        soon_seconds = SOON_SECONDS
        self._announce_lost_progress()
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    self._scan(inotify, tasks)
                    scan_seconds = self._reading.settings.scan_seconds
                    if self._turns.made_room:
                        wait_seconds = min(scan_seconds, NEXT_TURN_SECONDS)
                    elif self._root_problem is None and any(tailer.wants_another_scan for tailer in self._not_idle):
                        # Ever later: a file that can never be opened by its name must not keep the agent busy.
                        wait_seconds = min(scan_seconds, soon_seconds)
                        soon_seconds *= 2
                    else:
                        now = asyncio.get_running_loop().time()
                        wait_seconds, soon_seconds = seconds_to_tick(now, scan_seconds), SOON_SECONDS
                    try:
                        async with asyncio.timeout(wait_seconds):
                            await self._scan_now.wait()
                    except TimeoutError:
                        continue
        finally:
            inotify.close()

    def close(self) -> None:
        """Closes every file. Called after `run` was cancelled and what was read has been settled."""
        for tailer in self._tailers.values():
            tailer.close()

    @property
    def problem(self) -> str | None:
        """Why some logs cannot be read now. None: all can."""
        return self._root_problem or self._turns.problem

    @property
    def waiting_files(self) -> int:
        """Files that wait for a free file descriptor."""
        return self._turns.waiting

    @property
    def root_problem(self) -> str | None:
        """Why the log root cannot be listed. None: it can."""
        return self._root_problem

    @property
    def looked(self) -> bool:
        return self.looks > 0

    def allow(self, settled: Mapping[str, Set[int]]) -> None:
        """Reading may begin. `settled`: by file id, the offsets of records that a previous run has settled."""
        positions = self._reading.positions
        for file in self.files:
            file.note_settled(settled.get(file.id, frozenset()))
        for file_id in settled.keys() - {file.id for file in self.files}:
            known = positions.get(file_id) or Position("", 0, seen_at=time.time())
            offsets = tuple(sorted({*known.settled_out_of_order, *settled[file_id]}))
            positions[file_id] = replace(known, settled_out_of_order=offsets)
        self._reading.allowed.set()
        self._reading.moved.set()

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
    def is_busy(self) -> bool:
        """Some open file is not read to its end and settled, or the next scan has to show that it is."""
        return any(tailer.files for tailer in self._not_idle)

    @property
    def in_flight(self) -> int:
        """Records read and not settled."""
        return sum(file.in_flight for tailer in self._not_idle for file in tailer.files)

    @property
    def saves(self) -> Saves:
        """The saves that the readers wait for; the save loop does them."""
        return self._reading.saves

    @property
    def partial_bytes(self) -> int:
        """Bytes of records that were read in part."""
        return self._reading.partials.total_bytes

    @property
    def waiting_bytes(self) -> int:
        """Unread bytes of files that were found and cannot be read yet."""
        return sum(tailer.waiting_bytes for tailer in self._not_idle)

    @property
    def sightings(self) -> Iterator[tuple[Source, float]]:
        """Each source that is there, and when it was last written to, in seconds of the monotonic clock."""
        for source, tailer in self._tailers.items():
            if tailer.is_there:
                yield source, tailer.wrote_at

    @property
    def progress(self) -> tuple[int, ...]:
        """Differs when some position does that has to be on disk soon. Costs much less than all positions."""
        files = [file for tailer in self._not_idle for file in tailer.files]
        return (
            len(files),
            len(self._reading.positions),
            sum(file.ledger.committed for file in files),
            sum(file.noted_size for file in files),
            sum(len(file.scan_ledger) - file.scan_ledger.in_flight for file in files),
        )

    def positions(self) -> dict[str, Position]:
        """The position of each file, by file id: of the open files and of the remembered ones."""
        positions = dict(self._reading.positions)
        for tailer in self._tailers.values():
            positions |= tailer.positions()
        return positions

    def statements(self) -> list[Statement]:
        """The statements about all files that no seal has yet."""
        statements = list(self._reading.finished)
        for file in self.files:
            statements += file.statements
        return statements

    def note_stated(self, statements: Sequence[Statement], number: int) -> None:
        """The seal of this number states these."""
        by_file: dict[str, list[Statement]] = {}
        for statement in statements:
            by_file.setdefault(statement.file, []).append(statement)
        stated = set(map(id, statements))
        self._reading.finished[:] = [one for one in self._reading.finished if id(one) not in stated]
        for file in self.files:
            file.digest.note_stated(by_file.get(file.id, ()), number)

    def note_rejected(self, file_id: str, offset: int) -> None:
        """CloudWatch has rejected a record. Called before the record is settled."""
        for file in self.files:
            if file.id == file_id:
                file.digest.reject(offset)

    def settled_unshipped(self) -> dict[str, tuple[list[int], list[int]]]:
        """By file id: offsets of records settled out of order that were not shipped: rejected, filtered."""
        found = {file.id: file.settled_unshipped() for tailer in self._not_idle for file in tailer.files}
        return {file_id: offsets for file_id, offsets in found.items() if any(offsets)}

    def _scan(self, inotify: Inotify, tasks: asyncio.TaskGroup) -> None:
        """Looks at what there is, and tells each tailer about its source."""
        self._scan_now.clear()
        known = len(self._reading.positions)
        changed = inotify.changed_directories()
        if self.looks % CLOSE_SCAN_EVERY == 0 or self._root_problem is not None:
            changed = None  # some file systems report nothing
        elif changed is not None:
            # A change may not have been reported yet, and the order of these files depends on the scan.
            changed |= {tailer.directory for tailer in self._not_idle}
        before, self._found = self._found, self._discovered(changed)
        self.looks += 1
        if self._root_problem is not None:
            return
        if self._found is not before:
            for source in self._found.keys() - self._tailers.keys():
                self._follow(source, tasks)
            inotify.watch(self._discovery.directories)
        for source, tailer in self._turns.in_turn(self._tailers):
            found = tailer.found if self._found is before else self._found.get(source, ())
            try:
                tailer.note_scan(found, closely=changed is None)
            except Exception as error:  # noqa: BLE001  # one source must not end the others
                self._reading.telemetry.defects.note("file", error)
        self._at_end = False
        self._turns.make_room(list(self._tailers.values()))
        self._known_files.judge(self._tailers)
        release_excess(list(self._not_idle), self._reading)
        self._known_files.forget_positions(self._tailers)
        if self.is_busy or len(self._reading.positions) != known:
            self._reading.moved.set()

    def _discovered(self, changed: Set[Path] | None) -> Found:
        try:
            found = self._discovery.look(changed)
        except DiscoveryError as error:
            self._root_problem = str(error)
            if (fields := self._occasional.fields("root")) is not None:
                log.warning("log root could not be listed", extra={"why": str(error), **fields})
            return {}
        self._root_problem = None
        return found

    @property
    def _not_idle(self) -> Iterator[Tailer]:
        return (tailer for tailer in self._tailers.values() if not tailer.is_idle)

    def _follow(self, source: Source, tasks: asyncio.TaskGroup) -> None:
        # Without the checkpoint nothing tells which files were read, so all of them are.
        all_is_ours = bool(self._restored.progress_lost) and self.looks <= 1
        tailer = self._tailers[source] = Tailer(source, self._reading, at_end=self._at_end, all_is_ours=all_is_ours)
        self._by_directory.setdefault(tailer.directory, []).append(tailer)
        tasks.create_task(self._run(source, tailer), name=f"tail {source.name}")

    async def _run(self, source: Source, tailer: Tailer) -> None:
        await tailer.run()
        del self._tailers[source]
        neighbours = self._by_directory[tailer.directory]
        neighbours.remove(tailer)
        if not neighbours:
            del self._by_directory[tailer.directory]

    def _wake(self, directory: Path) -> None:
        if not self._reading.moved.is_set():
            # The save loop begins when the put is under way: its work must not stand between a write and its put.
            asyncio.get_running_loop().call_later(SAVE_LOOP_LATER_SECONDS, self._reading.moved.set)
        for tailer in self._by_directory.get(directory, ()):
            try:
                tailer.wake()
            except Exception as error:  # noqa: BLE001  # one source must not end the others
                self._reading.telemetry.defects.note("file", error)

    def _announce_lost_progress(self) -> None:
        if lost := self._restored.progress_lost:
            self._reading.announce(Gap(lost, lost, 0, 0, PROGRESS_LOST, at_least=True))
