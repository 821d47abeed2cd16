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
from functools import partial
from typing import Final

from agent.core.reading.ledger import Entry
from agent.core.reading.records import Records
from agent.core.reading.scan_ledger import ScanEntry
from agent.tail.checkpoint import Position, this_hour
from agent.tail.content import DamagedLog
from agent.tail.edge import Edge
from agent.tail.file_tracker import DAMAGED, FileTracker
from agent.tail.names import printable
from agent.tail.tracked_file import TrackedFile
from agent.tail.types import Chunk, FoundFile, Gap, Reading, Source
from agent.tail.urgent_scan import UrgentScan

CHUNK_BYTES: Final = 256 * 1024

TRUNCATED: Final = "truncated"

log = logging.getLogger(__name__)


class NotDelivered(Exception):
    """The delivery of a chunk has raised: no error of the file, whatever its type."""


class Tailer:
    """Follows one source until it is gone."""

    def __init__(self, source: Source, reading: Reading, *, at_end: bool, all_is_ours: bool = False) -> None:
        self.source = source
        self.directory = source.path.parent
        """Where its live file is."""
        self.files: list[TrackedFile] = []
        """Oldest first: those that ended and wait to be settled, the one being read, those whose turn will come."""
        self.found: tuple[FoundFile, ...] = ()
        """At the last scan."""
        self.is_idle = False
        """Everything is read and settled; only a write changes that."""
        self._reading = reading
        self._at_end = at_end
        self._edge = Edge(reading.telemetry, source.name)
        self._file_tracker = FileTracker(source, reading, self._edge, self._look_again, all_is_ours=all_is_ours)
        self._urgent_scan = UrgentScan(reading, self.files, self._deliver) if reading.matcher is not None else None
        self._files_at_last_take = -1
        self._inotify_works = False
        """inotify has reported a write in this directory before."""
        self._idle_positions: tuple[float, dict[str, Position]] | None = None
        """Positions while it is idle, and the hour they were made in."""
        self._tasks: asyncio.TaskGroup | None = None
        self._woken = asyncio.Event()
        self._began_at = time.monotonic()

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
                    file.note_scan(found)
                except Exception as error:  # noqa: BLE001  # the edge
                    self._edge.meet(error, scan)
        grown = self._file_tracker.find_grown()
        if changed or grown or self._may_find_more:
            self._take_files(fresh=True)
        if changed or not found or any(not file.is_idle for file in self.files):
            self._woken.set()
        self._start_urgent_scan()
        self.is_idle = bool(self.files) and not self._may_find_more and all(file.is_idle for file in self.files)

    def wake(self) -> None:
        """inotify reports a write to the directory."""
        self._inotify_works = True
        self._look_again()

    def _look_again(self) -> None:
        """Something was written, or a file can be judged that could not be judged before."""
        self._leave_idle()
        if self._file_tracker.has_unidentified:
            self._take_files(fresh=False)
        self._woken.set()
        self._start_urgent_scan()

    @property
    def settled_ids(self) -> set[str]:
        """Ids of files that are still there and have nothing left to read."""
        return set(self._file_tracker.settled.values())

    @property
    def is_unsure(self) -> bool:
        """Some file could not be opened at the last scan."""
        return self._file_tracker.unsure

    @property
    def lacks_descriptors(self) -> bool:
        return self._file_tracker.lacks_descriptors

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
        """When it was last written to, in seconds of the monotonic clock; before that is known, when it was found."""
        if not self.is_idle:
            for file in self.files:
                file.note_size()
        return max((file.wrote_at for file in self.files), default=self._began_at)

    def positions(self) -> dict[str, Position]:
        """How far each of its files is settled, by file id."""
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
            while self.found or self.files:
                try:
                    await self._advance()
                except Exception as error:  # noqa: BLE001  # the edge
                    self._edge.meet(error)
                await self._woken.wait()
                self._woken.clear()

    def close(self) -> None:
        """Closes every file. How far it was settled stays known."""
        for file in list(self.files):
            self._close(file)
        self._file_tracker.close()

    def _changed_while_idle(self, *, closely: bool) -> bool:
        if self._inotify_works and not closely:
            return False
        changed = any(file.changed_since_scan(closely=closely) for file in self.files)
        return changed or self._file_tracker.find_grown()

    def _leave_idle(self) -> None:
        self.is_idle = False
        self._idle_positions = None

    def _start_urgent_scan(self) -> None:
        """Starts an urgent scan when there is a backlog. It runs beside the ordinary reading."""
        if self._urgent_scan is not None and self._tasks is not None and self._urgent_scan.is_due():
            self._tasks.create_task(self._scan_ahead(self._urgent_scan), name=f"urgent scan {self.source.name}")

    async def _scan_ahead(self, urgent_scan: UrgentScan) -> None:
        try:
            await urgent_scan.sweep()
        except OSError as error:
            self._edge.meet(error)
        except Exception as error:  # noqa: BLE001  # without the urgent scan, alerts are read in order
            self._reading.telemetry.defects.note("urgent_scan", error)

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
            # What was read behind the committed offset may not have been delivered.
            file.rewind()
            return file.writer_has_left()
        self._edge.forget(file.id)
        return True

    async def _read_and_finish(self, file: TrackedFile) -> bool:
        """Whether the file has ended."""
        await self._read(file)
        if file.ended:
            await self._read_late(file)
            return True
        if not file.writer_has_left():
            await self._give_up_on_partial(file)
            return False
        # Once more: bytes that were written between the read and the rename.
        await self._read(file)
        if file.is_inside_a_record:
            return False
        await self._finish(file)
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
                if not data:
                    budget.adjust(-ahead)
                    break
                self._leave_idle()
                self._reading.telemetry.read_bytes.inc(len(data))
                records = file.join(file.cut(data, time.monotonic()))
                # Whoever waits for the budget next holds no bytes outside of it: with many files that adds up.
                del data
                entry = file.enter(records, time.monotonic())
            except Exception:
                budget.adjust(-ahead)
                raise
            if len(records):
                await self._deliver(file, records, entry, ahead)
            else:
                budget.adjust(-ahead)
            del records
        file.caught_up_at = time.monotonic()

    async def _read_late(self, file: TrackedFile) -> None:
        """The rest of a file that has ended: an unfinished last line, a record whose last part never came."""
        if (cut := file.last_line()) is not None:
            await self._deliver_rest(file, file.join(cut))
        await self._give_up_on_partial(file)

    async def _deliver_rest(self, file: TrackedFile, records: Records) -> None:
        """Records whose bytes cost nothing of the budget any more."""
        entry = file.enter(records, time.monotonic())
        if len(records):
            await self._deliver(file, records, entry, 0)

    async def _deliver(self, file: TrackedFile, records: Records, entry: Entry | ScanEntry, cost_bytes: int) -> None:
        self._reading.telemetry.records_read.inc(len(records))
        line_format, settled = file.joiner.line_format, file.settled_out_of_order
        prove = partial(file.prove, entry, records) if isinstance(entry, Entry) else file.scan_ledger.note_unshipped
        chunk = Chunk(file.id, self.source.namespace, line_format, settled, records, entry, cost_bytes, prove)
        try:
            await self._reading.deliver(chunk)
        except Exception as error:
            self._reading.budget.adjust(-cost_bytes)
            raise NotDelivered(f"{type(error).__name__} in the delivery of {len(records)} records") from error

    async def _give_up_on_partial(self, file: TrackedFile) -> None:
        since = file.joiner.waiting_since
        if since is not None and time.monotonic() - since >= self._reading.settings.partial_seconds:
            await self._deliver_rest(file, file.joiner.close_incomplete())

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
            await self._deliver_rest(file, file.joiner.close_incomplete())

    def _lose(self, file: TrackedFile, why: str, *, at_least: bool = False) -> None:
        end = file.end + file.vanished_bytes
        self._reading.announce(Gap(file.id, printable(file.path), file.end, end, why, at_least))

    def _close(self, file: TrackedFile) -> None:
        self._reading.finished.extend(file.statements)
        self._file_tracker.release(file)
        self._edge.forget(file.id)
        self._edge.forget(("scan", file.id))
        self.files.remove(file)
        file.close()
