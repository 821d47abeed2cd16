"""A record of which the last part has not come yet.

Its size in memory is bounded by the largest record. The parts are joined as they come: a list would hold every part as
an object of its own, and a part may be as small as two bytes.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from agent.core.reading.records import Mark, Records, UnusualRecord

if TYPE_CHECKING:
    from hashlib import _Hash as Hash


class PartialRecord:
    """The parts that have come so far."""

    __slots__ = ("_digest", "_joined", "committable", "line", "origin", "settled", "since", "size", "start")

    def __init__(self, start: int, line: bytes, since: float) -> None:
        self.start = start
        self.committable = start
        """The file may be committed up to here. A record of the other stream may have begun before `start`."""
        self.line = line
        """The first physical line."""
        self.since = since
        """When the first part was read, in seconds of the monotonic clock."""
        self.size = 0
        """The size of all parts so far, also of bytes that were not kept."""
        self.origin: tuple[str, int] | None = None
        self.settled = False
        self._joined = bytearray()
        self._digest: Hash | None = None

    def add(self, part: bytes, max_bytes: int) -> None:
        """Keeps at most `max_bytes` of the record. Of a longer record it also computes the digest of all bytes."""
        if self._digest is None and self.size + len(part) > max_bytes:
            self._digest = sha256(self._joined)
        if self._digest is not None:
            self._digest.update(part)
        room = max_bytes - len(self._joined)
        if room > 0:
            self._joined += part[:room]
        self.size += len(part)

    @property
    def held_bytes(self) -> int:
        """How much memory the parts hold."""
        return len(self._joined)

    def close(self, records: Records, max_bytes: int, *, incomplete: bool = False) -> None:
        """Adds the joined record to `records`."""
        if self.size > max_bytes or incomplete or self.origin is not None:
            records.unusual.append(self.unusual(incomplete=incomplete))
            records.from_previous_file += self.origin is not None
            return
        records.payloads.append(bytes(self._joined))
        records.offsets.append(self.start)
        records.lines.append(self.line)

    def unusual(self, *, incomplete: bool = False) -> UnusualRecord:
        size, digest = (0, "") if self._digest is None else (self.size, self._digest.hexdigest())
        mark = Mark(incomplete, size, digest, self.origin, self.settled)
        return UnusualRecord(bytes(self._joined), self.start, self.line, mark)
