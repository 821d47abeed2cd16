"""Answers which pod an alert is about, from the pods that a source keeps up to date.

Answers are cached until a pod changes, so a repeated question costs one dict lookup. The pipeline waits for an unknown
pod once and briefly (`appear`), and only while the source works; after a wait in vain it does not wait for the same
pod again for five minutes. Everything runs on the event loop; only `appear` and `run` wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Set
from typing import Literal

from agent.core.values import Fragment, PodKey
from agent.enrich.cache import PodCache
from agent.enrich.fragment import ALL_FIELDS, HOST, NO_POD_NAMED, alert_fragment, pod_fragment, unknown_fragment
from agent.enrich.fragment_cache import FragmentCache
from agent.enrich.pod import LONGEST_NAME_CHARS, Pod
from agent.enrich.source import PodSource
from agent.telemetry.metrics import Telemetry

MOST_KEYS_IN_VAIN = 2048
"""Keys that are not waited for again."""

NO_SECOND_WAIT_SECONDS = 300.0
"""After a wait in vain the same key is not waited for again for this long. If its pod appears, it is found at once."""

LATE_SECONDS = 1.0
"""A question within this time after a wait in vain comes from the waiter itself: `late`. A later one is a `miss`."""

FRESH_MS = 60_000
"""A record older than this is not waited for: its pod is in the list already, or was deleted before the list."""


class PodEnricher:
    """The Enricher over a source of pods. It is also the sink of that source."""

    def __init__(
        self,
        source: PodSource,
        keep_deleted_seconds: float,
        telemetry: Telemetry,
        max_bytes: int = 4096,
        wanted: Set[str] = ALL_FIELDS,
    ) -> None:
        self._source = source
        self._max_bytes = max_bytes
        self._wanted = wanted
        self._pods = PodCache(int(keep_deleted_seconds * 1000))
        self._answers: FragmentCache[PodKey, tuple[int, int, Fragment]] = FragmentCache()
        self._unknown: FragmentCache[tuple[PodKey, str], Fragment] = FragmentCache()
        self._no_second_wait: dict[PodKey, float] = {}
        """key → loop time until which it is not waited for again, earliest first."""
        self._listed = False
        self._reports_new_pods = True
        self._problem: str | None = None
        self._pods_changed = asyncio.Event()
        telemetry.kube_pods.set_function(lambda: len(self._pods))
        telemetry.enrichment_up.set_function(lambda: float(self._problem is None))

    @property
    def problem(self) -> str | None:
        """Why there is no metadata for new pods, with the remedy; None while the source works."""
        return self._problem

    def fragment(self, key: PodKey, time_ms: int) -> Fragment | None:
        answer = self._answers.get(key)
        if answer is not None and answer[0] <= time_ms <= answer[1]:
            return answer[2]
        if key.container_id == "host":
            return HOST
        if key == (None, None, None, None):
            return NO_POD_NAMED
        return self._look_up(key, time_ms)

    def unknown(self, key: PodKey, result: Literal["miss", "late"]) -> Fragment:
        if (fragment := self._unknown.get((key, result))) is None:
            fragment = unknown_fragment(key, result, self._max_bytes, self._wanted)
            self._unknown.put((key, result), fragment, fragment, _key_bytes(key))
        return fragment

    async def appear(self, keys: Collection[PodKey], timeout_seconds: float) -> None:
        missing = self._missing(keys)
        try:
            async with asyncio.timeout(timeout_seconds):
                while missing and self._reports_new_pods:
                    await self._pods_changed.wait()
                    missing = self._missing(missing)
        except TimeoutError:
            self._forbid_second_wait(missing)

    async def run(self) -> None:
        await self._source.run(self)

    @property
    def listed(self) -> bool:
        return self._listed

    @property
    def pod_count(self) -> int:
        return len(self._pods)

    def living(self) -> list[Pod]:
        """The pods that exist on this node now."""
        return list(self._pods.living())

    def pods_listed(self, uids: Collection[str]) -> None:
        self._pods.keep_only(uids, _now_ms())
        self._listed = True
        self._changed()

    def pod_changed(self, pod: Pod) -> None:
        if self._pods.put(pod, _now_ms()):
            self._changed()

    def pod_deleted(self, pod: Pod) -> None:
        now_ms = _now_ms()
        self._pods.put(pod, now_ms)
        self._pods.delete(pod.uid, now_ms)
        self._changed()

    def source_works(self, *, reports_new_pods: bool) -> None:
        self._problem = None
        self._source_state(reports_new_pods)

    def source_failed(self, reason: str) -> None:
        self._problem = reason
        self._source_state(False)

    def _source_state(self, reports_new_pods: bool) -> None:
        forgot = self._pods.forget_old(_now_ms())
        if forgot or reports_new_pods != self._reports_new_pods:
            self._reports_new_pods = reports_new_pods
            self._changed()

    def _look_up(self, key: PodKey, time_ms: int) -> Fragment | None:
        found = self._pods.find(key, time_ms)
        if found is None:
            return self._not_found(key, time_ms)
        fragment = pod_fragment(found.pod, found.container, found.container_id, self._max_bytes, self._wanted)
        self._answers.put(key, (found.from_ms, found.until_ms, fragment), fragment, _key_bytes(key))
        return fragment

    def _not_found(self, key: PodKey, time_ms: int) -> Fragment | None:
        """None when the caller should wait for this pod in `appear`."""
        until = self._no_second_wait.get(key)
        if until is not None and (left_seconds := until - _loop_time()) > 0:
            return self.unknown(key, "late" if left_seconds > NO_SECOND_WAIT_SECONDS - LATE_SECONDS else "miss")
        if not _can_exist(key):
            return self.unknown(key, "miss")
        if self._reports_new_pods and (not self._listed or time_ms > _now_ms() - FRESH_MS):
            return None
        return self.unknown(key, "miss")

    def _missing(self, keys: Collection[PodKey]) -> list[PodKey]:
        now_ms = _now_ms()
        return [key for key in keys if self._pods.find(key, now_ms) is None]

    def _forbid_second_wait(self, keys: Collection[PodKey]) -> None:
        if not self._listed:
            return  # The first list is late, and it may still contain these pods.
        until = _loop_time() + NO_SECOND_WAIT_SECONDS
        for key in keys:
            if len(self._no_second_wait) >= MOST_KEYS_IN_VAIN:
                del self._no_second_wait[next(iter(self._no_second_wait))]
            self._no_second_wait.pop(key, None)
            self._no_second_wait[key] = until

    def _changed(self) -> None:
        """Cached answers may be wrong now; every caller of `appear` looks again."""
        self._answers.clear()
        self._pods_changed.set()
        self._pods_changed = asyncio.Event()


class AlertOnly:
    """The Enricher when enrichment is off: the alert's own fields under the names of the Kubernetes metadata."""

    listed = True
    pod_count = 0

    def __init__(
        self,
        telemetry: Telemetry,
        problem: str | None = None,
        max_bytes: int = 4096,
        wanted: Set[str] = ALL_FIELDS,
    ) -> None:
        self.problem = problem
        self._max_bytes = max_bytes
        self._wanted = wanted
        self._answers: FragmentCache[PodKey, Fragment] = FragmentCache()
        telemetry.enrichment_up.set(float(problem is None))

    def fragment(self, key: PodKey, time_ms: int) -> Fragment | None:
        if (fragment := self._answers.get(key)) is None:
            fragment = alert_fragment(key, self._max_bytes, self._wanted)
            self._answers.put(key, fragment, fragment, _key_bytes(key))
        return fragment

    def unknown(self, key: PodKey, result: Literal["miss", "late"]) -> Fragment:
        return unknown_fragment(key, result, self._max_bytes, self._wanted)

    async def appear(self, keys: Collection[PodKey], timeout_seconds: float) -> None:
        """Returns at once: without a source no pod can appear."""

    async def run(self) -> None:
        """Waits until cancelled: there is no source to run."""
        await asyncio.Event().wait()


def _can_exist(key: PodKey) -> bool:
    """Whether Kubernetes allows these names. A longer one is invented, and its key must not take up memory."""
    return all(len(part) <= LONGEST_NAME_CHARS for part in key if part is not None)


def _key_bytes(key: PodKey) -> int:
    return sum(len(part) for part in key if part is not None)


def _now_ms() -> int:
    return int(time.time() * 1000)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
