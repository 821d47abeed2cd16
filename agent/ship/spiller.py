"""Moves the waiting events of a stream to disk while the stream accepts nothing, and back when it accepts events again.

One task looks at all streams, once a second, or four times a second while something moves. `flow.shares` decides.
Another task asks streams that have nothing to send whether they accept events, when this shows whether to spill.
Records on disk are unsettled, like those in memory: a crash does not lose them, because the log files still have them.
When the disk refuses them, or the limit is reached, they stay in memory, and reading waits.
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
from agent.flow.shares import ASK_SECONDS, KEPT_SHARE, bytes_to_load, bytes_to_spill, must_ask
from agent.flow.ticks import next_tick
from agent.ship.spill_file import SpillFile
from agent.ship.stream_queue import StreamQueue
from agent.telemetry import Occasional

LOOK_SECONDS: Final = 1.0

BUSY_SECONDS: Final = 0.25
"""Between two looks while events move."""

BLOCK_BYTES: Final = 1024 * 1024
"""Held bytes that are written as one block, and loaded at once; with a small budget fewer."""

MOST_HEADS: Final = 50_000
"""Owners of records on disk, which stay in memory: some 150 bytes each."""

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
    ) -> None:
        self._file = file
        self._queues = queues
        self._ask = ask
        self._budget = budget
        self._monotonic = monotonic
        self._block_bytes = min(BLOCK_BYTES, budget.limit_bytes // KEPT_SHARE)
        self._shortened_to = 0
        """The number of heads after they were last shortened."""
        self._occasional = Occasional()

    async def run(self) -> None:
        """Looks until cancelled. Raises SpillUnreadable."""
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
        """Streams with nothing to send, when a stream is stuck and no other one has shown that CloudWatch answers."""
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
        if not self._may_keep_more_heads():
            self._refused(queue, "the records have too many owners")
            return False
        spans = queue.take_last(least_bytes)
        queue.spilled_records += sum(map(len, spans))
        for number, block in enumerate(blocks := [*_blocks(spans, self._block_bytes)]):
            problem = await self._write(queue, block)
            if problem is not None:
                self._refused(queue, problem)
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
        return bool(spans)

    async def _write(self, queue: StreamQueue, spans: Sequence[Span]) -> str | None:
        """Why the spans cannot be on disk; None: they are."""
        try:
            spilled = await asyncio.to_thread(self._file.spill, spans)
            problem = None if spilled is not None else "spill_bytes is used up"
        except OSError as error:
            spilled, problem = None, f"the state directory cannot be written ({error.strerror})"
        if spilled is None:
            return problem
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
            log.info("no alert waits on disk any longer", extra={"stream": queue.destination.stream})

    def _may_keep_more_heads(self) -> bool:
        """As the ledgers join their entries, owners become fewer."""
        spilled = [block for queue in self._queues() for block in queue.spilled]
        heads = sum(len(block.heads) for block in spilled)
        if heads > max(2 * self._shortened_to, MOST_HEADS // 10):
            for block in spilled:
                block.shorten()
            self._shortened_to = heads = sum(len(block.heads) for block in spilled)
        return heads < MOST_HEADS

    def _refused(self, queue: StreamQueue, problem: str) -> None:
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
