"""Watches the Falcos of this node: publishes an event when one changes, and when the node has been blind for too long.

Every few seconds this module collects the Falcos that log files, the API server and directory names show
(`falco_finder`), asks `liveness` and `core.falco_state` what has changed, and publishes each change. While the log
root cannot be listed, the node is blind, but no Falco counts as gone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from agent.core.falco_state import MOST_NAMED, FalcoChange, FalcoState, FalcoView, FoundFalco, NodeFalco
from agent.enrich.pod import Pod
from agent.flow.ticks import next_tick
from agent.selfmonitor.events import OwnEvent
from agent.selfmonitor.falco_events import node_event, transition_event
from agent.selfmonitor.falco_finder import FalcoFinder
from agent.selfmonitor.liveness import Liveness
from agent.tail.reader import Reader
from agent.telemetry import Telemetry

LOOK_SECONDS: Final = 5.0
FIRST_LOOK_SECONDS: Final = 1.0
"""The status page shows no state before the first look."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FalcoWatch:
    """Looks for Falco at intervals, and publishes an event when its state changes."""

    reader: Reader
    pods: Callable[[], Iterable[Pod]]
    """The pods on this node that the API server knows: a Falco among them may never have written a log."""
    finder: FalcoFinder
    liveness: Liveness
    node: NodeFalco
    version: Callable[[], str]
    """Falco's version by its last metrics snapshot; empty: none was read."""
    telemetry: Telemetry
    publish: Callable[[OwnEvent], object]
    look_seconds: float = LOOK_SECONDS

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.sleep(min(FIRST_LOOK_SECONDS, self.look_seconds))
        while True:
            self.look(time.monotonic())
            await next_tick(self.look_seconds)

    def look(self, now: float) -> None:
        """Looks once and publishes each change."""
        if not self.reader.looked:
            return
        if self.reader.root_problem is not None:
            self._announce(self.node.look((), now, unlistable=self.reader.root_problem))
            return
        found = self.finder.find(self.reader.sightings, self.pods(), now)
        self.liveness.forget(found.tests)
        for transition in self.liveness.look(found.sightings, now):
            event = transition_event(transition)
            log.warning(f"falco {transition.state}", extra={"pod": transition.name, "why": event.output})
            self.publish(event)
        self._announce(self.node.look(_with_version(found.falcos, self.version()), now))

    def _announce(self, change: FalcoChange | None) -> None:
        """Publishes a change of the node's state, and shows the state in the metrics."""
        if change is not None:
            event = node_event(change)
            log.warning(
                "falco is not read" if change.view.is_blind else "falco is read",
                extra={"state": change.view.state.value, "why": event.output},
            )
            self.publish(event)
        self._show(self.node.view)

    @property
    def view(self) -> FalcoView | None:
        """None: nobody has looked yet."""
        return self.node.view

    def heartbeat_fields(self) -> dict[str, object]:
        """The state of Falco for the heartbeat."""
        view = self.node.view
        if view is None:
            return {}
        return {
            "falco.state": view.state.value,
            "falco.pods": [f"{pod.name} {pod.state.value}" for pod in view.pods[:MOST_NAMED]],
            "falco.pod_count": len(view.pods),
            "falco.versions": list(view.versions),
        }

    def _show(self, view: FalcoView | None) -> None:
        if view is None:
            return
        for state in FalcoState:
            self.telemetry.falco_state.labels(state.value).set(float(state is view.state))
        self.telemetry.falco_not_read.set(float(view.announced))


def look_interval(*limits: float) -> float:
    """The time between two looks: short enough for each limit that is not 0."""
    return min([LOOK_SECONDS, *(limit / 4 for limit in limits if limit)])


def _with_version(falcos: Sequence[FoundFalco], version: str) -> Sequence[FoundFalco]:
    """A metrics snapshot does not name its pod: with one Falco that is read, it is that one's."""
    read = [falco for falco in falcos if not falco.to_read]
    if len(read) != 1 or read[0].version:
        return falcos
    return [replace(falco, version=version) if falco is read[0] else falco for falco in falcos]
