"""Decides when a Falco of this node counts as silent, restarted, vanished, replaced or back.

Pure: `Liveness.look` takes the Falcos that are there now and the time, and returns the transitions since the last look.
Any write of Falco counts as life, its metrics snapshots included. A pod that takes the place of another pod of the same
owner, as in every upgrade, is a replacement and no reason for an alarm. Neither is the end of a pod whose owner decides
on which node it runs, as a Deployment does: its successor may run on another node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from agent.core.falco_pods import owner_name

REPLACED_WITHIN_SECONDS: Final = 180.0
"""The time between two pods of a DaemonSet: termination, pulling an image of 100 MB and more, loading a driver."""

FORGET_SECONDS: Final = 24 * 3600.0
"""A Falco that vanished this long ago was removed on purpose, and is forgotten."""

MOST_KNOWN: Final = 1024
"""Falcos remembered. With more, those that are gone are forgotten first: a node has one Falco, or a few."""


class Sighting(NamedTuple):
    """One Falco container that is there now, as its log files or the API server show it."""

    key: str
    """The pod's uid and the container, or the path of a plain file."""
    name: str
    """`namespace/pod`, or the path of a plain file."""
    restart: int
    """kubelet's count of the container's restarts."""
    wrote_at: float
    """The time at which its log last grew, in seconds of the monotonic clock."""
    is_movable: bool = False
    """Its owner may start the next pod on another node: a Deployment, but not a DaemonSet."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One change in the state of a Falco."""

    name: str
    state: Literal["silent", "restarted", "vanished", "replaced", "moved", "back"]
    seconds: float
    """The length of its silence."""
    by: str = ""
    """The pod that took its place."""
    at_start: bool = False
    """The Falco was in that state when the agent started: an earlier run may have published the change."""


@dataclass(slots=True)
class _Known:
    name: str
    restart: int
    wrote_at: float
    since: float
    """The time at which it was first seen."""
    is_movable: bool = False
    silent: bool = False
    missing_since: float | None = None
    vanished: bool = False


class Liveness:
    """Remembers each Falco of this node and its last reported state. A limit of 0 seconds turns everything off."""

    def __init__(self, limit_seconds: float, restarts: Mapping[str, int] | None = None) -> None:
        """`restarts`: by key, the last restart that an earlier run of the agent has read."""
        self.limit_seconds = limit_seconds
        self._restarts = dict(restarts or {})
        self._known: dict[str, _Known] = {}
        self._looked = False

    def look(self, sightings: Iterable[Sighting], now: float) -> list[Transition]:
        """The changes since the last look."""
        if not self.limit_seconds:
            return []
        there = _latest(sightings)
        transitions = [change for key, seen in there.items() for change in self._seen(key, seen, now)]
        for key in self._known.keys() - there.keys():
            transitions += self._missed(key, there, now)
        if len(self._known) > MOST_KNOWN:
            self._forget_gone(there)
        self._looked = True
        return transitions

    def forget(self, keys: Set[str]) -> None:
        """Forgets these without a transition: they turned out not to be Falco."""
        for key in keys & self._known.keys():
            del self._known[key]

    def silent_seconds(self, now: float) -> float | None:
        """The silence of the Falco that has been silent longest; None: no Falco is known."""
        return max((now - known.wrote_at for known in self._known.values()), default=None)

    @property
    def any_silent(self) -> bool:
        return any(known.silent or known.vanished for known in self._known.values())

    def _seen(self, key: str, seen: Sighting, now: float) -> list[Transition]:
        known = self._known.get(key)
        if known is None:
            before = self._restarts.get(key, seen.restart)
            known = self._known[key] = _Known(seen.name, before, seen.wrote_at, now)
            restarted_before = before < seen.restart
        else:
            restarted_before = False
        known.is_movable = seen.is_movable or known.is_movable
        transitions: list[Transition] = []
        silent_seconds = now - max(known.wrote_at, seen.wrote_at)
        if seen.restart > known.restart:
            seconds = max(0.0, now - known.wrote_at)
            transitions.append(Transition(known.name, "restarted", seconds, at_start=restarted_before))
            known.restart = seen.restart
        known.wrote_at = max(known.wrote_at, seen.wrote_at)
        known.missing_since = None
        is_silent = silent_seconds >= self.limit_seconds
        if is_silent and not known.silent:
            transitions.append(Transition(known.name, "silent", silent_seconds, at_start=not self._looked))
        elif not is_silent and (known.silent or known.vanished):
            transitions.append(Transition(known.name, "back", silent_seconds))
        known.silent, known.vanished = is_silent, known.vanished and is_silent
        return transitions

    def _missed(self, key: str, there: dict[str, Sighting], now: float) -> list[Transition]:
        known = self._known[key]
        if known.missing_since is None:
            known.missing_since = now
        silent_seconds = now - known.wrote_at
        successor = self._successor(known, there)
        if successor is not None:
            del self._known[key]
            if known.vanished or known.silent:
                return [Transition(known.name, "back", silent_seconds, by=successor.name)]
            return [Transition(known.name, "replaced", silent_seconds, by=successor.name)]
        missing_seconds = now - known.missing_since
        if missing_seconds >= REPLACED_WITHIN_SECONDS and known.is_movable:
            del self._known[key]
            return [Transition(known.name, "moved", silent_seconds)]
        if missing_seconds >= FORGET_SECONDS:
            del self._known[key]
        elif missing_seconds >= REPLACED_WITHIN_SECONDS and not known.vanished:
            known.vanished = True
            return [Transition(known.name, "vanished", silent_seconds)]
        return []

    def _forget_gone(self, there: Mapping[str, Sighting]) -> None:
        for key in [key for key in self._known if key not in there][: len(self._known) - MOST_KNOWN]:
            del self._known[key]

    def _successor(self, gone: _Known, there: dict[str, Sighting]) -> _Known | None:
        """A Falco of the same owner that appeared later and is not silent."""
        for key in there:
            known = self._known[key]
            if known.since > gone.since and not known.silent and owner_name(known.name) == owner_name(gone.name):
                return known
        return None


def _latest(sightings: Iterable[Sighting]) -> dict[str, Sighting]:
    """One sighting for each container: kubelet also keeps the log from before the last restart."""
    latest: dict[str, Sighting] = {}
    for seen in sightings:
        before = latest.get(seen.key)
        if before is None or (seen.restart, seen.wrote_at) > (before.restart, before.wrote_at):
            latest[seen.key] = seen
    return latest
