"""Follows one source: its files in the order they were written, each to its end, in chunks.

A single task owns a source. A rotated file is drained through its open descriptor before the next
one is begun; the joining of partial lines goes on across that border. What is read is handed on with
its ledger entry, and progress is only what the ledger commits. When the budget is spent, reading waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from agent.core.ledger import Entry
from agent.core.lines import Joiner, Records, recognise
from agent.flow import Budget
from agent.settings import Tail
from agent.tail.checkpoint import Position
from agent.tail.discovery import FoundFile, Source
from agent.tail.files import open_log
from agent.tail.openfile import OpenFile
from agent.telemetry import Occasional, Telemetry

CHUNK_BYTES: Final = 256 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records read together, and the entry that waits for them to be settled."""

    file: OpenFile
    records: Records
    entry: Entry
    cost_bytes: int
    """What was acquired of the budget for it."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes of a file that vanished before they could be read."""

    file: str
    path: str
    start: int
    end: int
    why: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What all tailers share."""

    settings: Tail
    budget: Budget
    telemetry: Telemetry
    deliver: Callable[[Chunk], Awaitable[None]]
    announce: Callable[[Gap], None]
    positions: dict[str, Position]
    """What is known of files that are not open now, by file id."""
    followed: set[str] = field(default_factory=set)
    """Ids of the files that some tailer has open: no file is read by two."""


class Tailer:
    """Follows one source until it is gone."""

    def __init__(self, source: Source, reading: Reading, *, at_end: bool) -> None:
        self.source = source
        self.files: list[OpenFile] = []
        """Oldest first. The last one is being read; those before it have ended and wait to be settled."""
        self._reading = reading
        self._at_end = at_end
        self._found: tuple[FoundFile, ...] = ()
        self._judged: dict[FoundFile, str] = {}
        """Rotated files with nothing left to read, by their id."""
        self._woken = asyncio.Event()
        self._occasional = Occasional()

    def sighted(self, found: tuple[FoundFile, ...]) -> None:
        """What discovery saw of this source; nothing: it is gone."""
        if found != self._found or not found or self._has_work():
            self._woken.set()
        self._found = found
        self._judged = {file: file_id for file, file_id in self._judged.items() if file in found}
        for file in self.files:
            file.note_look(found)

    def wake(self) -> None:
        """Something was written."""
        self._woken.set()

    @property
    def settled_ids(self) -> set[str]:
        """Files that are still there, though all of them is settled."""
        return set(self._judged.values())

    async def run(self) -> None:
        """Reads until the source is gone and everything read of it is settled."""
        while self._found or self.files:
            try:
                await self._advance()
            except OSError as error:
                self._complain(error)
            await self._woken.wait()
            self._woken.clear()

    def close(self) -> None:
        """Lets go of every file. What of it was settled by now stays known."""
        for file in list(self.files):
            self._close(file)

    async def _advance(self) -> None:
        """Reads all there is now, file after file, and lets go of what is done."""
        for file in list(self.files):
            await self._read(file)
            if (cut := file.last_line()) is not None:
                await self._enter(file, file.join(cut), 0)
        while True:
            current = self.files[-1] if self.files else None
            if current is not None and not current.ended:
                await self._read(current)
                if not current.has_ended(self._found):
                    await self._give_up_on_partial(current)
                    break
                # Once more: what was written between the read and the rename.
                await self._read(current)
                await self._finish(current)
            if not self._open_next():
                break
        for file in [file for file in self.files if file.is_done]:
            self._close(file)

    async def _read(self, file: OpenFile) -> None:
        """Everything up to the end of what is there."""
        budget = self._reading.budget
        while (ahead := file.readable(CHUNK_BYTES)) > 0:
            await budget.acquire(ahead)
            try:
                data = file.read(ahead)
            except OSError:
                budget.adjust(-ahead)
                raise
            if not data:
                budget.adjust(-ahead)
                break
            self._reading.telemetry.read_bytes.inc(len(data))
            cut = file.cut(data, time.monotonic())
            await self._enter(file, file.join(cut), ahead)
            # A flood in one file must not starve the loop.
            await asyncio.sleep(0)
        if ahead < 0:
            self._truncated(file)
        file.caught_up_at = time.monotonic()

    async def _enter(self, file: OpenFile, records: Records, cost_bytes: int) -> None:
        entry = file.enter(records, time.monotonic())
        if not len(records):
            self._reading.budget.adjust(-cost_bytes)
            return
        self._reading.telemetry.records_read.inc(len(records))
        await self._reading.deliver(Chunk(file, records, entry, cost_bytes))

    async def _give_up_on_partial(self, file: OpenFile) -> None:
        since = file.joiner.waiting_since
        if since is not None and time.monotonic() - since >= self._reading.settings.partial_seconds:
            await self._enter(file, file.joiner.give_up(), 0)

    async def _finish(self, file: OpenFile) -> None:
        """Its writer has left it."""
        file.ended = True
        if not self._found and file.joiner.open_runs:
            await self._enter(file, file.joiner.give_up(), 0)
        log.info("file ended", extra={"path": str(file.path), "file": file.id, "bytes": file.end})

    def _truncated(self, file: OpenFile) -> None:
        """It is shorter than what was read of it: its writer has begun again (copytruncate)."""
        log.warning("file truncated", extra={"path": str(file.path), "file": file.id, "read": file.end})
        file.replaced = file.ended = True
        if file.largest_size > file.end:
            self._reading.announce(Gap(file.id, str(file.path), file.end, file.largest_size, "truncated"))

    def _open_next(self) -> bool:
        """Opens the oldest file that is not done. False: there is none to be had now."""
        for found in self._found:
            try:
                if found not in self._judged and self._open(found):
                    return True
            except FileNotFoundError:
                continue  # renamed or compressed since the look; the next look has its new name
            except OSError as error:
                self._complain(error)
        return False

    def _open(self, found: FoundFile) -> bool:
        """Takes the file in hand; False when there is nothing in it for us."""
        if any(file.is_same(found) for file in self.files):
            return False
        source, reading = self.source, self._reading
        opened = open_log(source.root, found.relative, reading.settings.follow_links_into, found.compressed)
        try:
            head = opened.head()
            file = OpenFile.identified(source, found, opened, head)
            known = reading.positions.get(file.id) if file else None
            # A rotated sibling of a plain file only matters to finish what was begun.
            unasked = known is None and bool(found.rotated) and not source.pod_uid
            if file is None or unasked or file.id in reading.followed or (known is not None and known.complete):
                if file is not None and found.rotated and file.id not in reading.followed:
                    self._judged[found] = file.id
                opened.close()
                return False
            previous = self.files[-1] if self.files else None
            grammar = recognise(head.partition(b"\n")[0])
            if previous is not None and not previous.replaced:
                file.follow_on(previous, grammar, reading.settings.max_record_bytes)
            else:
                file.joiner = Joiner(grammar, reading.settings.max_record_bytes)
            file.begin(known, at_end=self._at_end, max_record_bytes=reading.settings.max_record_bytes)
        except OSError:
            opened.close()
            raise
        reading.followed.add(file.id)
        reading.positions.pop(file.id, None)
        self.files.append(file)
        log.info("file opened", extra={"path": str(file.path), "file": file.id, "offset": file.ledger.committed})
        return True

    def _close(self, file: OpenFile) -> None:
        reading = self._reading
        reading.positions[file.id] = file.position
        reading.followed.discard(file.id)
        self.files.remove(file)
        file.close()

    def _has_work(self) -> bool:
        """Something is left that no event will announce: late writes, records that settle, a partial that is due."""
        return any(file.ended or file.readable(1) or file.joiner.open_runs for file in self.files)

    def _complain(self, error: OSError) -> None:
        fields = self._occasional.fields(f"{error.filename}{error.errno}")
        if fields is not None:
            path = error.filename or str(self.source.path)
            log.warning("file could not be read", extra={"path": path, "why": error.strerror, **fields})
