"""Notices when a Falco on this node has gone quiet, restarted or vanished; says so once, and when it is back.

A decision on values: `look` is told what is there now and returns what is to be said. Anything that
Falco writes counts as life, its metrics snapshots too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Sightings:
    """One Falco container as its log files show it."""

    pod: str
    """`namespace/name`, or the path of a plain file."""
    restart: int
    """kubelet's count of the container's restarts."""
    wrote_at: float
    """When its log last grew, in seconds of the monotonic clock."""


@dataclass(frozen=True, slots=True)
class Word:
    """One thing to be said of a Falco."""

    pod: str
    state: Literal["silent", "restarted", "vanished", "back"]
    seconds: float
    """How long it had been silent."""


@dataclass(slots=True)
class _Known:
    restart: int
    wrote_at: float
    silent: bool = False


class Silence:
    """Remembers each Falco of this node and what was said of it."""

    def __init__(self, silent_seconds: float) -> None:
        self._silent_seconds = silent_seconds
        self._known: dict[str, _Known] = {}

    def look(self, sightings: Iterable[Sightings], now: float) -> list[Word]:
        """What is to be said now. With `silent_seconds` 0, never anything."""
        if not self._silent_seconds:
            return []
        words: list[Word] = []
        there = _latest(sightings)
        for pod, seen in there.items():
            known = self._known.get(pod)
            if known is None:
                known = self._known[pod] = _Known(seen.restart, seen.wrote_at)
            elif seen.restart > known.restart:
                words.append(Word(pod, "restarted", now - known.wrote_at))
                known.restart = seen.restart
            known.wrote_at = max(known.wrote_at, seen.wrote_at)
            quiet_seconds = now - known.wrote_at
            if not known.silent and quiet_seconds >= self._silent_seconds:
                known.silent = True
                words.append(Word(pod, "silent", quiet_seconds))
            elif known.silent and quiet_seconds < self._silent_seconds:
                known.silent = False
                words.append(Word(pod, "back", quiet_seconds))
        for pod in self._known.keys() - there.keys():
            words.append(Word(pod, "vanished", now - self._known.pop(pod).wrote_at))
        return words

    def silent_seconds(self, now: float) -> float | None:
        """Of the Falco that has been quiet longest; None: there is none."""
        return max((now - known.wrote_at for known in self._known.values()), default=None)

    @property
    def any_silent(self) -> bool:
        return any(known.silent for known in self._known.values())


def _latest(sightings: Iterable[Sightings]) -> dict[str, Sightings]:
    latest: dict[str, Sightings] = {}
    for seen in sightings:
        before = latest.get(seen.pod)
        if before is None or (seen.restart, seen.wrote_at) > (before.restart, before.wrote_at):
            latest[seen.pod] = seen
    return latest
