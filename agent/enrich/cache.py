"""The pods of this node, looked up by the uid, the container id or the name that an alert carries.

A uid or a container id identifies one pod for ever. A name can be reused, so a name means the pod that had this name
at the time of the alert. Deleted pods stay in the cache for a while, because alerts about them may arrive later.
The cache is bounded: the pod that was deleted first is dropped first. Pure: every method takes the time as an argument.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final, NamedTuple

from msgspec.structs import replace

from agent.core.values import PodKey
from agent.enrich.pod import Container, Pod
from agent.telemetry.logs import Occasional

log = logging.getLogger(__name__)

MOST_PODS = 2000
"""Pods in the cache. A node runs 110 pods by default and at most 500; the rest is room for deleted pods."""

LARGEST_CACHE_BYTES = 8 * 1024 * 1024
"""Bound on the memory of all pods in the cache, about: 500 pods with the longest metadata need half of it."""

MOST_CONTAINER_IDS = 16
"""Ids kept for each container. A crash loop creates an id every few minutes; the API reports only the last two."""

CLOCK_SLACK_MS = 10_000
"""Allowed difference of two clocks: the API server stamps a pod's creation (whole seconds), the node stamps alerts."""

SHORT_ID = 12
"""Falco prints the first 12 characters of a container id, or all 64."""

ALWAYS: Final = (-(1 << 63), 1 << 63)
"""An interval in milliseconds that contains every time."""


class Found(NamedTuple):
    """A pod, the container of this pod that the alert names, and the interval of times with the same answer."""

    pod: Pod
    container: Container | None
    container_id: str | None
    from_ms: int
    until_ms: int


