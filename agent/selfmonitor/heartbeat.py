"""Publishes a heartbeat with the books at a fixed interval, so that an alarm on missing data needs CloudWatch alone.

Each heartbeat is a seal, too, unless seals are switched off (`sealer`). Then heartbeats also come after much was read,
and once more when the agent leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from msgspec.structs import asdict

from agent.core.values import Lane
from agent.selfmonitor.events import HEARTBEAT, OwnEvent
from agent.selfmonitor.gaps import GapAnnouncer
from agent.telemetry.defects import Defects
from agent.web.report import Books


class Heartbeat:
    def __init__(
        self,
        seconds: float,
        *,
        books: Callable[[], Books],
        gaps: GapAnnouncer,
        defects: Defects,
        state: Callable[[], Mapping[str, object]],
        send: Callable[[OwnEvent, bool], Awaitable[bool]],
        due: asyncio.Event,
    ) -> None:
        """`state`: the other fields of a heartbeat. `send` publishes one, and learns whether it is the last one.

        `send` returns whether it has published it. `due`: the next one is due at once.
        """
        self._seconds = seconds
        self._books = books
        self._gaps = gaps
        self._defects = defects
        self._state = state
        self._send = send
        self._due = due
        self._sequence = 0

    async def run(self) -> None:
        """Publishes the first heartbeat at once and the next ones every `seconds`, until cancelled; 0: none."""
        while self._seconds:
            await self._publish(leaving=False)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._due.wait()

    async def leave(self) -> None:
        """Publishes the last heartbeat."""
        if self._seconds:
            await self._publish(leaving=True)

    async def _publish(self, *, leaving: bool) -> None:
        # A number that is missing in CloudWatch is a heartbeat that was lost, so only a published one uses it up.
        self._sequence += await self._send(self._next(), leaving)

    def _next(self) -> OwnEvent:
        books, gaps = self._books(), self._gaps
        fields: dict[str, object] = {f"books.{name}": value for name, value in asdict(books).items()}
        fields |= {"gap.count": gaps.count, "gap.bytes": gaps.bytes, "heartbeat.sequence": self._sequence + 1}
        state = self._state()
        fields |= state
        # Absent in the ordinary case, so that an old heartbeat and a healthy new one look alike.
        fields |= {f"defects.{part}": count for part, count in self._defects.counts.items()}
        # A metric filter cannot name a key with a dot in it, so the text repeats the numbers, always in this order.
        output = (
            f"read {books.read}, shipped {books.shipped}, filtered {books.filtered}, rejected {books.rejected}, "
            f"in flight {books.in_flight}, gaps {gaps.count}"
        )
        if "falco.state" in state:
            output += f", Falco {state['falco.state']}"
        return OwnEvent(HEARTBEAT, "Informational", output, fields, Lane.ROUTINE)
