"""Limits how often expensive answers are made, so that requests cannot take the CPU from delivery.

/metrics, /status and the page cost some milliseconds each. A burst is answered at once; more requests wait for their
turn. The number of those that wait is bounded by the number of connections.
"""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler

ANSWERS_PER_SECOND = 20
"""Several scrapers and several people with an open page need about 5."""

BURST_ANSWERS = 20


class Pace:
    """Spaces the answers of all handlers that it wraps."""

    def __init__(self) -> None:
        self._next_at = 0.0
        """Loop time at which the bucket is full again, minus the burst."""

    def paced(self, handler: Handler) -> Handler:
        """The handler, called at the shared pace."""

        async def answer(request: web.Request) -> web.StreamResponse:
            await self._turn()
            return await handler(request)

        return answer

    async def _turn(self) -> None:
        now = asyncio.get_running_loop().time()
        self._next_at = max(self._next_at + 1 / ANSWERS_PER_SECOND, now - BURST_ANSWERS / ANSWERS_PER_SECOND)
        if (wait_seconds := self._next_at - now) > 0:
            await asyncio.sleep(wait_seconds)