class PodCache:
    """Bookkeeping of pods and of the three indexes over them."""

    def __init__(self, keep_deleted_ms: int) -> None:
        self._keep_deleted_ms = keep_deleted_ms
        self._occasional = Occasional(600.0)
        self._pods: dict[str, Pod] = {}
        self._cost_bytes = 0
        self._deleted: dict[str, int] = {}
        """uid → time at which the deletion was noticed, oldest first."""
        self._by_name: dict[tuple[str, str], tuple[str, ...]] = {}
        """(namespace, name) → uids, in the order in which the pods were created."""
        self._by_static_uid: dict[str, str] = {}
        self._by_container: dict[str, tuple[str, str]] = {}
        """The first 12 characters of a container id → (uid, container name)."""

    def __len__(self) -> int:
        return len(self._pods)

    def living(self) -> Iterator[Pod]:
        """The pods that are not deleted."""
        return (pod for uid, pod in self._pods.items() if uid not in self._deleted)

    def put(self, pod: Pod, now_ms: int) -> bool:
        """Stores the current state of a pod. Returns whether this changed the cache."""
        known = self._pods.get(pod.uid)
        if known is not None:
            pod = _with_earlier_ids(pod, known)
            if pod == known and pod.uid not in self._deleted:
                return False
        if not self._make_room(pod, known, now_ms):
            if (fields := self._occasional.fields("full")) is not None:
                log.warning(
                    "pod was not cached, its alerts ship without metadata",
                    extra={"namespace": pod.namespace, "pod": pod.name, "pods": len(self._pods), **fields},
                )
            return False
        if known is not None:
            self._unlink_containers(known)
            self._cost_bytes -= known.cost_bytes
        self._pods[pod.uid] = pod
        self._cost_bytes += pod.cost_bytes
        self._deleted.pop(pod.uid, None)
        self._link(pod)
        return True

    def delete(self, uid: str, now_ms: int) -> None:
        """Marks a pod as deleted. It can be found for `keep_deleted_ms` more."""
        if uid in self._pods:
            self._deleted.setdefault(uid, now_ms)
        self.forget_old(now_ms)

    def keep_only(self, uids: Collection[str], now_ms: int) -> None:
        """Takes the uids of all living pods. A pod that is not among them counts as deleted."""
        for uid in self._pods.keys() - self._deleted.keys() - set(uids):
            self._deleted[uid] = now_ms
        self.forget_old(now_ms)

    def forget_old(self, now_ms: int) -> bool:
        """Drops pods that were deleted more than `keep_deleted_ms` ago. Returns whether there were any."""
        dropped = False
        while self._deleted:
            uid, deleted_ms = next(iter(self._deleted.items()))
            if deleted_ms + self._keep_deleted_ms > now_ms:
                break
            self._drop(uid)
            dropped = True
        return dropped

    def find(self, key: PodKey, time_ms: int) -> Found | None:
        """Finds a pod by its uid, else by container id, else by name and time: the most certain key first."""
        if key.uid is not None and (pod := self._by_uid(key.uid)):
            return self._found(pod, key, *ALWAYS)
        owner = self._by_container_id(key.container_id)
        if owner and key.namespace in (None, owner.namespace) and key.name in (None, owner.name):
            return self._found(owner, key, *ALWAYS)
        if key.uid is None and key.namespace is not None and key.name is not None:
            return self._named((key.namespace, key.name), key, time_ms)
        # An unknown uid belongs to a pod that is not in the cache, even when a cached pod has the same name.
        return None

    def _by_uid(self, uid: str) -> Pod | None:
        return self._pods.get(self._by_static_uid.get(uid, uid))

    def _by_container_id(self, container_id: str | None) -> Pod | None:
        if container_id is None or (entry := self._by_container.get(container_id[:SHORT_ID])) is None:
            return None
        pod = self._pods[entry[0]]
        return pod if _container(pod, container_id) else None

    def _named(self, name: tuple[str, str], key: PodKey, time_ms: int) -> Found | None:
        """The pod that had this name at `time_ms`."""
        uids = self._by_name.get(name, ())
        if len(uids) == 1:
            pod = self._pods[uids[0]]
            from_ms, until_ms = pod.created_ms - CLOCK_SLACK_MS, self._deleted.get(pod.uid, ALWAYS[1])
            return self._found(pod, key, from_ms, until_ms) if from_ms <= time_ms <= until_ms else None
        until_ms = ALWAYS[1]
        for uid in reversed(uids):
            pod = self._pods[uid]
            until_ms = min(until_ms, self._deleted.get(uid, ALWAYS[1]))
            if pod.created_ms <= time_ms <= until_ms:
                return self._found(pod, key, pod.created_ms, until_ms)
            until_ms = pod.created_ms - 1
        for uid in reversed(uids):
            pod = self._pods[uid]
            if pod.created_ms - CLOCK_SLACK_MS <= time_ms <= self._deleted.get(uid, ALWAYS[1]):
                return self._found(pod, key, time_ms, time_ms)
        return None

    def _found(self, pod: Pod, key: PodKey, from_ms: int, until_ms: int) -> Found:
        if key.container_id is not None and (match := _container(pod, key.container_id)):
            return Found(pod, *match, from_ms, until_ms)
        only = pod.containers[0] if len(pod.containers) == 1 else None
        return Found(pod, only, None, from_ms, until_ms)

    def _link(self, pod: Pod) -> None:
        name = (pod.namespace, pod.name)
        if pod.uid not in (uids := self._by_name.get(name, ())):
            self._by_name[name] = tuple(sorted((*uids, pod.uid), key=lambda uid: self._pods[uid].created_ms))
        if pod.static_uid:
            self._by_static_uid[pod.static_uid] = pod.uid
        for container in pod.containers:
            for identity in container.ids:
                self._by_container[identity[:SHORT_ID]] = (pod.uid, container.name)

    def _unlink_containers(self, pod: Pod) -> None:
        for container in pod.containers:
            for identity in container.ids:
                short = identity[:SHORT_ID]
                if self._by_container.get(short, ("", ""))[0] == pod.uid:
                    del self._by_container[short]

    def _make_room(self, pod: Pod, known: Pod | None, now_ms: int) -> bool:
        """Drops deleted pods until the pod fits. Returns whether it fits."""

        def fits() -> bool:
            known_cost = known.cost_bytes if known else 0
            return (
                len(self._pods) + (known is None) <= MOST_PODS
                and self._cost_bytes - known_cost + pod.cost_bytes <= LARGEST_CACHE_BYTES
            )

        if not fits():
            self.forget_old(now_ms)
        while not fits() and (uid := next((uid for uid in self._deleted if uid != pod.uid), None)):
            self._drop(uid)
        return fits()

    def _drop(self, uid: str) -> None:
        pod = self._pods.pop(uid)
        self._cost_bytes -= pod.cost_bytes
        del self._deleted[uid]
        self._unlink_containers(pod)
        if self._by_static_uid.get(pod.static_uid) == uid:
            del self._by_static_uid[pod.static_uid]
        name = (pod.namespace, pod.name)
        if rest := tuple(other for other in self._by_name[name] if other != uid):
            self._by_name[name] = rest
        else:
            del self._by_name[name]


def _container(pod: Pod, container_id: str) -> tuple[Container, str] | None:
    """The container with this id or short id, and its full id."""
    if len(container_id) < SHORT_ID:
        return None
    for container in pod.containers:
        for identity in container.ids:
            if identity.startswith(container_id):
                return container, identity
    return None


def _with_earlier_ids(pod: Pod, known: Pod) -> Pod:
    """The pod with all known container ids: the API reports only the last two, but an alert may name an older one."""
    earlier = {container.name: container.ids for container in known.containers}
    containers = tuple(
        replace(each, ids=tuple(islice(dict.fromkeys(each.ids + earlier.get(each.name, ())), MOST_CONTAINER_IDS)))
        for each in pod.containers
    )
    return replace(pod, containers=containers)
