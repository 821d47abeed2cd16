"""Decides which log a file is that a scan has found, and what to do with the file. Pure.

`judge` is given what is known and what was seen of the file, and returns actions, which the file tracker carries out.
A file is recognised by its id, wherever rotation has moved it, and by the bytes before its committed offset; where
those differ, it is another log that begins with the same line and gets the next number behind the id.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Set

from msgspec import Struct

from agent.tail.checkpoint import Position
from agent.tail.fingerprint import digest


class Seen(Struct, frozen=True):
    """The facts about the file that a scan has found."""

    base_id: str | None
    """The id that its first line gives. None: it holds too little to tell."""
    has_stamp: bool = True
    """Its first line holds a time in nanoseconds, so no other log begins with that line."""
    rotated: bool = False
    compressed: bool = False
    gone: bool = False
    """It has no name any more."""
    ours: bool = True
    """It is to be read if nothing is known about it."""
    size: int = 0
    """Uncompressed bytes, as far as they are known."""
    size_is_known: bool = True
    """Only gzip tells the uncompressed size without reading."""
    key: tuple[int, int] = (0, 0)
    """Device and inode."""
    growing: bool = False
    """It was written to within the last seconds, so it may be a copy that is still being made."""


class Held(Struct, frozen=True):
    """A file that the source has open already."""

    needs_a_copy: bool
    marker_offset: int
    marker: str
    """The digest of the last bytes before `marker_offset`; empty: unknown. A file with the same bytes is a copy."""


class Known(Struct, frozen=True):
    """The facts about files with the same id, or with this id and a number behind it."""

    held: Mapping[str, Held]
    open_elsewhere: Set[str]
    """Ids of files that other sources have open."""
    positions: Mapping[str, Position]
    markers: Mapping[int, bytes]
    """Bytes of the found file before an offset, as far as they were read."""


class WaitForMore(Struct, frozen=True):
    """Keep it open until its first line is long enough to tell which log it is."""


class Postpone(Struct, frozen=True):
    """Close it and judge it again at the next scan."""

    settled: int = 0
    """Bytes of it that were read by a previous run, or under another name."""


class ReadMarker(Struct, frozen=True):
    """Read the bytes before `offset`, then judge again."""

    offset: int


class Remember(Struct, frozen=True):
    """Note that a source has been read before: one of its files is known."""


class NotOurs(Struct, frozen=True):
    """Remember that the file was there before the agent and is not read."""

    file_id: str


class Settle(Struct, frozen=True):
    """Close it: nothing in it is left to read."""

    file_id: str


class IsAlias(Struct, frozen=True):
    """Close it: it holds the same log as a file that is open."""

    file_id: str


class GoOnIn(Struct, frozen=True):
    """The open file with that id goes on in this one."""

    file_id: str


class Skip(Struct, frozen=True):
    """Close it: another source reads it."""


class Read(Struct, frozen=True):
    """Read it: from where the last run stopped, from its end, or from its beginning."""

    file_id: str
    known: Position | None = None
    from_end: bool = False


Action = WaitForMore | Postpone | ReadMarker | Remember | NotOurs | Settle | IsAlias | GoOnIn | Skip | Read


def file_of(action: Action) -> str:
    """The id of the log that the file holds. Empty: not known yet, or another source reads it."""
    return "" if isinstance(action, WaitForMore | Postpone | ReadMarker | Remember | Skip) else action.file_id


def judge(seen: Seen, known: Known) -> tuple[Action, ...]:
    """The actions for a file that a scan has found, in their order."""
    if seen.base_id is None:
        return (Settle(""),) if seen.rotated or seen.gone else (WaitForMore(),)
    shortened = False
    remember: tuple[Action, ...] = ()
    for number in itertools.count(1):
        file_id = seen.base_id if number == 1 else f"{seen.base_id}-{number}"
        if (held := known.held.get(file_id)) is not None:
            action = _beside_held(seen, file_id, held, known.markers)
            if action is None:
                continue
            return (*remember, action)
        if file_id in known.open_elsewhere:
            return (*remember, Skip())
        position = known.positions.get(file_id)
        if position is None:
            return (*remember, *_new(seen, file_id, shortened=shortened))
        remember = (Remember(),)
        if position.marker and position.offset not in known.markers:
            return (*remember, ReadMarker(position.offset))
        if position.marker in ("", digest(known.markers.get(position.offset, b""))):
            return (*remember, _go_on(seen, file_id, position))
        if position.offset > seen.size and not seen.compressed and seen.has_stamp:
            if seen.growing:
                return (*remember, Postpone(position.offset))
            shortened = True
    raise AssertionError("numbers never end")


def _beside_held(seen: Seen, file_id: str, held: Held, markers: Mapping[int, bytes]) -> Action | None:
    """The same log as an open file. None: another log that begins with the same line."""
    if not held.needs_a_copy and seen.has_stamp:
        return IsAlias(file_id)
    if held.marker_offset not in markers:
        return ReadMarker(held.marker_offset)
    if held.marker in ("", digest(markers[held.marker_offset])):
        return GoOnIn(file_id) if held.needs_a_copy else IsAlias(file_id)
    return IsAlias(file_id) if seen.has_stamp else None


def _go_on(seen: Seen, file_id: str, position: Position) -> Action:
    if position.complete and (seen.rotated or seen.compressed) and not _has_grown(seen, position):
        return Settle(file_id)
    return Postpone(position.offset) if seen.compressed and seen.growing else Read(file_id, position)


def _has_grown(seen: Seen, position: Position) -> bool:
    """The file holds more than was read. A file that is not ours has a position of size 0."""
    if not position.offset:
        return False
    if not seen.size_is_known:
        # A copy may hold bytes that were written and truncated away between two looks at the original.
        return seen.key != (position.device, position.inode)
    return seen.size > position.offset


def _new(seen: Seen, file_id: str, *, shortened: bool) -> tuple[Action, ...]:
    if not seen.ours:
        return (NotOurs(file_id), Settle(file_id)) if seen.rotated else (Read(file_id),)
    # Shortened: the node lost power before the disk had all of the file. The bytes that are left were settled.
    if seen.compressed and seen.growing:
        return (Postpone(),)
    return (Read(file_id, from_end=shortened),)
