"""What the shipper needs from outside: a client of CloudWatch Logs, and a writer for the events it rejects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from agent.core.dead_letter import DeadLetter
from agent.core.values import Destination, PutReply


class ReadableSink(Protocol):
    """The part of CloudWatch Logs that exact resume needs. Each method tries once and raises only PutError."""

    def read_back(self, destination: Destination, start_ms: int, end_ms: int) -> AsyncIterator[tuple[int, str]]:
        """The timestamps and messages of a stream's events with `start_ms <= timestamp < end_ms`, oldest first."""
        ...

    async def reopen(self) -> None:
        """Asks the credentials chain again."""
        ...


class LogSink(ReadableSink, Protocol):
    """CloudWatch Logs. Each method tries once, ends by a deadline, and raises only PutError."""

    async def put(
        self,
        destination: Destination,
        events: Sequence[bytes],
        *,
        token: str | None = None,
        entity: Mapping[str, object] | None = None,
    ) -> PutReply:
        """Puts `events`, the pieces of a JSON array."""
        ...

    async def create(self, destination: Destination) -> None:
        """Creates the stream, and the group when it is missing too."""
        ...


class RejectedWriter(Protocol):
    """Keeps the events that CloudWatch rejected."""

    async def write(self, dead_letters: Sequence[DeadLetter]) -> None: ...
