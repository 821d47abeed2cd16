"""Follows one source: its files in the order they were written, each to its end, in chunks.

A single task owns a source. A rotated file is drained through its open descriptor before the next
one is begun; the joining of partial lines goes on across that border. What is read is handed on with
its ledger entry, and progress is only what the ledger commits. When the budget is spent, reading waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from agent.core.reading.ledger import Entry
from agent.core.reading.records import Records
from agent.core.reading.scan_ledger import ScanEntry
from agent.tail.checkpoint import Position, this_hour
from agent.tail.content import DamagedLog
from agent.tail.file_tracker import FileTracker
from agent.tail.reading import Chunk, Gap, Reading
from agent.tail.tracked_file import TrackedFile
from agent.tail.types import FoundFile, Source
from agent.tail.urgent_scan import UrgentScan
from agent.telemetry import Occasional

CHUNK_BYTES: Final = 256 * 1024


log = logging.getLogger(__name__)


class Tailer:
    """Follows one source until it is gone."""

    def __init__(self, source: Source, reading: Reading, *, at_end: bool) -> None:
        self.source = source
        self.directory = source.path.parent
        """Where its live file is."""
        self.files: list[TrackedFile] = []
        """Oldest first: those that ended and wait to be settled, the one being read, those whose turn will come."""
        self._reading = reading
        self._at_end = at_end
        self.found: tuple[FoundFile, ...] = ()
        """At the last look."""
        self._in_hand = -1
        """How many files there were when those that were found were last gone through."""
        self._file_tracker = FileTracker(source, reading.settings, reading.positions, reading.followed, self._complain)
        self._express = UrgentScan(reading, self.files, self._hand_on) if reading.matcher is not None else None
        self.rests = False
        """Nothing becomes of it but by somebody writing: all there is has been read and settled."""
        self._is_heard = False
        """What is written here is told; it was before."""
        self._kept: dict[str, Position] | None = None
        """Where its files stand while it rests, if that was asked for."""
        self._kept_in = 0.0
        self._tasks: asyncio.TaskGroup | None = None
        self._woken = asyncio.Event()
        self._began_at = time.monotonic()
        self._occasional = Occasional()

    def sighted(self, found: tuple[FoundFile, ...], *, closely: bool) -> None:
        """What discovery saw of this source; nothing: it is gone. Not `closely`: any change would have been told."""
        is_new = found is not self.found
        if self.rests and not is_new:
            if self._is_heard and not closely:
                return
            for file in self.files:
                if file.was_written(closely=closely):
                    break
            else:
                return
        self._stir()
        changed = is_new and found != self.found
        self.found = found
        for file in self.files:
            file.note_look(found)
        if changed or self._may_find_more:
            self._take_in(fresh=True)
        if changed or not found or any(file.has_work for file in self.files):
            self._woken.set()
        self._go_ahead()
        self.rests = bool(self.files) and not self._may_find_more and all(file.rests for file in self.files)

    def wake(self) -> None:
        """Something was written, the kernel says."""
        self._is_heard = True
        self._stir()
        if self._file_tracker.is_waiting:
            self._take_in(fresh=False)
        self._woken.set()
        self._go_ahead()

    @property
    def settled_ids(self) -> set[str]:
        """Files that are still there, though all of them is settled."""
        return set(self._file_tracker.settled.values())

    @property
    def is_unsure(self) -> bool:
        """Some file could not be opened at the last look."""
        return self._file_tracker.unsure

    @property
    def wants_another_look(self) -> bool:
        """A file is in hand whose place among the others only the next look can tell."""
        return self._file_tracker.wants_another_look(self.files)

    @property
    def is_there(self) -> bool:
        """Discovery sees it, though there may be nothing in its file yet, as after a rotation."""
        return bool(self.found)

    @property
    def wrote_at(self) -> float:
        """When it was last written to, in seconds of the monotonic clock; before that is known, when it was found."""
        if not self.rests:
            for file in self.files:
                file.note_size()
        return max((file.wrote_at for file in self.files), default=self._began_at)

    def positions(self) -> dict[str, Position]:
        """How far each of its files is settled, by file id."""
        hour = this_hour()
        if self._kept is not None and self._kept_in == hour:
            return self._kept
        positions = {file.id: file.position for file in self.files}
        if self.rests:
            self._kept, self._kept_in = positions, hour
        return positions

    @property
    def is_recognised(self) -> bool:
        """Some of its files had been read before."""
        return self._file_tracker.recognised

    async def run(self) -> None:
        """Reads until the source is gone and everything read of it is settled."""
        async with asyncio.TaskGroup() as self._tasks:
            while self.found or self.files:
                await self._advance()
                await self._woken.wait()
                self._woken.clear()

    def close(self) -> None:
        """Lets go of every file. What of it was settled by now stays known."""
        for file in list(self.files):
            self._close(file)
        self._file_tracker.close()

    def _stir(self) -> None:
        self.rests = False
        self._kept = None

    def _go_ahead(self) -> None:
        """Starts an express scan when there is a backlog, beside the ordinary pass."""
        if self._express is not None and self._tasks is not None and self._express.is_due():
            self._tasks.create_task(self._sweep(self._express), name=f"express {self.source.path}")

    async def _sweep(self, express: UrgentScan) -> None:
        try:
            await express.sweep()
        except OSError as error:
            self._complain(error)

    @property
    def _may_find_more(self) -> bool:
        """The same files that were seen at the last look may be others to us by now."""
        file_tracker, files = self._file_tracker, self.files
        return (
            file_tracker.unsure
            or file_tracker.is_waiting
            or self.wants_another_look
            or len(files) != self._in_hand
            or any(file.replaced or file.deleted for file in files)
        )

    def _take_in(self, *, fresh: bool) -> None:
        try:
            self._file_tracker.take(self.found, self.files, at_end=self._at_end, fresh=fresh)
        except OSError as error:
            self._complain(error)
        else:
            self._in_hand = len(self.files)

    async def _advance(self) -> None:
        """Reads all there is now, file after file, and lets go of what is done."""
        previous, turn = None, 0
        while turn < len(self.files):
            file = self.files[turn]
            if not file.begun:
                if not self._file_tracker.may_begin(file):
                    break
                file.begin(previous)
            if not await self._has_passed(file):
                break
            # Asked anew: while it was read, one may have been found that stands between it and the next.
            previous, turn = file, self.files.index(file) + 1
        for file in [file for file in self.files if file.is_done]:
            self._close(file)

    async def _has_passed(self, file: TrackedFile) -> bool:
        """Reads what there is of a file; whether the next one may be read then."""
        try:
            await self._read(file)
            if file.ended:
                await self._read_late(file)
                return True
            if not file.has_ended(self.found):
                await self._give_up_on_partial(file)
                return False
            # Once more: what was written between the read and the rename.
            await self._read(file)
            if file.is_torn:
                return False
            await self._finish(file)
        except DamagedLog as error:
            self._complain(error)
            self._lose(file, "damaged", at_least=True)
            file.abandon()
        except OSError as error:
            self._complain(error)
            # What cannot be read now is tried again at each look, and does not keep back what comes after it.
            return file.ended or file.has_ended(self.found)
        return True

    async def _read(self, file: TrackedFile) -> None:
        """Everything up to the end of what is there."""
        await self._reading.allowed.wait()
        budget = self._reading.budget
        while (ahead := file.readable(CHUNK_BYTES)) > 0:
            await self._reading.turns.take()
            await budget.acquire(ahead)
            try:
                data = file.read(ahead)
            except OSError:
                budget.adjust(-ahead)
                raise
            if not data:
                budget.adjust(-ahead)
                break
            self._stir()
            self._reading.telemetry.read_bytes.inc(len(data))
            records = file.join(file.cut(data, time.monotonic()))
            # Whoever waits for the budget next holds no bytes outside of it: with many files that adds up.
            del data
            await self._enter(file, records, ahead)
            del records
        file.caught_up_at = time.monotonic()

    async def _read_late(self, file: TrackedFile) -> None:
        """What is left of a file that has ended: a torn last line, a record whose last part never came."""
        if (cut := file.last_line()) is not None:
            await self._enter(file, file.join(cut), 0)
        await self._give_up_on_partial(file)

    async def _enter(self, file: TrackedFile, records: Records, cost_bytes: int) -> None:
        entry = file.enter(records, time.monotonic())
        if not len(records):
            self._reading.budget.adjust(-cost_bytes)
            return
        await self._hand_on(file, records, entry, cost_bytes)

    async def _hand_on(self, file: TrackedFile, records: Records, entry: Entry | ScanEntry, cost_bytes: int) -> None:
        self._reading.telemetry.records_read.inc(len(records))
        await self._reading.deliver(Chunk(file, records, entry, cost_bytes))

    async def _give_up_on_partial(self, file: TrackedFile) -> None:
        since = file.joiner.waiting_since
        if since is not None and time.monotonic() - since >= self._reading.settings.partial_seconds:
            await self._enter(file, file.joiner.close_incomplete(), 0)

    async def _finish(self, file: TrackedFile) -> None:
        """Its writer has left it."""
        file.ended = True
        if file.replaced:
            log.warning("file truncated", extra={"path": str(file.path), "file": file.id, "read": file.end})
        else:
            log.info("file ended", extra={"path": str(file.path), "file": file.id, "bytes": file.end})
        if file.vanished_bytes:
            self._lose(file, "truncated")
        if file.joiner.open_records and (file.replaced or (not self.found and file is self.files[-1])):
            await self._enter(file, file.joiner.close_incomplete(), 0)

    def _lose(self, file: TrackedFile, why: str, *, at_least: bool = False) -> None:
        end = file.end + file.vanished_bytes
        self._reading.announce(Gap(file.id, str(file.path), file.end, end, why, at_least))

    def _close(self, file: TrackedFile) -> None:
        self._file_tracker.release(file)
        self.files.remove(file)
        file.close()

    def _complain(self, error: OSError) -> None:
        fields = self._occasional.fields(f"{error.filename}{error.errno}")
        if fields is not None:
            path = error.filename or str(self.source.path)
            log.warning("file could not be read", extra={"path": path, "why": error.strerror, **fields})
