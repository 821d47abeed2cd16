"""The queue of one lane into one stream: waiting spans, batches under way, and the stream's sequence token.

AWS has ignored sequence tokens since 2023 and accepts parallel puts to one stream, so none is sent at first. Where an
endpoint still enforces tokens, the stream gets one put at a time, with the token that the endpoint named.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from agent.core.batching.batch import Batch
from agent.core.batching.pending import PendingSpans
from agent.core.batching.span import Span
from agent.core.values import Destination, Lane


class StreamQueue:
    """The shipper makes one for each lane and stream."""

    def __init__(self, lane: Lane, destination: Destination, sequence_tokens: Literal["auto", "on", "off"]) -> None:
        self.lane = lane
        self.destination = destination
        self.waiting = PendingSpans()
        self.arrived = asyncio.Event()
        """Set while an event waits."""
        self.filled = asyncio.Event()
        """Set while a whole batch waits."""
        self.under_way: dict[Batch, float] = {}
        """Batches that are taken and not settled → when their oldest record was read."""
        self.has_accepted = False
        """The stream has accepted a put: when it refuses a single event now, that event is at fault."""
        self.entity_refused = False
        self._tokens = sequence_tokens
        self._token: str | None = None
        self._turn: asyncio.Lock | None = asyncio.Lock() if sequence_tokens == "on" else None

    def add(self, span: Span) -> None:
        self.waiting.add(span)
        self.arrived.set()
        if self.waiting.fills_a_batch:
            self.filled.set()

    def take(self) -> Batch:
        """The next batch. There must be an event waiting."""
        batch = self.waiting.take()
        if not self.waiting.events:
            self.arrived.clear()
        if not self.waiting.fills_a_batch:
            self.filled.clear()
        oldest = min(part.span.read_at for part in batch.parts)
        self.under_way[batch] = oldest
        return batch

    def settled(self, batch: Batch) -> None:
        del self.under_way[batch]

    def replace(self, batch: Batch, *parts: Batch) -> None:
        """The parts of the batch are delivered instead of the batch."""
        oldest = self.under_way.pop(batch)
        self.under_way.update(dict.fromkeys(parts, oldest))

    @property
    def records(self) -> int:
        """Waiting or under way."""
        return self.waiting.events + sum(batch.events for batch in self.under_way)

    @property
    def oldest_read_at(self) -> float | None:
        waiting = self.waiting.oldest_read_at
        times = [*self.under_way.values(), *([] if waiting is None else [waiting])]
        return min(times, default=None)

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
