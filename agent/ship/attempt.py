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
        self._task: asyncio.Task[object] | None = None
        """The task that waits for the first request."""
        self._hedges: list[asyncio.Task[PutReply]] = []
        self._answer: asyncio.Task[PutReply] | None = None
        """The hedge that was answered first, before the first request was."""

    @property
    def hedges(self) -> int:
        return len(self._hedges)

    async def run(self, hung_seconds: float, hung: Callable[[], None]) -> PutReply:
        """The first answer. Raises PutError. Calls `hung` once when there is none within `hung_seconds`."""
        self._task = asyncio.current_task()
        timer = asyncio.get_running_loop().call_later(hung_seconds, hung)
        try:
            # The first request is no task of its own: it would begin an iteration of the event loop later.
            return await self._send()
        except asyncio.CancelledError:
            if self._answer is None or self._task is None or self._task.uncancel():
                raise
            return self._answer.result()
        finally:
            timer.cancel()
            self._task = None
            if self._hedges:
                for hedge in self._hedges:
                    hedge.cancel()
                await asyncio.gather(*self._hedges, return_exceptions=True)

    def hedge(self, now: float) -> None:
        """Sends the same request once more."""
        if self._task is None:
            return  # it has ended
        self.last_request_at = now
        under_way = [hedge for hedge in self._hedges if not hedge.done()]
        if len(under_way) >= MOST_HEDGES:
            under_way[0].cancel()
        hedge = asyncio.create_task(self._send(), name="put request")
        hedge.add_done_callback(self._note_end)
        self._hedges.append(hedge)

    def _note_end(self, hedge: asyncio.Task[PutReply]) -> None:
        """If the first request has no answer yet, it is cancelled, and `run` returns the answer of this hedge."""
        if self._answer is None and self._task is not None and _has_answer(hedge):
            self._answer = hedge
            self._task.cancel()


def _has_answer(request: asyncio.Task[PutReply]) -> bool:
    """False for a request that was cancelled or timed out."""
    if request.cancelled():
        return False
    error = request.exception()
    return not (isinstance(error, Unavailable) and error.reason == "timeout")
