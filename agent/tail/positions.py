"""Positions of files that are not open: which of them to forget, and which of them are losses.

A settled file that is gone is forgotten after an hour of scans that could have seen it, and sooner when there are too
many. A directory that is missing, or that is empty as after an unmount, shows nothing about the files in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Set
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from agent.tail.checkpoint import Position
from agent.tail.names import printable
from agent.tail.types import Gap

FORGET_AFTER_SECONDS: Final = 3600.0
"""Of scans that could have seen the file."""

MOST_GONE: Final = 4096
MOST_GONE_BYTES: Final = 1 << 20
"""Positions of files that are gone. A week of a rotation every ten seconds would be 60,000."""

ENTRY_BYTES: Final = 200
"""Of a position in the checkpoint, without its path and its offsets out of order."""

GONE: Final = "deleted while the agent was stopped"

VANISHED: Final = "deleted while it was closed for other files"


class Retention:
    """Remembers for how long the file of each settled position has been gone."""

    def __init__(self) -> None:
        self._gone_seconds: dict[str, float] = {}

    def to_forget(
        self, positions: dict[str, Position], there: Set[str], seen: Set[str], elapsed_seconds: float
    ) -> list[str]:
        """Ids to forget. `there`: ids of files on disk. `seen`: ids whose directory the scans could see since."""
        gone = {
            file_id: self._gone_seconds.get(file_id, 0.0) + (elapsed_seconds if file_id in seen else 0.0)
            for file_id, position in positions.items()
            if position.complete and file_id not in there
        }
        forget = [file_id for file_id, seconds in gone.items() if seconds >= FORGET_AFTER_SECONDS]
        for file_id in forget:
            del gone[file_id]
        forget += _excess(positions, sorted(gone, key=lambda file_id: gone[file_id], reverse=True))
        self._gone_seconds = {file_id: seconds for file_id, seconds in gone.items() if file_id not in set(forget)}
        return forget


def _excess(positions: dict[str, Position], longest_gone_first: list[str]) -> list[str]:
    """The ids that are too many."""
    sizes = {file_id: _entry_bytes(positions[file_id]) for file_id in longest_gone_first}
    number, total = len(sizes), sum(sizes.values())
    excess = []
    for file_id, size in sizes.items():
        if number <= MOST_GONE and total <= MOST_GONE_BYTES:
            break
        excess.append(file_id)
        number, total = number - 1, total - size
    return excess


def _entry_bytes(position: Position) -> int:
    return ENTRY_BYTES + len(position.path) + 12 * len(position.settled_out_of_order)


def could_be_seen(position: Position, root: Path | None) -> bool:
    """Whether a scan could have seen the file.

    It could not where its directory is missing, or empty and on another device than the file, as after an unmount.
    """
    path = position.path
    if not path:
        return True
    below_root = root is not None and path.startswith(f"{printable(root)}/")
    directory = root if below_root and root is not None else Path(path).parent
    try:
        with os.scandir(directory) as entries:
            return next(entries, None) is not None or directory.stat().st_dev == position.device
    except OSError:
        return False


class SourceSeen(Struct, frozen=True):
    """A source as the first scans of this run have seen it."""

    name: str
    recognised: bool
    """One of its files was known."""
    unsure: bool
    """One of its files could not be opened yet; a known one may be behind it."""

    judged: bool = False
    """It was judged before whether files may be missing that were never known."""

    def owns(self, position: Position) -> bool:
        return position.path.startswith(self.name)


class Missing(Struct):
    """The files that were known at the start and that no scan has found, and what follows for them."""

    gaps: list[Gap] = field(default_factory=list)
    read_to_end: list[str] = field(default_factory=list)
    """Ids of files that are gone and had been read as far as was seen."""
    undecided: list[str] = field(default_factory=list)
    """Ids of files that a later scan may find."""

    @property
    def ids(self) -> set[str]:
        """The files that this scan has missed."""
        return {gap.file for gap in self.gaps} | set(self.read_to_end)


def missing_files(
    positions: dict[str, Position],
    open_ids: Set[str],
    sources: Iterable[SourceSeen],
    seen: Set[str],
    why: str = GONE,
) -> Missing:
    """Judges positions of files that are not open, after a scan. `seen`: ids whose directory the scan could see."""
    sources = list(sources)
    missing, lost = Missing(), set[str]()
    for file_id, known in positions.items():
        if known.complete or file_id in open_ids:
            continue
        owners = [source for source in sources if source.owns(known)]
        if file_id not in seen or any(source.unsure for source in owners):
            missing.undecided.append(file_id)
        elif known.size > known.offset or owners:
            # A log that was rotated away while its writer was running had more than we ever saw of it.
            lost.add(known.path)
            missing.gaps.append(Gap(file_id, known.path, known.offset, known.size, why, at_least=True))
        else:
            missing.read_to_end.append(file_id)
    for source in sources:
        mine = [(file_id, known) for file_id, known in positions.items() if source.owns(known)]
        if source.judged or source.unsure or source.recognised:
            continue
        # The oldest files are deleted first: where no known file is left, more may be missing behind them.
        if mine and not any(known.path in lost for _, known in mine):
            file_id, known = mine[-1]
            missing.gaps.append(Gap(file_id, source.name, known.size, known.size, GONE, at_least=True))
    return missing
