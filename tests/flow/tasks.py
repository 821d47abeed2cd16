"""Starts coroutines that are expected to wait."""

import asyncio
from collections.abc import Coroutine


async def started(*waiters: Coroutine[None, None, None]) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(waiter) for waiter in waiters]
    await asyncio.sleep(0)
    return tasks
