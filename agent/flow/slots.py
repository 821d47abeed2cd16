"""How many requests may be under way at the same time."""

from __future__ import annotations

import asyncio
from typing import Final

GIVE_WAY_SECONDS: Final = 1.0
"""So long the others start no request after an urgent one was throttled."""
GIVE_WAY_EVERY_SECONDS: Final = 5.0
"""From one time of giving way to the next, so that it costs the others at most a fifth of their time."""


_SHORTEST_SECONDS: Final = 0.001


class Slots:
    """Slots for requests: halved when they are throttled, one more after each round of successful requests.

    Urgent requests always have one slot of their own, and may use every slot that is free. A slow or refused urgent
    request costs the others nothing. After a throttled one the others pause for a bounded time, because all requests
    use up the same quota.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self.used = 0
        self.urgent_used = 0
        self._paused_until = 0.0
        self._pauses_again_at = 0.0
        self._changed = asyncio.Event()

    @property
    def limit(self) -> int:
        """Slots that are allowed now."""
        return max(1, int(self._limit))

    async def acquire(self, *, urgent: bool) -> None:
        """Waits for a slot. The caller releases it."""
        while not self._free(urgent):
            await self._next_change(0.0 if urgent else self._pause_seconds())
        self.used += 1
        self.urgent_used += urgent

    def release(self, *, urgent: bool) -> None:
        self.used -= 1
        self.urgent_used -= urgent
        self._announce()

    def succeeded(self) -> None:
        """A request that was not urgent was accepted."""
        if self._limit < self._most:
            self._limit = min(self._most, self._limit + 1 / self._limit)
            self._announce()

    def throttled(self, *, urgent: bool) -> None:
        """Reports a throttled request: the limit of the others shrinks, or the others pause for the urgent one."""
        if not urgent:
            self._limit = max(1.0, self._limit / 2)
            return
        now = asyncio.get_running_loop().time()
        if now >= self._pauses_again_at:
            self._paused_until = now + GIVE_WAY_SECONDS
            self._pauses_again_at = now + GIVE_WAY_EVERY_SECONDS

    def _free(self, urgent: bool) -> bool:
        if urgent:
            return self.urgent_used == 0 or self.used < self._most
        others = self.used - self.urgent_used
        return not self._pause_seconds() and others < min(self.limit, max(1, self._most - 1))

    def _pause_seconds(self) -> float:
        remaining = self._paused_until - asyncio.get_running_loop().time() if self._paused_until else 0.0
        return remaining if remaining > _SHORTEST_SECONDS else 0.0

    async def _next_change(self, most_seconds: float) -> None:
        try:
            async with asyncio.timeout(most_seconds or None):
                await self._changed.wait()
        except TimeoutError:
            return

    def _announce(self) -> None:
        # Wakes everyone who waits now; later waiters wait for the next change.
        self._changed.set()
        self._changed = asyncio.Event()
