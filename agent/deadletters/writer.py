"""Writes dead letters from the event loop: in a thread, one write at a time, counted by reason once they are on disk.

A dead letter that the disk refuses is held in memory and tried again. At most MOST_HELD_BYTES are held. What does not
fit is lost: it is counted apart, logged, and handed to `announce`, which tells CloudWatch. Nothing here stops the
shipping.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from agent.core.backoff import Backoff
from agent.core.dead_letter import DeadLetter
from agent.deadletters.store import DeadLetterStore
from agent.errors import StateUnwritable
from agent.telemetry import Occasional, Telemetry

MOST_HELD_BYTES: Final = 1024 * 1024
"""Bytes of messages that wait for a disk that refuses them; about a batch of PutLogEvents."""

BACKOFF: Final = Backoff(0.5, 30.0)
RETRY_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class DeadLetterWriter:
    def __init__(
        self, store: DeadLetterStore, telemetry: Telemetry, *, announce: Callable[[DeadLetter], None] = lambda _: None
    ) -> None:
        self._store = store
        self._telemetry = telemetry
        self.announce = announce
        """Called with each lost dead letter that comes from a log file."""
        self._occasional = Occasional()
        self._turn = asyncio.Lock()
        self._held_bytes = 0
        self._held: list[DeadLetter] = []
        """Dead letters that `write_or_hold` could not write."""
        self.written: Counter[str] = Counter()
        """Reason → dead letters on disk."""
        self.lost: Counter[str] = Counter()
        """Reason → dead letters that could neither be written nor held."""
        self.problem: str | None = None
        """Why the last write failed; None: it did not."""

    async def write(self, dead_letters: Sequence[DeadLetter]) -> None:
        """Returns when each dead letter is on disk, or its loss was announced."""
        held: list[DeadLetter] | None = None
        failures = 0
        try:
            while not await self._try(dead_letters):
                if held is None:
                    held = dead_letters = self._hold(dead_letters)
                failures += 1
                await asyncio.sleep(BACKOFF.seconds(failures, random.random()))
        finally:
            self._release(held or [])

    async def write_or_hold(self, dead_letters: Sequence[DeadLetter]) -> None:
        """Tries once. `run` writes later what the disk refuses now."""
        if not await self._try(dead_letters):
            self._held += self._hold(dead_letters)

    async def run(self) -> None:
        """Tries again to write what `write_or_hold` holds; until cancelled, and then once more."""
        try:
            while True:
                await asyncio.sleep(RETRY_SECONDS)
                await self._write_held()
        finally:
            await self._write_held()
            for dead_letter in self._held:
                self._lose(dead_letter)

    async def _write_held(self) -> None:
        held = list(self._held)
        if held and await self._try(held):
            self._release(held)
            del self._held[: len(held)]

    async def _try(self, dead_letters: Sequence[DeadLetter]) -> bool:
        """Writes the dead letters and counts them; False when the disk refuses them."""
        if not dead_letters:
            return True
        try:
            async with self._turn:  # a slow disk must not take more than one thread
                removed = await asyncio.to_thread(self._store.append, dead_letters)
        except StateUnwritable as error:
            self.problem = str(error)
            if (fields := self._occasional.fields("unwritable")) is not None:
                log.error(
                    "dead letters were not written, they are held and tried again",
                    extra={"dead_letters": len(dead_letters), "why": str(error), **fields},
                )
            return False
        self.problem = None
        for dead_letter in dead_letters:
            self.written[dead_letter.reason] += 1
            self._telemetry.dead_letters.labels(dead_letter.reason).inc()
        if removed:
            log.error("oldest dead letters were removed for room", extra={"dead_letters": removed})
        return True

    def _hold(self, dead_letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        """The dead letters that may wait in memory; the others are lost."""
        held: list[DeadLetter] = []
        for dead_letter in dead_letters:
            if self._held_bytes + dead_letter.size <= MOST_HELD_BYTES:
                self._held_bytes += dead_letter.size
                held.append(dead_letter)
            else:
                self._lose(dead_letter)
        return held

    def _release(self, held: Sequence[DeadLetter]) -> None:
        self._held_bytes -= sum(dead_letter.size for dead_letter in held)

    def _lose(self, dead_letter: DeadLetter) -> None:
        self.lost[dead_letter.reason] += 1
        self._telemetry.dead_letters_lost.labels(dead_letter.reason).inc()
        log.error(
            "dead letter was lost",
            extra={"file": dead_letter.file, "offset": dead_letter.offset, "reason": dead_letter.reason},
        )
        if dead_letter.file:
            self.announce(dead_letter)
