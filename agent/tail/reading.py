"""What all tailers share, and what they hand to the pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from agent.core.processing.urgent_scan import UrgentMatcher
from agent.core.reading.ledger import Entry
from agent.core.reading.records import Records
from agent.core.reading.scan_ledger import ScanEntry
from agent.flow.budget import Budget
from agent.flow.turns import Turns
from agent.settings import Tail
from agent.tail.checkpoint import Position
from agent.tail.tracked_file import TrackedFile
from agent.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records read together, and the entry that waits for them to be settled."""

    file: TrackedFile
    records: Records
    entry: Entry | ScanEntry
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
    at_least: bool = False
    """More may have been lost than could be seen."""


def _already() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


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
    allowed: asyncio.Event = field(default_factory=_already)
    """Not set: files are opened and held, and nothing is read of them yet."""
    matcher: UrgentMatcher | None = None
    """Finds what may go ahead in a backlog; None: nothing does."""
    express_bytes: int = 0
    """So long a backlog of a source is not worth going ahead in."""
    scanning: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever goes ahead."""
    turns: Turns = field(default_factory=Turns)
    """Taken for each chunk: what was read is on its way before more is, and a flood does not starve the loop."""
