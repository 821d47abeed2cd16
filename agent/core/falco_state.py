"""Decides whether Falco on this node is read: one state for each Falco, and the worst of them for the node. Pure.

    reading    its log is read, and its alerts are JSON
    silent     it is selected, but has written nothing for `falco.silent_seconds`, or has no log at all
    text       its log is read, but its alerts are text: rules and pods cannot be queried
    elsewhere  it runs on this node, but none of its alerts is read: the settings `tail.*` do not select it, or its log
               cannot be opened
    none       no Falco was found on this node, or the log root cannot be listed

In the states text, elsewhere and none the node is blind. `NodeFalco.look` takes what was found and the time, and
returns a change when the node has been blind for `missing_seconds`, and when that has ended. A node whose last Falco
belonged to a Deployment is not blind when that Falco has left: a Deployment chooses the node of the next pod.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from agent.core.falco_output import Format

STARTING_SECONDS: Final = 60.0
"""A pod younger than this may have no log yet: its image is being pulled, its driver is being loaded."""

BY_GLOBS: Final = "tail.namespace, tail.pod and tail.container"

MOST_NAMED: Final = 5
"""Falcos named in one sentence. Anybody who can create pods can make many that look like Falco."""


class FalcoState(StrEnum):
    """From the best to the worst."""

    READING = "reading"
    SILENT = "silent"
    TEXT = "text"
    ELSEWHERE = "elsewhere"
    NONE = "none"


_SEVERITY: Final = {state: severity for severity, state in enumerate(FalcoState)}
_BLIND: Final = frozenset({FalcoState.TEXT, FalcoState.ELSEWHERE, FalcoState.NONE})


class FoundFalco(Struct, frozen=True):
    """One Falco on this node, as files and the API server show it."""

    name: str
    """`namespace/pod`, or the path of a plain file."""
    wrote_at: float
    """When its log last grew, in seconds of the caller's clock; before that, when its pod was created."""
    has_log: bool = True
    format: Format = ""
    version: str = ""
    to_read: str = ""
    """The settings to change so that its log is read; empty: it is read."""
    because: str = ""
    """Why it is Falco, if the settings do not select it."""
    unreadable: str = ""
    """Why its log cannot be opened; empty: it can."""
    is_movable: bool = False
    """Its owner may start the next pod on another node: a Deployment, but not a DaemonSet."""


class FalcoPod(Struct, frozen=True):
    """One Falco and its state."""

    name: str
    state: FalcoState
    version: str
    detail: str
    """One sentence for people; with the remedy when the state is not `reading`."""


class FalcoView(Struct, frozen=True):
    """The state of Falco on this node at one moment."""

    state: FalcoState
    pods: tuple[FalcoPod, ...]
    """The worst first."""
    detail: str
    """One sentence for people; with the remedy when the node is blind."""
    is_blind: bool
    blind_seconds: float
    announced: bool
    """The node has been blind for `falco.missing_seconds`."""
    unlistable: str = ""
    """Why the log root cannot be listed, so that nobody knows which Falcos there are; empty: it can."""

    @property
    def versions(self) -> tuple[str, ...]:
        return tuple(sorted({pod.version for pod in self.pods if pod.version}))


class FalcoChange(Struct, frozen=True):
    """To be announced: the node is blind, or is not blind any more."""

    view: FalcoView
    blind_seconds: float


