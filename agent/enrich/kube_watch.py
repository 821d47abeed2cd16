"""Keeps the pods of this node up to date: one list, then watches that follow on one another.

It promises to go on for ever, whatever the API server does: it backs off with full jitter, lists anew
when its version is too old, reads the token again when that is refused, and says once what is wrong.
While it fails, the pods that are known serve on. It makes no other request than list and watch.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Protocol

from agent.core.backoff import Backoff
from agent.enrich.pod import Pod, Selection
from agent.enrich.responses import Event, Forbidden, Stale, read_event, read_list
from agent.errors import KubernetesError
from agent.telemetry.logs import Occasional
from agent.telemetry.metrics import Telemetry

log = logging.getLogger(__name__)

START_JITTER_SECONDS = 0.1
"""Spreads a fleet that starts at once a little more than its starts do; a first record may be waiting for its pod."""

SHORTEST_WATCH_SECONDS, LONGEST_WATCH_SECONDS = 240, 360
"""Bounded, so that a new token is used and a dead connection noticed; random, so that a fleet does not move in step."""

SOUND_WATCH_SECONDS = 5.0
"""A watch that ends sooner and brought nothing has failed, whatever its status: else an empty answer is a hot loop."""

TROUBLE = Backoff(first_seconds=1.0, most_seconds=60.0)
REFUSED = Backoff(first_seconds=60.0, most_seconds=600.0)
"""Missing rights: a person must grant them."""


class Api(Protocol):
    """What is asked of the API server."""

    async def list_pods(self) -> bytes: ...

    def watch_pods(self, version: str, timeout_seconds: int) -> AsyncGenerator[bytes, None]: ...


class Sink(Protocol):
    """Who is told of the pods."""

    def pods_listed(self, pods: Collection[Pod]) -> None: ...

    def pod_changed(self, pod: Pod) -> None: ...

    def pod_deleted(self, pod: Pod) -> None: ...

    def source_works(self, works: bool) -> None:
        """Whether pods that are new would be heard of. Told at every sign of life, and at every failure."""
        ...


Connect = Callable[[], AbstractAsyncContextManager[Api]]


class PodWatch:
    """The conversation with the API server."""

    def __init__(self, connect: Connect, selection: Selection, telemetry: Telemetry) -> None:
        self._connect = connect
        self._selection = selection
        self._restarts = telemetry.kube_watch_restarts
        self._occasional = Occasional(600.0)
        self._version: str | None = None
        """Where to go on from; None: list first."""
        self._failures = 0
        self._watches = 0

    async def run(self, sink: Sink) -> None:
        """Until cancelled."""
        await asyncio.sleep(START_JITTER_SECONDS * random.random())
        while True:
            try:
                async with self._connect() as api:
                    await self._converse(api, sink)
            except KubernetesError as error:
                if isinstance(error, Stale):
                    self._version = None
                else:
                    sink.source_works(False)
                self._failures += 1
                backoff = REFUSED if isinstance(error, Forbidden) else TROUBLE
                seconds = backoff.seconds(self._failures, random.random())
                self._report(error, seconds)
                await asyncio.sleep(seconds)

    async def _converse(self, api: Api, sink: Sink) -> None:
        """Lists if need be and watches, over one connection; leaves only by an error."""
        while True:
            if self._version is None:
                self._version = await self._list(api, sink)
            await self._follow(api, self._version, sink)

    async def _list(self, api: Api, sink: Sink) -> str:
        found = read_list(await api.list_pods(), self._selection)
        sink.pods_listed(found.pods)
        sink.source_works(True)
        log.info(
            "pods listed",
            extra={"pods": len(found.pods), "unreadable": found.unreadable, "version": found.version},
        )
        if not found.pods and (fields := self._occasional.fields("no pods")) is not None:
            remedy = "the agent's own pod should be among them: set node_name to the pod's spec.nodeName"
            log.warning("no pods on this node", extra={"remedy": remedy, **fields})
        return found.version

    async def _follow(self, api: Api, version: str, sink: Sink) -> None:
        """One watch, to its end. Raises KubernetesError when it ended before it was of use."""
        if self._watches:
            self._restarts.inc()
        self._watches += 1
        clock = asyncio.get_running_loop().time
        began, events = clock(), 0
        seconds = random.randint(SHORTEST_WATCH_SECONDS, LONGEST_WATCH_SECONDS)
        async with aclosing(api.watch_pods(version, seconds)) as lines:
            async for line in lines:
                event = read_event(line, self._selection)
                events += 1
                self._went_well(sink)
                if event is not None:
                    self._version = event.version or self._version
                    _tell(event, sink)
        if events:
            return
        if clock() - began < SOUND_WATCH_SECONDS:
            raise KubernetesError("the API server ended a watch as soon as it began; watching again")
        # A server that knows this version sends bookmarks. One restored from a backup has yet to reach
        # it, and keeps silent until then: only a new list tells the two apart.
        self._version = None
        self._went_well(sink)

    def _went_well(self, sink: Sink) -> None:
        if self._failures:
            log.info("pod watch restored", extra={"failures": self._failures})
            self._failures = 0
        sink.source_works(True)

    def _report(self, error: KubernetesError, seconds: float) -> None:
        if isinstance(error, Stale) and self._failures == 1:
            log.info("pod watch begins anew", extra={"reason": str(error)})
        elif (fields := self._occasional.fields(type(error).__name__)) is not None:
            log.warning("pod watch failed", extra={"reason": str(error), "retry_seconds": round(seconds, 1), **fields})


def _tell(event: Event, sink: Sink) -> None:
    if event.pod is None:
        return
    if event.kind == "put":
        sink.pod_changed(event.pod)
    else:
        sink.pod_deleted(event.pod)
