"""Follows one source: its files in the order they were written, each to its end, in chunks.

A single task owns a source. A rotated file is read to its end through its open descriptor before the next file is
begun; the joining of partial lines goes on across that border. Each chunk is delivered with its ledger entry, and
progress is only what the ledger commits. When the budget is spent, reading waits. An exception that one file causes
ends at the `Edge`: the other files of the source, and all other sources, go on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from functools import partial

from agent.tail.checkpoint import Position, this_hour
from agent.tail.chunks import CHUNK_BYTES, Chunks
from agent.tail.content import DamagedLog
from agent.tail.descriptor_choice import OpenFile
from agent.tail.edge import Edge
from agent.tail.file_tracker import FileTracker
from agent.tail.names import printable
from agent.tail.tracked_file import TrackedFile
from agent.tail.types import DAMAGED, TRUNCATED, FoundFile, Gap, Reading, Source
from agent.tail.urgent_scan import UrgentScan

log = logging.getLogger(__name__)


class Tailer:
    """Follows one source until it is gone."""

    def __init__(self, source: Source, reading: Reading, *, at_end: bool, all_is_ours: bool = False) -> None:
        self.source = source
        self.directory = source.path.parent
        """The directory of the live file."""
        self.files: list[TrackedFile] = []
        """Oldest first: those that ended and wait to be settled, the one being read, those whose turn will come."""
        self.found: tuple[FoundFile, ...] = ()
        """At the last scan."""
        self.is_idle = False
        """Everything is read and settled; only a write changes that."""
        self._reading = reading
        self._at_end = at_end
        self._skips_at_first_sight = at_end or not source.pod_uid
        """Files that were there before the agent are skipped, and this decision is not in the checkpoint yet."""
        self._edge = Edge(reading.telemetry, source.name)
        self._file_tracker = FileTracker(source, reading, self._edge, self._look_again, all_is_ours=all_is_ours)
        self._chunks = Chunks(source, reading, self._note_data)
        self._urgent_scan = (
            UrgentScan(source, reading, self.files, self._chunks.deliver, self._edge)
            if reading.matcher is not None
            else None
        )
        self._files_at_last_take = -1
        self._inotify_works = False
        """inotify has reported a write in this directory before."""
        self._idle_positions: tuple[float, dict[str, Position]] | None = None
        """Positions while it is idle, and the hour they were made in."""
        self._tasks: asyncio.TaskGroup | None = None
        self._woken = asyncio.Event()
        self._wrote_at = time.monotonic()
        """The time of the last write to a file that is closed now; until it is known, the time of discovery."""
        self.gave_way_at = 0.0
        """The time at which a file was last closed so that others could be opened."""
        self._is_reading = False
        """The task of this source is at work, and may be in the middle of a file."""

    def note_scan(self, found: tuple[FoundFile, ...], *, closely: bool) -> None:
        """Discovery has seen these files of the source; none: it is gone.

        Not `closely`: inotify would have reported any change, so an idle source need not be looked at.
        """
        is_new = found is not self.found
        if self.is_idle and not is_new and not self._changed_while_idle(closely=closely):
            return
        self._leave_idle()
        changed = is_new and found != self.found
        self.found = found
        for file in self.files:
            if self._edge.may_try(scan := ("scan", file.id)):
                try:
                    file.note_scan(found, copy_may_come=self._file_tracker.may_find_copy_of(file))
                except Exception as error:  # noqa: BLE001  # the edge
                    self._edge.meet(error, scan)
        grown = self._file_tracker.take_grown()
        if changed or grown or self._may_find_more:
            self._take_files(fresh=True)
        if changed or not found or any(not file.is_idle for file in self.files):
            self._woken.set()
        self._start_urgent_scan()
        is_followed = bool(self.files or self._file_tracker.closed)
        self.is_idle = is_followed and not self._may_find_more and all(file.is_idle for file in self.files)

    def wake(self) -> None:
        """inotify reports a write to the directory."""
        self._inotify_works = True
        self._look_again()

    def _look_again(self) -> None:
        """Something was written, or a file can be judged that could not be judged before."""
        self._leave_idle()
        # While files wait for a descriptor, only a scan opens files: it knows whose turn it is.
        if not self._reading.lacks_descriptors.is_set() and self._file_tracker.take_openable():
            self._take_files(fresh=False)
        self._woken.set()
        if self._is_reading:
            self._start_urgent_scan()

    @property
    def closed_ids(self) -> set[str]:
        """Ids of files that are still there and closed."""
        return {*self._file_tracker.settled.ids, *self._file_tracker.closed.ids}

    def forget_oldest(self) -> frozenset[str]:
        """Ids of settled files that are there, and whose positions need not be kept."""
        return self._file_tracker.settled.forget_oldest()

    @property
    def is_unsure(self) -> bool:
        """Some file could not be opened at the last scan."""
        return self._file_tracker.unsure

    @property
    def lacking(self) -> int:
        """Files that were not opened at the last scan, because too few descriptors are left."""
        return self._file_tracker.lacking

    def take_vanished(self) -> list[str]:
        """Ids of files that vanished while they were not open. Each is returned once."""
        vanished, self._file_tracker.vanished_ids = self._file_tracker.vanished_ids, []
        return vanished

    def open_files(self) -> Iterator[OpenFile]:
        """The files that can be closed, so that others can be opened, and opened again later."""
        for file in self.files:
            seen = next((seen for seen in self.found if file.is_same(seen)), None)
            if seen is not None and file.can_be_reopened:
                is_idle = file.is_idle or (file.ended and file.is_complete)
                may_close = file.is_settled and not self._is_reading
                close, pause = partial(self._close_for_now, file, seen), partial(setattr, file, "is_paused", True)
                yield OpenFile(file.wrote_at, file.turn_since, file.begun, file.scans, is_idle, may_close, close, pause)
        for seen, content in self._file_tracker.unidentified:
            wrote_at = time.monotonic() - max(0.0, time.time() - content.changed_at())
            close = partial(self._file_tracker.close_unidentified, seen)
            yield OpenFile(wrote_at, wrote_at, False, 0, True, True, close, close)

    def resume(self) -> None:
        """Files that were paused are read again."""
        for file in self.files:
            file.is_paused = False

    @property
    def waiting_bytes(self) -> int:
        """Unread bytes of files that were found and cannot be read yet."""
        return self._file_tracker.waiting_bytes

    @property
    def wants_another_scan(self) -> bool:
        """A file is open whose place among the others only the next scan can show."""
        return self._file_tracker.wants_another_scan(self.files)

    @property
    def is_there(self) -> bool:
        """Discovery sees the source, though its file may be empty, as after a rotation."""
        return bool(self.found)

    @property
    def is_recognised(self) -> bool:
        """Some of its files had been read by a previous run of the agent."""
        return self._file_tracker.recognised

    @property
    def wrote_at(self) -> float:
        """The time of the last write, in seconds of the monotonic clock; until it is known, the time of discovery."""
        if not self.is_idle:
            for file in self.files:
                file.note_size()
        return max((file.wrote_at for file in self.files), default=self._wrote_at)

    def positions(self) -> dict[str, Position]:
        """The position of each of its files, by file id."""
        hour = this_hour()
        if self._idle_positions is not None and self._idle_positions[0] == hour:
            return self._idle_positions[1]
        positions = {file.id: file.position for file in self.files}
        if self.is_idle:
            self._idle_positions = (hour, positions)
        return positions

    async def run(self) -> None:
        """Reads until the source is gone and everything that was read of it is settled."""
        async with asyncio.TaskGroup() as self._tasks:
            try:
                while self.found or self.files:
                    self._is_reading = True
                    try:
                        await self._advance()
                    except Exception as error:  # noqa: BLE001  # the edge
                        self._edge.meet(error)
                    self._is_reading = False
                    await self._woken.wait()
                    self._woken.clear()
            finally:
                self._tasks = None  # no urgent scan begins any more

    def close(self) -> None:
        """Closes every file. How far it was settled stays known."""
        for file in list(self.files):
            self._close(file)
        self._file_tracker.close()

    def _changed_while_idle(self, *, closely: bool) -> bool:
        if self._inotify_works and not closely:
            return False
        changed = any(file.changed_since_scan(closely=closely) for file in self.files)
        return changed or self._file_tracker.take_grown()

    def _note_data(self, size: int) -> None:
        self._leave_idle()
        if size == CHUNK_BYTES:  # there may be much more
            self._start_urgent_scan()

    def _leave_idle(self) -> None:
        self.is_idle = False
        self._idle_positions = None

    def _start_urgent_scan(self) -> None:
        """Starts an urgent scan when there is a backlog. It runs beside the ordinary reading."""
        if self._urgent_scan is not None and self._tasks is not None:
            self._urgent_scan.start_if_due(self._tasks)

    @property
    def _may_find_more(self) -> bool:
        """The same files that were seen at the last scan may have to be judged again."""
        file_tracker, files = self._file_tracker, self.files
        return (
            file_tracker.unsure
            or file_tracker.has_unidentified
            or self.wants_another_scan
            or len(files) != self._files_at_last_take
            or any(file.replaced or file.deleted for file in files)
        )

    def _take_files(self, *, fresh: bool) -> None:
        try:
            self._file_tracker.take(self.found, self.files, at_end=self._at_end, fresh=fresh)
        except Exception as error:  # noqa: BLE001  # the edge
            self._edge.meet(error)
        else:
            self._files_at_last_take = len(self.files)

    async def _advance(self) -> None:
        """Reads all there is now, file after file, and closes the files that are done."""
        previous, number = None, 0
        while number < len(self.files):
            file = self.files[number]
            if not file.begun:
                if not self._file_tracker.may_begin(file):
                    break
                file.begin(previous)
                if self._skips_at_first_sight:
                    await self._reading.saves.next()
                    self._skips_at_first_sight = False
                for each in (file, previous):  # the partial records have changed hands
                    if each is not None:
                        self._chunks.note_partials(each)
            if not await self._has_passed(file):
                break
            # Asked again: while the file was read, another may have been found that stands before the next one.
            previous, number = file, self.files.index(file) + 1
        for file in [file for file in self.files if file.is_done]:
            self._close(file)

    async def _has_passed(self, file: TrackedFile) -> bool:
        """Reads what there is of a file. Returns whether the next file may be read then."""
        if not self._edge.may_try(file.id):
            return file.writer_has_left()
        try:
            if not await self._read_and_finish(file):
                return False
        except DamagedLog as error:
            self._edge.meet(error, file.id)
            self._lose(file, DAMAGED, at_least=True)
            file.give_up()
        except OSError as error:
            self._edge.meet(error, file.id)
            # The file is tried again, and does not keep back the files after it.
            return file.writer_has_left()
        except Exception as error:  # noqa: BLE001  # the edge
            self._edge.meet(error, file.id)
            # Bytes that were read behind the committed offset may not have been delivered.
            file.rewind()
            self._chunks.note_partials(file)
            return file.writer_has_left()
        self._edge.forget(file.id)
        return True

    async def _read_and_finish(self, file: TrackedFile) -> bool:
        """Whether the file has ended."""
        if file.is_paused:
            await self._chunks.give_up_on_partial(file)
            return False
        await self._chunks.read(file)
        if file.ended:
            await self._chunks.read_late(file)
            return True
        if not file.writer_has_left():
            await self._chunks.give_up_on_partial(file)
            return False
        # Once more: bytes that were written between the read and the rename.
        await self._chunks.read(file)
        if file.is_inside_a_record:
            return False
        await self._finish(file)
        return True

    async def _finish(self, file: TrackedFile) -> None:
        """The writer has left the file."""
        file.finish()
        fields = {"path": printable(file.path), "file": file.id, "bytes": file.end}
        if file.replaced:
            log.warning("file truncated", extra=fields)
        else:
            log.info("file ended", extra=fields)
        if file.vanished_bytes:
            self._lose(file, TRUNCATED)
        if file.joiner.open_records and (file.replaced or (not self.found and file is self.files[-1])):
            await self._chunks.close_partials(file)

    def _lose(self, file: TrackedFile, why: str, *, at_least: bool = False) -> None:
        end = file.end + file.vanished_bytes
        self._reading.announce(Gap(file.id, printable(file.path), file.end, end, why, at_least))

    def _close_for_now(self, file: TrackedFile, seen: FoundFile) -> None:
        self._wrote_at, self.gave_way_at = file.wrote_at, time.monotonic()
        self._leave_idle()
        self._file_tracker.closed.add(seen, file.closed())
        self._close(file)

    def _close(self, file: TrackedFile) -> None:
        self._reading.finished.extend(file.statements)
        self._file_tracker.release(file)
        self._edge.forget(file.id)
        self._edge.forget(("scan", file.id))
        self.files.remove(file)
        self._reading.partials.release(file)
        file.close()
