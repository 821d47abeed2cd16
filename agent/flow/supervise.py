"""Runs a part of the agent that must not end the others: after an unforeseen exception the part is started again.

Reading, the ledgers and shipping are not supervised: a defect there ends the process, because going on could lose
records. Every other part is run by `supervise`. It waits longer after each failure in a row, and counts anew when the
part has worked for a while. Cancelling `supervise` cancels the part.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

from agent.core.backoff import Backoff

RESTART_BACKOFF: Final = Backoff(1.0, 60.0)
HEALTHY_SECONDS: Final = 300.0
"""A part that has worked for this long starts again with the shortest wait."""


async def supervise(
    work: Callable[[], Awaitable[None]],
    *,
    failed: Callable[[Exception], None],
    backoff: Backoff = RESTART_BACKOFF,
    chance: Callable[[], float] = random.random,
) -> None:
    """Runs `work` until it returns or this is cancelled. Each exception goes to `failed`, and `work` starts again."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    failures = 0
    while True:
        started_at = loop.time()
        try:
            await work()
        except asyncio.CancelledError as error:
            if task is None or task.cancelling():
                raise
            # Nobody cancelled this task: the part awaited something of its own that was cancelled.
            failure: Exception = RuntimeError("the part cancelled itself")
            failure.__cause__ = error
        except Exception as error:  # noqa: BLE001  # whatever it is, it concerns this part alone
            failure = error
        else:
            return
        failed(failure)
        failures = 1 if loop.time() - started_at >= HEALTHY_SECONDS else failures + 1
        await asyncio.sleep(backoff.seconds(failures, 0.5 + chance() / 2))
