"""A byte budget: the one number that bounds the bytes in flight, and so the memory of the agent.

Reading waits in `acquire` until its bytes fit. What was acquired is corrected and given back with `adjust`, which never
waits, so bytes that exist already are always counted.
"""

from __future__ import annotations

import asyncio
from collections import deque

from msgspec import Struct


class _Waiter(Struct, frozen=True, eq=False):
    amount: int
    reserved: bool
    granted: asyncio.Future[None]


class Budget:
    """`limit_bytes` may be in flight; `reserve_bytes` of them are only for waiters with `reserved`."""

    def __init__(self, limit_bytes: int, reserve_bytes: int = 0) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self.partial_bytes = 0
        """The part of the used bytes that only further reading can free: records of which a part has not come."""
        self._reserve_bytes = reserve_bytes
        self._reserved_waiters: deque[_Waiter] = deque()
        self._waiters: deque[_Waiter] = deque()
        self._waited_seconds = 0.0
        self._waiting_since = 0.0
        self._unserved_since = 0.0
        """When a waiter without `reserved` was served, or began to wait alone."""

    async def acquire(self, amount: int, *, reserved: bool = False) -> None:
        """Waits until `amount` fits. Waiters are served in order, those with `reserved` before the others."""
        if not self.has_waiters and self._fits(amount, reserved):
            self.used_bytes += amount
            return
        loop = asyncio.get_running_loop()
        granted = loop.create_future()
        if not self.has_waiters:
            self._waiting_since = loop.time()
        if not reserved and not self._waiters:
            self._unserved_since = loop.time()
        waiter = _Waiter(amount, reserved, granted)
        queue = self._reserved_waiters if reserved else self._waiters
        queue.append(waiter)
        self._grant()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.adjust(-amount)
            else:
                queue.remove(waiter)
                self._note_waiting()
                self._grant()
            raise

    def adjust(self, amount: int) -> None:
        """Takes `amount` bytes without waiting, or gives them back when negative."""
        self.used_bytes += amount
        self._grant()

    def adjust_partial(self, amount: int) -> None:
        """The same for bytes that only further reading can free."""
        self.partial_bytes += amount
        self.adjust(amount)

    @property
    def has_waiters(self) -> bool:
        return bool(self._reserved_waiters or self._waiters)

    @property
    def waiting_seconds(self) -> float:
        """For how long waiters without `reserved` have waited and none of them was served."""
        return asyncio.get_running_loop().time() - self._unserved_since if self._waiters else 0.0

    @property
    def waited_seconds(self) -> float:
        """The total time during which at least one waiter was waiting."""
        now = asyncio.get_running_loop().time() if self.has_waiters else self._waiting_since
        return self._waited_seconds + now - self._waiting_since

    def _fits(self, amount: int, reserved: bool) -> bool:
        limit = self.limit_bytes if reserved else self.limit_bytes - self._reserve_bytes
        # Granted when nothing is in flight that could free bytes: else it never would be. So is an amount larger than
        # the whole budget.
        return self.used_bytes + amount <= limit or self.used_bytes <= self.partial_bytes

    def _grant(self) -> None:
        while queue := self._reserved_waiters or self._waiters:
            waiter = queue[0]
            if not self._fits(waiter.amount, waiter.reserved):
                return
            queue.popleft()
            if not waiter.reserved:
                self._unserved_since = asyncio.get_running_loop().time()
            self.used_bytes += waiter.amount
            waiter.granted.set_result(None)
            self._note_waiting()

    def _note_waiting(self) -> None:
        now = asyncio.get_running_loop().time()
        self._waited_seconds += now - self._waiting_since
        self._waiting_since = now
