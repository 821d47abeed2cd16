"""How many puts may be under way at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """How many may be under way at once: halved when told to slow down, one more for each round that went well.

    One slot beyond what the others may use is always there for the urgent; and while an urgent one
    struggles, the others hold back.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self.used = 0
        self.urgent_used = 0
        self._struggling = 0
        self._changed = asyncio.Event()

    @property
    def limit(self) -> int:
        """Allowed now."""
        return max(1, int(self._limit))

    async def acquire(self, *, urgent: bool) -> None:
        """Waits for a slot; whoever got one releases it."""
        while not self._free(urgent):
            await self._next_change()
        self.used += 1
        self.urgent_used += urgent

    def release(self, *, urgent: bool) -> None:
        self.used -= 1
        self.urgent_used -= urgent
        self._announce()

    def went_well(self) -> None:
        if self._limit < self._most:
            self._limit = min(self._most, self._limit + 1 / self._limit)
            self._announce()

    def slow_down(self) -> None:
        self._limit = max(1.0, self._limit / 2)

    @asynccontextmanager
    async def struggle(self) -> AsyncIterator[None]:
        """While the block runs, an urgent one has been refused and is waiting to be tried again."""
        self._struggling += 1
        try:
            yield
        finally:
            self._struggling -= 1
            self._announce()

    async def calm(self) -> None:
        """Waits until no urgent one struggles."""
        while self._struggling:
            await self._next_change()

    def _free(self, urgent: bool) -> bool:
        if urgent:
            return self.urgent_used == 0 or self.used < self._most
        others = self.used - self.urgent_used
        return not self._struggling and others < min(self.limit, max(1, self._most - 1))

    async def _next_change(self) -> None:
        await self._changed.wait()

    def _announce(self) -> None:
        # Wakes all who wait now; whoever waits from now on waits for the next change.
        self._changed.set()
        self._changed = asyncio.Event()
