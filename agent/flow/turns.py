"""One chunk in each round of the event loop."""

from __future__ import annotations

import asyncio
from collections import deque


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
