"""Turns of the event loop: at most one chunk is read in each iteration of the loop."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """One waiter goes in each iteration of the loop, in the order of asking.

    A hundred tailers that are ready at once would else all read before any of what they read is shipped.
    """

    def __init__(self) -> None:
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._taken = False
        """The turn of this iteration."""

    async def take(self) -> None:
        """Waits for a turn; returns at once when this iteration's turn is free."""
        loop = asyncio.get_running_loop()
        if not self._taken:
            self._taken = True
            loop.call_soon(self._next_iteration, loop)
            return
        granted = loop.create_future()
        self._waiters.append(granted)
        await granted

    def _next_iteration(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiters:
            granted = self._waiters.popleft()
            if not granted.done():  # a waiter that was cancelled passes its turn on
                granted.set_result(None)
                loop.call_soon(self._next_iteration, loop)
                return
        self._taken = False
