"""One lane's way into one stream: what waits, what is under way, and what the stream wants to hear.

Sequence tokens: AWS has ignored them since 2023 and takes parallel puts on one stream, so none is sent.
An endpoint that still asks for them gets, for that stream alone, one put at a time with its token.
"""

from __future__ import annotations

import asyncio
from typing import Final, Literal

from agent.core.batching.batch import Batch
from agent.core.batching.pending import PendingSpans
from agent.core.batching.span import Span
from agent.core.values import Destination, Lane

NEVER_ASKED: Final = "never asked"


class StreamQueue:
    """Made by the shipper for each lane and namespace that has something to send."""

    def __init__(self, lane: Lane, destination: Destination, sequence_tokens: Literal["auto", "on", "off"]) -> None:
        self.lane = lane
        self.destination = destination
        self.waiting = PendingSpans()
        self.arrived = asyncio.Event()
        """Set while something waits."""
        self.filled = asyncio.Event()
        """Set while a whole batch waits."""
        self.under_way: dict[Batch, float] = {}
        """Batches taken and not settled, with the time their oldest record was read."""
        self.has_accepted = False
        """The stream has taken a put: what it refuses now is the event's fault."""
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
        """The next batch. Something must be waiting."""
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
        """The batch goes on as parts of itself."""
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
        """To be held for each put, where the endpoint counts them; None: any number at once."""
        return self._turn

    @property
    def token(self) -> str | None:
        return self._token if self._turn is not None else None

    def told_token(self, token: str | None, *, demanded: bool) -> None:
        """The endpoint named the token of the next put; `demanded`: it refused one without."""
        if self._tokens == "off":
            return
        if demanded and self._turn is None:
            self._turn = asyncio.Lock()
        if self._turn is not None:
            self._token = token
