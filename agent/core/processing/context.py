"""The values that the fast path and the slow path share, so that neither needs to know the processor."""

from __future__ import annotations

from msgspec import Struct

from agent.core.processing.cases import Cases
from agent.core.processing.event_time import Window
from agent.core.processing.kinds import Kinds
from agent.core.processing.result import FindFragment
from agent.core.processing.suffixes import Ending, SuffixCache
from agent.core.processing.timestamps import TimestampParser
from agent.core.reading.line_formats import LineFormat


class ProcessorContext(Struct, frozen=True):
    """What belongs to one processor, for all of its chunks."""

    kinds: Kinds
    cases: Cases
    suffixes: SuffixCache
    timestamps: TimestampParser
    ending: Ending
    window: Window
    ships_other_lines: bool


class ChunkContext(Struct, frozen=True):
    """What belongs to one chunk."""

    file: str
    line_format: LineFormat
    now_ms: int
    find: FindFragment
