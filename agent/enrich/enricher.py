"""Answers which pod an alert is about, from the pods that a source keeps up to date.

A hit costs one look into a dict: answers are remembered until a pod changes. An unknown pod is waited
for once and briefly, only while the source would bring it, and then not again for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Literal, Protocol

from agent.core.values import Fragment, PodKey
from agent.enrich.cache import PodCache
from agent.enrich.fragment import HOST, NOTHING_SAID, alert_fragment, pod_fragment, unknown_fragment
from agent.enrich.kube_watch import Sink
from agent.enrich.pod import Pod
from agent.telemetry.metrics import Telemetry

MOST_ANSWERS = 2048
"""Answers remembered, unknown keys remembered, and keys not to be waited for again: each at most so many."""

IN_VAIN_SECONDS = 300.0
"""How long a key that was waited for in vain is not waited for again. If its pod appears, it is found all the same."""

LATE_SECONDS = 1.0
"""Who asks so soon after a wait ran out has waited: late. Who asks after that has not: a miss."""

FRESH_MS = 60_000
"""An alert older than this is about a pod that is known by now, or never will be."""


class Source(Protocol):
    """Where the pods come from."""

    async def run(self, sink: Sink) -> None: ...


class PodEnricher:
    """The Enricher over a source of pods; it is also the sink that the source tells."""

    def __init__(self, source: Source, keep_deleted_seconds: float, telemetry: Telemetry) -> None:
        self._source = source
        self._pods = PodCache(int(keep_deleted_seconds * 1000))
        self._answers: dict[PodKey, tuple[int, int, Fragment]] = {}
        self._unknown: dict[tuple[PodKey, str], Fragment] = {}
        self._in_vain: dict[PodKey, float] = {}
        """key → time of the loop until which it is not waited for, in that order."""
        self._listed = False
        self._source_works = True
        self._news = asyncio.Event()
        telemetry.kube_pods.set_function(lambda: len(self._pods))

    def fragment(self, key: PodKey, time_ms: int) -> Fragment | None:
        answer = self._answers.get(key)
        if answer is not None and answer[0] <= time_ms <= answer[1]:
            return answer[2]
        if key.container_id == "host":
            return HOST
        if key == (None, None, None, None):
            return NOTHING_SAID
        return self._look_up(key, time_ms)

    def unknown(self, key: PodKey, result: Literal["miss", "late"]) -> Fragment:
        if (fragment := self._unknown.get((key, result))) is None:
            if len(self._unknown) >= MOST_ANSWERS:
                self._unknown.clear()
            fragment = self._unknown[key, result] = unknown_fragment(key, result)
        return fragment

    async def appear(self, keys: Collection[PodKey], timeout_seconds: float) -> None:
        missing = self._missing(keys)
        try:
            async with asyncio.timeout(timeout_seconds):
                while missing and self._source_works:
                    await self._news.wait()
                    missing = self._missing(missing)
        except TimeoutError:
            self._waited_in_vain(missing)

    async def run(self) -> None:
        await self._source.run(self)

    @property
    def listed(self) -> bool:
        return self._listed

    def living(self) -> list[Pod]:
        """The pods that are on this node now."""
        return list(self._pods.living())

    def pods_listed(self, pods: Collection[Pod]) -> None:
        self._pods.replace(pods, _now_ms())
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

    def source_works(self, works: bool) -> None:
        forgot = self._pods.forget_old(_now_ms())
        if forgot or works != self._source_works:
            self._source_works = works
            self._changed()

    def _look_up(self, key: PodKey, time_ms: int) -> Fragment | None:
        found = self._pods.find(key, time_ms)
        if found is None:
            return self._not_found(key, time_ms)
        if len(self._answers) >= MOST_ANSWERS:
            self._answers.clear()
        fragment = pod_fragment(found.pod, found.container, found.container_id)
        self._answers[key] = found.from_ms, found.until_ms, fragment
        return fragment

    def _not_found(self, key: PodKey, time_ms: int) -> Fragment | None:
        """None while it is worth waiting for."""
        until = self._in_vain.get(key)
        if until is not None and (left_seconds := until - _loop_time()) > 0:
            return self.unknown(key, "late" if left_seconds > IN_VAIN_SECONDS - LATE_SECONDS else "miss")
        if self._source_works and (not self._listed or time_ms > _now_ms() - FRESH_MS):
            return None
        return self.unknown(key, "miss")

    def _missing(self, keys: Collection[PodKey]) -> list[PodKey]:
        now_ms = _now_ms()
        return [key for key in keys if self._pods.find(key, now_ms) is None]

    def _waited_in_vain(self, keys: Collection[PodKey]) -> None:
        if not self._listed:
            return  # It was the list that was late, and it may bring them yet.
        until = _loop_time() + IN_VAIN_SECONDS
        for key in keys:
            if len(self._in_vain) >= MOST_ANSWERS:
                del self._in_vain[next(iter(self._in_vain))]
            self._in_vain.pop(key, None)
            self._in_vain[key] = until

    def _changed(self) -> None:
        """Answers given before may be wrong now, and those who wait look again."""
        self._answers.clear()
        self._news.set()
        self._news = asyncio.Event()


class AlertOnly:
    """The Enricher when enrichment is off: what the alert itself says, under the usual names."""

    listed = True

    def __init__(self) -> None:
        self._answers: dict[PodKey, Fragment] = {}

    def fragment(self, key: PodKey, time_ms: int) -> Fragment | None:
        if (fragment := self._answers.get(key)) is None:
            if len(self._answers) >= MOST_ANSWERS:
                self._answers.clear()
            fragment = self._answers[key] = alert_fragment(key)
        return fragment

    def unknown(self, key: PodKey, result: Literal["miss", "late"]) -> Fragment:
        return unknown_fragment(key, result)

    async def appear(self, keys: Collection[PodKey], timeout_seconds: float) -> None:
        """Nothing ever appears, so nobody waits."""

    async def run(self) -> None:
        """There is nothing to keep up to date."""
        await asyncio.Event().wait()


def _now_ms() -> int:
    return int(time.time() * 1000)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
