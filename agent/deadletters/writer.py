"""Writing dead letters from the loop: counted, in a thread, and never in the way of the shipping."""

from __future__ import annotations

import asyncio
import logging

from agent.deadletters.store import DeadLetter, DeadLetters
from agent.errors import StateUnwritable
from agent.telemetry import Telemetry

log = logging.getLogger(__name__)


async def bury(dead_letters: DeadLetters, letters: list[DeadLetter], telemetry: Telemetry) -> None:
    """Writes dead letters; a disk that will not take them does not stop the shipping."""
    for letter in letters:
        telemetry.dead_letters.labels(letter.reason).inc()
    try:
        removed = await asyncio.to_thread(dead_letters.bury, letters)
    except StateUnwritable as error:
        log.error("dead letters were not kept", extra={"letters": len(letters), "why": str(error)})
        return
    if removed:
        log.error("oldest dead letters were removed for room", extra={"letters": removed})
