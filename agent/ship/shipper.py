"""Takes spans in, ships them in batches, settles their records. Knows lanes and streams, no files.

Each lane has an queue with a pump of its own, so a flood of routine alerts never stands before an
urgent one. A pump waits until its lane's batch is worth a put, takes a slot and gives the batch to a
delivery, which tries for ever: the same bytes, ever more slowly, until CloudWatch has said yes or has
said which events it will never take. Only then are records settled and their bytes given back.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from agent.cloudwatch.client import LogsClient
from agent.core.backoff import Backoff
from agent.core.batching.batch import Batch
from agent.core.batching.limits import MOST_BYTES
from agent.core.batching.rejected import Rejected, rejected
from agent.core.batching.span import Span
from agent.core.values import Destination, Lane, PutReply
from agent.deadletters.store import DeadLetters, dead_letter
from agent.deadletters.writer import bury
from agent.errors import Denied, Invalid, Missing, PutError, Refused, StateUnwritable, Throttled, WrongToken
from agent.flow.budget import Budget
from agent.flow.pace import Pace
from agent.flow.slots import Slots
from agent.settings import CloudWatch
from agent.ship.journal import Journal
from agent.ship.stream_queue import StreamQueue
from agent.telemetry import Occasional, Telemetry

URGENT_PACE_FACTOR: Final = 4.0
"""Urgent batches may go so many times as often as routine ones that are not full, with as large a burst."""

NEARLY_FULL: Final = 0.75
"""Such a batch is worth waiting `linger_seconds` for the rest of it."""

REOPEN_AFTER_DENIALS: Final = 3

JUST_NOW_SECONDS: Final = 1.0
"""A stream that was created so recently is not created again for the batches that missed it too."""

ROUTINE_BACKOFF: Final = Backoff(0.2, 20.0)
URGENT_BACKOFF: Final = Backoff(0.1, 0.5)
"""Few and small: a fleet over its quota stays there because of the routine ones, which wait."""
DENIED_BACKOFF: Final = Backoff(1.0, 30.0)
"""Somebody has to mend a policy or a role: no hurry, but no long wait after they did."""

log = logging.getLogger(__name__)


class Shipper:
    """`accept` spans, `run` until cancelled, `drain` before that."""

    def __init__(
        self,
        settings: CloudWatch,
        client: LogsClient,
        *,
        destination: Callable[[Lane, str], Destination],
        budget: Budget,
        dead_letters: DeadLetters,
        telemetry: Telemetry,
        entity: Mapping[str, object] | None = None,
        journal: Journal | None = None,
    ) -> None:
        """`journal`: what is about to be put is written there first; None: nothing is (`cloudwatch.resume`)."""
        self._settings = settings
        self._client = client
        self._destination = destination
        self._budget = budget
        self._dead_letters = dead_letters
        self._telemetry = telemetry
        self._entity = entity
        self._journal = journal
        self._queues: dict[tuple[Lane, str], StreamQueue] = {}
        self._pumps: asyncio.Queue[StreamQueue] = asyncio.Queue()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = asyncio.Event()
        self._occasional = Occasional()
        self._creating = asyncio.Lock()
        self._created_at: dict[Destination, float] = {}
        self._pace = Pace(settings.max_puts_per_second, time.monotonic)
        urgent_rate = settings.max_puts_per_second * URGENT_PACE_FACTOR
        self._urgent_pace = Pace(urgent_rate, time.monotonic, burst=max(1.0, urgent_rate))
        self.slots = Slots(settings.concurrency)
        self.last_acknowledged_at: float | None = None
        """Seconds of the monotonic clock."""
        self.troubled = 0
        """Deliveries that wait to try again."""
        self.last_failed_at: float | None = None
        """When a put last did not deliver, in seconds of the monotonic clock."""
        self.denied: str | None = None
        """Why the last put was denied; None: it was not."""

    def accept(self, lane: Lane, namespace: str, span: Span) -> None:
        """Takes a span over; its records are settled when CloudWatch has them."""
        queue = self._queues.get((lane, namespace))
        if queue is None:
            queue = self._queues[(lane, namespace)] = self._queue(lane, self._destination(lane, namespace))
        self._idle.clear()
        queue.add(span)

    async def run(self) -> None:
        """Ships what is accepted until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                queue = await self._pumps.get()
                tasks.create_task(self._pump(queue, tasks), name=f"pump {queue.destination.stream}")

    async def drain(self) -> None:
        """Returns when everything accepted is settled. Nothing lingers from now on."""
        self._draining.set()
        await self._idle.wait()

    @property
    def queues(self) -> Iterator[StreamQueue]:
        yield from dict.fromkeys(self._queues.values())

    def _queue(self, lane: Lane, destination: Destination) -> StreamQueue:
        """One for each stream, whatever namespaces lead there: it alone knows what token the stream wants next."""
        for queue in self._queues.values():
            if queue.lane is lane and queue.destination == destination:
                return queue
        queue = StreamQueue(lane, destination, self._settings.sequence_tokens)
        self._pumps.put_nowait(queue)
        return queue

    async def _pump(self, queue: StreamQueue, tasks: asyncio.TaskGroup) -> None:
        urgent = queue.lane is Lane.URGENT
        pace = self._urgent_pace if urgent else self._pace
        while True:
            await queue.arrived.wait()
            await self._until_due(queue, pace)
            await self.slots.acquire(urgent=urgent)
            if not queue.filled.is_set():
                pace.spend()
            batch = queue.take()
            tasks.create_task(self._ship(queue, batch), name=f"put {queue.destination.stream}")

    async def _until_due(self, queue: StreamQueue, pace: Pace) -> None:
        """Waits for company, as long as that is worth it."""
        while not self._draining.is_set() and not queue.filled.is_set() and (delay := pace.delay_seconds()):
            await self._or_sooner(queue, delay)
        if queue.lane is Lane.URGENT or queue.waiting.counted_bytes < NEARLY_FULL * MOST_BYTES:
            return
        since = queue.waiting.oldest_read_at or 0.0
        remaining = since + self._settings.linger_seconds - time.monotonic()
        if remaining > 0 and not self._draining.is_set():
            await self._or_sooner(queue, remaining)

    async def _or_sooner(self, queue: StreamQueue, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await queue.filled.wait()
        except TimeoutError:
            return

    async def _ship(self, queue: StreamQueue, batch: Batch) -> None:
        """Delivers a batch in the slot that was taken for it."""
        try:
            if self._journal is not None:
                await self._intend(self._journal, queue, batch)
            await self._deliver(queue, batch)
        finally:
            self.slots.release(urgent=queue.lane is Lane.URGENT)

    async def _intend(self, journal: Journal, queue: StreamQueue, batch: Batch) -> None:
        """A disk that will not take it does not stop the shipping: after a crash this batch may arrive twice."""
        try:
            await journal.intend(queue.destination, batch)
        except StateUnwritable as error:
            self._telemetry.checkpoint_errors.inc()
            if (fields := self._occasional.fields("journal")) is not None:
                log.error("intent was not written", extra={"why": str(error), **fields})

    async def _deliver(self, queue: StreamQueue, batch: Batch) -> None:
        """Tries until every event of the batch is either accepted or known to be unacceptable."""
        events = batch.encode()
        failures = 0
        while True:
            try:
                reply = await self._put(queue, batch, events)
            except Invalid as error:
                if batch.events > 1:
                    first, second = batch.halves()
                    queue.replace(batch, first, second)
                    await self._deliver(queue, first)
                    await self._deliver(queue, second)
                    return
                if queue.has_accepted:
                    log.warning("event refused", extra={"stream": queue.destination.stream, "why": str(error)})
                    await self._settle(queue, batch, [Rejected(0, 1, "invalid")])
                    return
                # Nothing has gone this way yet: the fault may be the request's, not the event's.
                failures += 1
                await self._wait_after(error, queue, failures)
            except PutError as error:
                failures = 0 if isinstance(error, WrongToken) and failures < 3 else failures + 1
                if failures:
                    await self._wait_after(error, queue, failures)
                if isinstance(error, Missing):
                    await self._create(queue)
                elif isinstance(error, Denied) and failures % REOPEN_AFTER_DENIALS == 0:
                    await self._client.reopen()
            else:
                self.slots.went_well()
                await self._acknowledge(queue, batch, reply)
                return

    async def _put(self, queue: StreamQueue, batch: Batch, events: Sequence[bytes]) -> PutReply:
        """One attempt, measured. Raises PutError."""
        telemetry = self._telemetry
        entity = None if queue.entity_refused else self._entity
        began = time.monotonic()
        outcome = "cancelled"
        try:
            if (turn := queue.turn) is not None:
                async with turn:
                    reply = await self._client.put(queue.destination, events, token=queue.token, entity=entity)
                    queue.told_token(reply.next_token, demanded=False)
            else:
                reply = await self._client.put(queue.destination, events, entity=entity)
            outcome = "accepted"
        except WrongToken as error:
            outcome = error.reason
            queue.told_token(error.expected, demanded=True)
            raise
        except PutError as error:
            outcome = error.reason
            raise
        finally:
            telemetry.puts.labels(outcome).inc()
            telemetry.put_seconds.observe(time.monotonic() - began)
            telemetry.put_events.observe(batch.events)
            telemetry.put_bytes.observe(batch.counted_bytes)
        if reply.entity_error is not None and entity is not None:
            queue.entity_refused = True
            telemetry.entity_rejected.labels(reply.entity_error).inc()
            log.warning(
                "entity refused, events were taken; this stream goes on without",
                extra={"stream": queue.destination.stream, "why": reply.entity_error},
            )
        return reply

    async def _create(self, queue: StreamQueue) -> None:
        """The group or the stream is missing. What cannot be created now is found missing again at the next put."""
        destination = queue.destination
        async with self._creating:
            if time.monotonic() - self._created_at.get(destination, -JUST_NOW_SECONDS) < JUST_NOW_SECONDS:
                return  # by another batch
            try:
                await self._client.create(destination)
            except PutError as error:
                self._note_retry(error, queue)
            else:
                self._created_at[destination] = time.monotonic()
                log.info("stream created", extra={"group": destination.group, "stream": destination.stream})

    async def _wait_after(self, error: PutError, queue: StreamQueue, failures: int) -> None:
        urgent = queue.lane is Lane.URGENT
        backoff = URGENT_BACKOFF if urgent else ROUTINE_BACKOFF
        if isinstance(error, Denied | Refused):
            backoff = DENIED_BACKOFF
        if isinstance(error, Missing) and failures == 1:
            backoff = Backoff(0.0, 0.0)
        self._note_retry(error, queue)
        self.last_failed_at = time.monotonic()
        self.denied = str(error) if isinstance(error, Denied | Refused) else None
        if isinstance(error, Throttled):
            self._telemetry.throttled.inc()
            self.slots.slow_down()
        self.troubled += 1
        try:
            seconds = backoff.seconds(failures, random.random())
            if urgent:
                async with self.slots.struggle():
                    await asyncio.sleep(seconds)
            else:
                await asyncio.sleep(seconds)
                await self.slots.calm()
        finally:
            self.troubled -= 1

    def _note_retry(self, error: PutError, queue: StreamQueue) -> None:
        self._telemetry.retries.labels(error.reason).inc()
        if isinstance(error, Missing) and self._settings.create:
            return  # the first put of every new stream; that it is created is said
        if (fields := self._occasional.fields(error.reason)) is not None:
            stream = queue.destination.stream
            log.warning(
                "put did not deliver, it will be tried again",
                extra={"stream": stream, "reason": error.reason, "why": str(error), **fields},
            )

    async def _acknowledge(self, queue: StreamQueue, batch: Batch, reply: PutReply) -> None:
        queue.has_accepted = True
        self.denied = None
        now = time.time()
        self.last_acknowledged_at = time.monotonic()
        self._telemetry.last_acknowledged.set(now)
        self._telemetry.alert_latency.observe_many(queue.lane, batch.timestamps, int(now * 1000))
        await self._settle(queue, batch, rejected(reply, batch.events))

    async def _settle(self, queue: StreamQueue, batch: Batch, lost: list[Rejected]) -> None:
        """The books: what was rejected is buried first, then every record of the batch is done."""
        buried = await self._bury(queue, batch, lost) if lost else []
        records = sum(part.events for part in batch.parts if not part.span.own)
        self._telemetry.records_shipped.labels(queue.lane).inc(records - sum(not span.own for span in buried))
        for part in batch.parts:
            if part.span.own and not any(part.span is span for span in buried):
                self._telemetry.records_synthetic.labels(part.span.own).inc(part.events)
        batch.settle()
        queue.settled(batch)
        self._budget.adjust(-batch.held_bytes)
        if not any(other.records for other in self._queues.values()):
            self._idle.set()

    async def _bury(self, queue: StreamQueue, batch: Batch, lost: list[Rejected]) -> list[Span]:
        """Keeps what CloudWatch will never take; the span of each event of it."""
        letters, spans = [], []
        now = datetime.now(UTC)
        for start, stop, reason in lost:
            for position in range(start, stop):
                span, at = batch.where(position)
                spans.append(span)
                if not span.own:
                    self._telemetry.records_rejected.labels(reason).inc()
                letters.append(
                    dead_letter(
                        span.message(at).encode(),
                        reason=reason,
                        file=span.file,
                        offset=span.offsets[at],
                        destination=queue.destination,
                        timestamp_ms=span.timestamps[at],
                        now=now,
                    )
                )
        log.error(
            "events rejected",
            extra={"stream": queue.destination.stream, "events": len(letters), "reason": lost[0].reason},
        )
        await bury(self._dead_letters, letters, self._telemetry)
        return spans
