"""The send slots of all lanes, and the lease with which a delivery holds one slot at a time.

A delivery holds a slot only while its request is under way and answers in time. During a backoff, and from HUNG_SECONDS
on without an answer, the slot is free for other batches, so a stream that is denied, refused or hung keeps no slot from
another stream. Only a throttled delivery keeps its slot, because all streams use up the same quota.
"""

from __future__ import annotations

from typing import Final

from agent.core.values import Destination, Lane
from agent.flow.slots import Slots

HUNG_SECONDS: Final = {Lane.URGENT: 0.5, Lane.ROUTINE: 5.0, Lane.OTHER: 5.0}
"""A request without an answer for so long gives up its slot. CloudWatch usually answers within 0.1 s."""


class LaneSlots:
    """Routine and urgent requests share slots; lines that are no alert have one slot of their own."""

    def __init__(self, concurrency: int) -> None:
        self.shared = Slots(concurrency)
        self._other = Slots(1)

    async def acquire(self, lane: Lane, destination: Destination) -> None:
        await self._of(lane).acquire(urgent=lane is Lane.URGENT, stream=(lane, destination))

    async def pause_ended(self, lane: Lane) -> None:
        """Returns when the lane need not leave the quota to a throttled urgent request."""
        if lane is not Lane.URGENT:
            await self.shared.pause_ended()

    def release(self, lane: Lane, destination: Destination) -> None:
        self._of(lane).release(urgent=lane is Lane.URGENT, stream=(lane, destination))

    def succeeded(self, lane: Lane) -> None:
        if lane is not Lane.OTHER:
            self.shared.succeeded(urgent=lane is Lane.URGENT)

    def throttled(self, lane: Lane) -> None:
        if lane is not Lane.OTHER:
            self.shared.throttled(urgent=lane is Lane.URGENT)

    def _of(self, lane: Lane) -> Slots:
        return self._other if lane is Lane.OTHER else self.shared


class Lease:
    """One slot for a stream of a lane, held or not."""

    def __init__(self, slots: LaneSlots, lane: Lane, destination: Destination, *, held: bool = False) -> None:
        self._slots = slots
        self._lane = lane
        self._destination = destination
        self._held = held

    async def acquire(self) -> None:
        """Waits for a slot unless one is held, and for the end of a pause."""
        if self._held:
            await self._slots.pause_ended(self._lane)
        else:
            await self._slots.acquire(self._lane, self._destination)
            self._held = True

    def release(self) -> None:
        if self._held:
            self._held = False
            self._slots.release(self._lane, self._destination)
