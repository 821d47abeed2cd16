"""Decides which files give up their descriptor when there are more log files than descriptors. Pure.

Idle files go first, those that were written to least recently before the others. When they are not enough, files that
have had their turn follow: reading of such a file stops, and it is closed when nothing of it is in flight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

TURN_SECONDS: Final = 1.0
"""A file that is not idle keeps its descriptor at least this long."""

SCANS_TO_BEGIN: Final = 3
"""The second scan confirms the place of a file among the others, then it begins unless it waits for an older one."""

SPARE: Final = 4
"""Descriptors that become free beyond those that are wanted: a file that wakes is opened at once."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenFile:
    """An open file that has a name, so that it can be opened again."""

    wrote_at: float
    turn_since: float
    """The time at which reading of it began; before that, the time at which it was opened."""
    begun: bool
    """It is read, or was read."""
    scans: int
    """The number of scans since it was opened."""
    is_idle: bool
    """Everything is read and settled."""
    may_close: bool
    """Nothing of it is in flight, and nobody reads it at the moment."""
    close: Callable[[], None]
    pause: Callable[[], None]
    """Stops the reading of it."""


@dataclass(frozen=True, slots=True)
class Choice:
    close: Sequence[OpenFile]
    pause: Sequence[OpenFile]


def choose(files: Sequence[OpenFile], wanted: int, now: float) -> Choice:
    """`wanted`: how many files wait for a descriptor."""
    idle = sorted((file for file in files if file.is_idle and file.may_close), key=lambda file: file.wrote_at)
    close = idle[: wanted + SPARE]
    missing = wanted - len(close)
    if missing <= 0:
        return Choice(close, [])
    had_their_turn = [file for file in files if not file.is_idle and _had_its_turn(file, now)]
    had_their_turn.sort(key=lambda file: (file.begun, file.turn_since))
    chosen = had_their_turn[:missing]
    return Choice(
        [*close, *(file for file in chosen if file.may_close)], [file for file in chosen if not file.may_close]
    )


def _had_its_turn(file: OpenFile, now: float) -> bool:
    return now - file.turn_since >= TURN_SECONDS and (file.begun or file.scans >= SCANS_TO_BEGIN)
