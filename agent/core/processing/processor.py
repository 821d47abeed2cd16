"""Records → events: one synchronous pass over a chunk.

Each record is decoded as far as needed, given its pod, its id and its time, and put into its lane's
span, or settled by a rule. The message shipped is the bytes that Falco wrote plus two appended keys.
All that depends only on who raised the alert (lane, filter, counters) is decided once and looked up.
"""

from __future__ import annotations

import re
from collections.abc import Set
from fnmatch import translate
from typing import Final

import orjson

from agent.core.batching.span import Span
from agent.core.processing.alert import NO_ALERT, SEVERITY, Alert, decode_alerts
from agent.core.processing.cases import Cases
from agent.core.processing.dedup import Deduplicator
from agent.core.processing.fast_path import FastPath
from agent.core.processing.result import FindFragment, Kind, Policy, ProcessingResult
from agent.core.processing.slow_path import SlowPath
from agent.core.processing.timestamps import Clock
from agent.core.reading.line_formats import LineFormat
from agent.core.reading.records import Records, without
from agent.core.values import Lane

MOST_KINDS: Final = 4096
"""Rules are named by Falco's configuration, not by what it observes: a few hundred in practice."""


class Processor:
    """Sifts chunks by one policy, for one node of one cluster."""

    def __init__(self, policy: Policy, *, node: str, cluster: str = "") -> None:
        self._policy = policy
        self._urgent = SEVERITY[policy.urgent_priority]
        self._minimum = SEVERITY[policy.minimum_priority]
        self._drop = [re.compile(translate(glob)) for glob in policy.drop_rules]
        self._kinds: dict[tuple[str, str, str], Kind] = {}
        self.cases = Cases()
        self.clock = Clock()
        self.storm = Deduplicator(policy.storm_limit, policy.storm_keys) if policy.storm_limit else None
        who = {"node": node} | ({"cluster": cluster} if cluster else {})
        self._closing = b'",' + orjson.dumps(who)[1:] + b"}"
        """How every message ends, after its id: `","node":…,"cluster":…}}`."""

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
        """Sorts the records of one chunk of `file` into lanes. `settled` holds offsets that are done already.

        `deduplicate`: false for records that waited for their pod, because they were counted the first time.
        """
        out = ProcessingResult({lane: Span() for lane in Lane})
        if done := {offset for offset in records.offsets if offset in settled} if settled else ():
            out.filtered["settled"] += len(done)
            records = without(records, set(done))
        slow_path = SlowPath(self, out, file, line_format, now_ms, find, deduplicate)
        alerts = decode_alerts(records.payloads)
        for number in FastPath(self, out, file, find).add(alerts, records):
            alert = alerts[number]
            slow_path.add(
                records.payloads[number],
                records.offsets[number],
                records.lines[number],
                alert=None if alert is NO_ALERT else alert,
            )
        for odd in records.odd:
            if odd.mark.settled or (odd.mark.origin is None and odd.offset in settled):
                out.filtered["settled"] += 1
                continue
            slow_path.add(odd.payload, odd.offset, odd.line, mark=odd.mark)
        for span in out.spans.values():
            span.put_in_file_order()
        for kind in self._kinds.values():
            if kind.seen:
                out.seen.append((kind, kind.seen))
                kind.seen = 0
        if self.storm is not None and slow_path.draft is not None:
            out.folded = self.storm.keep(slow_path.draft, now_ms)
        return out

    def kind(self, alert: Alert) -> Kind:
        """Who raised the alert, and what follows from it. Falco's messages about itself are always urgent."""
        key = (alert.priority, alert.source, alert.rule)
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= MOST_KINDS:
                self._kinds.clear()
                self.cases.forget()
            severity = SEVERITY.get(alert.priority.lower(), self._minimum)
            internal = alert.source == "internal"
            lane = Lane.URGENT if internal or severity <= self._urgent else Lane.ROUTINE
            filtered = ""
            if not internal and severity > self._minimum:
                filtered = "priority"
            elif not internal and any(glob.match(alert.rule) for glob in self._drop):
                filtered = "rule"
            folds = self.storm is not None and lane is Lane.ROUTINE
            kind = self._kinds[key] = Kind(alert.priority, alert.source, alert.rule, lane, filtered, folds)
        return kind

    @property
    def closing(self) -> bytes:
        return self._closing

    @property
    def ships_other_lines(self) -> bool:
        return self._policy.ship_other_lines
