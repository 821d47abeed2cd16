"""The way of the data, top to bottom.

    log files ─ tailers ─▶ chunk ─ processor ─▶ spans by lane ─ batches ─▶ PutLogEvents ─▶ settled ─▶ checkpoint

A tailer (`tail`) acquires bytes of the budget, reads a chunk, cuts it into records and enters it in the file's ledger.
`Pipeline.convey` processes the chunk in one synchronous pass (`core.processing`): each record is decoded, given the
metadata of its pod (`enrich`) and put in its lane, or settled by a rule of the configuration. The shipper (`ship`)
batches each lane within CloudWatch's limits, puts the batches, and settles the records that CloudWatch acknowledged.
A ledger's offset advances behind settled records alone, and `progress` writes the offsets down.

Counted in records, at every moment: read = shipped + filtered + rejected + in flight.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from agent.core.dead_letter import dead_letter
from agent.core.processing.processor import Processor
from agent.core.processing.result import FindFragment, ProcessingResult
from agent.core.values import Destination, Fragment, PodKey
from agent.deadletters.writer import DeadLetterWriter
from agent.enrich.factory import Enricher
from agent.flow.budget import Budget
from agent.selfmonitor.counts import Counts
from agent.selfmonitor.notices import Notices
from agent.ship.shipper import Shipper
from agent.tail.reading import Chunk
from agent.telemetry import Telemetry


class Pipeline:
    """Conveys chunks from the tailers to the shipper."""

    def __init__(
        self,
        processor: Processor,
        *,
        budget: Budget,
        enricher: Enricher,
        wait_seconds: float,
        shipper: Shipper,
        dead_letters: DeadLetterWriter,
        notices: Notices,
        counts: Counts,
        telemetry: Telemetry,
    ) -> None:
        """`wait_seconds`: how long a chunk may wait for pods that are not known yet."""
        self._processor = processor
        self._budget = budget
        self._enricher = enricher
        self._wait_seconds = wait_seconds
        self._shipper = shipper
        self._dead_letters = dead_letters
        self._notices = notices
        self._telemetry = telemetry
        self.counts = counts

    async def convey(self, chunk: Chunk) -> None:
        """Puts a chunk's records into their lanes. Waits only for pods that are not known yet, and briefly."""
        self.counts.read += len(chunk.records)
        result = self._process(chunk, self._enricher.fragment)
        if result.unknown:
            await self._enricher.appear(result.unknown, self._wait_seconds)
            result = self._process(chunk, self.fragment_now)
        for group, records in result.grouped.items():
            group.hold(chunk.entry, records)
        if result.oversized:
            await self._keep_oversized(chunk, result)
        self.counts.add(result, chunk.records.payloads)
        self._notices.read(result.notices)
        held_bytes = self._ship(chunk, result)
        self._budget.adjust(held_bytes - chunk.cost_bytes)
        if filtered := result.filtered.total():
            chunk.entry.settle(filtered)

    def fragment_now(self, key: PodKey, time_ms: int) -> Fragment:
        """What is known of the pod now. An unknown pod ships as the alert itself names it."""
        return self._enricher.fragment(key, time_ms) or self._enricher.unknown(key, "late")

    def _process(self, chunk: Chunk, find: FindFragment) -> ProcessingResult:
        return self._processor.process(
            chunk.records,
            file=chunk.file.id,
            line_format=chunk.file.joiner.line_format,
            now_ms=int(time.time() * 1000),
            find=find,
            settled=chunk.file.islands,
        )

    def _ship(self, chunk: Chunk, result: ProcessingResult) -> int:
        """Gives each lane's span to the shipper; returns the bytes that the spans hold."""
        held_bytes = 0
        for lane, span in result.spans.items():
            if len(span):
                span.entry, span.file, span.read_at = chunk.entry, chunk.file.id, chunk.entry.read_at
                held_bytes += span.held_bytes
                self._shipper.accept(lane, chunk.file.source.namespace, span)
        return held_bytes

    async def _keep_oversized(self, chunk: Chunk, result: ProcessingResult) -> None:
        """Writes the whole bytes of shortened records to the dead letters; the shortened events ship as usual."""
        now = datetime.now(UTC)
        dead_letters = [
            dead_letter(
                record.payload,
                reason="truncated",
                file=chunk.file.id,
                offset=record.offset,
                destination=Destination("", ""),
                timestamp_ms=int(now.timestamp() * 1000),
                now=now,
            )
            for record in result.oversized
        ]
        await self._dead_letters.write(dead_letters)