class NodeFalco:
    """Remembers since when the node is blind, and whether that was announced.

    `silent_seconds`: 0: no Falco ever counts as silent. `missing_seconds`: 0: nothing is announced, and a node without
    Falco is not blind. `selected_by`: the settings that select what is read, for people.
    """

    def __init__(self, silent_seconds: float, missing_seconds: float, selected_by: str = BY_GLOBS) -> None:
        self._silent_seconds = silent_seconds
        self._missing_seconds = missing_seconds
        self._selected_by = selected_by
        self._is_expected = True
        """A node without Falco is a fault."""
        self._blind_since: float | None = None
        self._announced: FalcoState | None = None
        self._announced_at = 0.0
        self.view: FalcoView | None = None
        """None: nobody has looked yet."""

    def look(self, found: Sequence[FoundFalco], now: float, unlistable: str = "") -> FalcoChange | None:
        """The view is up to date afterwards. Returns a change to be announced.

        `unlistable`: why the log root cannot be listed; then `found` is empty, and the node is blind.
        """
        if found:
            self._is_expected = not all(each.is_movable for each in found)
        pods = tuple(sorted((self._judged(each, now) for each in found), key=_worst_first))
        state = pods[0].state if pods else FalcoState.NONE
        is_blind = state in _BLIND and (
            state is not FalcoState.NONE or (self._missing_seconds > 0 and (self._is_expected or bool(unlistable)))
        )
        before = self._blind_since
        self._blind_since = (now if before is None else before) if is_blind else None
        blind_seconds = now - before if before is not None else 0.0
        change = self._change(state, is_blind, blind_seconds, now)
        self.view = FalcoView(
            state,
            pods,
            unlistable or self._sentence(pods),
            is_blind,
            blind_seconds if is_blind else 0.0,
            self._announced is not None,
            unlistable,
        )
        return FalcoChange(self.view, blind_seconds) if change else None

    def _change(self, state: FalcoState, is_blind: bool, blind_seconds: float, now: float) -> bool:
        if not is_blind:
            was_announced, self._announced = self._announced is not None, None
            return was_announced
        limit = self._missing_seconds
        if not limit or blind_seconds < limit or state is self._announced:
            return False
        if self._announced is not None and now - self._announced_at < limit:
            return False  # the state changes to and fro; one announcement in `missing_seconds` is enough
        self._announced, self._announced_at = state, now
        return True

    def _judged(self, found: FoundFalco, now: float) -> FalcoPod:
        state, detail = self._state_of(found, now)
        return FalcoPod(found.name, state, found.version, detail)

    def _state_of(self, found: FoundFalco, now: float) -> tuple[FalcoState, str]:
        name, quiet_seconds = found.name, max(0.0, now - found.wrote_at)
        if found.unreadable:
            return FalcoState.ELSEWHERE, f"{name} is Falco, but its log cannot be opened: {found.unreadable}"
        if found.to_read:
            because = f" ({found.because})" if found.because else ""
            return FalcoState.ELSEWHERE, f"{name} is Falco{because}, but is not read; set {found.to_read}"
        if not found.has_log:
            if quiet_seconds < STARTING_SECONDS:
                return FalcoState.READING, f"{name} is starting and has no log yet"
            return FalcoState.SILENT, f"{name} has no log below tail.root; check its pod and tail.container"
        if self._silent_seconds and quiet_seconds >= self._silent_seconds:
            return FalcoState.SILENT, f"{name} has written nothing for {quiet_seconds:.0f} s; check its pod"
        if found.format == "text":
            return FalcoState.TEXT, f"{name} prints text, not JSON; set json_output: true in Falco's configuration"
        version = f", version {found.version}" if found.version else ""
        return FalcoState.READING, f"{name} is read{version}"

    def _sentence(self, pods: Sequence[FalcoPod]) -> str:
        if not pods and not self._is_expected:
            return (
                "no Falco is on this node now; the last one left with its Deployment, which may run it on another node"
            )
        if not pods:
            return (
                f"no Falco was found on this node; install it, or set {self._selected_by}, "
                "or set falco.missing_seconds to 0 for nodes that have none"
            )
        is_fine = pods[0].state is FalcoState.READING
        details = [pod.detail for pod in pods if is_fine or pod.state is not FalcoState.READING]
        more = [f"and {len(details) - MOST_NAMED} more"] if len(details) > MOST_NAMED else []
        return "; ".join(details[:MOST_NAMED] + more)


def _worst_first(pod: FalcoPod) -> tuple[int, str]:
    return -_SEVERITY[pod.state], pod.name
