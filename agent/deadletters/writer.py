"""Writes dead letters from the event loop: in a thread, counted by reason, and without stopping the shipping."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence

from agent.core.dead_letter import DeadLetter
from agent.deadletters.store import DeadLetterStore
from agent.errors import StateUnwritable
from agent.telemetry import Telemetry

log = logging.getLogger(__name__)


class DeadLetterWriter:
    def __init__(self, store: DeadLetterStore, telemetry: Telemetry) -> None:
        self._store = store
        self._telemetry = telemetry
        self.written: Counter[str] = Counter()
        """Reason → dead letters."""

    async def write(self, dead_letters: Sequence[DeadLetter]) -> None:
        """Writes the dead letters; a disk that refuses them is logged and does not stop the shipping."""
        for dead_letter in dead_letters:
            self.written[dead_letter.reason] += 1
            self._telemetry.dead_letters.labels(dead_letter.reason).inc()
        try:
            removed = await asyncio.to_thread(self._store.append, dead_letters)
        except StateUnwritable as error:
            log.error("dead letters were not kept", extra={"dead_letters": len(dead_letters), "why": str(error)})
            return
        if removed:
            log.error("oldest dead letters were removed for room", extra={"dead_letters": removed})
