"""Notices when a Falco on this node has gone quiet, restarted or vanished; says so once, and when it is back.

A decision on values: `look` is told what is there now and returns what is to be said. Anything that
Falco writes counts as life, its metrics snapshots too. A pod that takes the place of another, as in
every upgrade, is a replacement, and no cause for alarm.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

REPLACED_WITHIN_SECONDS: Final = 180.0
"""From one pod of a DaemonSet to the next: termination, pulling an image of 100 MB and more, loading a driver."""

FORGET_SECONDS: Final = 24 * 3600.0
"""A Falco that vanished so long ago will not come back: somebody took it away."""

_POD_NAME: Final = re.compile(r"(.+?)(?:-[bcdfghjklmnpqrstvwxz2456789]{6,10})?-[bcdfghjklmnpqrstvwxz2456789]{5}")
"""The owner's name, the hash of its ReplicaSet if it has any, and five characters at random, all of an alphabet
that spells no words (k8s.io/apimachinery/pkg/util/rand).
"""


class Sighting(NamedTuple):
    """One Falco container as its log files show it, or a pod as the API server tells of it."""

    key: str
    """The pod's uid and the container, or the path of a plain file."""
    name: str
    """`namespace/pod`, or the path of a plain file."""
    restart: int
    """kubelet's count of the container's restarts."""
    wrote_at: float
    """When its log last grew, in seconds of the monotonic clock."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One thing to be said of a Falco."""

    name: str
    state: Literal["silent", "restarted", "vanished", "replaced", "back"]
    seconds: float
    """How long it had been silent."""
    by: str = ""
    """The pod that took its place."""
    at_start: bool = False
    """It was so when we came: an earlier life of the agent may have said it."""


@dataclass(slots=True)
class _Known:
    name: str
    restart: int
    wrote_at: float
    since: float
    """When it was first seen."""
    silent: bool = False
    missing_since: float | None = None
    vanished: bool = False


class Liveness:
    """Remembers each Falco of this node and what was said of it."""

    def __init__(self, limit_seconds: float) -> None:
        self.limit_seconds = limit_seconds
        self._known: dict[str, _Known] = {}
        self._looked = False

    def look(self, sightings: Iterable[Sighting], now: float) -> list[Transition]:
        """What is to be said now. With a limit of 0, never anything."""
        if not self.limit_seconds:
            return []
        there = _latest(sightings)
        words = [word for key, seen in there.items() for word in self._seen(key, seen, now)]
        for key in self._known.keys() - there.keys():
            words += self._missed(key, there, now)
        self._looked = True
        return words

    def silent_seconds(self, now: float) -> float | None:
        """Of the Falco that has been quiet longest; None: there is none."""
        return max((now - known.wrote_at for known in self._known.values()), default=None)

    @property
    def any_silent(self) -> bool:
        return any(known.silent or known.vanished for known in self._known.values())

    def _seen(self, key: str, seen: Sighting, now: float) -> list[Transition]:
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Known(seen.name, seen.restart, seen.wrote_at, now)
        words: list[Transition] = []
        quiet_seconds = now - max(known.wrote_at, seen.wrote_at)
        if seen.restart > known.restart:
            words.append(Transition(known.name, "restarted", max(0.0, now - known.wrote_at)))
            known.restart = seen.restart
        known.wrote_at = max(known.wrote_at, seen.wrote_at)
        known.missing_since = None
        is_silent = quiet_seconds >= self.limit_seconds
        if is_silent and not known.silent:
            words.append(Transition(known.name, "silent", quiet_seconds, at_start=not self._looked))
        elif not is_silent and (known.silent or known.vanished):
            words.append(Transition(known.name, "back", quiet_seconds))
        known.silent, known.vanished = is_silent, known.vanished and is_silent
        return words

    def _missed(self, key: str, there: dict[str, Sighting], now: float) -> list[Transition]:
        known = self._known[key]
        if known.missing_since is None:
            known.missing_since = now
        quiet_seconds = now - known.wrote_at
        successor = self._successor(known, there)
        if successor is not None:
            del self._known[key]
            if known.vanished or known.silent:
                return [Transition(known.name, "back", quiet_seconds, by=successor.name)]
            return [Transition(known.name, "replaced", quiet_seconds, by=successor.name)]
        missing_seconds = now - known.missing_since
        if missing_seconds >= FORGET_SECONDS:
            del self._known[key]
        elif missing_seconds >= REPLACED_WITHIN_SECONDS and not known.vanished:
            known.vanished = True
            return [Transition(known.name, "vanished", quiet_seconds)]
        return []

    def _successor(self, gone: _Known, there: dict[str, Sighting]) -> _Known | None:
        """A Falco of the same owner that came after it and is not silent."""
        for key in there:
            known = self._known[key]
            if known.since > gone.since and not known.silent and _owner(known.name) == _owner(gone.name):
                return known
        return None


def _owner(name: str) -> str:
    """The name without what Kubernetes appends for each pod."""
    match = _POD_NAME.fullmatch(name)
    return name if match is None else match[1]


def _latest(sightings: Iterable[Sighting]) -> dict[str, Sighting]:
    """kubelet keeps the log of the container before the last restart, too."""
    latest: dict[str, Sighting] = {}
    for seen in sightings:
        before = latest.get(seen.key)
        if before is None or (seen.restart, seen.wrote_at) > (before.restart, before.wrote_at):
            latest[seen.key] = seen
    return latest
