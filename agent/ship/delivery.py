"""Delivers one batch: sends the same bytes until CloudWatch has accepted or rejected every event of the batch.

After a failed put, `retries` says how long to wait and what to do first; this module is the only one that asks it. A
delivery holds a send slot while a request is under way and answers in time, and while it is throttled.

An invalid batch is halved until the event at fault stands alone. Because the stream may refuse every event, only an
event that was refused twice is rejected, and only if the stream accepted another event in between: the first time
alone or in a batch, the second time alone. If need be, a control event shows whether the stream accepts events.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from agent.core.batching.batch import Batch
from agent.core.batching.rejected import rejected
from agent.core.values import Destination, PutReply
from agent.errors import Denied, Invalid, Missing, PutError, Refused, Throttled, WrongToken
from agent.ship.attempt import Attempt
from agent.ship.control_event import control_event
from agent.ship.counts import Condition, Counts
from agent.ship.lane_slots import HUNG_SECONDS, LaneSlots, Lease
from agent.ship.retries import REOPEN_AFTER_DENIALS, Action, backoff_for, rule_for
from agent.ship.settlement import Settlement, divide
from agent.ship.sink import LogSink
from agent.ship.stream_queue import StreamQueue
from agent.telemetry import Occasional, Telemetry

CREATED_RECENTLY_SECONDS: Final = 1.0
"""Several batches may find the same stream missing: it is not created again within this time."""

log = logging.getLogger(__name__)

Rejection = tuple[str, Batch]
"""A reason and the events that CloudWatch will never accept for this reason."""


class Sender(Struct, frozen=True):
    """Who sends, and the entity that each put carries."""

    node: str = ""
    cluster: str = ""
    entity: Mapping[str, object] | None = None


class _Failures(Struct):
    """The failed puts of the same events. A delivery counts anew for each part of its batch, and for control events."""

    counted: int = 0
    """Those that were followed by a wait."""
    seen: Counter[type[PutError]] = field(default_factory=Counter)


class _Part(Struct, frozen=True):
    """A batch, or a part of an invalid batch."""

    batch: Batch
    refused_at: float | None = None
    """When these events were refused before, alone or with others."""

    def may_be_halved_or_blamed(self, last_accepted_at: float) -> bool:
        """True if the batch can be halved, or if the stream has accepted another event since the first refusal."""
        if self.refused_at is None:
            return self.batch.events > 1
        return last_accepted_at > self.refused_at


def _halved(queue: StreamQueue, batch: Batch, refused_at: float, rejections: list[Rejection]) -> list[_Part]:
    """The halves of a refused batch. A lone event is rejected instead."""
    if batch.events == 1:
        log.warning("event was refused as invalid", extra={"stream": queue.destination.stream})
        rejections.append(("invalid", batch))
        return []
    halves = batch.halves()
    queue.replace(batch, *halves)
    return [_Part(half, refused_at) for half in halves]


class Deliverer:
    """Runs any number of deliveries at the same time."""

    def __init__(
        self,
        sink: LogSink,
        settlement: Settlement,
        *,
        slots: LaneSlots,
        counts: Counts,
        condition: Condition,
        telemetry: Telemetry,
        sender: Sender,
        creates_streams: bool,
        monotonic: Callable[[], float],
    ) -> None:
        self._sink = sink
        self._settlement = settlement
        self._slots = slots
        self._counts = counts
        self._condition = condition
        self._telemetry = telemetry
        self._sender = sender
        self._creates_streams = creates_streams
        self._monotonic = monotonic
        self._occasional = Occasional()
        self._creating = asyncio.Lock()
        self._created_at: dict[Destination, float] = {}
        self._draining = False
        self._waits: set[asyncio.Event] = set()
        """One for each delivery that waits for its next attempt."""

    def drain(self) -> None:
        """Deliveries that wait for their next attempt try now. After further failures they wait for a short time."""
        self._draining = True
        for wait in self._waits:
            wait.set()

    async def deliver(self, queue: StreamQueue, batch: Batch, lease: Lease) -> list[Rejection]:
        """Returns when CloudWatch has accepted the batch, except for the returned events."""
        rejections: list[Rejection] = []
        failures: _Failures | None = None
        parts = [_Part(batch)]
        while parts:
            smaller: list[_Part] = []
            unproven: list[_Part] = []
            for part in parts:
                refused_at = await self._deliver_or_refuse(queue, part.batch, lease, rejections)
                if refused_at is None:
                    continue
                if part.may_be_halved_or_blamed(queue.last_accepted_at):
                    smaller += _halved(queue, part.batch, refused_at, rejections)
                else:
                    unproven.append(_Part(part.batch, refused_at))
            if unproven:
                since = max(part.refused_at or 0.0 for part in unproven)
                if (problem := await self._problem_of_stream(queue, since, lease)) is not None:
                    failures = failures or _Failures()
                    await self._prepare_next_attempt(queue, problem, failures, lease)
            parts = smaller + unproven
        return rejections

    async def _deliver_or_refuse(
        self, queue: StreamQueue, batch: Batch, lease: Lease, rejections: list[Rejection]
    ) -> float | None:
        """Sends the batch until it is accepted or refused as invalid; the time of the refusal, None when accepted."""
        events = batch.encode()
        failures: _Failures | None = None
        while True:
            try:
                reply = await self._put(queue, batch, events, lease)
            except PutError as error:
                if rule_for(error).action is Action.SPLIT:
                    return self._monotonic()
                failures = failures or _Failures()
                await self._prepare_next_attempt(queue, error, failures, lease)
            else:
                self._acknowledge(queue, batch, reply, rejections)
                return None

    async def _problem_of_stream(self, queue: StreamQueue, since: float, lease: Lease) -> PutError | None:
        """Why the stream accepts no event at all; None when it has accepted one after `since`."""
        if queue.last_accepted_at > since:
            return None
        event = control_event(node=self._sender.node, cluster=self._sender.cluster, time_ms=int(time.time() * 1000))
        try:
            await self._request(queue, event, lease)
        except Invalid as error:
            return Refused(f"the stream refuses every event, also a control event: {error}", reason="refuses_all")
        except PutError as error:
            return error
        self._telemetry.records_synthetic.labels("control").inc()
        return None

    async def ask(self, queue: StreamQueue) -> None:
        """Sends a control event, whose answer shows whether the stream accepts events now."""
        lease = Lease(self._slots, queue.lane, queue.destination)
        try:
            await self._problem_of_stream(queue, self._monotonic(), lease)
        finally:
            lease.release()

    async def _prepare_next_attempt(
        self, queue: StreamQueue, error: PutError, failures: _Failures, lease: Lease
    ) -> None:
        """Does what the retry policy says: wait, and repair what can be repaired."""
        rule = rule_for(error)
        self._note_failure(error, queue)
        if rule.action is Action.CREATE and (creation_error := await self._create(queue)) is not None:
            error, rule = creation_error, rule_for(creation_error)
            self._note_failure(error, queue)
        failures.seen[type(error)] += 1
        if failures.seen[type(error)] <= rule.free_retries:
            return
        failures.counted += 1
        if isinstance(error, Throttled):
            self._counts.throttled += 1
            self._telemetry.throttled.inc()
            self._slots.throttled(queue.lane)
        if not isinstance(error, Throttled):  # a throttled account must not get further batches instead
            lease.release()
        backoff = backoff_for(rule, queue.lane, draining=self._draining)
        await self._wait(queue, error, backoff.seconds(failures.counted, random.random()))
        if rule.action is Action.REOPEN and failures.seen[type(error)] % REOPEN_AFTER_DENIALS == 0:
            await self._sink.reopen()

    async def _put(self, queue: StreamQueue, batch: Batch, events: Sequence[bytes], lease: Lease) -> PutReply:
        """One measured attempt. Raises PutError."""
        telemetry = self._telemetry
        await lease.acquire()
        began = self._monotonic()
        outcome = "cancelled"
        try:
            reply = await self._request(queue, events, lease)
            outcome = "accepted"
        except PutError as error:
            outcome = error.reason
            raise
        finally:
            self._counts.puts[outcome] += 1
            telemetry.puts.labels(outcome).inc()
            telemetry.put_seconds.observe(self._monotonic() - began)
            telemetry.put_events.observe(batch.events)
            telemetry.put_bytes.observe(batch.counted_bytes)
        return reply

    async def _request(self, queue: StreamQueue, events: Sequence[bytes], lease: Lease) -> PutReply:
        """Sends the events, and hedges when the queue asks for it. Raises PutError."""
        entity = None if queue.entity_refused else self._sender.entity
        await lease.acquire()
        attempt = Attempt(lambda: self._send(queue, events, entity), self._monotonic())

        def give_way() -> None:
            lease.release()
            queue.note_hung(attempt)

        try:
            reply = await attempt.run(HUNG_SECONDS[queue.lane], give_way)
        finally:
            queue.attempt_ended(attempt)
            if attempt.hedges:
                self._telemetry.retries.labels("hedged").inc(attempt.hedges)
        if reply.entity_error is not None and entity is not None:
            queue.entity_refused = True
            self._telemetry.entity_rejected.labels(reply.entity_error).inc()
            log.warning(
                "entity was refused and the events were accepted; later puts to this stream carry no entity",
                extra={"stream": queue.destination.stream, "why": reply.entity_error},
            )
        queue.note_accepted(attempt, self._monotonic())
        return reply

    async def _send(self, queue: StreamQueue, events: Sequence[bytes], entity: Mapping[str, object] | None) -> PutReply:
        """Sends one request; where the endpoint enforces sequence tokens, one at a time with the stream's token."""
        turn = queue.turn
        try:
            if turn is None:
                return await self._sink.put(queue.destination, events, entity=entity)
            async with turn:
                reply = await self._sink.put(queue.destination, events, token=queue.token, entity=entity)
                queue.learn_token(reply.next_token, demanded=False)
                return reply
        except WrongToken as error:
            queue.learn_token(error.expected, demanded=True)
            raise

    async def _create(self, queue: StreamQueue) -> PutError | None:
        """Creates the missing group or stream; the error when it cannot be created."""
        destination = queue.destination
        async with self._creating:
            created_at = self._created_at.get(destination)
            if created_at is not None and self._monotonic() - created_at < CREATED_RECENTLY_SECONDS:
                return None  # another delivery has just created it
            try:
                await self._sink.create(destination)
            except PutError as error:
                return error
            self._created_at[destination] = self._monotonic()
            log.info("stream created", extra={"group": destination.group, "stream": destination.stream})
            return None

    async def _wait(self, queue: StreamQueue, error: PutError, seconds: float) -> None:
        condition = self._condition
        condition.last_failed_at = self._monotonic()
        condition.denied = str(error) if isinstance(error, Denied | Refused) else None
        condition.troubled += 1
        ended = asyncio.Event()
        self._waits.add(ended)
        queue.retries.append(ended)
        try:
            async with asyncio.timeout(seconds):
                await ended.wait()
        except TimeoutError:
            return
        finally:
            condition.troubled -= 1
            self._waits.discard(ended)
            if ended in queue.retries:
                queue.retries.remove(ended)

    def _note_failure(self, error: PutError, queue: StreamQueue) -> None:
        self._telemetry.retries.labels(error.reason).inc()
        if isinstance(error, Missing) and self._creates_streams:
            return  # the first put to a new stream fails like this, and "stream created" is logged
        if (fields := self._occasional.fields(error.reason)) is not None:
            stream = queue.destination.stream
            log.warning(
                "put did not deliver, it will be tried again",
                extra={"stream": stream, "reason": error.reason, "why": str(error), **fields},
            )

    def _acknowledge(self, queue: StreamQueue, batch: Batch, reply: PutReply, rejections: list[Rejection]) -> None:
        """Settles the accepted events of a put and collects the rejected ones."""
        self._slots.succeeded(queue.lane)
        self._condition.denied = None
        self._condition.last_acknowledged_at = self._monotonic()
        now = time.time()
        self._telemetry.last_acknowledged.set(now)
        self._telemetry.alert_latency.observe_many(queue.lane, batch.timestamps, int(now * 1000))
        accepted: Batch | None = batch
        if found := rejected(reply, batch.events):
            accepted, rejected_batches = divide(batch, found)
            queue.replace(batch, *([accepted] if accepted else []), *(part for _, part in rejected_batches))
            rejections += rejected_batches
        if accepted is not None:
            self._settlement.settle_shipped(queue, accepted)
