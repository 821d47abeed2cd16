"""The pass that a flood goes through: plain alerts of known kinds and pods, a chunk at a time, column by column.

What has to be decided is decided once for each case (a kind of alert in one pod) and looked up; what has to be done
for every record is done by one call over the whole column where there is one. Whatever is unusual about a record is
left to `core.careful`, and for the usual both come to the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from agent.core.batching.limits import LARGEST_MESSAGE_BYTES
from agent.core.batching.span import escaped
from agent.core.processing.alert import Alert
from agent.core.processing.cases import Case, Place
from agent.core.processing.result import HOST, FindFragment, ProcessingResult
from agent.core.reading.records import Records
from agent.core.values import Lane

if TYPE_CHECKING:
    from agent.core.processing.processor import Processor


_INSIDE: Final = slice(len('"'), -len('}"'))
"""Of an object in a JSON string: without the quotes and its closing brace."""


_BRACE: Final = ord("}")


@dataclass(slots=True)
class Rows:
    """Records of a chunk, by columns."""

    numbers: Sequence[int]
    """Which of the chunk's they are."""
    payloads: Sequence[bytes]
    offsets: Sequence[int]
    cases: Sequence[Any]
    """Of each its Case; until those that have none are let go of, None for them."""
    times: Sequence[Any]
    """Milliseconds; None likewise."""
    places: Sequence[Place] = ()
    """Once each has a Case."""

    def keep(self, wanted: list[bool]) -> list[int]:
        """Lets go of the others. Their numbers."""
        others = [number for number, keep in zip(self.numbers, wanted, strict=True) if not keep]
        if others:
            self.numbers = [*compress(self.numbers, wanted)]
            self.payloads = [*compress(self.payloads, wanted)]
            self.offsets = [*compress(self.offsets, wanted)]
            self.cases = [*compress(self.cases, wanted)]
            self.times = [*compress(self.times, wanted)]
            self.places = [*compress(self.places, wanted)]
        return others


class _Ours(NamedTuple):
    """What a message of one file has of ours but for its pod and its offset, escaped."""

    opening: bytes
    """From after the pod to before the offset."""
    closing: bytes
    size: int
    """How much longer these make a message, less the closing as it stands here."""


@lru_cache(maxsize=1024)
def _ours(file: str, closing: bytes) -> _Ours:
    """The same object for the same file."""
    opening, ending = f',"falcowatch":{{"id":"{file}:', closing.decode()
    size = len(opening) + len(ending) - len(escaped(ending)) - len("}")
    return _Ours(escaped(opening), escaped(ending), size)


class FastPath:
    """One chunk's pass."""

    def __init__(self, processor: Processor, out: ProcessingResult, file: str, find: FindFragment) -> None:
        self._processor = processor
        self._out = out
        self._find = find
        self._ours = _ours(file, processor.closing)

    def add(self, alerts: Sequence[Alert], records: Records) -> list[int]:
        """Puts every plain alert into its lane. The numbers of the other records, ascending."""
        cases = self._processor.cases.of(alerts)
        times = self._processor.clock.many([alert.time for alert in alerts])
        rows = Rows(range(len(alerts)), records.payloads, records.offsets, cases, times)
        others: list[int] = []
        if not (all(cases) and all(times)):
            others += rows.keep([all(pair) for pair in zip(cases, times, strict=True)])
        rows.places = [case.place for case in rows.cases]
        if not self._look_up(rows.places, rows.times):
            others += rows.keep([place.fragment is not None for place in rows.places])
        if (texts := _escaped(rows.payloads)) is None:
            others += rows.keep([_is_an_object(payload) for payload in rows.payloads])
            texts = _escaped(rows.payloads) or []
        ends = self._ends(rows.offsets)
        sizes = [
            len(payload) + place.added_bytes + len(end)
            for payload, place, end in zip(rows.payloads, rows.places, ends, strict=True)
        ]
        if max(sizes, default=0) > LARGEST_MESSAGE_BYTES:
            fits = [size <= LARGEST_MESSAGE_BYTES for size in sizes]
            others += rows.keep(fits)
            texts, ends, sizes = [*compress(texts, fits)], [*compress(ends, fits)], [*compress(sizes, fits)]
        lanes = self._count(rows.cases, rows.places)
        appended = [place.appended for place in rows.places]
        self._into_lanes(lanes, rows.cases, (rows.times, texts, appended, ends, sizes, rows.offsets))
        return sorted(others)

    def _look_up(self, places: Sequence[Place], times: Sequence[int]) -> bool:
        """Whether all are known. Alerts of one chunk come from few pods within moments: each pod is looked up once."""
        all_known = True
        opening = self._ours.opening
        for place, time_ms in dict(zip(places, times, strict=True)).items():
            fragment = HOST if place.is_host else self._find(place.key, time_ms)
            if fragment is None:
                all_known = False
            elif fragment is not place.fragment or opening is not place.opening:
                place.opening = opening
                place.appended = fragment.escaped + opening
                place.added_bytes = len(fragment.plain) + self._ours.size
            place.fragment = fragment
        return all_known

    def _ends(self, offsets: Sequence[int]) -> list[bytes]:
        """The end of each id and all that follows it. To make text of all numbers in one call takes half the time."""
        if not offsets:
            return []
        closing = self._ours.closing
        return (orjson.dumps(offsets)[1:-1].replace(b",", closing + b"\n") + closing).split(b"\n")

    def _count(self, cases: Sequence[Case], places: Sequence[Place]) -> set[Lane]:
        """The lanes there are."""
        kinds = Counter([case.kind for case in cases])
        for kind, seen in kinds.items():
            kind.seen += seen
        for place, seen in Counter(places).items():
            if place.fragment is not None:
                self._out.enriched[place.fragment.result] += seen
        return {kind.lane for kind in kinds}

    def _into_lanes(self, lanes: set[Lane], cases: Sequence[Case], columns: tuple[Sequence[Any], ...]) -> None:
        for lane in lanes:
            mine = columns
            if len(lanes) > 1:
                wanted = [case.kind.lane is lane for case in cases]
                mine = tuple([*compress(column, wanted)] for column in columns)
            self._out.spans[lane].extend(*mine)


def _escaped(payloads: Sequence[bytes]) -> list[bytes] | None:
    """Each without its closing brace, as it stands inside a JSON string. None: one of them is no object, or no text."""
    if {payload[-1] for payload in payloads} - {_BRACE}:
        return None
    encode, inside = orjson.dumps, _INSIDE
    try:
        # One by one: the encoder's buffer for a whole chunk is new memory each time, and costs more than the calls.
        return [encode(payload.decode())[inside] for payload in payloads]
    except UnicodeDecodeError:
        return None


def _is_an_object(payload: bytes) -> bool:
    try:
        return payload.decode().endswith("}")
    except UnicodeDecodeError:
        return False
