"""Lets reading wait until the checkpoint holds what was decided about a source.

At first sight of a source, its older files may be skipped. If the agent died before that decision is on disk, the next
start would decide again, and would also skip files that were rotated in the meantime.
"""

from __future__ import annotations

import asyncio


class Saves:
    """Shared by the tailers, which wait, and the save loop."""

    def __init__(self, moved: asyncio.Event) -> None:
        """`moved` wakes the save loop."""
        self._moved = moved
        self.wanted = asyncio.Event()
        """Somebody waits for a save."""
        self.has_loop = False
        """A save loop runs."""
        self._waiters: list[asyncio.Future[None]] = []

    async def next(self) -> None:
        """Waits until a save that begins from now on has ended, also when the disk has refused it.

        Returns at once where no save loop runs.
        """
        if not self.has_loop:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self.wanted.set()
        self._moved.set()
        await waiter

    def begin(self) -> list[asyncio.Future[None]]:
        """A save begins. Returns those who wait for it."""
        self.wanted.clear()
        waiters, self._waiters = self._waiters, []
        return waiters

    @staticmethod
    def end(waiters: list[asyncio.Future[None]]) -> None:
        """The save has ended."""
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
