"""Watches the Falcos of this node and publishes an event when one goes silent, restarts, disappears or is replaced.

Every few seconds this module collects the Falco containers that log files and the API server show, asks `liveness` what
has changed, and publishes each change. It looks only while the log root can be listed: an unreadable root would make
every Falco look gone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from agent.core.reading.pod_paths import PodDirectory, Selection
from agent.core.values import Lane
from agent.enrich.pod import Pod
from agent.selfmonitor.events import OwnEvent, timestamp
from agent.selfmonitor.liveness import Liveness, Sighting, Transition
from agent.tail.reader import Reader
from agent.tail.types import Source

LOOK_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FalcoWatch:
    """What the watch looks at, and where its events go."""

    reader: Reader
    pods: Callable[[], Iterable[Pod]]
    """The pods on this node that the API server knows: a Falco among them may never have written a log."""
    selection: Selection
    """Which of those pods are Falco."""
    liveness: Liveness
    publish: Callable[[OwnEvent], None]

    async def run(self) -> None:
        """Until cancelled. Returns at once when the limit is 0."""
        while self.liveness.limit_seconds:
            await asyncio.sleep(min(LOOK_SECONDS, self.liveness.limit_seconds / 4))
            self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Looks once and publishes each change."""
        if not self.reader.looked or self.reader.problem is not None:
            return
        sightings = [*_in_log_files(self.reader.sightings), *_in_pods(self.pods(), self.selection, now)]
        for transition in self.liveness.look(sightings, now):
            event = _event(transition)
            log.warning(f"falco {transition.state}", extra={"pod": transition.name, "why": event.output})
            self.publish(event)


def _in_log_files(sources: Iterable[tuple[Source, float]]) -> Iterator[Sighting]:
    for source, wrote_at in sources:
        if source.pod_uid:
            restart = int(source.relative[-1].partition(".")[0])
            key = f"{source.pod_uid}/{source.container}"
            yield Sighting(key, f"{source.namespace}/{source.pod}", restart, wrote_at)
        else:
            yield Sighting(str(source.path), str(source.path), 0, wrote_at)


def _in_pods(pods: Iterable[Pod], selection: Selection, now: float) -> Iterator[Sighting]:
    now_ms = time.time() * 1000
    for pod in pods:
        uid = pod.static_uid or pod.uid
        if selection.takes_pod(PodDirectory(pod.namespace, pod.name, uid)):
            for container in pod.containers:
                if selection.takes_container(container.name):
                    created_at = now - max(0.0, (now_ms - pod.created_ms) / 1000)
                    yield Sighting(f"{uid}/{container.name}", f"{pod.namespace}/{pod.name}", 0, created_at)


@dataclass(frozen=True, slots=True)
class _Wording:
    kind: str
    priority: str
    lane: Lane
    output: str


_WORDINGS: Final = {
    "silent": _Wording(
        "Falco is silent", "Critical", Lane.URGENT, "Falco in {name} has written nothing for {seconds:.0f} s"
    ),
    "restarted": _Wording(
        "Falco restarted", "Critical", Lane.URGENT, "Falco in {name} has restarted, {seconds:.0f} s after it last wrote"
    ),
    "vanished": _Wording(
        "Falco vanished",
        "Critical",
        Lane.URGENT,
        "Falco in {name} is gone from this node, {seconds:.0f} s after it last wrote, and none took its place",
    ),
    "replaced": _Wording("Falco was replaced", "Notice", Lane.ROUTINE, "Falco in {name} was replaced by {by}"),
    "back": _Wording("Falco is back", "Notice", Lane.URGENT, "Falco writes again in {by}"),
}


def _event(transition: Transition) -> OwnEvent:
    wording = _WORDINGS[transition.state]
    by = transition.by or transition.name
    fields: dict[str, object] = {
        "falco.pod": transition.name,
        "falco.state": transition.state,
        "falco.silent_seconds": round(transition.seconds, 1),
        "falco.last_wrote": timestamp(int((time.time() - transition.seconds) * 1000)),
    }
    if transition.by:
        fields["falco.successor"] = transition.by
    if transition.at_start:
        fields["falco.found_at_start"] = True
    output = wording.output.format(name=transition.name, seconds=transition.seconds, by=by)
    if transition.at_start:
        output += ", as found when the agent started"
    return OwnEvent(wording.kind, wording.priority, output, fields, wording.lane)
