"""Settles the records of a batch: writes the rejected events to the dead letters, then counts and acknowledges.

Every record of a batch is either shipped or rejected. Its ledger entry hears of it only after CloudWatch has accepted
the record, or after its dead letter was written.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from agent.core.batching.batch import Batch
from agent.core.batching.rejected import Rejected
from agent.core.batching.span import Span
from agent.core.dead_letter import DeadLetter, dead_letter
from agent.flow.budget import Budget
from agent.ship.counts import Counts
from agent.ship.sink import RejectedWriter
from agent.ship.stream_queue import StreamQueue
from agent.telemetry import Telemetry

log = logging.getLogger(__name__)


class Settlement:
    def __init__(self, writer: RejectedWriter, budget: Budget, counts: Counts, telemetry: Telemetry) -> None:
        self._writer = writer
        self._budget = budget
        self._counts = counts
        self._telemetry = telemetry

    async def settle(self, queue: StreamQueue, batch: Batch, rejections: Sequence[Rejected]) -> None:
        """Settles every record of a batch that is delivered except for `rejections`."""
        spans = await self._write_dead_letters(queue, batch, rejections) if rejections else []
        records = sum(part.events for part in batch.parts if not part.span.own)
        shipped = records - sum(not span.own for span in spans)
        self._counts.shipped[queue.lane] += shipped
        self._telemetry.records_shipped.labels(queue.lane).inc(shipped)
        for part in batch.parts:
            if part.span.own and not any(part.span is span for span in spans):
                self._telemetry.records_synthetic.labels(part.span.own).inc(part.events)
        batch.settle()
        queue.settled(batch)
        self._budget.adjust(-batch.held_bytes)

    async def _write_dead_letters(self, queue: StreamQueue, batch: Batch, rejections: Sequence[Rejected]) -> list[Span]:
        """Writes the rejected events to the dead letters and returns the span of each."""
        dead_letters: list[DeadLetter] = []
        spans: list[Span] = []
        now = datetime.now(UTC)
        for start, stop, reason in rejections:
            for position in range(start, stop):
                span, at = batch.where(position)
                spans.append(span)
                if not span.own:
                    self._counts.rejected[reason] += 1
                    self._telemetry.records_rejected.labels(reason).inc()
                dead_letters.append(
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
            extra={
                "stream": queue.destination.stream,
                "events": len(dead_letters),
                "reason": rejections[0].reason,
            },
        )
        await self._writer.write(dead_letters)
        return spans
