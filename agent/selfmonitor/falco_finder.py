"""Finds every Falco of this node: in the log files that are read, and among the pods of the API server.

Without the API server, the directories below the log root take the place of its pods. The same Falco may be seen in
several ways and is one Falco: its key is the pod's uid and the container. A pod of
`helm test`, which writes a test alert like a Falco, is not a Falco. Neither is a pod whose containers have all ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from agent.core.falco_pods import TailGlobs, falco_container, settings_to_read
from agent.core.falco_state import BY_GLOBS, FoundFalco
from agent.core.reading.pod_paths import PodDirectory, Selection, parse_log_name, parse_pod_directory
from agent.enrich.pod import Pod
from agent.selfmonitor.liveness import Sighting
from agent.selfmonitor.log_peek import LogPeek
from agent.selfmonitor.pod_directories import PodDirectories
from agent.settings import Tail
from agent.tail.checkpoint import Position
from agent.tail.types import Source

BOUND_TO_THE_NODE: Final = frozenset({"DaemonSet", "Pod"})
"""Kinds of owner whose pods stay on their node. The pod of any other owner may be started on another node."""


@dataclass(frozen=True, slots=True)
class FoundFalcos:
    """The Falcos that were found in one look."""

    sightings: list[Sighting]
    """The Falcos that the settings select."""
    falcos: list[FoundFalco]
    tests: set[str]
    """Keys of containers that turned out to be a test of the chart."""


class FalcoFinder:
    def __init__(self, tail: Tail) -> None:
        self._reads_pods = tail.root is not None
        self.selected_by = BY_GLOBS if self._reads_pods else "tail.paths"
        """The settings that select what is read, for people."""
        self._globs = TailGlobs(tail.namespace, tail.pod, tail.container)
        self._selection = Selection(*self._globs)
        self._peek = LogPeek(tail.follow_links_into)
        self._directories = PodDirectories(tail.root, self._globs)

    def find(self, sources: Iterable[tuple[Source, float]], pods: Iterable[Pod], now: float) -> FoundFalcos:
        """`sources`: each log that is read, and when it last grew. `pods`: those that the API server knows;
        none: it does not answer, or is not asked.
        """
        known = {pod.static_uid or pod.uid: pod for pod in pods}
        found = FoundFalcos([], [], set())
        logs = _newest(sources)
        for key, (source, wrote_at) in logs.items():
            self._add_log(key, source, wrote_at, known.get(source.pod_uid), found)
        self._peek.keep_only({source for source, _ in logs.values()})
        for uid, pod in known.items():
            if not pod.is_helm_test and not pod.is_finished:
                self._add_pod(uid, pod, logs, now, found)
        if self._reads_pods and not known:  # a directory of a pod that the API server does not know was left behind
            self._add_directories(logs, now, found)
        return found

    def _add_directories(self, logs: Mapping[str, object], now: float, found: FoundFalcos) -> None:
        for unread in self._directories.unread(now):
            found.falcos.append(FoundFalco(unread.name, now, to_read=unread.to_read, because=unread.because))
        for selected in self._directories.selected:
            if selected.key not in logs:
                found.sightings.append(Sighting(selected.key, selected.name, 0, selected.changed_at))
                found.falcos.append(FoundFalco(selected.name, selected.changed_at, has_log=False))

    def _add_log(self, key: str, source: Source, wrote_at: float, pod: Pod | None, found: FoundFalcos) -> None:
        output = self._peek.look(source, wrote_at)
        if output.is_helm_test or (pod is not None and pod.is_helm_test):
            found.tests.add(key)
            return
        if pod is not None and pod.is_finished:
            return
        name = f"{source.namespace}/{source.pod}" if source.pod_uid else str(source.path)
        is_movable = pod is not None and _is_movable(pod)
        found.sightings.append(Sighting(key, name, _restart(source), wrote_at, is_movable))
        found.falcos.append(
            FoundFalco(
                name,
                wrote_at,
                format=output.format,
                version=output.version,
                unreadable=self._peek.unreadable(source),
                is_movable=is_movable,
            )
        )

    def _add_pod(self, uid: str, pod: Pod, logs: Mapping[str, object], now: float, found: FoundFalcos) -> None:
        name, is_movable = f"{pod.namespace}/{pod.name}", _is_movable(pod)
        created_at = now - max(0.0, time.time() - pod.created_ms / 1000)
        selected = [*self._selected(uid, pod)]
        for key in selected:
            found.sightings.append(Sighting(key, name, 0, created_at, is_movable))
            if self._reads_pods and key not in logs:
                found.falcos.append(FoundFalco(name, created_at, has_log=False, is_movable=is_movable))
        if not selected and self._reads_pods and pod.falco_because:
            container = falco_container((each.name, each.image) for each in pod.containers)
            to_read = settings_to_read(self._globs, namespace=pod.namespace, pod=pod.name, container=container)
            found.falcos.append(
                FoundFalco(name, created_at, to_read=to_read, because=pod.falco_because, is_movable=is_movable)
            )

    def _selected(self, uid: str, pod: Pod) -> Iterator[str]:
        if self._selection.takes_pod(PodDirectory(pod.namespace, pod.name, uid)):
            for container in pod.containers:
                if self._selection.takes_container(container.name):
                    yield f"{uid}/{container.name}"


def restarts_known(positions: Mapping[str, Position]) -> dict[str, int]:
    """The last restart of each container that an earlier run of the agent has read, from the paths it remembers."""
    restarts: dict[str, int] = {}
    for position in positions.values():
        *_, directory, container, name = ("", "", *position.path.split("/"))
        pod, log = parse_pod_directory(directory), parse_log_name(name)
        if pod is not None and log is not None:
            key = f"{pod.uid}/{container}"
            restarts[key] = max(log.restart, restarts.get(key, 0))
    return restarts


def _newest(sources: Iterable[tuple[Source, float]]) -> dict[str, tuple[Source, float]]:
    """One log for each container: kubelet also keeps the log from before the last restart."""
    newest: dict[str, tuple[Source, float]] = {}
    for source, wrote_at in sources:
        key = f"{source.pod_uid}/{source.container}" if source.pod_uid else str(source.path)
        before = newest.get(key)
        if before is None or (_restart(source), wrote_at) > (_restart(before[0]), before[1]):
            newest[key] = source, wrote_at
    return newest


def _restart(source: Source) -> int:
    """kubelet's count of the container's restarts, from the name of its log."""
    return int(source.relative[-1].partition(".")[0]) if source.pod_uid else 0


def _is_movable(pod: Pod) -> bool:
    return bool(pod.workload.kind) and pod.workload.kind not in BOUND_TO_THE_NODE
