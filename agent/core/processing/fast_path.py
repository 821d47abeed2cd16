"""The fast path: usual alerts of known kinds and pods, a chunk at a time, column by column.

Decisions are made once for each case (a kind of alert in one pod) and looked up. Work on each record is one call over
a whole column where possible. Every record that is unusual in any way is left to the slow path. For usual records both
paths have the same result; a test compares them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import Final, TypeVar, cast

import orjson
from msgspec import Struct

from agent.core.batching.limits import EVENT_OVERHEAD_BYTES, LARGEST_MESSAGE_BYTES
from agent.core.processing.alert import Alert
from agent.core.processing.cases import Case, NamedPod
from agent.core.processing.context import ChunkContext, ProcessorContext
from agent.core.processing.event_time import HOUR_MS, event_time
from agent.core.processing.kinds import Kind
from agent.core.processing.result import HOST, ProcessingResult
from agent.core.processing.suffixes import Suffix
from agent.core.reading.line_formats import stamp_of
from agent.core.reading.records import Records
from agent.core.values import Fragment

_Value = TypeVar("_Value")

_INSIDE: Final = slice(len('"'), -len('}"'))
"""Of an object inside a JSON string: everything but the quotes and the object's closing brace."""

_BRACE: Final = ord("}")


class Columns(Struct):
    """Records of a chunk that can take the fast path."""

    numbers: Sequence[int]
    """The records' numbers in the chunk."""
    payloads: Sequence[bytes]
    offsets: Sequence[int]
    cases: Sequence[Case]
    times_ms: Sequence[int]

    def keep(self, wanted: Sequence[bool]) -> list[int]:
        """Removes the records that are not wanted. Returns their numbers."""
        removed = [number for number, keep in zip(self.numbers, wanted, strict=True) if not keep]
        if removed:
            self.numbers = [*compress(self.numbers, wanted)]
            self.payloads = [*compress(self.payloads, wanted)]
            self.offsets = [*compress(self.offsets, wanted)]
            self.cases = [*compress(self.cases, wanted)]
            self.times_ms = [*compress(self.times_ms, wanted)]
        return removed


