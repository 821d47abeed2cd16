"""One attempt to put a batch: a request, and further identical requests while the first one has no answer.

A request that hangs keeps its connection until its time-out, also when CloudWatch is well again meanwhile. `hedge` then
sends the same bytes once more beside it. The first answer counts, and the other requests are cancelled. CloudWatch may
have accepted more than one of them: the events then arrive twice, with the same ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Final

from agent.core.values import PutReply
from agent.errors import Unavailable

MOST_HEDGES: Final = 3
"""Further requests of one attempt that may be under way; one more cancels the oldest of them."""

Send = Callable[[], Coroutine[None, None, PutReply]]


class Attempt:
    def __init__(self, send: Send, started_at: float) -> None:
        self._send = send
        self.started_at = started_at
        self.last_request_at = started_at
        self.hedges = 0
        self._requests: list[asyncio.Task[PutReply]] = []
        self._finished: asyncio.Queue[asyncio.Task[PutReply]] = asyncio.Queue()

    async def run(self, hung_seconds: float, hung: Callable[[], None]) -> PutReply:
        """The first answer. Raises PutError. Calls `hung` once when there is none within `hung_seconds`."""
        first = self._start()
        try:
            try:
                async with asyncio.timeout(hung_seconds):
                    request = await self._finished.get()
            except TimeoutError:
                hung()
                request = await self._finished.get()
            while request is not first and not _has_answer(request):
                request = await self._finished.get()
            return request.result()
        finally:
            for request in self._requests:
                request.cancel()
            await asyncio.gather(*self._requests, return_exceptions=True)

    def hedge(self, now: float) -> None:
        """Sends the same request once more."""
        self.hedges += 1
        self.last_request_at = now
        under_way = [request for request in self._requests[1:] if not request.done()]
        if len(under_way) >= MOST_HEDGES:
            under_way[0].cancel()
        self._start()

    def _start(self) -> asyncio.Task[PutReply]:
        request = asyncio.create_task(self._send(), name="put request")
        request.add_done_callback(self._finished.put_nowait)
        self._requests.append(request)
        return request


def _has_answer(request: asyncio.Task[PutReply]) -> bool:
    """False for a request that was cancelled or timed out."""
    if request.cancelled():
        return False
    error = request.exception()
    return not (isinstance(error, Unavailable) and error.reason == "timeout")
