"""Moves the waiting events of a stream to disk while the stream accepts nothing, and back when it accepts events again.

One task looks at all streams, once a second, or four times a second while something moves. `flow.shares` decides how
many bytes move. While a stream is stuck and no other stream shows that CloudWatch answers, another task sends control
events to the idle streams.

Records on disk are unsettled, like those in memory: a crash does not lose them, because the log files still have them.
For records on disk, a head stays in memory: the ledger entry that owns them. Neighbours of one owner share a head.
When the disk refuses records, or a limit is reached, they stay in memory. When they fill the budget, reading waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Final

from agent.core.batching.span import Span
from agent.errors import SpillUnreadable
from agent.flow.budget import Budget
from agent.flow.shares import ASK_SECONDS, KEPT_DIVISOR, bytes_to_load, bytes_to_spill, must_ask
from agent.flow.ticks import next_tick
from agent.ship.spill_file import SpillFile
from agent.ship.stream_queue import StreamQueue
from agent.telemetry import Occasional

LOOK_SECONDS: Final = 1.0

BUSY_SECONDS: Final = 0.25
"""Between two looks while events move."""

BLOCK_BYTES: Final = 1024 * 1024
"""A block is closed when its spans hold so many bytes of the budget. A small budget makes smaller blocks."""

MOST_HEADS: Final = 50_000
"""Of records on disk. With so many heads in memory, some 150 bytes each, nothing more is spilled."""

SHORTEN_SECONDS: Final = 10.0
"""Between two attempts to shorten heads of which there are too many: an attempt takes some 0.05 s."""

log = logging.getLogger(__name__)


class Spiller:
    """`queues`: every stream of the shipper. `ask` sends a control event to a stream."""

    def __init__(
        self,
        file: SpillFile,
        queues: Callable[[], Iterable[StreamQueue]],
        budget: Budget,
        *,
        ask: Callable[[StreamQueue], Awaitable[None]],
        monotonic: Callable[[], float] = time.monotonic,
        most_heads: int = MOST_HEADS,
    ) -> None:
        self._file = file
        self._queues = queues
        self._ask = ask
        self._budget = budget
        self._monotonic = monotonic
        self._block_bytes = min(BLOCK_BYTES, budget.limit_bytes // KEPT_DIVISOR)
        self._most_heads = most_heads
        self._shortened_to = 0
        """The number of heads after they were last shortened."""
        self._shortened_at = float("-inf")
        self._occasional = Occasional()

    async def run(self) -> None:
        """Looks until cancelled. Raises an ExceptionGroup that holds SpillUnreadable."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._look_again_and_again(), name="spiller looks")
                tasks.create_task(self._ask_again_and_again(), name="spiller asks")
        finally:
            self._file.close()

    async def _look_again_and_again(self) -> None:
        while True:
            if await self.look():
                await asyncio.sleep(BUSY_SECONDS)
            else:
                await next_tick(LOOK_SECONDS)

    async def _ask_again_and_again(self) -> None:
        while True:
            idle = self._to_ask()
            for queue in idle:
                await self._ask(queue)
            await next_tick(ASK_SECONDS if idle else LOOK_SECONDS)

    def _to_ask(self) -> list[StreamQueue]:
        """The idle streams, if a stream is stuck and no other stream shows that CloudWatch answers; otherwise none."""
        loads = {queue: queue.load for queue in self._queues()}
        if not must_ask([*loads.values()], self._budget.limit_bytes, self._monotonic()):
            return []
        return [queue for queue, load in loads.items() if load.oldest_read_at is None]

    async def look(self) -> bool:
        """Moves what is to be moved now. Returns whether something has moved. Raises SpillUnreadable."""
        moved = False
        queues = [*self._queues()]
        for queue in queues:
            now, load, limit_bytes = self._monotonic(), queue.load, self._budget.limit_bytes
            others = [other.load for other in queues if other is not queue]
            if spill_bytes := bytes_to_spill(load, others, limit_bytes, now):
                moved |= await self._spill(queue, spill_bytes)
            elif queue.spilled and (load_bytes := bytes_to_load(load, limit_bytes, now)):
                await self._load(queue, load_bytes)
                moved = True
        return moved

    async def _spill(self, queue: StreamQueue, least_bytes: int) -> bool:
        if not self._make_room_for_heads():
            self._log_refusal(queue, "the records on disk are from too many chunks of the log files")
            return False
        spans = queue.take_last(least_bytes)
        if not spans:
            return False
        queue.spilled_records += sum(map(len, spans))
        for number, block in enumerate(blocks := [*_blocks(spans, self._block_bytes)]):
            problem = await self._write(queue, block)
            if problem is not None:
                self._log_refusal(queue, problem)
                for span in [span for block in blocks[number:] for span in block]:
                    queue.spilled_records -= len(span)
                    queue.add(span)
                return False
        if (fields := self._occasional.fields(queue.destination.stream)) is not None:
            where = {"stream": queue.destination.stream, "records": queue.spilled_records}
            log.warning(
                "alerts wait on disk, because their stream accepts nothing and other streams do",
                extra=where | {"disk_bytes": self._file.used_bytes, **fields},
            )
        return True

    async def _write(self, queue: StreamQueue, spans: Sequence[Span]) -> str | None:
        """Writes the spans. Returns why they were not written; None if they were."""
        try:
            spilled = await asyncio.to_thread(self._file.spill, spans)
        except OSError as error:
            return f"the state directory cannot be written ({error.strerror})"
        if spilled is None:
            return "spill_bytes is used up"
        queue.spilled.append(spilled)
        self._budget.adjust(-sum(span.held_bytes for span in spans))
        return None

    async def _load(self, queue: StreamQueue, most_bytes: int) -> None:
        while queue.spilled and most_bytes > 0:
            spilled = queue.spilled.popleft()
            try:
                spans = await asyncio.to_thread(self._file.load, spilled)
            except (OSError, ValueError) as error:
                raise SpillUnreadable(
                    f"{spilled.records} records that waited on disk cannot be read again ({error}); the next start of "
                    "the agent reads them from the log files"
                ) from error
            queue.spilled_records -= spilled.records
            held_bytes = sum(span.held_bytes for span in spans)
            self._budget.adjust(held_bytes)
            for span in spans:
                queue.add(span)
            most_bytes -= held_bytes
        if not queue.spilled:
            log.info("no alert of this stream waits on disk any longer", extra={"stream": queue.destination.stream})

    def _make_room_for_heads(self) -> bool:
        """Whether the heads in memory leave room for more. Shortens the heads first when their number has doubled.

        As the ledgers join their entries, more heads can be joined. So when there are too many heads, they are
        shortened again every SHORTEN_SECONDS.
        """
        spilled = [block for queue in self._queues() for block in queue.spilled]
        heads, now = sum(len(block.heads) for block in spilled), self._monotonic()
        have_doubled = heads > max(2 * self._shortened_to, self._most_heads // 10)
        if have_doubled or (heads >= self._most_heads and now - self._shortened_at >= SHORTEN_SECONDS):
            for block in spilled:
                block.shorten()
            self._shortened_to = heads = sum(len(block.heads) for block in spilled)
            self._shortened_at = now
        return heads < self._most_heads

    def _log_refusal(self, queue: StreamQueue, problem: str) -> None:
        stream = queue.destination.stream
        if (fields := self._occasional.fields(f"refused {stream}")) is not None:
            log.warning(
                "alerts of a stream that accepts nothing cannot wait on disk; when they fill the memory, reading waits",
                extra={"stream": stream, "why": problem, **fields},
            )


def _blocks(spans: Sequence[Span], block_bytes: int) -> Iterator[list[Span]]:
    block: list[Span] = []
    held_bytes = 0
    for span in spans:
        block.append(span)
        held_bytes += span.held_bytes
        if held_bytes >= block_bytes:
            yield block
            block, held_bytes = [], 0
    if block:
        yield block
