"""Finds urgent alerts in bytes that reading has not come to yet.

Every urgent alert contains one of a few byte strings. A search for these strings finds the lines that are worth
decoding. An unusual line, such as a part of a record or another spelling, is left to reading, which takes every line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agent.core.priorities import PRIORITIES, SEVERITY, rank
from agent.core.processing.alert import Alert, NotAnAlert, decode_alert, decode_leniently
from agent.core.processing.byte_search import contains
from agent.core.processing.kinds import INTERNAL_RULES, is_internal
from agent.core.reading.line_formats import Docker, LineFormat, Plain, read_line
from agent.core.reading.records import Records


class UrgentMatcher:
    """Finds alerts at or above a priority, and Falco's messages about itself, among whole lines."""

    def __init__(self, urgent_priority: str) -> None:
        self._urgent: Final = SEVERITY[urgent_priority]
        # Falco writes no spaces, and capital first letters. In Docker's JSON the quotes are escaped.
        keys = [f'"priority":"{name.capitalize()}"' for name in PRIORITIES[: self._urgent + 1]]
        self._needles = tuple(key.encode() for key in (*keys, '"source":"internal"', f'"rule":"{INTERNAL_RULES}'))
        self._escaped_needles = tuple(needle.replace(b'"', rb"\"") for needle in self._needles)

    def find(self, window: bytes, offset: int, line_format: LineFormat, max_record_bytes: int) -> Records:
        """The urgent records in the whole lines of `window`, which begins at `offset`, in the order of the file."""
        records = Records()
        needles: Sequence[bytes] = self._escaped_needles if isinstance(line_format, Docker) else self._needles
        if isinstance(line_format, Plain):  # the first line may not show the format of the others
            needles = (*self._needles, *self._escaped_needles)
        for start in sorted(_lines_with(window, needles)):
            end = window.find(b"\n", start) + 1
            if not end:
                break  # the last line is not complete yet
            line = window[start:end]
            payload = self._urgent_alert(line[:-1], line_format)
            if payload is not None and len(line) <= max_record_bytes:
                records.payloads.append(payload)
                records.offsets.append(offset + start)
                records.lines.append(line)
        return records

    def _urgent_alert(self, line: bytes, line_format: LineFormat) -> bytes | None:
        try:
            _, entry = read_line(line, line_format)
            if entry is None or entry[2]:
                return None
            # The last part of a record is not a whole object, so decoding it fails.
            alert = _decoded(entry[1])
        except Exception:  # noqa: BLE001 - reading comes to this line too, and reports what is wrong with it
            return None
        # `Kinds` decides in the same way.
        is_urgent = rank(alert.priority) <= self._urgent or is_internal(alert.source, alert.rule)
        return entry[1] if is_urgent else None


def _decoded(payload: bytes) -> Alert:
    try:
        return decode_alert(payload)
    except NotAnAlert:
        return decode_leniently(payload)


def _lines_with(window: bytes, needles: Sequence[bytes]) -> set[int]:
    """Where the lines begin that contain a needle."""
    starts = set()
    for needle in needles:
        if not contains(window, needle):
            continue
        # Backwards, because CPython 3.11 searches bytes from the end in less than half the time.
        at = window.rfind(needle)
        while at >= 0:
            start = window.rfind(b"\n", 0, at) + 1
            starts.add(start)
            at = window.rfind(needle, 0, start)
    return starts
