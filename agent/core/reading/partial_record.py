"""A record that is not complete yet: its parts so far, bounded in size."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from agent.core.reading.records import Mark, Odd, Records

if TYPE_CHECKING:
    from hashlib import _Hash as Hash


class PartialRecord:
    """The parts so far of a record that is not complete."""

    __slots__ = ("_digest", "anchor", "line", "origin", "parts", "settled", "since", "size", "start")

    def __init__(self, start: int, line: bytes, since: float) -> None:
        self.start = start
        self.anchor = start
        """From where to read again so that no run is cut in two: one of the other stream may reach across `start`."""
        self.line = line
        self.since = since
        self.parts: list[bytes] = []
        self.size = 0
        self.origin: tuple[str, int] | None = None
        self.settled = False
        self._digest: Hash | None = None

    def add(self, part: bytes, max_bytes: int) -> None:
        """Keeps at most `max_bytes` of the record, and where it is longer the digest of all of it."""
        if self._digest is None and self.size + len(part) > max_bytes:
            self._digest = sha256(b"".join(self.parts))
        if self._digest is not None:
            self._digest.update(part)
        room = max_bytes - min(self.size, max_bytes)
        if room:
            self.parts.append(part[:room])
        self.size += len(part)

    def close(self, records: Records, max_bytes: int, *, incomplete: bool = False) -> None:
        if self.size > max_bytes or incomplete or self.origin is not None:
            records.odd.append(self.odd(max_bytes, incomplete=incomplete))
            records.crossed += self.origin is not None
            return
        records.payloads.append(b"".join(self.parts))
        records.offsets.append(self.start)
        records.lines.append(self.line)

    def odd(self, max_bytes: int, *, incomplete: bool = False) -> Odd:
        size, digest = (0, "") if self._digest is None else (self.size, self._digest.hexdigest())
        mark = Mark(incomplete, size, digest, self.origin, self.settled)
        return Odd(b"".join(self.parts), self.start, self.line, mark)
