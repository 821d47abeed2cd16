"""How many requests may be under way at the same time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Hashable
from typing import Final

from agent.flow.pauses import SHARE, SHARE_IN_A_THROTTLED_ACCOUNT, Pauses

_SHORTEST_SECONDS: Final = 0.001


class Slots:
    """Slots for requests: halved when they are throttled, one more after each round of successful requests.

    Each stream has one slot of its own, so a stream whose requests hang delays no other stream: in the urgent lane
    always, in the others while nothing is throttled, because all requests use up the same quota. Urgent requests may
    also use every slot that is free. A slow or refused urgent request costs the others nothing. After a throttled one
    the others pause, until one is accepted or for a bounded time (`pauses`).
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self.used = 0
        self.urgent_used = 0
        self._used_by: Counter[tuple[bool, Hashable]] = Counter()
        """Slots of each stream, apart for urgent requests."""
        self._pauses = Pauses()
        self._changed = asyncio.Event()

    @property
    def limit(self) -> int:
        """Slots that are allowed now."""
        return max(1, int(self._limit))

    async def acquire(self, *, urgent: bool, stream: Hashable = None) -> None:
        """Waits for a slot. The caller releases it."""
        while not self._free(urgent, stream):
            await self._next_change(0.0 if urgent else self._pause_seconds())
        self.used += 1
        self.urgent_used += urgent
        self._used_by[urgent, stream] += 1

    async def pause_ended(self) -> None:
        """Returns when the others need not pause for an urgent request. For a request that has its slot already."""
        while seconds := self._pause_seconds():
            await self._next_change(seconds)

    def release(self, *, urgent: bool, stream: Hashable = None) -> None:
        self.used -= 1
        self.urgent_used -= urgent
        self._used_by[urgent, stream] -= 1
        if not self._used_by[urgent, stream]:
            del self._used_by[urgent, stream]
        self._announce()

    def succeeded(self, *, urgent: bool) -> None:
        """Reports an accepted request: the limit of the others grows, or their pause ends."""
        if urgent:
            self._pauses.end(asyncio.get_running_loop().time())
            self._announce()
        elif self._limit < self._most:
            self._limit = min(self._most, self._limit + 1 / self._limit)
            self._announce()

    def throttled(self, *, urgent: bool) -> None:
        """Reports a throttled request: the limit of the others shrinks, or the others pause for the urgent one."""
        if urgent:
            share = SHARE_IN_A_THROTTLED_ACCOUNT if self._limit < self._most else SHARE
            self._pauses.begin(asyncio.get_running_loop().time(), share)
        else:
            self._limit = max(1.0, self._limit / 2)

    def _free(self, urgent: bool, stream: Hashable) -> bool:
        has_own_slot = (urgent, stream) not in self._used_by
        if urgent:
            return has_own_slot or self.used < self._most
        if self._pause_seconds():
            return False
        others = self.used - self.urgent_used
        return others < min(self.limit, max(1, self._most - 1)) or (has_own_slot and self.limit == self._most)

    def _pause_seconds(self) -> float:
        remaining = self._pauses.remaining_seconds(asyncio.get_running_loop().time())
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
