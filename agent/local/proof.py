"""Compares the alerts that were written with the events that arrived, byte by byte.

An alert is identified by its time, which the player makes unique. The keys that the agent appends are cut off before
the comparison, so an alert is unchanged only if all bytes that Falco wrote have arrived.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping

from agent.local.player import time_of

APPENDED_KEYS = (b',"kubernetes":{', b',"falcowatch":{')
"""The beginnings of the keys that the agent appends to an alert."""


class Comparison:
    """Counts arrived, duplicate and altered alerts. `add` takes events as they arrive."""

    def __init__(self, written: Mapping[bytes, int]) -> None:
        self._written = written
        """Time of each written alert → CRC-32 of its bytes; the player adds to it."""
        self._arrived: set[bytes] = set()
        self.duplicates = 0
        self.altered = 0

    @property
    def arrived(self) -> int:
        return len(self._arrived)

    def add(self, messages: Iterable[bytes]) -> None:
        for message in messages:
            original = as_written(message)
            moment = time_of(original)
            digest = self._written.get(moment) if moment is not None else None
            if moment is None or digest is None:
                continue  # an event of the agent itself
            if moment in self._arrived:
                self.duplicates += 1
            self._arrived.add(moment)
            self.altered += zlib.crc32(original) != digest


def as_written(message: bytes) -> bytes:
    """The alert without the appended keys. Quotes inside an alert's strings are escaped, so no string matches a key."""
    starts = [start for start in (message.rfind(key) for key in APPENDED_KEYS) if start >= 0]
    return message[: min(starts)] + b"}" if starts else message