class FastPath:
    """Processes one chunk."""

    def __init__(self, processor: ProcessorContext, chunk: ChunkContext, result: ProcessingResult) -> None:
        self._processor = processor
        self._chunk = chunk
        self._result = result
        self._file_suffix = processor.suffixes.of_file(chunk.file, processor.ending)

    def add(self, alerts: Sequence[Alert], records: Records) -> list[int]:
        """Puts every usual alert into its lane. Returns the numbers of the other records, ascending."""
        columns, others = self._of_known_cases(alerts, records)
        if not columns.numbers:
            return sorted(others)
        pods = [case.pod for case in columns.cases]
        found, all_known = self._look_up(pods, columns.times_ms)
        suffixes = [*map(found.get, pods)]
        if not all_known:
            others += columns.keep([suffix is not None for suffix in suffixes])
        known = cast(list[Suffix], suffixes if all_known else [*filter(None, suffixes)])
        texts = _escaped(columns.payloads)
        if texts is None:
            objects = [_is_an_object(payload) for payload in columns.payloads]
            others += columns.keep(objects)
            known = [*compress(known, objects)]
            texts = _escaped(columns.payloads) or []
        ends = self._ends(columns.offsets)
        sizes = [
            len(payload) + suffix.added_bytes + len(end)
            for payload, suffix, end in zip(columns.payloads, known, ends, strict=True)
        ]
        if max(sizes, default=0) > LARGEST_MESSAGE_BYTES:
            fits = [size <= LARGEST_MESSAGE_BYTES for size in sizes]
            others += columns.keep(fits)
            known, texts = [*compress(known, fits)], [*compress(texts, fits)]
            ends, sizes = [*compress(ends, fits)], [*compress(sizes, fits)]
        self._count(columns.cases, known, found.values(), sizes)
        self._put_in_lanes(columns, texts, [suffix.escaped for suffix in known], ends, sizes)
        return sorted(others)

    def _of_known_cases(self, alerts: Sequence[Alert], records: Records) -> tuple[Columns, list[int]]:
        """The records with a known case that ship under their own time, and the numbers of the others."""
        cases = self._processor.cases.of(alerts)
        times_ms = self._processor.timestamps.parse_many([alert.time for alert in alerts])
        columns = Columns(
            range(len(alerts)), records.payloads, records.offsets, cast(list[Case], cases), cast(list[int], times_ms)
        )
        others: list[int] = []
        if not (all(cases) and all(times_ms)):
            others += columns.keep([all(pair) for pair in zip(cases, times_ms, strict=True)])
        if columns.numbers and not self._all_times_are_usual(columns.times_ms, records.lines):
            others += columns.keep(self._usual_times(columns, records.lines))
        return columns, others

    def _all_times_are_usual(self, times_ms: Sequence[int], lines: Sequence[bytes]) -> bool:
        """Every alert ships under its own time. A quick check; the answer no may be wrong."""
        now_ms, first_ms, last_ms = self._chunk.now_ms, min(times_ms), max(times_ms)
        if not self._processor.window.contains(first_ms, last_ms, now_ms):
            return False
        hours = self._chunk.line_format.stamp_hours(lines)
        if not hours:
            return last_ms <= now_ms + HOUR_MS
        if len(hours) > 1:
            return False
        # All stamps are within one hour, so it must be the hour of all alerts, or the moment behind it.
        hour_ms = self._hour(hours.pop(), lines[0])
        return hour_ms is not None and hour_ms <= first_ms and last_ms <= hour_ms + HOUR_MS

    def _hour(self, hour: bytes, line: bytes) -> int | None:
        """The beginning of the hour of a runtime's stamp, in the zone of the first line's stamp."""
        stamp = stamp_of(line.rstrip(b"\n\0"), self._chunk.line_format)
        return self._processor.timestamps.parse_hour(hour, stamp)

    def _usual_times(self, columns: Columns, lines: Sequence[bytes]) -> list[bool]:
        """Of each alert, whether it ships under its own time."""
        expected, parse = self._chunk.line_format, self._processor.timestamps.parse
        window, now_ms = self._processor.window, self._chunk.now_ms
        return [
            window.contains(time_ms, time_ms, now_ms)
            and not event_time(time_ms, parse(stamp_of(lines[number].rstrip(b"\n\0"), expected)), now_ms).note
            for number, time_ms in zip(columns.numbers, columns.times_ms, strict=True)
        ]

    def _look_up(self, pods: Sequence[NamedPod], times_ms: Sequence[int]) -> tuple[dict[NamedPod, Suffix], bool]:
        """The suffix of each pod that is known, and whether all are: a chunk is about few pods, within moments."""
        fragments: dict[NamedPod, Fragment] = {}
        asked, find = dict(zip(pods, times_ms, strict=True)), self._chunk.find
        for pod, time_ms in asked.items():
            fragment = HOST if pod.is_host else find(pod.key, time_ms)
            if fragment is not None:
                fragments[pod] = fragment
        return self._processor.suffixes.of(fragments, self._file_suffix), len(fragments) == len(asked)

    def _ends(self, offsets: Sequence[int]) -> list[bytes]:
        """The third piece of each message: its offset and the ending. One call makes text of all offsets."""
        if not offsets:
            return []
        ending = self._processor.ending.escaped
        return (orjson.dumps(offsets)[1:-1].replace(b",", ending + b"\n") + ending).split(b"\n")

    def _count(
        self, cases: Sequence[Case], suffixes: Sequence[Suffix], different: Iterable[Suffix], sizes: Sequence[int]
    ) -> None:
        """`different`: each of the suffixes at least once."""
        seen, billed_bytes = self._result.seen, self._result.billed_bytes
        for kind, sizes_of_kind in _grouped([case.kind for case in cases], sizes).items():
            alerts = len(sizes_of_kind)
            seen[kind] += alerts
            billed_bytes[kind] += sum(sizes_of_kind) + EVENT_OVERHEAD_BYTES * alerts
        outcomes = {suffix.fragment.result for suffix in different}
        if len(outcomes) == 1:
            self._result.enriched[outcomes.pop()] += len(suffixes)
        else:
            for suffix in suffixes:
                self._result.enriched[suffix.fragment.result] += 1

    def _put_in_lanes(
        self,
        columns: Columns,
        texts: Sequence[bytes],
        appended: Sequence[bytes],
        ends: Sequence[bytes],
        sizes: Sequence[int],
    ) -> None:
        lanes = {kind.lane for kind in self._result.seen}
        for lane in lanes:
            wanted = [case.kind.lane is lane for case in columns.cases] if len(lanes) > 1 else None
            self._result.spans[lane].extend(
                _chosen(columns.times_ms, wanted),
                _chosen(texts, wanted),
                _chosen(appended, wanted),
                _chosen(ends, wanted),
                _chosen(sizes, wanted),
                _chosen(columns.offsets, wanted),
            )


def _grouped(kinds: Sequence[Kind], sizes: Sequence[int]) -> Mapping[Kind, Sequence[int]]:
    """The sizes of each kind. The loop over the alerts runs in C."""
    different = set(kinds)
    if len(different) == 1:
        return dict.fromkeys(different, sizes)
    groups: dict[Kind, list[int]] = {kind: [] for kind in different}
    deque(map(list.append, map(groups.__getitem__, kinds), sizes), maxlen=0)
    return groups


def _chosen(column: Sequence[_Value], wanted: Sequence[bool] | None) -> Sequence[_Value]:
    return column if wanted is None else [*compress(column, wanted)]


def _escaped(payloads: Sequence[bytes]) -> list[bytes] | None:
    """The first piece of each message: the alert without its closing brace. None if a payload is not an object."""
    if {payload[-1] for payload in payloads} - {_BRACE}:
        return None
    encode, inside = orjson.dumps, _INSIDE
    try:
        # One call for each: a buffer for the whole chunk would be new memory each time, which costs more.
        return [encode(payload.decode())[inside] for payload in payloads]
    except UnicodeDecodeError:
        return None


def _is_an_object(payload: bytes) -> bool:
    try:
        return payload.decode().endswith("}")
    except UnicodeDecodeError:
        return False
