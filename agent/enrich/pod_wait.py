"""Holds records whose pod is not known yet, until the pod appears or their time is up.

A record waits alone: the other records of its chunk, and the chunks behind it, go on. Records are held by pod, one task
for each pod. Records of one chunk whose waiting ends at the same time are released together, so that a flood of
unknown pods costs one pass for each chunk and not one for each pod. What is held is bounded in bytes and pods: beyond
the bound, the records that waited longest go first.
Only before the first list of pods, when no pod is known, reading waits instead, at most as long as a record may wait.
At the end of the agent `release_all` lets everything go at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from msgspec import Struct

from agent.core.reading.records import Records
from agent.core.values import PodKey
from agent.enrich.factory import Enricher
from agent.telemetry.defects import Defects

MOST_PODS: Final = 4096
"""Each costs one task."""


class Held(Struct, frozen=True):
    """Records of one chunk that are about one pod."""

    chunk: object
    """Records with the same chunk may be released together."""
    records: Records
    size_bytes: int
    release: Callable[[Records, int], Awaitable[None]]
    """Ships records of the chunk, of this size in all, with what is known of their pods by then."""


class PodWait:
    def __init__(self, enricher: Enricher, *, wait_seconds: float, limit_bytes: int, defects: Defects) -> None:
        self._enricher = enricher
        self._wait_seconds = wait_seconds
        self._limit_bytes = limit_bytes
        self._defects = defects
        self._held: dict[PodKey, list[Held]] = {}
        self._new: asyncio.Queue[PodKey] = asyncio.Queue()
        self._released = asyncio.Event()
        self._due: list[PodKey] = []
        """Pods whose records are to be released."""
        self._some_due = asyncio.Event()
        self.records = 0
        """Records that are held now."""
        self.size_bytes = 0

    async def run(self) -> None:
        """Waits for the pods, until cancelled."""
        self._new = asyncio.Queue()
        for key in self._held:
            self._new.put_nowait(key)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._release_due(), name="due pods")
            while True:
                tasks.create_task(self._wait_for(await self._new.get()), name="pod")

    async def make_room(self) -> None:
        """Brings what is held under the bound, or waits for the first list of pods."""
        try:
            async with asyncio.timeout(self._wait_seconds):
                while self._is_full and not self._enricher.listed:
                    await self._released.wait()
        except TimeoutError:
            return
        if self._is_full:
            await self._release(self._too_many())

    @property
    def _is_full(self) -> bool:
        return self.size_bytes >= self._limit_bytes or len(self._held) >= MOST_PODS

    def _too_many(self) -> list[PodKey]:
        """The pods that have waited longest, as many as have to go."""
        pods, size_bytes, too_many = len(self._held), self.size_bytes, list[PodKey]()
        for key, waiting in self._held.items():
            if size_bytes < self._limit_bytes and pods < MOST_PODS:
                break
            too_many.append(key)
            pods -= 1
            size_bytes -= sum(held.size_bytes for held in waiting)
        return too_many

    def hold(self, key: PodKey, held: Held) -> None:
        """Takes the records over. Never waits, so that what exists already is always held."""
        waiting = self._held.get(key)
        if waiting is None:
            waiting = self._held[key] = []
            self._new.put_nowait(key)
        waiting.append(held)
        self.records += len(held.records)
        self.size_bytes += held.size_bytes

    async def release_all(self) -> None:
        """Lets everything go, as it is known now."""
        await self._release([*self._held])

    async def _wait_for(self, key: PodKey) -> None:
        with self._defects.contained("enrichment"):
            await self._enricher.appear([key], self._wait_seconds)
        self._due.append(key)
        self._some_due.set()

    async def _release_due(self) -> None:
        while True:
            await self._some_due.wait()
            # The other pods whose time is up in this pass of the event loop come along.
            await asyncio.sleep(0)
            self._some_due.clear()
            due, self._due = self._due, []
            await self._release(due)

    async def _release(self, keys: Iterable[PodKey]) -> None:
        by_chunk: dict[int, list[Held]] = {}
        for key in keys:
            for held in self._held.pop(key, ()):
                self.records -= len(held.records)
                self.size_bytes -= held.size_bytes
                by_chunk.setdefault(id(held.chunk), []).append(held)
        for together in by_chunk.values():
            records = Records()
            for held in together:
                records.extend(held.records)
            with self._defects.contained("record"):
                await together[0].release(records, sum(held.size_bytes for held in together))
        # A new event, so that a waiter that finds no room waits for the next release.
        self._released.set()
        self._released = asyncio.Event()
