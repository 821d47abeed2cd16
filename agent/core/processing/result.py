"""The result of processing one chunk. Values only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from msgspec import Struct, field

from agent.core.batching.span import Span
from agent.core.processing.dedup import Group
from agent.core.processing.kinds import Kind
from agent.core.reading.records import Origin, Records
from agent.core.values import Fragment, Lane, PodKey

_Key = TypeVar("_Key")

HOST: Final = Fragment(b"", b"", "host")
"""For an alert about the host itself."""

NOT_ENRICHED: Final = Fragment(b"", b"", "miss")
"""For an alert whose pod could not be looked up."""

FindFragment = Callable[[PodKey, int], Fragment | None]
"""The fragment for a pod at a time in milliseconds; None: the pod is not known yet, and is worth waiting for."""


class Oversized(Struct, frozen=True):
    """A record that ships as a smaller event. Its bytes belong in a dead letter."""

    offset: int
    payload: bytes
    size: int
    """The size of the whole record in bytes. `payload` may be only its head."""
    digest: str
    """As the event states it: of the record's text, or of the whole record if `payload` is only its head."""


class Defect(Struct, frozen=True):
    """A record that met an unforeseen exception. It ships wrapped, and its bytes belong in a dead letter."""

    offset: int
    payload: bytes
    error: Exception


_LANES: Final = tuple(Lane)

_counts: Final[Callable[[], defaultdict[Any, int]]] = partial(defaultdict, int)
"""Made for each chunk, and a Counter takes four times as long to make."""


def _empty_spans() -> dict[Lane, Span]:
    return {lane: Span() for lane in _LANES}


def _add(mine: dict[_Key, int], more: Mapping[_Key, int]) -> None:
    for key, count in more.items():
        mine[key] = mine.get(key, 0) + count


class ProcessingResult(Struct):
    """Each record of the chunk is in a span, filtered, or in a group."""

    spans: dict[Lane, Span] = field(default_factory=_empty_spans)
    seen: dict[Kind, int] = field(default_factory=_counts)
    """The number of alerts of each kind, with those that were filtered."""
    billed_bytes: dict[Kind, int] = field(default_factory=_counts)
    """The bytes of the alerts of each kind that ship, as CloudWatch bills them: each message and its overhead."""
    filtered: dict[str, int] = field(default_factory=_counts)
    """The number of records that are settled without being shipped, by reason."""
    enriched: dict[str, int] = field(default_factory=_counts)
    """The number of alerts by the result of their enrichment."""
    unknown: dict[PodKey, Records] = field(default_factory=dict)
    """Records that are worth waiting for, by the pod that is not known yet. This result does not count them."""
    notices: list[bytes] = field(default_factory=list)
    """Falco's messages about itself."""
    grouped: dict[Group, int] = field(default_factory=dict)
    """How many records each group takes. The group must hold them before the caller waits for anything."""
    unshipped: set[int | Origin] = field(default_factory=set)
    """The records that do not ship, because a rule of the configuration settles them: offset, or origin."""
    oversized: list[Oversized] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    enrichment_error: Exception | None = None
    """Looking up a pod raised this unforeseen exception. The alerts ship without their pod."""
    text_alerts: int = 0
    """The number of alerts that Falco printed as text, because its `json_output` is off."""

    def put_in_file_order(self) -> None:
        for span in self.spans.values():
            span.put_in_file_order()

    def merge(self, other: ProcessingResult) -> None:
        """Adds the result of other records of the same chunk."""
        for lane, span in other.spans.items():
            mine = self.spans[lane]
            mine.extend(span.timestamps, span.texts, span.appended, span.ends, span.sizes, span.offsets)
        _add(self.seen, other.seen)
        _add(self.billed_bytes, other.billed_bytes)
        _add(self.filtered, other.filtered)
        _add(self.enriched, other.enriched)
        for key, waiting in other.unknown.items():
            self.unknown.setdefault(key, Records()).extend(waiting)
        self.notices += other.notices
        self.unshipped |= other.unshipped
        self.oversized += other.oversized
        self.defects += other.defects
        self.text_alerts += other.text_alerts
        self.enrichment_error = self.enrichment_error or other.enrichment_error
