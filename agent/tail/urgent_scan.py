"""The express scan: runs ahead in a source's backlog at memory speed and ships what is urgent first.

One sweep is one task: over all files of the source that are held, each from where the last sweep or the ordinary pass
has come to, up to its last whole line. What it finds takes the reserved share of the budget, so it goes although the
ordinary pass waits. Compressed files are left to the ordinary pass: nothing is written to them any more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Final

from agent.core.reading.records import Records, without
from agent.core.reading.scan_ledger import ScanEntry
from agent.tail.tracked_file import TrackedFile

if TYPE_CHECKING:
    from agent.tail.reading import Reading

WINDOW_BYTES: Final = 1024 * 1024
"""Scanned in one go, in less than a millisecond; then the loop turns."""

GROUP_BYTES: Final = 64 * 1024
"""Shipped in one go: a part of the reserve that is soon free."""

MOST_AHEAD: Final = 10_000
"""Records of a file that may be ahead of what is committed: each is an offset in memory and in the checkpoint."""


HandOn = Callable[[TrackedFile, Records, ScanEntry, int], Awaitable[None]]


class UrgentScan:
    """For one source; `files` are its tailer's, `hand_on` takes what is found."""

    def __init__(self, reading: Reading, files: list[TrackedFile], hand_on: HandOn) -> None:
        self._reading = reading
        self._files = files
        self._hand_on = hand_on
        self._wanted = False
        self._sweeping = False

    def is_due(self) -> bool:
        """Whether a sweep is to be started; one that is under way goes on with what has been written meanwhile."""
        if sum(file.unread for file in self._files) <= self._reading.express_bytes:
            return False
        self._wanted = True
        return not self._sweeping

    async def sweep(self) -> None:
        """To the end of what there is. Raises OSError when a file cannot be read."""
        self._sweeping = True
        try:
            await self._reading.allowed.wait()
            while self._wanted:
                self._wanted = False
                for file in list(self._files):
                    await self._scan(file)
        finally:
            self._sweeping = False

    async def _scan(self, file: TrackedFile) -> None:
        while file in self._files and len(file.scan_ledger) < MOST_AHEAD:
            # One window for all sources together: a hundred backlogs must not be a hundred megabytes.
            async with self._reading.scanning:
                if not await self._scan_window(file):
                    return
            await asyncio.sleep(0)

    async def _scan_window(self, file: TrackedFile) -> bool:
        """Whether there may be another one."""
        books, matcher = file.scan_ledger, self._reading.matcher
        start = max(books.scanned, file.reached)
        window = file.look_ahead(start, WINDOW_BYTES)
        end = window.rfind(b"\n") + 1
        if matcher is None or (not end and len(window) < WINDOW_BYTES):
            return False
        # A line that fills a window is none of ours; what is left of it in the next window is no alert.
        books.scanned = start + (end or len(window))
        longest = self._reading.settings.max_record_bytes
        for group in _groups(matcher.find(window, start, file.joiner.line_format, longest)):
            await self._ship(file, group)
        return True

    async def _ship(self, file: TrackedFile, group: Records) -> None:
        reading = self._reading
        cost_bytes = sum(map(len, group.lines))
        await reading.budget.acquire(cost_bytes, reserved=True)
        # While this waited, the ordinary pass may have come by.
        done = {offset for offset in group.offsets if offset < file.reached or offset in file.islands}
        records = without(group, done)
        if not len(records) or file not in self._files:
            reading.budget.adjust(-cost_bytes)
            return
        entry = file.scan_ledger.enter(records.offsets, time.monotonic())
        await self._hand_on(file, records, entry, cost_bytes)


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
