"""Waiting, with no domain in it: a byte budget, turns of the loop, a pace, and slots that adapt.

All state changes in synchronous methods on the loop's thread, so there are no locks; cancelling a
waiter is always safe.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

Clock = Callable[[], float]


class Budget:
    """Bytes that may be in flight. `reserve` of them are only for those who ask for it."""

    def __init__(self, limit_bytes: int, reserve_bytes: int = 0) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._reserve_bytes = reserve_bytes
        self._waiters: deque[tuple[int, bool, asyncio.Future[None]]] = deque()
        self._waited_seconds = 0.0
        self._waiting_since = 0.0

    async def acquire(self, amount: int, *, reserved: bool = False) -> None:
        """Waits, in the order of asking, until `amount` fits."""
        if not self._waiters and self._fits(amount, reserved):
            self.used_bytes += amount
            return
        loop = asyncio.get_running_loop()
        granted = loop.create_future()
        if not self._waiters:
            self._waiting_since = loop.time()
        waiter = (amount, reserved, granted)
        # Who may use the reserve does not stand behind those who may not.
        self._waiters.appendleft(waiter) if reserved else self._waiters.append(waiter)
        self._grant()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.adjust(-amount)
            else:
                self._waiters.remove(waiter)
                self._note_waiting()
                self._grant()
            raise

    def adjust(self, amount: int) -> None:
        """Takes more (or, negative, gives back) without waiting: what was read turned out larger or smaller."""
        self.used_bytes += amount
        self._grant()

    @property
    def has_waiters(self) -> bool:
        return bool(self._waiters)

    @property
    def waited_seconds(self) -> float:
        """For how long, in all, somebody has been waiting."""
        now = asyncio.get_running_loop().time() if self._waiters else self._waiting_since
        return self._waited_seconds + now - self._waiting_since

    def _fits(self, amount: int, reserved: bool) -> bool:
        limit = self.limit_bytes if reserved else self.limit_bytes - self._reserve_bytes
        # Whatever its size, one that comes alone may go: else it would wait for ever.
        return self.used_bytes + amount <= limit or self.used_bytes == 0

    def _grant(self) -> None:
        while self._waiters and self._fits(*self._waiters[0][:2]):
            amount, _, granted = self._waiters.popleft()
            self.used_bytes += amount
            granted.set_result(None)
            self._note_waiting()

    def _note_waiting(self) -> None:
        now = asyncio.get_running_loop().time()
        self._waited_seconds += now - self._waiting_since
        self._waiting_since = now


class Turns:
    """One in each round of the loop, in the order of asking.

    A hundred who are all ready at once would else all go before anything that follows from their going.
    """

    def __init__(self) -> None:
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._taken = False
        """In this round."""

    async def take(self) -> None:
        """Returns at once when nobody went in this round."""
        loop = asyncio.get_running_loop()
        if not self._taken:
            self._taken = True
            loop.call_soon(self._next_round, loop)
            return
        granted = loop.create_future()
        self._waiters.append(granted)
        await granted

    def _next_round(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiters:
            granted = self._waiters.popleft()
            if not granted.done():  # else whoever waited was cancelled
                granted.set_result(None)
                loop.call_soon(self._next_round, loop)
                return
        self._taken = False


class Pace:
    """At most so many a second, after a burst of at most `burst`; whoever comes after a quiet time goes at once."""

    def __init__(self, per_second: float, clock: Clock, *, burst: float = 1.0) -> None:
        self._interval_seconds = 1.0 / per_second
        self._burst_seconds = burst * self._interval_seconds
        self._clock = clock
        self._full_at = 0.0
        """When the whole burst is there again."""

    def delay_seconds(self) -> float:
        """How long until the next may go."""
        return max(0.0, self._full_at + self._interval_seconds - self._burst_seconds - self._clock())

    def spend(self) -> None:
        """One goes now."""
        self._full_at = max(self._full_at, self._clock()) + self._interval_seconds


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
