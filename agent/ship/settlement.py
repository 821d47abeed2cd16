"""Settles the records of a batch: they are counted as shipped or rejected, and their ledger entries hear of it.

Counting and settling happen in one step without waiting, so the books balance at every moment. A rejected event is
settled only after its dead letter is on disk or its loss was announced; until then it is in flight.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from agent.core.batching.batch import Batch, Part
from agent.core.batching.rejected import Rejected
from agent.core.batching.span import KeepsRejected
from agent.core.dead_letter import DeadLetter, dead_letter
from agent.core.event_id import record_id
from agent.flow.budget import Budget
from agent.ship.counts import Counts
from agent.ship.sink import RejectedWriter
from agent.ship.stream_queue import StreamQueue
from agent.telemetry import Telemetry

NoteRejected = Callable[[str, int], None]
"""Gets file id and offset of each rejected record, before the record is settled."""

log = logging.getLogger(__name__)


class Settlement:
    def __init__(
        self,
        writer: RejectedWriter,
        budget: Budget,
        counts: Counts,
        telemetry: Telemetry,
        note_rejected: NoteRejected = lambda file, offset: None,
    ) -> None:
        self._writer = writer
        self._budget = budget
        self._counts = counts
        self._telemetry = telemetry
        self._note_rejected = note_rejected

    def settle_shipped(self, queue: StreamQueue, batch: Batch) -> None:
        """CloudWatch has accepted every event of the batch."""
        records = _records(batch)
        self._counts.shipped[queue.lane] += records
        self._telemetry.records_shipped.labels(queue.lane).inc(records)
        for part in batch.parts:
            if part.span.own:
                self._telemetry.records_synthetic.labels(part.span.own).inc(part.events)
        self._settle(queue, batch)

    async def reject(self, queue: StreamQueue, batch: Batch, reason: str) -> None:
        """CloudWatch will never accept an event of the batch: writes the dead letters, then settles the records."""
        stream = queue.destination.stream
        log.error("events rejected", extra={"stream": stream, "events": batch.events, "reason": reason})
        await self._writer.write(_dead_letters(queue, batch, reason))
        for span, start, stop in batch.parts:
            if isinstance(span.entry, KeepsRejected):
                span.entry.note_rejected()
            for at in range(start, stop):
                if not span.own and (record := record_id(span.conclusion(at))) is not None:
                    self._note_rejected(record.file, record.offset)
        records = _records(batch)
        self._counts.rejected[reason] += records
        self._telemetry.records_rejected.labels(reason).inc(records)
        self._settle(queue, batch)

    def _settle(self, queue: StreamQueue, batch: Batch) -> None:
        batch.settle()
        queue.settled(batch)
        self._budget.adjust(-batch.held_bytes)


def divide(batch: Batch, rejections: Sequence[Rejected]) -> tuple[Batch | None, list[tuple[str, Batch]]]:
    """The accepted events of a batch, and the rejected ones by reason, as batches of their own."""
    reasons = {position: reason for start, stop, reason in rejections for position in range(start, stop)}
    accepted = [position for position in range(batch.events) if position not in reasons]
    rejected = [(reason, _selected(batch, range(start, stop))) for start, stop, reason in rejections if start < stop]
    return (_selected(batch, accepted) if accepted else None), rejected


def _selected(batch: Batch, positions: Sequence[int]) -> Batch:
    parts: list[Part] = []
    for position in positions:
        span, at = batch.where(position)
        if parts and parts[-1].span is span and parts[-1].stop == at:
            parts[-1] = Part(span, parts[-1].start, at + 1)
        else:
            parts.append(Part(span, at, at + 1))
    return Batch(parts)


def _records(batch: Batch) -> int:
    """Events that come from a log file; the agent's own events are not in the books."""
    return sum(part.events for part in batch.parts if not part.span.own)


def _dead_letters(queue: StreamQueue, batch: Batch, reason: str) -> list[DeadLetter]:
    now = datetime.now(UTC)
    return [
        dead_letter(
            span.message(at).encode(),
            reason=reason,
            file=span.file,
            offset=span.offsets[at],
            destination=queue.destination,
            timestamp_ms=span.timestamps[at],
            now=now,
        )
        for span, start, stop in batch.parts
        if not isinstance(span.entry, KeepsRejected)
        for at in range(start, stop)
    ]
