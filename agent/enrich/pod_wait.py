"""Holds records whose pod is not known yet, until the pod appears or their time is up.

A record waits alone: the other records of its chunk, and the chunks behind it, go on. Records are held by pod, one task
for each pod. What is held is bounded in bytes and pods: beyond the bound, the records that waited longest go first.
Only before the first list of pods, when no pod is known, reading waits instead, at most as long as a record may wait.
At the end of the agent `release_all` lets everything go at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from agent.core.values import PodKey
from agent.enrich.factory import Enricher
from agent.telemetry.defects import Defects

MOST_PODS: Final = 4096
"""Each costs one task."""


@dataclass(frozen=True, slots=True)
class Held:
    """Records of one chunk that are about one pod."""

    records: int
    size_bytes: int
    release: Callable[[], Awaitable[None]]
    """Ships the records with what is known of the pod by then."""


class PodWait:
    def __init__(self, enricher: Enricher, *, wait_seconds: float, limit_bytes: int, defects: Defects) -> None:
        self._enricher = enricher
        self._wait_seconds = wait_seconds
        self._limit_bytes = limit_bytes
        self._defects = defects
        self._held: dict[PodKey, list[Held]] = {}
        self._new: asyncio.Queue[PodKey] = asyncio.Queue()
        self._released = asyncio.Event()
        self.records = 0
        """Records that are held now."""
        self.size_bytes = 0

    async def run(self) -> None:
        """Waits for the pods, until cancelled."""
        self._new = asyncio.Queue()
        for key in self._held:
            self._new.put_nowait(key)
        async with asyncio.TaskGroup() as tasks:
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
        while self._is_full:
            await self._release(next(iter(self._held)))

    @property
    def _is_full(self) -> bool:
        return self.size_bytes >= self._limit_bytes or len(self._held) >= MOST_PODS

    def hold(self, key: PodKey, held: Held) -> None:
        """Takes the records over. Never waits, so that what exists already is always held."""
        waiting = self._held.get(key)
        if waiting is None:
            waiting = self._held[key] = []
            self._new.put_nowait(key)
        waiting.append(held)
        self.records += held.records
        self.size_bytes += held.size_bytes

    async def release_all(self) -> None:
        """Lets everything go, as it is known now."""
        for key in list(self._held):
            await self._release(key)

    async def _wait_for(self, key: PodKey) -> None:
        with self._defects.contained("enrichment"):
            await self._enricher.appear([key], self._wait_seconds)
        await self._release(key)

    async def _release(self, key: PodKey) -> None:
        for held in self._held.pop(key, ()):
            self.records -= held.records
            self.size_bytes -= held.size_bytes
            with self._defects.contained("record"):
                await held.release()
        # A new event, so that a waiter that finds no room waits for the next release.
        self._released.set()
        self._released = asyncio.Event()
