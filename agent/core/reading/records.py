"""Records of a chunk by columns, and the marks of unusual ones. Values only."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class Mark:
    """What is unusual about a record."""

    incomplete: bool = False
    """Its last part never came."""
    size: int = 0
    """Its whole size where only the head was kept; 0: all of it is here."""
    digest: str = ""
    """SHA-256 of the whole, where only the head was kept."""
    origin: tuple[str, int] | None = None
    """File id and offset of its first byte, where that lies in the file before this one."""
    settled: bool = False
    """It was settled before, when the file before this one was read for the first time."""


@dataclass(frozen=True, slots=True)
class Odd:
    """An unusual record."""

    payload: bytes
    offset: int
    line: bytes
    mark: Mark


@dataclass(slots=True)
class Records:
    """The records of one chunk, by columns."""

    payloads: list[bytes] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    """Where each begins in the file."""
    lines: list[bytes] = field(default_factory=list)
    """The first physical line of each, newline and all."""
    odd: list[Odd] = field(default_factory=list)
    """The few that are unusual; not in the columns."""
    crossed: int = 0
    """How many began in the file before."""

    def __len__(self) -> int:
        return len(self.payloads) + len(self.odd)


def without(records: Records, offsets: Set[int]) -> Records:
    """The same but for those that begin there; the unusual ones stay."""
    left = Records(odd=records.odd, crossed=records.crossed)
    for payload, offset, line in zip(records.payloads, records.offsets, records.lines, strict=True):
        if offset not in offsets:
            left.payloads.append(payload)
            left.offsets.append(offset)
            left.lines.append(line)
    return left


def add_record(records: Records, payload: bytes, offset: int, line: bytes, mark: Mark | None) -> None:
    if mark is None:
        records.payloads.append(payload)
        records.offsets.append(offset)
        records.lines.append(line)
    else:
        records.odd.append(Odd(payload, offset, line, mark))
