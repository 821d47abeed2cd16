"""Writes the committed offsets to the checkpoint."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from agent.errors import StateUnwritable
from agent.pipeline import Pipeline
from agent.ship.journal import Journal
from agent.tail.checkpoint import Checkpoint
from agent.tail.reader import Reader
from agent.telemetry import Telemetry

log = logging.getLogger(__name__)

SAVE_SECONDS = 0.25
"""Between two checkpoints. More often would only save duplicates after a crash, at an fsync each."""


SAVE_ANYHOW_SECONDS = 30.0
"""So often also when nothing seems to have moved: what hundreds of files stand at is not gathered in vain."""


SaveReport = Callable[[str | None], None]
"""Told after each save: None, or why it failed."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What stands on disk, and how it gets there."""

    reader: Reader
    pipeline: Pipeline
    checkpoint: Checkpoint
    journal: Journal | None
    telemetry: Telemetry
    report: SaveReport

    async def keep(self) -> None:
        """Writes the settled positions down whenever they have moved, and now and then in any case; until cancelled."""
        saved: object = None
        saved_at = -SAVE_ANYHOW_SECONDS
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            moved = (self.reader.progress, self.pipeline.pending_events)
            if moved == saved and time.monotonic() - saved_at < SAVE_ANYHOW_SECONDS:
                continue
            if await self.save():
                saved, saved_at = moved, time.monotonic()

    async def save(self) -> bool:
        """Writes the settled positions down once; a disk that refuses is counted, and shipping goes on."""
        positions, pending_events = self.reader.positions(), self.pipeline.pending_events
        plan = None
        if self.journal is not None:
            plan = self.journal.plan_compaction({file: position.offset for file, position in positions.items()})
        try:
            await asyncio.to_thread(self.checkpoint.save, positions, pending_events)
            if self.journal is not None and plan is not None:
                await self.journal.compact(plan)
        except StateUnwritable as error:
            self.telemetry.checkpoint_errors.inc()
            log.error("checkpoint was not written", extra={"why": str(error)})
            self.report(str(error))
            return False
        self.report(None)
        return True
