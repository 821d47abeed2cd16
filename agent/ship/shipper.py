"""Takes spans and ships them in batches, each lane on its own. Knows lanes and streams, but no files.

Every stream of a lane has a queue and a pump, and the pumps run in parallel: a flood of routine alerts never stands in
front of an urgent one. A pump waits until a put is worthwhile, takes a send slot, cuts a batch, starts the next pump
and delivers the batch itself. So deliveries also run in parallel. After a delivery the rejected events become dead
letters, which keeps no slot and stops no stream. `drain` returns when every record is settled; until then `run` goes
on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from typing import Final

from agent.core.batching.batch import Batch
from agent.core.batching.limits import MOST_BYTES
from agent.core.batching.redate import redated
from agent.core.batching.span import Span
from agent.core.values import Destination, Lane
from agent.errors import StateUnwritable
from agent.flow.budget import Budget
from agent.flow.pace import Pace
from agent.flow.slots import Slots
from agent.settings import CloudWatch
from agent.ship.counts import Condition, Counts
from agent.ship.delivery import Deliverer, Sender
from agent.ship.journal import Journal
from agent.ship.lane_slots import HUNG_SECONDS, LaneSlots, Lease
from agent.ship.settlement import NoteRejected, Settlement
from agent.ship.sink import LogSink, RejectedWriter
from agent.ship.spill_file import SpillFile
from agent.ship.spiller import Spiller
from agent.ship.stream_queue import StreamQueue
from agent.telemetry import Occasional, Telemetry

URGENT_PACE_FACTOR: Final = 4.0
"""Urgent batches may go so many times as often as routine batches that are not full, with a burst of the same size."""

NEARLY_FULL: Final = 0.75
"""A batch filled to this share waits up to `linger_seconds` for more events."""

SHORTEST_WAIT_SECONDS: Final = 0.001
"""Waiting for less than this costs more than it saves."""

FEWEST_DELIVERIES: Final = 2
"""So many deliveries of a stream may run even with one send slot, so that none waits for one that has to try again."""

log = logging.getLogger(__name__)


class Shipper:
    """`accept` spans, `run` until cancelled, `drain` before that."""

    def __init__(
        self,
        settings: CloudWatch,
        sink: LogSink,
        *,
        destination: Callable[[Lane, str], Destination],
        budget: Budget,
        rejected: RejectedWriter,
        telemetry: Telemetry,
        sender: Sender | None = None,
        journal: Journal | None = None,
        spill: SpillFile | None = None,
        note_rejected: NoteRejected = lambda file, offset: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`journal`: with it, the intent of each batch is written before the batch is put (exact resume).

        `spill`: where the events of a stream wait that accepts nothing; None: they wait in memory.
        """
        self._settings = settings
        self._adjusts_times = settings.out_of_window == "adjust"
        self._destination = destination
        self._budget = budget
        self._telemetry = telemetry
        self._journal = journal
        self._monotonic = monotonic
        self._queues: dict[tuple[Lane, str], StreamQueue] = {}
        self._unpumped: asyncio.Queue[StreamQueue] = asyncio.Queue()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self._occasional = Occasional()
        self._pace = Pace(settings.max_puts_per_second, monotonic)
        urgent_rate = settings.max_puts_per_second * URGENT_PACE_FACTOR
        self._urgent_pace = Pace(urgent_rate, monotonic, burst=max(1.0, urgent_rate))
        self._slots = LaneSlots(settings.concurrency)
        self.counts = Counts()
        self.condition = Condition()
        self._settlement = Settlement(rejected, budget, self.counts, telemetry, note_rejected)
        self._deliverer = Deliverer(
            sink,
            self._settlement,
            slots=self._slots,
            counts=self.counts,
            condition=self.condition,
            telemetry=telemetry,
            sender=sender or Sender(),
            creates_streams=settings.create,
            monotonic=monotonic,
        )
        self._spiller: Spiller | None = None
        if spill is not None:
            self._spiller = Spiller(spill, lambda: self.queues, budget, ask=self._deliverer.ask, monotonic=monotonic)

    def accept(self, lane: Lane, namespace: str, span: Span) -> int:
        """Takes a span over; its records are settled when CloudWatch has them. Returns the bytes that it holds."""
        queue = self._queues.get((lane, namespace))
        if queue is None:
            queue = self._queues[(lane, namespace)] = self._queue(lane, self._destination(lane, namespace))
        self._idle.clear()
        return queue.add(span)

    async def run(self) -> None:
        """Ships the accepted spans until cancelled. Raises an ExceptionGroup that holds SpillUnreadable."""
        async with asyncio.TaskGroup() as tasks:
            if self._spiller is not None:
                tasks.create_task(self._spiller.run(), name="spiller")
            while True:
                queue = await self._unpumped.get()
                tasks.create_task(self._pump(queue, tasks), name=f"pump {queue.destination.stream}")

    async def drain(self) -> None:
        """Returns when everything accepted is settled.

        Nothing waits for pace or for more events any longer. A batch that waits for its next attempt is sent now, and
        after further failures again within two seconds each.
        """
        self._draining = True
        for queue in self.queues:
            queue.drain()
        self._deliverer.drain()
        await self._idle.wait()

    def held_bytes(self, lane: Lane) -> int:
        """What the lane holds of the budget."""
        return sum(queue.held_bytes for queue in self.queues if queue.lane is lane)

    @property
    def slots(self) -> Slots:
        """The slots that routine and urgent requests share."""
        return self._slots.shared

    @property
    def last_acknowledged_at(self) -> float | None:
        return self.condition.last_acknowledged_at

    @property
    def last_failed_at(self) -> float | None:
        return self.condition.last_failed_at

    @property
    def troubled(self) -> int:
        return self.condition.troubled

    @property
    def denied(self) -> str | None:
        return self.condition.denied

    @property
    def queues(self) -> Iterator[StreamQueue]:
        yield from dict.fromkeys(self._queues.values())

    def _queue(self, lane: Lane, destination: Destination) -> StreamQueue:
        """One queue for each stream, also when namespaces share it, because the queue keeps the stream's token."""
        for queue in self._queues.values():
            if queue.lane is lane and queue.destination == destination:
                return queue
        settings = self._settings
        deliveries = max(FEWEST_DELIVERIES, settings.concurrency)
        queue = StreamQueue(lane, destination, settings.sequence_tokens, most_deliveries=deliveries)
        if self._draining:
            queue.drain()
        self._unpumped.put_nowait(queue)
        return queue

    async def _pump(self, queue: StreamQueue, tasks: asyncio.TaskGroup) -> None:
        """Ships one batch. The next pump waits for the next one meanwhile."""
        pace = self._urgent_pace if queue.lane is Lane.URGENT else self._pace
        await queue.arrived.wait()
        await queue.until_room(HUNG_SECONDS[queue.lane], self._monotonic)
        await self._until_due(queue, pace)
        await self._slots.acquire(queue.lane, queue.destination)
        if not queue.filled:
            pace.spend()
        batch = queue.take()
        # Not the other way round: a task for the delivery would send it an iteration of the event loop later.
        tasks.create_task(self._pump(queue, tasks), name=f"pump {queue.destination.stream}")
        await self._ship(queue, batch)

    async def _until_due(self, queue: StreamQueue, pace: Pace) -> None:
        """Waits for the pace, and for more events when the batch is nearly full; a full batch goes at once."""
        while not queue.hurried.is_set() and (delay := pace.delay_seconds()) > SHORTEST_WAIT_SECONDS:
            await self._until_hurried(queue, delay)
        if queue.lane is Lane.URGENT or queue.waiting.counted_bytes < NEARLY_FULL * MOST_BYTES:
            return
        since = queue.waiting.oldest_read_at or 0.0
        remaining = since + self._settings.linger_seconds - self._monotonic()
        if remaining > 0:
            await self._until_hurried(queue, remaining)

    async def _until_hurried(self, queue: StreamQueue, most_seconds: float) -> None:
        try:
            async with asyncio.timeout(most_seconds):
                await queue.hurried.wait()
        except TimeoutError:
            return

    async def _ship(self, queue: StreamQueue, batch: Batch) -> None:
        """Delivers a batch with the slot that was taken for it, and keeps the rejected events as dead letters."""
        lease = Lease(self._slots, queue.lane, queue.destination, held=True)
        try:
            number = await self._write_intent(queue, batch)
            rejections = await self._deliverer.deliver(queue, batch, lease)
        finally:
            lease.release()
            queue.delivery_ended()
        for reason, rejected in rejections:
            lasting = self._send_again_now(queue, rejected, reason) if self._adjusts_times else rejected
            if lasting is not None:
                await self._settlement.reject(queue, lasting, reason)
        if self._journal is not None:
            self._journal.delivered(number)
        if not any(other.records for other in self._queues.values()):
            self._idle.set()

    def _send_again_now(self, queue: StreamQueue, batch: Batch, reason: str) -> Batch | None:
        """Queues events that were rejected for their time under the time of now, once; returns the other events."""
        spans, rest = redated(batch, reason, int(time.time() * 1000))
        queue.replace(batch, *([rest] if rest is not None else []))
        held = sum(span.held_bytes for span in spans) + (rest.held_bytes if rest is not None else 0)
        self._budget.adjust(held - batch.held_bytes)
        for span in spans:
            queue.add(span)
        if spans and (fields := self._occasional.fields("redated")) is not None:
            events = sum(map(len, spans))
            stream = queue.destination.stream
            log.warning(
                "events were rejected for their time, they are sent again under the time of delivery",
                extra={"stream": stream, "events": events, "reason": reason, **fields},
            )
        return rest

    async def _write_intent(self, queue: StreamQueue, batch: Batch) -> int:
        """A disk that refuses the intent does not stop the shipping; after a crash this batch may arrive twice."""
        if self._journal is None:
            return 0
        number = self._journal.note(queue.destination, batch)
        try:
            await self._journal.write(number)
        except StateUnwritable as error:
            self._telemetry.checkpoint_errors.inc()
            if (fields := self._occasional.fields("journal")) is not None:
                log.error("intent was not written", extra={"why": str(error), **fields})
        return number
