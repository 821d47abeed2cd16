"""The queue of one lane into one stream: waiting spans, batches under way, and the stream's sequence token.

AWS has ignored sequence tokens since 2023 and accepts parallel puts to one stream, so none is sent at first. Where an
endpoint still enforces tokens, the stream gets one put at a time, with the token that the endpoint named.

The number of deliveries that may send at the same time is bounded. In the urgent lane a request that hangs leaves its
place to a new batch, up to MOST_HUNG requests; beyond that, the oldest of them is hedged. Whenever the stream accepts
an urgent batch, the batch that has waited longest for its next attempt is sent at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Literal

from agent.core.batching.batch import Batch
from agent.core.batching.pending import PendingSpans
from agent.core.batching.span import Span
from agent.core.values import Destination, Lane
from agent.flow.shares import StreamLoad
from agent.ship.attempt import Attempt
from agent.ship.spill_file import Spilled

MOST_HUNG: Final = 8
"""Requests of an urgent stream that may hang while new batches are still sent."""

LOST_AFTER_SECONDS: Final = 2.0
LOST_AFTER_FACTOR: Final = 3.0
"""When a later request is answered, an older one counts as lost after both: this time, and so many times the time of
the answered one. A slow endpoint answers in order, so its requests are not sent twice."""


class StreamQueue:
    """The shipper makes one for each lane and stream."""

    def __init__(
        self,
        lane: Lane,
        destination: Destination,
        sequence_tokens: Literal["auto", "on", "off"],
        *,
        most_deliveries: int,
    ) -> None:
        self.lane = lane
        self.destination = destination
        self.waiting = PendingSpans()
        self.arrived = asyncio.Event()
        """Set while an event waits."""
        self.hurried = asyncio.Event()
        """Set while a whole batch waits, and for ever once the shipper drains."""
        self.under_way: dict[Batch, float] = {}
        """Batches that are taken and not settled → when their oldest record was read."""
        self.held_bytes = 0
        """What the queue holds of the budget."""
        self.spilled: deque[Spilled] = deque()
        """Blocks on disk, oldest first."""
        self.spilled_records = 0
        """Records that are in these blocks, or on the way there or back."""
        self.last_accepted_at = float("-inf")
        """When the stream last accepted an event, in seconds of the monotonic clock."""
        self.entity_refused = False
        self.retries: deque[asyncio.Event] = deque()
        """Set one of them, and a batch that waits for its next attempt is sent at once. Longest wait first."""
        self._draining = False
        self._tokens = sequence_tokens
        self._token: str | None = None
        self._turn: asyncio.Lock | None = asyncio.Lock() if sequence_tokens == "on" else None
        self._most_deliveries = most_deliveries
        self._deliveries = 0
        self._hung: dict[Attempt, None] = {}
        self._room_changed = asyncio.Event()

    def add(self, span: Span) -> int:
        """Returns the bytes that the span holds."""
        held_bytes = span.held_bytes
        self.waiting.add(span)
        self.held_bytes += held_bytes
        self.arrived.set()
        self._hurry_if_filled()
        return held_bytes

    def take_last(self, least_bytes: int) -> list[Span]:
        """Removes spans of at least so many held bytes, to be spilled. The next ones to be sent stay."""
        spans = self.waiting.take_last(least_bytes)
        self.held_bytes -= sum(span.held_bytes for span in spans)
        self._hurry_if_filled()
        return spans

    def take(self) -> Batch:
        """The next batch, for a delivery that begins now. There must be an event waiting."""
        batch = self.waiting.take(int(time.time() * 1000))
        if not self.waiting.events:
            self.arrived.clear()
        self._hurry_if_filled()
        oldest = min(part.span.read_at for part in batch.parts)
        self.under_way[batch] = oldest
        self._deliveries += 1
        return batch

    def delivery_ended(self) -> None:
        self._deliveries -= 1
        self._announce_room()

    def drain(self) -> None:
        """From now on nothing waits for more events."""
        self._draining = True
        self.hurried.set()

    @property
    def filled(self) -> bool:
        return self.waiting.fills_a_batch

    def settled(self, batch: Batch) -> None:
        del self.under_way[batch]
        self.held_bytes -= batch.held_bytes

    def replace(self, batch: Batch, *parts: Batch) -> None:
        """The parts of the batch are delivered instead of the batch."""
        oldest = self.under_way.pop(batch)
        self.under_way.update(dict.fromkeys(parts, oldest))
        self.held_bytes += sum(part.held_bytes for part in parts) - batch.held_bytes

    @property
    def records(self) -> int:
        """Waiting, under way, or on disk."""
        return self.waiting.events + self.spilled_records + sum(batch.events for batch in self.under_way)

    @property
    def oldest_read_at(self) -> float | None:
        times = [block.read_at for block in self.spilled]
        if (in_memory := self.load.oldest_read_at) is not None:
            times.append(in_memory)
        return min(times, default=None)

    @property
    def load(self) -> StreamLoad:
        """What it holds in memory."""
        waiting = self.waiting.oldest_read_at
        times = [*self.under_way.values(), *([] if waiting is None else [waiting])]
        return StreamLoad(self.held_bytes, min(times, default=None), self.last_accepted_at)

    async def until_room(self, hung_seconds: float, monotonic: Callable[[], float]) -> None:
        """Waits until another delivery may begin. In the urgent lane, hedges requests that hang meanwhile."""
        while not self._has_room:
            try:
                async with asyncio.timeout(hung_seconds if self._hung else None):
                    await self._room_changed.wait()
            except TimeoutError:
                self._hedge_oldest(monotonic())

    def note_hung(self, attempt: Attempt) -> None:
        """The attempt has no answer yet. It leaves its place to a new batch in the urgent lane only."""
        if self.lane is Lane.URGENT:
            self._hung[attempt] = None
            self._announce_room()

    def attempt_ended(self, attempt: Attempt) -> None:
        self._hung.pop(attempt, None)

    def note_accepted(self, attempt: Attempt, now: float) -> None:
        """The stream has accepted the attempt; requests that must have got lost before it are sent once more."""
        self.last_accepted_at = now
        if self.lane is Lane.URGENT and self.retries:
            self.retries.popleft().set()
        seconds = max(LOST_AFTER_SECONDS, LOST_AFTER_FACTOR * (now - attempt.started_at))
        for other in self._hung:
            if other is not attempt and other.last_request_at < now - seconds:
                self._hedge(other, now)

    @property
    def turn(self) -> asyncio.Lock | None:
        """A lock that each put holds where the endpoint enforces tokens; None: any number of puts at once."""
        return self._turn

    @property
    def token(self) -> str | None:
        return self._token if self._turn is not None else None

    def learn_token(self, token: str | None, *, demanded: bool) -> None:
        """Keeps the token that the next put needs; `demanded`: the endpoint refused a put because of its token."""
        if self._tokens == "off":
            return
        if demanded and self._turn is None:
            self._turn = asyncio.Lock()
        if self._turn is not None:
            self._token = token

    @property
    def _has_room(self) -> bool:
        answering = self._deliveries - len(self._hung)
        return answering < self._most_deliveries and self._deliveries < self._most_deliveries + MOST_HUNG

    def _hedge_oldest(self, now: float) -> None:
        if self._hung:
            self._hedge(min(self._hung, key=lambda attempt: attempt.last_request_at), now)

    def _hedge(self, attempt: Attempt, now: float) -> None:
        if self._turn is None:  # with sequence tokens only one put may be under way
            attempt.hedge(now)

    def _announce_room(self) -> None:
        self._room_changed.set()
        self._room_changed = asyncio.Event()

    def _hurry_if_filled(self) -> None:
        if self.waiting.fills_a_batch or self._draining:
            self.hurried.set()
        else:
            self.hurried.clear()
