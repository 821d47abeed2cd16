"""The life of one log file, as a table of states. Pure: no clock, no file.

`after` gives the state that follows a happening. Three questions depend on time and take `now`: whether the writer has
left the file, whether somebody may still write to it, and whether a record is being written across its end.
Times are seconds of the monotonic clock, so a wall clock that is set back delays nothing.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from msgspec import Struct

SETTLE_SECONDS: Final = 1.0
"""A file that ends inside a record is given this long for the rest of it before the next file is begun."""

LATE_SECONDS: Final = 5.0
"""A rotated file stays open until nobody has written to it for so long: the runtime opens the new file first."""

ORPHAN_SECONDS: Final = 600.0
"""A file whose writers the kernel does not tell us stays open until nobody has written to it for so long."""

LOOKS_FOR_A_COPY: Final = 2
"""copytruncate copies before it truncates, so when two scans have shown no copy, there is none."""


SEARCH_SECONDS: Final = 15.0
"""A truncated log waits for so long for a file that cannot be opened, because that file may be its copy."""


class FileState(Enum):
    """The state of an open file: it says what can still be expected of the file."""

    OPEN = "open"
    """It has a name, and its writer writes to it."""
    DELETED = "deleted"
    """It has no name any more; its bytes exist as long as it is open."""
    REPLACED = "replaced"
    """It was truncated or overwritten: unread bytes can only be found in a copy."""
    ENDED = "ended"
    """Its writer has left it and all of it was read. Late writes are still read."""
    ENDED_DELETED = "ended and deleted"
    """The same without a name."""
    ABANDONED = "abandoned"
    """Nothing more can be read of it."""

    def __init__(self, text: str) -> None:
        # Plain attributes, because they are asked for several times a chunk.
        self.has_ended = text in ("ended", "ended and deleted", "abandoned")
        self.is_deleted = text in ("deleted", "ended and deleted")
        self.is_readable = text not in ("replaced", "abandoned")
        self.needs_a_copy = text in ("deleted", "replaced")
        """Its bytes are not under its name any more, and not all of them were read."""


class Happening(Enum):
    """A fact that a scan or a read shows about a file, and that may change the state."""

    SEEN = "seen"
    NOT_SEEN = "not seen"
    OVERWRITTEN = "overwritten"
    COPY_OPENED = "copy opened"
    FINISHED = "finished"
    """Its writer has left it and all of it was read."""
    GIVEN_UP = "given up"


TRANSITIONS: Final[dict[FileState, dict[Happening, FileState]]] = {
    FileState.OPEN: {
        Happening.NOT_SEEN: FileState.DELETED,
        Happening.OVERWRITTEN: FileState.REPLACED,
        Happening.COPY_OPENED: FileState.OPEN,
        Happening.FINISHED: FileState.ENDED,
        Happening.GIVEN_UP: FileState.ABANDONED,
    },
    FileState.DELETED: {
        Happening.SEEN: FileState.OPEN,
        Happening.OVERWRITTEN: FileState.REPLACED,
        Happening.COPY_OPENED: FileState.OPEN,
        Happening.FINISHED: FileState.ENDED_DELETED,
        Happening.GIVEN_UP: FileState.ABANDONED,
    },
    FileState.REPLACED: {
        Happening.COPY_OPENED: FileState.OPEN,
        Happening.FINISHED: FileState.ABANDONED,
        Happening.GIVEN_UP: FileState.ABANDONED,
    },
    FileState.ENDED: {
        Happening.NOT_SEEN: FileState.ENDED_DELETED,
        Happening.OVERWRITTEN: FileState.ABANDONED,
        Happening.GIVEN_UP: FileState.ABANDONED,
    },
    FileState.ENDED_DELETED: {
        Happening.SEEN: FileState.ENDED,
        Happening.OVERWRITTEN: FileState.ABANDONED,
        Happening.GIVEN_UP: FileState.ABANDONED,
    },
    FileState.ABANDONED: {},
}
"""A happening that a state does not list changes nothing."""


def after(state: FileState, happening: Happening) -> FileState:
    return TRANSITIONS[state].get(happening, state)


class Facts(Struct, frozen=True):
    """The facts about a file besides its state."""

    compressed: bool = False
    rotated: bool = False
    has_successor: bool = False
    """Another file has the name of the live file now."""
    source_is_gone: bool = False
    """No file of the source is left."""
    has_writer: bool | None = None
    """Whether some process has the file open for writing. None: the kernel does not tell."""
    directory_is_gone: bool = False
    """Kubelet has removed the directory of the container."""
    looks_since_replaced: int = 0
    active_at: float = 0.0
    """The time at which bytes of it were last read, or at which a scan saw that it was replaced."""
    wrote_at: float = 0.0
    """The time at which its writer last wrote."""


def writer_has_left(state: FileState, facts: Facts, now: float) -> bool:
    """Whether the file may be finished: nothing more is expected in it but a late write."""
    if state is FileState.REPLACED:
        return now - facts.active_at >= SETTLE_SECONDS and facts.looks_since_replaced >= LOOKS_FOR_A_COPY
    if state.has_ended or facts.compressed or facts.rotated or facts.has_successor:
        return True
    return facts.source_is_gone and nobody_writes(facts, now)


def may_be_closed(state: FileState, facts: Facts, now: float) -> bool:
    """Whether an ended file, read and settled, need not stay open: nobody will write to it."""
    if facts.compressed or state is FileState.ABANDONED:
        return True
    if not state.is_deleted and now - facts.active_at < LATE_SECONDS:
        return False
    return nobody_writes(facts, now)


def nobody_writes(facts: Facts, now: float) -> bool:
    if facts.has_writer is not None:
        return not facts.has_writer
    return facts.directory_is_gone or now - facts.active_at >= ORPHAN_SECONDS


def is_inside_a_record(state: FileState, facts: Facts, unfinished: bool, now: float) -> bool:
    """The file ends inside a record so recently that the rest of the record may still be written to it."""
    return unfinished and state.is_readable and not facts.compressed and now - facts.wrote_at < SETTLE_SECONDS
