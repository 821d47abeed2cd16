"""The records of a chunk, as columns, and the marks of unusual records. Values only."""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from msgspec import Struct, field

Origin = tuple[str, int]
"""File id and offset of the first byte of a record that began in a previous file."""


class Mark(Struct, frozen=True):
    """The ways in which a record is unusual."""

    incomplete: bool = False
    """Its last part never came."""
    size: int = 0
    """The size of the whole record if only its head was kept; 0 if all of it was kept."""
    digest: str = ""
    """The SHA-256 of the whole record if only its head was kept."""
    origin: Origin | None = None
    """Where it began, if that was in a previous file."""
    settled: bool = False
    """The record began in the previous file, and an earlier run of the agent settled it."""
    defect: Exception | None = None
    """Reading the line raised this unforeseen exception. The record is the line as it stands in the file."""


USUAL: Final = Mark()


class UnusualRecord(Struct, frozen=True):
    """A record with a mark."""

    payload: bytes
    offset: int
    line: bytes
    """Its first physical line."""
    mark: Mark


class Records(Struct):
    """The records of one chunk, as columns."""

    payloads: list[bytes] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    """Where each record begins in the file."""
    lines: list[bytes] = field(default_factory=list)
    """The first physical line of each record, with its newline."""
    unusual: list[UnusualRecord] = field(default_factory=list)
    """The few unusual records. They are not in the columns."""
    from_previous_file: int = 0
    """How many of the records began in the previous file."""

    def extend(self, other: Records) -> None:
        self.payloads += other.payloads
        self.offsets += other.offsets
        self.lines += other.lines
        self.unusual += other.unusual

    def __len__(self) -> int:
        return len(self.payloads) + len(self.unusual)


def without(records: Records, offsets: Set[int]) -> Records:
    """The records except those that begin at one of the offsets. The unusual records stay."""
    rest = Records(unusual=records.unusual, from_previous_file=records.from_previous_file)
    for payload, offset, line in zip(records.payloads, records.offsets, records.lines, strict=True):
        if offset not in offsets:
            rest.payloads.append(payload)
            rest.offsets.append(offset)
            rest.lines.append(line)
    return rest


def add_record(records: Records, payload: bytes, offset: int, line: bytes, mark: Mark = USUAL) -> None:
    if mark is USUAL:
        records.payloads.append(payload)
        records.offsets.append(offset)
        records.lines.append(line)
    else:
        records.unusual.append(UnusualRecord(payload, offset, line, mark))
