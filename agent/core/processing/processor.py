"""From records to events: one synchronous pass over a chunk.

Each record is decoded as far as needed, gets its pod, its id and its time, and is put into its lane's span; or a rule
of the configuration settles it. The message is the bytes that Falco wrote, with two appended keys. The processor keeps
what it learns about kinds, cases and pods from chunk to chunk.
"""

from __future__ import annotations

from collections.abc import Set

import orjson

from agent.core.processing.alert import NO_ALERT, decode_alerts
from agent.core.processing.cases import Cases
from agent.core.processing.context import ChunkContext, ProcessorContext
from agent.core.processing.dedup import Deduplicator
from agent.core.processing.fast_path import FastPath
from agent.core.processing.kinds import Kinds, Policy
from agent.core.processing.result import FindFragment, ProcessingResult
from agent.core.processing.slow_path import SlowPath
from agent.core.processing.suffixes import Ending, SuffixCache
from agent.core.processing.timestamps import TimestampParser
from agent.core.reading.line_formats import LineFormat
from agent.core.reading.records import Records, without


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
    ) -> ProcessingResult:
        """Puts the records of one chunk of `file` into lanes. `settled` holds the offsets of settled records."""
        result = ProcessingResult()
        context, chunk = self.context, ChunkContext(file, line_format, now_ms, find)
        draft = None if self.deduplicator is None else self.deduplicator.draft(file)
        if settled and (done := {offset for offset in records.offsets if offset in settled}):
            result.filtered["settled"] += len(done)
            records = without(records, done)
        slow_path = SlowPath(context, chunk, result, draft)
        alerts = decode_alerts(records.payloads)
        for number in FastPath(context, chunk, result).add(alerts, records):
            alert = alerts[number]
            slow_path.add(
                records.payloads[number],
                records.offsets[number],
                records.lines[number],
                alert=None if alert is NO_ALERT else alert,
            )
        for unusual in records.unusual:
            mark = unusual.mark
            if mark.settled or (mark.origin is None and unusual.offset in settled):
                result.filtered["settled"] += 1
                continue
            slow_path.add(unusual.payload, unusual.offset, unusual.line, mark=mark)
        for span in result.spans.values():
            span.put_in_file_order()
        if self.deduplicator is not None and draft is not None and not result.unknown:
            result.grouped = self.deduplicator.keep(draft, now_ms)
        return result
