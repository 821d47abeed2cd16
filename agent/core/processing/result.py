"""The result of processing one chunk. Values only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from agent.core.batching.span import Span
from agent.core.processing.dedup import Group
from agent.core.processing.kinds import Kind
from agent.core.values import Fragment, Lane, PodKey

HOST: Final = Fragment(b"", b"", "host")
"""For an alert about the host itself."""

FindFragment = Callable[[PodKey, int], Fragment | None]
"""The fragment for a pod at a time in milliseconds; None: the pod is not known yet, and is worth waiting for."""


@dataclass(frozen=True, slots=True)
class Oversized:
    """A record that ships as a smaller event. Its bytes belong in a dead letter."""

    offset: int
    payload: bytes
    size: int
    """The size of the whole record in bytes. `payload` may be only its head."""
    digest: str


def _empty_spans() -> dict[Lane, Span]:
    return {lane: Span() for lane in Lane}


@dataclass(slots=True)
class ProcessingResult:
    """Each record of the chunk is in a span, filtered, or in a group."""

    spans: dict[Lane, Span] = field(default_factory=_empty_spans)
    seen: Counter[Kind] = field(default_factory=Counter)
    """The number of alerts of each kind, with those that were filtered."""
    filtered: Counter[str] = field(default_factory=Counter)
    """The number of records that are settled without being shipped, by reason."""
    enriched: Counter[str] = field(default_factory=Counter)
    """The number of alerts by the result of their enrichment."""
    unknown: set[PodKey] = field(default_factory=set)
    """Pods worth waiting for. If there is one, discard the result and process the chunk again later."""
    notices: list[bytes] = field(default_factory=list)
    """Falco's messages about itself."""
    grouped: dict[Group, int] = field(default_factory=dict)
    """How many records each group takes. The group must hold them before the caller waits for anything."""
    oversized: list[Oversized] = field(default_factory=list)
