"""Reads a tracked file chunk by chunk: acquires bytes of the budget, reads, joins records, and delivers them."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

from agent.core.reading.ledger import Entry
from agent.core.reading.records import Records
from agent.core.reading.scan_ledger import ScanEntry
from agent.tail.tracked_file import TrackedFile
from agent.tail.types import Chunk, Reading, Source

CHUNK_BYTES: Final = 256 * 1024


class NotDelivered(Exception):
    """The delivery of a chunk has raised: no error of the file, whatever its type."""


class Chunks:
    """Reads the chunks of one source. `has_data` is called after each read with the number of its bytes."""

    def __init__(self, source: Source, reading: Reading, has_data: Callable[[int], None]) -> None:
        self._source = source
        self._reading = reading
        self._has_data = has_data

    async def read(self, file: TrackedFile) -> None:
        """Everything up to the end of what is there. Raises OSError, NotDelivered."""
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
                self._has_data(len(data))
                self._reading.telemetry.read_bytes.inc(len(data))
                records = file.join(file.cut(data, time.monotonic()))
                # Before the next wait for the budget, the bytes outside of it are freed: with many files they add up.
                del data
                entry = file.enter(records, time.monotonic())
                self.note_partials(file)
            except Exception:
                budget.adjust(-ahead)
                raise
            if len(records):
                await self.deliver(file, records, entry, ahead)
            else:
                budget.adjust(-ahead)
            del records
            await self._reading.partials.bound()
            if ahead < CHUNK_BYTES:
                break  # these were all bytes there were; the next write, or the next scan, wakes the tailer again
        file.caught_up_at = time.monotonic()

    async def read_late(self, file: TrackedFile) -> None:
        """The rest of a file that has ended: an unfinished last line, a record whose last part never came."""
        if (cut := file.last_line()) is not None:
            await self.deliver_rest(file, file.join(cut))
        await self.give_up_on_partial(file)

    async def give_up_on_partial(self, file: TrackedFile) -> None:
        """Ships a record whose last part has not come for too long as it is."""
        since = file.joiner.waiting_since
        if since is not None and time.monotonic() - since >= self._reading.settings.partial_seconds:
            await self.close_partials(file)

    async def close_partials(self, file: TrackedFile) -> None:
        """Ships the records that are partly read as they are."""
        if file.joiner.open_records:
            await self.deliver_rest(file, file.joiner.close_incomplete())

    async def cut(self, file: TrackedFile) -> None:
        """The same, and ends a long unfinished line: all that the file holds in memory is shipped.

        Called by the task of any source, so an exception ends here.
        """
        try:
            if (cut := file.end_long_line()) is not None:
                await self.deliver_rest(file, file.join(cut))
            await self.close_partials(file)
        except Exception as error:  # noqa: BLE001  # the edge
            self._reading.telemetry.defects.note("file", error)
            file.rewind()
            self.note_partials(file)

    def note_partials(self, file: TrackedFile) -> None:
        """Corrects what the budget counts for the unfinished records of the file."""
        self._reading.partials.note(file, partial(self.cut, file))

    async def deliver_rest(self, file: TrackedFile, records: Records) -> None:
        """Records whose bytes cost nothing of the budget any more."""
        entry = file.enter(records, time.monotonic())
        self.note_partials(file)
        if len(records):
            await self.deliver(file, records, entry, 0)

    async def deliver(self, file: TrackedFile, records: Records, entry: Entry | ScanEntry, cost_bytes: int) -> None:
        counted = file.undelivered.take_back(len(records))
        self._reading.telemetry.records_read.inc(len(records) - counted)
        line_format, settled = file.joiner.line_format, file.settled_out_of_order
        prove = partial(file.prove, entry, records) if isinstance(entry, Entry) else file.scan_ledger.note_unshipped
        chunk = Chunk(file.id, self._source.namespace, line_format, settled, records, entry, cost_bytes, prove, counted)
        try:
            await self._reading.deliver(chunk)
        except Exception as error:
            self._reading.budget.adjust(-cost_bytes)
            file.not_delivered(entry)
            if isinstance(entry, ScanEntry):
                # Reading may have come to these records, and may have skipped them.
                file.rewind()
                self.note_partials(file)
            raise NotDelivered(f"{type(error).__name__} in the delivery of {len(records)} records") from error
