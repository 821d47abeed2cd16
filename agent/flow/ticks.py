"""Moments that all parts share: what looks again and again looks at the same time, so the process wakes up once.

A process that wakes up has cold caches, which costs more than most looks. Parts that each sleep for a second, begun at
different times, would wake an idle agent several times a second.
"""

from __future__ import annotations

import asyncio
from typing import Final

TICK_SECONDS: Final = 1.0

EARLY_SECONDS: Final = 0.002
"""A timer may fire early by this. It must not fire a second time for the same tick."""


def seconds_to_tick(now: float, most_seconds: float) -> float:
    """How long to sleep from `now` so that the sleep ends at a tick: about `most_seconds` or up to a second less.

    A sleep of less than a second ends at no tick.
    """
    if most_seconds < TICK_SECONDS:
        return most_seconds
    seconds = most_seconds - (now + most_seconds) % TICK_SECONDS
    return seconds if seconds > EARLY_SECONDS else seconds + TICK_SECONDS


async def next_tick(most_seconds: float) -> None:
    """Sleeps until the tick that is about `most_seconds` away."""
    await asyncio.sleep(seconds_to_tick(asyncio.get_running_loop().time(), most_seconds))
