"""Delivers one batch: sends the same bytes until CloudWatch has accepted or rejected every event of the batch.

After a failed put, `retries` says how long to wait and what to do first; this module is the only one that asks it. An
invalid batch is halved until the event at fault stands alone. A delivery ends when its batch is settled, and only then.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.core.batching.batch import Batch
from agent.core.batching.rejected import Rejected, rejected
from agent.core.values import Destination, Lane, PutReply
from agent.errors import Denied, Missing, PutError, Refused, Throttled, WrongToken
from agent.flow.slots import Slots
from agent.ship.counts import Condition, Counts
from agent.ship.retries import REOPEN_AFTER_DENIALS, Action, Rule, backoff_for, rule_for
from agent.ship.settlement import Settlement
from agent.ship.sink import LogSink
from agent.ship.stream_queue import StreamQueue
from agent.telemetry import Occasional, Telemetry

CREATED_RECENTLY_SECONDS: Final = 1.0
"""Several batches may find the same stream missing: it is not created again within this time."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Failures:
    """The failed puts of one delivery."""

    counted: int = 0
    seen: Counter[type[PutError]] = field(default_factory=Counter)

    def add(self, error: PutError, rule: Rule) -> bool:
        """False when the failure was expected and costs no wait."""
        self.seen[type(error)] += 1
        if self.seen[type(error)] <= rule.free_retries:
            return False
        self.counted += 1
        return True


class Deliverer:
    """Runs any number of deliveries at the same time."""

    def __init__(
        self,
        sink: LogSink,
        settlement: Settlement,
        *,
        slots: Slots,
        counts: Counts,
        condition: Condition,
        telemetry: Telemetry,
        entity: Mapping[str, object] | None,
        creates_streams: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink = sink
        self._settlement = settlement
        self._slots = slots
        self._counts = counts
        self._condition = condition
        self._telemetry = telemetry
        self._entity = entity
        self._creates_streams = creates_streams
        self._monotonic = monotonic
        self._occasional = Occasional()
        self._creating = asyncio.Lock()
        self._created_at: dict[Destination, float] = {}

    async def deliver(self, queue: StreamQueue, batch: Batch) -> None:
        """Returns when every event of the batch is accepted, or rejected and kept as a dead letter."""
        events = batch.encode()
        failures = _Failures()
        while True:
            try:
                reply = await self._put(queue, batch, events)
            except PutError as error:
                rule = rule_for(error)
                if rule.action is Action.SPLIT and await self._split(queue, batch, error):
                    return
                await self._prepare_next_attempt(queue, rule, error, failures)
            else:
                self._slots.went_well()
                await self._acknowledge(queue, batch, reply)
                return

    async def _split(self, queue: StreamQueue, batch: Batch, error: PutError) -> bool:
        """Delivers the halves of an invalid batch, or rejects its only event; False: the event is not to blame yet."""
        if batch.events > 1:
            first, second = batch.halves()
            queue.replace(batch, first, second)
            await self.deliver(queue, first)
            await self.deliver(queue, second)
            return True
        if not queue.has_accepted:
            return False  # the stream has accepted nothing yet, so the fault may be in the request
        log.warning("event refused", extra={"stream": queue.destination.stream, "why": str(error)})
        await self._settlement.settle(queue, batch, [Rejected(0, 1, "invalid")])
        return True

    async def _prepare_next_attempt(self, queue: StreamQueue, rule: Rule, error: PutError, failures: _Failures) -> None:
        counts = failures.add(error, rule)
        self._note_failure(error, queue)
        if counts:
            await self._wait(error, queue, backoff_for(rule, queue.lane).seconds(failures.counted, random.random()))
        if rule.action is Action.CREATE:
            await self._create(queue)
        elif rule.action is Action.REOPEN and failures.counted % REOPEN_AFTER_DENIALS == 0:
            await self._sink.reopen()

    async def _put(self, queue: StreamQueue, batch: Batch, events: Sequence[bytes]) -> PutReply:
        """One measured attempt. Raises PutError."""
        telemetry = self._telemetry
        entity = None if queue.entity_refused else self._entity
        began = self._monotonic()
        outcome = "cancelled"
        try:
            reply = await self._put_in_turn(queue, events, entity)
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
        if reply.entity_error is not None and entity is not None:
            queue.entity_refused = True
            telemetry.entity_rejected.labels(reply.entity_error).inc()
            log.warning(
                "entity was refused and the events were accepted; later puts to this stream carry no entity",
                extra={"stream": queue.destination.stream, "why": reply.entity_error},
            )
        return reply

    async def _put_in_turn(
        self, queue: StreamQueue, events: Sequence[bytes], entity: Mapping[str, object] | None
    ) -> PutReply:
        """Sends the request; where the endpoint enforces sequence tokens, one at a time with the stream's token."""
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

    async def _create(self, queue: StreamQueue) -> None:
        """Creates the missing group or stream. A failure here shows again as Missing at the next put."""
        destination = queue.destination
        async with self._creating:
            created_at = self._created_at.get(destination)
            if created_at is not None and self._monotonic() - created_at < CREATED_RECENTLY_SECONDS:
                return  # for another batch
            try:
                await self._sink.create(destination)
            except PutError as error:
                self._note_failure(error, queue)
            else:
                self._created_at[destination] = self._monotonic()
                log.info("stream created", extra={"group": destination.group, "stream": destination.stream})

    async def _wait(self, error: PutError, queue: StreamQueue, seconds: float) -> None:
        condition = self._condition
        condition.last_failed_at = self._monotonic()
        condition.denied = str(error) if isinstance(error, Denied | Refused) else None
        if isinstance(error, Throttled):
            self._counts.throttled += 1
            self._telemetry.throttled.inc()
            self._slots.slow_down()
        condition.troubled += 1
        try:
            if queue.lane is Lane.URGENT:
                async with self._slots.struggle():
                    await asyncio.sleep(seconds)
            else:
                await asyncio.sleep(seconds)
                await self._slots.calm()
        finally:
            condition.troubled -= 1

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

    async def _acknowledge(self, queue: StreamQueue, batch: Batch, reply: PutReply) -> None:
        queue.has_accepted = True
        self._condition.denied = None
        self._condition.last_acknowledged_at = self._monotonic()
        now = time.time()
        self._telemetry.last_acknowledged.set(now)
        self._telemetry.alert_latency.observe_many(queue.lane, batch.timestamps, int(now * 1000))
        await self._settlement.settle(queue, batch, rejected(reply, batch.events))
