"""From records to events: one synchronous pass over a chunk.

Each record is decoded as far as needed, gets its pod, its id and its time, and is put into its lane's span; or a rule
of the configuration settles it. The message is the bytes that Falco wrote, with two appended keys. The processor keeps
what it learns about kinds, cases and pods from chunk to chunk.

No record can raise. If the pass over a chunk meets an unforeseen exception, its result is discarded and the records
are processed one by one. Then only the record that raises becomes a defect, and all others ship as usual.
"""

from __future__ import annotations

from collections.abc import Set
from itertools import chain

import orjson
from msgspec.structs import replace

from agent.core.processing.alert import NO_ALERT, decode_alerts
from agent.core.processing.cases import Cases
from agent.core.processing.context import ChunkContext, ProcessorContext
from agent.core.processing.dedup import Deduplicator, Draft
from agent.core.processing.event_time import Window
from agent.core.processing.fast_path import FastPath
from agent.core.processing.kinds import Kinds, Policy
from agent.core.processing.result import NOT_ENRICHED, FindFragment, ProcessingResult
from agent.core.processing.slow_path import SlowPath
from agent.core.processing.suffixes import Ending, SuffixCache
from agent.core.processing.timestamps import TimestampParser
from agent.core.reading.line_formats import LineFormat
from agent.core.reading.records import USUAL, Records, without
from agent.core.values import Fragment, PodKey


class Processor:
    """Processes chunks by one policy, for one node of one cluster."""

    def __init__(self, policy: Policy, *, node: str, cluster: str = "") -> None:
        names = {"node": node} | ({"cluster": cluster} if cluster else {})
        self.deduplicator = Deduplicator(policy.storm_limit, policy.storm_keys) if policy.storm_limit else None
        self.context = ProcessorContext(
            kinds=Kinds(policy),
            cases=Cases(),
            suffixes=SuffixCache(),
            timestamps=TimestampParser(),
            window=Window.of(adjusts=policy.adjusts_times, retention_days=policy.retention_days),
            ending=Ending.of(b'",' + orjson.dumps(names)[1:] + b"}"),
            ships_other_lines=policy.ship_other_lines,
        )

    def process(
        self,
        records: Records,
        *,
        file: str,
        line_format: LineFormat,
        now_ms: int,
        find: FindFragment,
        settled: Set[int] = frozenset(),
        deduplicate: bool = True,
    ) -> ProcessingResult:
        """Puts the records of one chunk of `file` into lanes. `settled` holds the offsets of settled records.

        `deduplicate` is false for records that waited for their pod, because they were counted the first time.
        """
        chunk = ChunkContext(file, line_format, now_ms, find)
        rest, already_settled = _without_settled(records, settled)
        draft = self._draft(file, deduplicate=deduplicate)
        try:
            result = self._process_together(rest, chunk, draft)
        except Exception:  # noqa: BLE001 - whatever one record does may not harm the others
            draft = self._draft(file, deduplicate=deduplicate)
            result = self._process_one_by_one(rest, chunk, draft)
        if already_settled:
            result.filtered["settled"] += already_settled
        if self.deduplicator is not None and draft is not None:
            result.grouped = self.deduplicator.keep(draft, now_ms)
        return result

    def _draft(self, file: str, *, deduplicate: bool) -> Draft | None:
        return self.deduplicator.draft(file) if self.deduplicator is not None and deduplicate else None

    def _process_together(self, records: Records, chunk: ChunkContext, draft: Draft | None) -> ProcessingResult:
        result = ProcessingResult()
        slow_path = SlowPath(self.context, chunk, result, draft)
        alerts = decode_alerts(records.payloads)
        others = FastPath(self.context, chunk, result).add(alerts, records)
        for number in others:
            alert = alerts[number]
            slow_path.add(
                records.payloads[number],
                records.offsets[number],
                records.lines[number],
                alert=None if alert is NO_ALERT else alert,
            )
        for unusual in records.unusual:
            slow_path.add(unusual.payload, unusual.offset, unusual.line, mark=unusual.mark)
        if others or records.unusual:
            result.put_in_file_order()
        return result

    def _process_one_by_one(self, records: Records, chunk: ChunkContext, draft: Draft | None) -> ProcessingResult:
        """Slow, but each record has a result of its own until it is certain that the record does not raise."""
        result = ProcessingResult()
        guarded_chunk = replace(chunk, find=_guarded(chunk.find, result))
        usual = zip(records.payloads, records.offsets, records.lines, strict=True)
        unusual = ((one.payload, one.offset, one.line, one.mark) for one in records.unusual)
        for payload, offset, line, mark in chain(((*columns, USUAL) for columns in usual), unusual):
            one = ProcessingResult()
            try:
                SlowPath(self.context, guarded_chunk, one, draft).add(payload, offset, line, mark=mark)
            except Exception as error:  # noqa: BLE001 - this record alone is the defect
                one = ProcessingResult()
                SlowPath(self.context, guarded_chunk, one, draft).add_defect(payload, offset, error, mark)
            result.merge(one)
        result.put_in_file_order()
        return result


def _without_settled(records: Records, settled: Set[int]) -> tuple[Records, int]:
    """The records that are not settled yet, and the number of the others."""
    done = {offset for offset in records.offsets if offset in settled} if settled else set()
    rest = without(records, done) if done else records
    unusual = [
        one for one in records.unusual if not (one.mark.settled or (one.mark.origin is None and one.offset in settled))
    ]
    if len(unusual) < len(records.unusual):
        rest = replace(rest, unusual=unusual)
    return rest, len(records) - len(rest)


def _guarded(find: FindFragment, result: ProcessingResult) -> FindFragment:
    """Enrichment that raises costs alerts their pod and nothing else."""

    def guarded(key: PodKey, time_ms: int) -> Fragment | None:
        try:
            return find(key, time_ms)
        except Exception as error:  # noqa: BLE001 - a defect of enrichment is not a defect of the record
            result.enrichment_error = error
            return NOT_ENRICHED

    return guarded
