"""The urgent scan: goes ahead in the backlog of a source and ships urgent alerts first.

One sweep is one task. It goes over all open files of the source, each from where the last sweep or the ordinary
reading has arrived, up to its last whole line. Urgent alerts use the reserved share of the budget, so they ship
although the ordinary reading waits. `flow.shares` decides when the scan goes ahead, and how much it may take.
Compressed files are left to the ordinary reading.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from agent.core.reading.records import Records, without
from agent.core.reading.scan_ledger import ScanEntry
from agent.flow.shares import may_scan_ahead, must_scan_ahead
from agent.tail.edge import Edge
from agent.tail.tracked_file import TrackedFile
from agent.tail.types import Reading, Source

WINDOW_BYTES: Final = 1024 * 1024
"""Scanned at once; then other tasks run."""

GROUP_BYTES: Final = 64 * 1024
"""Shipped at once: a part of the reserved budget that is soon free again."""

MOST_AHEAD: Final = 10_000
"""Records of one file that may be ahead of the committed offset: each is an offset in memory and in the checkpoint."""

Deliver = Callable[[TrackedFile, Records, ScanEntry, int], Awaitable[None]]


class UrgentScan:
    """Scans the files of one source. `files` is the list of its tailer; `deliver` takes the records that are found."""

    def __init__(
        self, source: Source, reading: Reading, files: list[TrackedFile], deliver: Deliver, edge: Edge
    ) -> None:
        self._source = source
        self._reading = reading
        self._files = files
        self._deliver = deliver
        self._edge = edge
        self._wanted = False
        self._sweeping = False

    def start_if_due(self, tasks: asyncio.TaskGroup) -> None:
        """Starts a sweep when there is a backlog. It runs beside the ordinary reading."""
        if self._is_due():
            tasks.create_task(self._sweep_safely(), name=f"urgent scan {self._source.name}")

    async def _sweep(self) -> None:
        """Scans to the end of what is there. Raises OSError when a file cannot be read."""
        self._sweeping = True
        try:
            await self._reading.allowed.wait()
            while self._wanted:
                self._wanted = False
                for file in list(self._files):
                    await self._scan(file)
        finally:
            self._sweeping = False

    async def _sweep_safely(self) -> None:
        try:
            await self._sweep()
        except OSError as error:
            self._edge.meet(error)
        except Exception as error:  # noqa: BLE001  # without the urgent scan, alerts are read in order
            self._reading.telemetry.defects.note("urgent_scan", error)

    def _is_due(self) -> bool:
        """Whether a sweep is to be started. A running sweep goes on with bytes that were written in the meantime."""
        reading = self._reading
        unread = sum(file.unread for file in self._files)
        is_needed = must_scan_ahead(unread, reading.express_bytes, reading.budget.waiting_seconds)
        if not is_needed or not self._may_take_more:
            return False
        self._wanted = True
        return not self._sweeping

    async def _scan(self, file: TrackedFile) -> None:
        # When the urgent lane holds its share, this sweep ends. The next look at the source starts another one.
        while file in self._files and len(file.scan_ledger) < MOST_AHEAD and self._may_take_more:
            # One window in memory for all sources together, however many backlogs there are.
            async with self._reading.scanning:
                # While this waited, the file may have been closed.
                if file not in self._files or not await self._scan_window(file):
                    return
            await asyncio.sleep(0)

    @property
    def _may_take_more(self) -> bool:
        return may_scan_ahead(self._reading.urgent_bytes(), self._reading.budget.limit_bytes)

    async def _scan_window(self, file: TrackedFile) -> bool:
        """Returns whether there may be another window."""
        ledger, matcher = file.scan_ledger, self._reading.matcher
        start = max(ledger.scanned, file.reached)
        window = file.look_ahead(start, WINDOW_BYTES)
        end = window.rfind(b"\n") + 1
        if matcher is None or (not end and len(window) < WINDOW_BYTES):
            return False
        # A line that fills a window is not an alert, and neither is the rest of it in the next window.
        ledger.scanned = start + (end or len(window))
        longest = self._reading.settings.max_record_bytes
        for group in _groups(matcher.find(window, start, file.joiner.line_format, longest)):
            await self._ship(file, group)
        return True

    async def _ship(self, file: TrackedFile, group: Records) -> None:
        reading = self._reading
        cost_bytes = sum(map(len, group.lines))
        await reading.budget.acquire(cost_bytes, reserved=True)
        # While this waited, the ordinary reading may have read these records.
        done = {offset for offset in group.offsets if offset < file.reached or offset in file.settled_out_of_order}
        records = without(group, done)
        if not len(records) or file not in self._files:
            reading.budget.adjust(-cost_bytes)
            return
        entry = file.scan_ledger.enter(records.offsets, time.monotonic())
        await self._deliver(file, records, entry, cost_bytes)


def _groups(records: Records) -> Iterator[Records]:
    group, size = Records(), 0
    for payload, offset, line in zip(records.payloads, records.offsets, records.lines, strict=True):
        group.payloads.append(payload)
        group.offsets.append(offset)
        group.lines.append(line)
        size += len(line)
        if size >= GROUP_BYTES:
            yield group
            group, size = Records(), 0
    if len(group):
        yield group
