"""The save loop: writes the committed offsets and the pending own events to the checkpoint.

The loop waits until something may have moved. Then it looks four times a second, and writes when something has moved,
until every file is read to its end and settled. In any case it writes once in thirty seconds.
With exact resume, each save also lets the journal drop the batches that the checkpoint now covers. A disk that refuses
the checkpoint is counted and reported, and shipping goes on: a crash then resends what was shipped since the last save.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from agent.core.proof.seal import SealState
from agent.errors import StateUnwritable
from agent.selfmonitor.outbox import Outbox
from agent.ship.journal import Journal
from agent.tail.checkpoint import Checkpoint
from agent.tail.reader import Reader
from agent.telemetry import Occasional, Telemetry

SAVE_SECONDS: Final = 0.25
"""Between two looks. A shorter wait would only save duplicates after a crash, and each save costs an fsync."""

SAVE_ANYHOW_SECONDS: Final = 30.0
"""A save is due after this time even when nothing seems to have moved: what the loop compares leaves idle files out."""

log = logging.getLogger(__name__)


class Progress:
    """The save loop."""

    def __init__(
        self,
        reader: Reader,
        outbox: Outbox,
        checkpoint: Checkpoint,
        journal: Journal | None,
        telemetry: Telemetry,
        *,
        moved: asyncio.Event,
        saved: Callable[[str | None], None],
        seal: Callable[[], SealState | None] = lambda: None,
    ) -> None:
        """`journal`: None when resume is `at_least_once`. `moved` is set when there may be something to save.

        `saved` is called after each save: with None, or with the reason why it failed. `seal`: what the checkpoint
        keeps for the seals.
        """
        self._reader = reader
        self._outbox = outbox
        self._checkpoint = checkpoint
        self._journal = journal
        self._telemetry = telemetry
        self._moved = moved
        self._saved = saved
        self._saves = reader.saves
        self._seal = seal
        self._turn = asyncio.Lock()
        self._occasional = Occasional()

    async def run(self) -> None:
        """Saves whenever something has moved, until cancelled."""
        clock = asyncio.get_running_loop().time
        last: object = None
        self._saves.has_loop = True
        saved_at = -SAVE_ANYHOW_SECONDS
        while True:
            await self._until_moved(saved_at + SAVE_ANYHOW_SECONDS - clock())
            is_wanted = await self._until_wanted()
            if not self._reader.is_busy:
                self._moved.clear()
            current = (self._reader.progress, self._outbox.pending)
            if not is_wanted and current == last and clock() - saved_at < SAVE_ANYHOW_SECONDS:
                continue
            if await self.save():
                last, saved_at = current, clock()
            else:
                self._moved.set()

    async def _until_moved(self, most_seconds: float) -> None:
        """Waits at most this long."""
        try:
            async with asyncio.timeout(most_seconds):
                await self._moved.wait()
        except TimeoutError:
            return

    async def _until_wanted(self) -> bool:
        """Waits until the next look. Returns whether a tailer waits for a save."""
        try:
            async with asyncio.timeout(SAVE_SECONDS):
                return await self._saves.wanted.wait()
        except TimeoutError:
            return False

    async def save(self) -> bool:
        """Saves once; returns whether the checkpoint is on disk. Saves follow one another."""
        async with self._turn:
            return await self._save()

    async def _save(self) -> bool:
        waiting = self._saves.begin()
        positions, pending, seal = self._reader.positions(), self._outbox.pending, self._seal()
        plan = None
        if self._journal is not None:
            plan = self._journal.plan_compaction({file: position.offset for file, position in positions.items()})
        try:
            await asyncio.to_thread(self._checkpoint.save, positions, pending, seal)
            if self._journal is not None and plan is not None:
                await self._journal.compact(plan)
        except StateUnwritable as error:
            self._telemetry.checkpoint_errors.inc()
            if (fields := self._occasional.fields("save")) is not None:
                log.error("checkpoint was not written", extra={"why": str(error), **fields})
            self._saved(str(error))
            return False
        finally:
            self._saves.end(waiting)
        self._saved(None)
        return True
