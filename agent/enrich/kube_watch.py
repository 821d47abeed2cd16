"""Keeps the pods of this node up to date with one list and then one watch after another.

The list is a watch that first sends every pod that exists (`sendInitialEvents`); on servers that do not know this, it
is an ordinary list in pages. Both are decoded pod by pod while they arrive, so that memory does not depend on the list.

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
from agent.enrich.responses import Event, Forbidden, PodListReader, Stale, read_event
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

INITIAL_EVENTS_SECONDS = 60.0
"""Deadline of the initial events of a watch. A node has at most 500 pods: they take less than a second."""

MOST_LISTED_PODS = 10_000
"""Pods in a list before it counts as endless. A node runs at most 500."""

TROUBLE = Backoff(first_seconds=1.0, most_seconds=10.0)
"""Waits after an answer other than 200, or no answer. Short, so that metadata is back soon after the API server."""

REFUSED = Backoff(first_seconds=5.0, most_seconds=60.0)
"""Waits after 403: the agent cannot grant itself the missing rights."""


class Api(Protocol):
    """The requests to the API server."""

    def list_pods(self, continue_token: str = "") -> AsyncGenerator[bytes, None]: ...

    def watch_pods(self, version: str | None, timeout_seconds: int) -> AsyncGenerator[bytes | bytearray, None]: ...


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
        """Failures since the last good answer."""
        self._stale = 0
        """Versions in a row from which no watch could start, although the lists in between were good."""
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
                    self._stale += 1
                else:
                    sink.source_failed(str(error))
                self._failures += 1
                backoff = REFUSED if isinstance(error, Forbidden) else TROUBLE
                seconds = backoff.seconds(max(self._failures, self._stale), random.random())
                self._report(error, seconds)
                await asyncio.sleep(seconds)

    async def _list_and_watch(self, api: Api, sink: PodSink) -> None:
        """Lists if necessary and watches, over one connection. Ends only with an exception."""
        streams_lists = True
        while True:
            if self._version is None and streams_lists:
                # On success this is a whole watch: the initial events are the list, and later events follow.
                streams_lists = await self._watch_with_initial_events(api, sink)
                continue
            if self._version is None:
                self._version = await self._list(api, sink)
            await self._watch(api, self._version, sink)

    async def _watch_with_initial_events(self, api: Api, sink: PodSink) -> bool:
        """Lists and watches with one request, to the end of the watch. False: this server cannot do it."""
        uids: set[str] = set()
        listed = False
        try:
            async with (
                asyncio.timeout(INITIAL_EVENTS_SECONDS) as deadline,
                aclosing(api.watch_pods(None, _watch_seconds())) as lines,
            ):
                async for line in lines:
                    event = read_event(line, self._selection)
                    # Otherwise the line would stay in memory while the next one arrives.
                    del line
                    if listed:
                        self._apply(event, sink)
                    elif event is not None and event.initial_events_end:
                        deadline.reschedule(None)
                        listed = True
                        self._watches += 1
                        self._complete_list(sink, uids, event.version, 0)
                    elif event is not None and event.pod is not None:
                        _add_listed(sink, uids, event)
        except (Stale, TimeoutError):
            if listed:
                raise
        return listed

    async def _list(self, api: Api, sink: PodSink) -> str:
        """Reads all pages of the list. Returns its version."""
        uids: set[str] = set()
        unreadable, token, pages = 0, "", 0
        while True:
            reader = PodListReader(self._selection)
            async with aclosing(api.list_pods(token)) as pieces:
                async for piece in pieces:
                    for pod in reader.feed(piece):
                        _add_listed(sink, uids, Event("put", "", pod))
            page = reader.end()
            unreadable += reader.unreadable
            pages += 1
            token = page.continue_token
            if not token:
                self._complete_list(sink, uids, page.version, unreadable)
                return page.version
            if pages > MOST_LISTED_PODS:
                raise KubernetesError(f"the API server sent a list of over {pages} pages; expected one node's pods")

    def _complete_list(self, sink: PodSink, uids: set[str], version: str, unreadable: int) -> None:
        self._version = version
        sink.pods_listed(uids)
        self._answered(sink)
        log.info("pods listed", extra={"pods": len(uids), "unreadable": unreadable, "version": version})
        if not uids and (fields := self._occasional.fields("no pods")) is not None:
            remedy = "the agent's own pod should be among them: set node_name to the pod's spec.nodeName"
            log.warning("the API server listed no pods of this node", extra={"remedy": remedy, **fields})

    async def _watch(self, api: Api, version: str, sink: PodSink) -> None:
        """Follows one watch to its end. Raises KubernetesError when it ended at once without an event."""
        if self._watches:
            self._restarts.inc()
        self._watches += 1
        clock = asyncio.get_running_loop().time
        began, events = clock(), 0
        async with aclosing(api.watch_pods(version, _watch_seconds())) as lines:
            async for line in lines:
                event = read_event(line, self._selection)
                events += 1
                self._apply(event, sink)
        if events:
            return
        if clock() - began < SOUND_WATCH_SECONDS:
            raise KubernetesError("the API server ended a watch as soon as it began; watching again")
        # A server that has reached this version sends bookmarks. A server restored from a backup has not reached it
        # and sends nothing, as a quiet server does: only a new list distinguishes the two.
        self._version = None
        self._answered(sink)

    def _apply(self, event: Event | None, sink: PodSink) -> None:
        self._answered(sink)
        self._stale = 0
        if event is None:
            return
        self._version = event.version or self._version
        if event.pod is not None:
            if event.kind == "put":
                sink.pod_changed(event.pod)
            else:
                sink.pod_deleted(event.pod)

    def _answered(self, sink: PodSink) -> None:
        if self._failures:
            log.info("pod watch restored", extra={"failures": self._failures})
            self._failures = 0
        sink.source_works(reports_new_pods=True)

    def _report(self, error: KubernetesError, seconds: float) -> None:
        if isinstance(error, Stale) and self._failures == 1:
            log.info("pod watch restarted with a new list", extra={"reason": str(error)})
        elif (fields := self._occasional.fields(type(error).__name__)) is not None:
            log.warning("pod watch failed", extra={"reason": str(error), "retry_seconds": round(seconds, 1), **fields})


def _add_listed(sink: PodSink, uids: set[str], event: Event) -> None:
    """Passes one pod of a list on. The list is complete only later: a pod that is not in it is deleted then."""
    if event.pod is None or event.kind == "bookmark":
        return
    if event.kind == "delete":
        uids.discard(event.pod.uid)
        sink.pod_deleted(event.pod)
        return
    if len(uids) >= MOST_LISTED_PODS:
        raise KubernetesError(f"the API server listed over {MOST_LISTED_PODS} pods; expected those of one node")
    uids.add(event.pod.uid)
    sink.pod_changed(event.pod)


def _watch_seconds() -> int:
    return random.randint(SHORTEST_WATCH_SECONDS, LONGEST_WATCH_SECONDS)
