"""The way of the data, top to bottom.

    log files ─ tailers ─▶ chunk ─ processor ─▶ spans by lane ─ batches ─▶ PutLogEvents ─▶ settled ─▶ checkpoint

A tailer (`tail`) acquires bytes of the budget, reads a chunk, cuts it into records and enters it in the file's ledger.
`Pipeline.convey` processes the chunk in one synchronous pass (`core.processing`): each record is decoded, given the
metadata of its pod (`enrich`) and put in its lane, or settled by a rule of the configuration. The shipper (`ship`)
batches each lane within CloudWatch's limits, puts the batches, and settles the records that CloudWatch acknowledged.
A record whose pod is not known yet waits alone (`enrich.pod_wait`); the rest of its chunk does not wait for it.
A ledger's offset advances behind settled records alone, and `progress` writes the offsets down.

Counted in records, at every moment: read = shipped + filtered + rejected + in flight.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final

from agent.core.dead_letter import dead_letter
from agent.core.processing.processor import Processor
from agent.core.processing.result import FindFragment, ProcessingResult
from agent.core.reading.records import Records
from agent.core.values import Destination, Fragment, PodKey
from agent.deadletters.writer import DeadLetterWriter
from agent.enrich.factory import Enricher
from agent.enrich.pod_wait import Held, PodWait
from agent.flow.budget import Budget
from agent.selfmonitor.counts import Counts
from agent.selfmonitor.notices import Notices
from agent.ship.shipper import Shipper
from agent.tail.types import Chunk
from agent.telemetry import Telemetry

RECORD_OVERHEAD_BYTES: Final = 300
"""Memory of a record that waits for its pod, beside its bytes."""


class Pipeline:
    """Conveys chunks from the tailers to the shipper."""

    def __init__(
        self,
        processor: Processor,
        *,
        budget: Budget,
        enricher: Enricher,
        pod_wait: PodWait,
        shipper: Shipper,
        dead_letters: DeadLetterWriter,
        notices: Notices,
        counts: Counts,
        telemetry: Telemetry,
    ) -> None:
        self._processor = processor
        self._budget = budget
        self._enricher = enricher
        self._pod_wait = pod_wait
        self._shipper = shipper
        self._dead_letters = dead_letters
        self._notices = notices
        self._telemetry = telemetry
        self.counts = counts

    async def convey(self, chunk: Chunk) -> None:
        """Puts a chunk's records into their lanes. Those whose pod is not known yet follow when it is, or is late."""
        self.counts.read += len(chunk.records) - chunk.counted
        self.counts.read_bytes += chunk.cost_bytes
        with self._telemetry.defects.contained("selfmonitor"):
            self.counts.last_alerts.note(chunk.records.payloads)
        result = self._process(chunk, chunk.records, self._enricher.fragment)
        for group, records in result.grouped.items():
            group.hold(chunk.entry, records)
        chunk.prove(result.unshipped, _filtered(result))
        await self._deliver(chunk, result, cost_bytes=chunk.cost_bytes)
        if result.unknown:
            for key, waiting in result.unknown.items():
                size_bytes = _held_bytes(waiting)
                self._budget.adjust(size_bytes)
                self._pod_wait.hold(key, Held(chunk, waiting, size_bytes, partial(self._convey_late, chunk)))
            with self._telemetry.defects.contained("enrichment"):
                await self._pod_wait.make_room()

    def fragment_now(self, key: PodKey, time_ms: int) -> Fragment:
        """What is known of the pod now. An unknown pod ships as the alert itself names it."""
        return self._enricher.fragment(key, time_ms) or self._enricher.unknown(key, "late")

    async def _convey_late(self, chunk: Chunk, records: Records, held_bytes: int) -> None:
        """Conveys records that waited for their pod."""
        result = self._process(chunk, records, self.fragment_now, deduplicate=False)
        await self._deliver(chunk, result, cost_bytes=held_bytes)

    async def _deliver(self, chunk: Chunk, result: ProcessingResult, *, cost_bytes: int) -> None:
        """Keeps, counts and ships a result. `cost_bytes`: what the budget counts for its records so far."""
        self._note_defects(result)
        if result.oversized or result.defects:
            await self._keep(chunk, result)
        with self._telemetry.defects.contained("selfmonitor"):
            self.counts.add(result)
            self._notices.read(result.notices)
        self._budget.adjust(self._ship(chunk, result) - cost_bytes)
        if filtered := sum(result.filtered.values()):
            chunk.entry.settle(filtered)

    def _process(
        self, chunk: Chunk, records: Records, find: FindFragment, *, deduplicate: bool = True
    ) -> ProcessingResult:
        return self._processor.process(
            records,
            file=chunk.file_id,
            line_format=chunk.line_format,
            now_ms=int(time.time() * 1000),
            find=find,
            settled=chunk.settled,
            deduplicate=deduplicate,
        )

    def _ship(self, chunk: Chunk, result: ProcessingResult) -> int:
        """Gives each lane's span to the shipper; returns the bytes that the spans hold."""
        held_bytes = 0
        for lane, span in result.spans.items():
            if len(span):
                span.entry, span.file, span.read_at = chunk.entry, chunk.file_id, chunk.entry.read_at
                held_bytes += self._shipper.accept(lane, chunk.namespace, span)
        return held_bytes

    async def _keep(self, chunk: Chunk, result: ProcessingResult) -> None:
        """Writes the whole bytes of shortened records, and of records with a defect, to the dead letters."""
        now = datetime.now(UTC)
        kept = [("truncated", record.offset, record.payload) for record in result.oversized]
        kept += [("defect", record.offset, record.payload) for record in result.defects]
        dead_letters = [
            dead_letter(
                payload,
                reason=reason,
                file=chunk.file_id,
                offset=offset,
                destination=Destination("", ""),
                timestamp_ms=int(now.timestamp() * 1000),
                now=now,
            )
            for reason, offset, payload in kept
        ]
        await self._dead_letters.write_or_hold(dead_letters)

    def _note_defects(self, result: ProcessingResult) -> None:
        for record in result.defects:
            self._telemetry.defects.note("record", record.error)
        if result.enrichment_error is not None:
            self._telemetry.defects.note("enrichment", result.enrichment_error)


def _filtered(result: ProcessingResult) -> Mapping[str, int]:
    """The records that a rule of the configuration settles. Those that were settled before are shipped."""
    if not (result.filtered or result.grouped):
        return {}
    filtered = Counter(result.filtered)
    filtered.pop("settled", None)
    if result.grouped:
        filtered["folded"] += sum(result.grouped.values())
    return filtered


def _held_bytes(records: Records) -> int:
    unusual = sum(len(record.payload) + len(record.line) for record in records.unusual)
    columns = sum(map(len, records.payloads)) + sum(map(len, records.lines))
    return unusual + columns + RECORD_OVERHEAD_BYTES * len(records)
