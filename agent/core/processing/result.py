"""What sifting decides by, and what comes of it: values, with no rule of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from agent.core.batching.span import Span
from agent.core.processing.dedup import Group
from agent.core.reading.records import Records
from agent.core.values import Fragment, Lane, PodKey

HOST: Final = Fragment(b"", b"", "host")
FindFragment = Callable[[PodKey, int], Fragment | None]
"""The fragment for a pod at a time in milliseconds; None: not known yet, worth waiting for."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is urgent, and what is settled without being shipped."""

    minimum_priority: str = "debug"
    urgent_priority: str = "critical"
    drop_rules: tuple[str, ...] = ()
    ship_other_lines: bool = True
    storm_limit: int = 0
    """Identical alerts a minute beyond which they fold; 0: they never do. Nor do urgent ones."""
    storm_keys: tuple[str, ...] = ()


class Kind:
    """Everything that depends only on priority, source and rule."""

    __slots__ = ("filtered", "folds", "lane", "priority", "rule", "seen", "source", "takes_fast_path")

    def __init__(self, priority: str, source: str, rule: str, lane: Lane, filtered: str, folds: bool) -> None:
        self.priority = priority
        self.source = source
        self.rule = rule
        self.lane = lane
        self.filtered = filtered
        """Why its alerts are not shipped; empty: they are."""
        self.folds = folds
        """A storm of them folds."""
        self.takes_fast_path = not filtered and not folds and source != "internal"
        """Its alerts need no more than their pod."""
        self.seen = 0
        """Alerts in the chunk at hand."""


@dataclass(frozen=True, slots=True)
class Oversized:
    """A record that ships shrunk; its bytes belong in the dead letters."""

    offset: int
    payload: bytes
    size: int
    """Its whole size in bytes, of which `payload` may be the head."""
    digest: str


@dataclass(slots=True)
class ProcessingResult:
    """What became of a chunk's records."""

    spans: dict[Lane, Span]
    seen: list[tuple[Kind, int]] = field(default_factory=list)
    """How many alerts of each kind there were."""
    filtered: Counter[str] = field(default_factory=Counter)
    enriched: Counter[str] = field(default_factory=Counter)
    unknown: dict[PodKey, Records] = field(default_factory=dict)
    """Records that are worth waiting for, by the pod that is not known yet. They are not counted in this result."""
    notices: list[bytes] = field(default_factory=list)
    """Falco's messages about itself."""
    folded: dict[Group, int] = field(default_factory=dict)
    """How many of the records each fold takes, to be held by it before anything else is awaited."""
    oversized: list[Oversized] = field(default_factory=list)
