"""Decides which files of a source are read when the source is seen for the first time in this run. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agent.tail.checkpoint import Position
from agent.tail.types import FoundFile, Source


def first_of_ours(
    source: Source,
    found: tuple[FoundFile, ...],
    positions: Mapping[str, Position],
    is_known: Callable[[FoundFile], bool],
    *,
    at_end: bool,
) -> int:
    """The number of the first file to be read. Older files were there before the agent.

    `is_known`: whether a previous run has read the file; it opens the file and may raise FileNotFoundError.
    """
    live = next((number for number, seen in enumerate(found) if seen.live), len(found))
    if source.pod_uid:
        return live if at_end else 0
    # A host keeps rotated logs for years: only files that follow on a known one, or that a pattern names, are read.
    if not any(position.path.startswith(source.name) for position in positions.values()):
        return live if at_end else next((number for number, seen in enumerate(found) if seen.named), live)
    for number, seen in enumerate(found[:live]):
        if is_known(seen):
            return number
    return live if live < len(found) and is_known(found[live]) else 0
