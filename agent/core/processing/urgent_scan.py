"""The express scan's pure half: finding urgent alerts in bytes that nobody has read yet, and their books.

A search for the few byte strings that every urgent alert holds finds the lines worth decoding; whatever is unusual
about a line (a part of a record, another spelling) is left to the ordinary pass, which reads everything. Records that
went ahead settle as islands: the ordinary pass passes over them, and is not committed beyond one that is under way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agent.core.processing.alert import PRIORITIES, SEVERITY, NotAnAlert, decode_alert
from agent.core.processing.byte_search import holds
from agent.core.reading.line_formats import Docker, LineFormat
from agent.core.reading.records import Records


class UrgentMatcher:
    """Finds alerts at or above a priority, and Falco's messages about itself, among whole lines."""

    def __init__(self, urgent_priority: str) -> None:
        self._urgent: Final = SEVERITY[urgent_priority]
        # As Falco writes them: no spaces, priorities capitalised. Inside Docker's JSON the quotes are escaped.
        keys = [f'"priority":"{name.capitalize()}"' for name in PRIORITIES[: self._urgent + 1]]
        self._needles = tuple(key.encode() for key in (*keys, '"source":"internal"'))
        self._escaped = tuple(needle.replace(b'"', rb"\"") for needle in self._needles)

    def find(self, window: bytes, offset: int, line_format: LineFormat, max_record_bytes: int) -> Records:
        """The urgent records in the whole lines of `window`, which begins at `offset`; in file order."""
        records = Records()
        for start in sorted(self._hits(window, self._escaped if isinstance(line_format, Docker) else self._needles)):
            end = window.find(b"\n", start) + 1
            if not end:
                break  # the last line is not whole yet
            line = window[start:end]
            payload = self._urgent_alert(line[:-1], line_format)
            if payload is not None and len(line) <= max_record_bytes:
                records.payloads.append(payload)
                records.offsets.append(offset + start)
                records.lines.append(line)
        return records

    def _hits(self, window: bytes, needles: Sequence[bytes]) -> set[int]:
        """Where the lines begin that hold a needle."""
        starts = set()
        for needle in needles:
            if not holds(window, needle):
                continue
            # Backwards: CPython 3.11 searches bytes from the end in less than half the time.
            at = window.rfind(needle)
            while at >= 0:
                start = window.rfind(b"\n", 0, at) + 1
                starts.add(start)
                at = window.rfind(needle, 0, start)
        return starts

    def _urgent_alert(self, line: bytes, line_format: LineFormat) -> bytes | None:
        entry = line_format.text(line)
        if entry is None or entry[2]:
            return None
        try:
            # The last part of a record that was cut is no whole object, so it fails here.
            alert = decode_alert(entry[1])
        except (NotAnAlert, UnicodeDecodeError, RecursionError):
            return None
        urgent = SEVERITY.get(alert.priority.lower(), len(PRIORITIES)) <= self._urgent
        return entry[1] if urgent or alert.source == "internal" else None
