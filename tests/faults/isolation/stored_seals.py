"""Counts the seals in the files of the embedded CloudWatch, so that a scenario counts its own events alone."""

from __future__ import annotations

from pathlib import Path

import orjson

SEAL = b'"falcowatch":{"id":"self:seal:'
"""Only the agent can write this key without escaping it, so no forged line has it."""


class StoredSeals:
    """Reads what was appended since the last question. One call of the embedded CloudWatch appends a whole batch."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._read: dict[Path, int] = {}
        self._seals: dict[Path, int] = {}
        self._streams: dict[Path, str] = {}

    def total(self) -> int:
        self._look()
        return sum(self._seals.values())

    def of(self, stream: str) -> int:
        self._look()
        return sum(number for path, number in self._seals.items() if self._streams[path] == stream)

    def _look(self) -> None:
        for path in self._data.glob("*/*.events"):
            with path.open("rb") as file:
                if path not in self._streams:
                    head = file.readline()
                    if not head.endswith(b"\n"):
                        continue
                    self._streams[path] = orjson.loads(head)["stream"]
                file.seek(self._read.get(path, 0))
                new = file.read()
            self._read[path] = self._read.get(path, 0) + len(new)
            self._seals[path] = self._seals.get(path, 0) + new.count(SEAL)
