"""Keeps the pods of this node up to date with one list and then one watch after another.

`PodWatch.run` never ends by itself, whatever the API server answers. After a failure it waits (exponential backoff with
full jitter), reads configuration and token again, and continues from the last version; if that version is too old, it
lists again. Each kind of trouble is logged once in ten minutes. During an outage the pods in the cache stay usable.
It sends no other request than list and watch.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Protocol

from agent.core.backoff import Backoff
from agent.enrich.pod import Selection
from agent.enrich.responses import Event, Forbidden, Stale, read_event, read_list
from agent.enrich.source import PodSink
from agent.errors import KubernetesError
from agent.telemetry.logs import Occasional
from agent.telemetry.metrics import Telemetry

log = logging.getLogger(__name__)

START_JITTER_SECONDS = 0.1
"""Random delay before the first request, for agents that start together. Short: a record may wait for its pod."""

SHORTEST_WATCH_SECONDS, LONGEST_WATCH_SECONDS = 240, 360
"""A watch is bounded so that a renewed token is used. The bound is random so that agents do not reconnect together."""

SOUND_WATCH_SECONDS = 5.0
"""A watch that ends sooner without an event is a failure; otherwise an empty answer would be repeated at once."""

TROUBLE = Backoff(first_seconds=1.0, most_seconds=60.0)
"""Waits after an answer other than 200, or no answer."""

REFUSED = Backoff(first_seconds=60.0, most_seconds=600.0)
"""Waits after 403: the agent cannot grant itself the missing rights."""


class Api(Protocol):
    """The requests to the API server."""

    async def list_pods(self) -> bytes: ...

    def watch_pods(self, version: str, timeout_seconds: int) -> AsyncGenerator[bytes, None]: ...


Connect = Callable[[], AbstractAsyncContextManager[Api]]


class PodWatch:
    """The source of pods that lists and watches them at the API server."""

    def __init__(self, connect: Connect, selection: Selection, telemetry: Telemetry) -> None:
        self._connect = connect
        self._selection = selection
        self._restarts = telemetry.kube_watch_restarts
        self._occasional = Occasional(600.0)
        self._version: str | None = None
        """The version from which the next watch starts; None: list first."""
        self._failures = 0
        self._watches = 0

    async def run(self, sink: PodSink) -> None:
        """Runs until cancelled."""
        await asyncio.sleep(START_JITTER_SECONDS * random.random())
        while True:
            try:
                async with self._connect() as api:
                    await self._list_and_watch(api, sink)
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

    async def _list_and_watch(self, api: Api, sink: PodSink) -> None:
        """Lists if necessary and watches, over one connection. Ends only with an exception."""
        while True:
            if self._version is None:
                self._version = await self._list(api, sink)
            await self._watch(api, self._version, sink)

    async def _list(self, api: Api, sink: PodSink) -> str:
        found = read_list(await api.list_pods(), self._selection)
        sink.pods_listed(found.pods)
        sink.source_works(True)
        log.info(
            "pods listed",
            extra={"pods": len(found.pods), "unreadable": found.unreadable, "version": found.version},
        )
        if not found.pods and (fields := self._occasional.fields("no pods")) is not None:
            remedy = "the agent's own pod should be among them: set node_name to the pod's spec.nodeName"
            log.warning("the API server listed no pods of this node", extra={"remedy": remedy, **fields})
        return found.version

    async def _watch(self, api: Api, version: str, sink: PodSink) -> None:
        """Follows one watch to its end. Raises KubernetesError when it ended at once without an event."""
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
                self._answered(sink)
                if event is not None:
                    self._version = event.version or self._version
                    _apply(event, sink)
        if events:
            return
        if clock() - began < SOUND_WATCH_SECONDS:
            raise KubernetesError("the API server ended a watch as soon as it began; watching again")
        # A server that has reached this version sends bookmarks. A server restored from a backup has not reached it
        # and sends nothing, as a quiet server does: only a new list distinguishes the two.
        self._version = None
        self._answered(sink)

    def _answered(self, sink: PodSink) -> None:
        if self._failures:
            log.info("pod watch restored", extra={"failures": self._failures})
            self._failures = 0
        sink.source_works(True)

    def _report(self, error: KubernetesError, seconds: float) -> None:
        if isinstance(error, Stale) and self._failures == 1:
            log.info("pod watch restarted with a new list", extra={"reason": str(error)})
        elif (fields := self._occasional.fields(type(error).__name__)) is not None:
            log.warning("pod watch failed", extra={"reason": str(error), "retry_seconds": round(seconds, 1), **fields})


def _apply(event: Event, sink: PodSink) -> None:
    if event.pod is None:
        return
    if event.kind == "put":
        sink.pod_changed(event.pod)
    else:
        sink.pod_deleted(event.pod)
