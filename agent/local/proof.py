"""Compares what was written with what arrived, alert by alert and byte by byte."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping

from agent.local.player import time_of

OURS = (b',"kubernetes":{', b',"falcowatch":{')
"""Where what was appended begins."""


class Comparison:
    """Is told of each message that arrives."""

    def __init__(self, written: Mapping[bytes, int]) -> None:
        self._written = written
        """Time → CRC-32 of the alert."""
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
                continue  # an event of the agent's own
            if moment in self._arrived:
                self.duplicates += 1
            self._arrived.add(moment)
            self.altered += zlib.crc32(original) != digest


def as_written(message: bytes) -> bytes:
    """The alert without what was appended to it. Quotes inside an alert's strings are escaped, so these are ours."""
    starts = [start for start in (message.rfind(begin) for begin in OURS) if start >= 0]
    return message[: min(starts)] + b"}" if starts else message
