"""Send slots: how many puts may be in progress at once.

The limit halves when CloudWatch throttles and grows by one for each round of successful puts, as TCP's congestion
window does. The urgent lane always has one slot of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """At most `most` slots.

    Routine puts may use all slots but one, so an urgent put always finds a free slot. While an urgent put waits to be
    tried again, no new routine put starts.
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
        """The slots that CloudWatch allows now."""
        return max(1, int(self._limit))

    async def acquire(self, *, urgent: bool) -> None:
        """Waits for a free slot. The caller must release it."""
        while not self._free(urgent):
            await self._next_change()
        self.used += 1
        self.urgent_used += urgent

    def release(self, *, urgent: bool) -> None:
        self.used -= 1
        self.urgent_used -= urgent
        self._wake_waiters()

    def went_well(self) -> None:
        """A put was accepted."""
        if self._limit < self._most:
            self._limit = min(self._most, self._limit + 1 / self._limit)
            self._wake_waiters()

    def slow_down(self) -> None:
        """A put was throttled."""
        self._limit = max(1.0, self._limit / 2)

    @asynccontextmanager
    async def struggle(self) -> AsyncIterator[None]:
        """Wraps the time that an urgent put, which CloudWatch has refused, waits to be tried again."""
        self._struggling += 1
        try:
            yield
        finally:
            self._struggling -= 1
            self._wake_waiters()

    async def calm(self) -> None:
        """Waits until no urgent put waits to be tried again."""
        while self._struggling:
            await self._next_change()

    def _free(self, urgent: bool) -> bool:
        if urgent:
            return self.urgent_used == 0 or self.used < self._most
        others = self.used - self.urgent_used
        return not self._struggling and others < min(self.limit, max(1, self._most - 1))

    async def _next_change(self) -> None:
        await self._changed.wait()

    def _wake_waiters(self) -> None:
        # A new event, so that a waiter that finds no free slot waits for the next change.
        self._changed.set()
        self._changed = asyncio.Event()
