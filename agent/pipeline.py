"""The way of the data, top to bottom.

    log files ─ tailers ─▶ chunk ─ sift ─▶ spans by lane ─ batches ─▶ PutLogEvents ─▶ settled ─▶ checkpoint

A tailer (`tail`) acquires bytes of the budget, reads a chunk, cuts it into records and enters it in the
file's ledger. `Pipeline.convey` sifts it in one synchronous pass (`core.sift`): each record is decoded,
given its pod (`enrich`) and put in its lane, or settled by a rule. The shipper (`ship`) batches each lane
within CloudWatch's limits, puts, and settles what was acknowledged; the ledgers commit; `Progress` writes
that down. Nothing else moves an offset.

Counted in records, at every moment: read = shipped + filtered + rejected + in flight.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from agent.core.batching.span import Settles, Span
from agent.core.processing.processor import MOST_KINDS, Processor
from agent.core.processing.result import FindFragment, Kind, Policy, ProcessingResult
from agent.core.values import Destination, Fragment, Lane, PodKey
from agent.deadletters.store import DeadLetters, dead_letter
from agent.deadletters.writer import bury
from agent.enrich.factory import Enricher
from agent.flow.budget import Budget
from agent.selfmonitor import Notices, OwnEvent
from agent.selfmonitor.events import message, storm
from agent.settings import Settings
from agent.ship.shipper import Shipper
from agent.tail.checkpoint import PendingEvent
from agent.tail.types import Chunk, Gap
from agent.telemetry import Telemetry
from agent.telemetry.metrics import LARGEST_RULE_COUNT

URGENT_BUDGET_SHARE = 8
"""One part in so many of the budget is only for the urgent lane."""


log = logging.getLogger(__name__)


class Pipeline:
    """Joins the stations. What it is handed is open; `run` and `drain` are its life."""

    def __init__(
        self,
        settings: Settings,
        *,
        budget: Budget,
        enricher: Enricher,
        shipper: Shipper,
        dead_letters: DeadLetters,
        notices: Notices,
        telemetry: Telemetry,
    ) -> None:
        self._settings = settings
        self._budget = budget
        self._enricher = enricher
        self._shipper = shipper
        self._dead_letters = dead_letters
        self._notices = notices
        self._telemetry = telemetry
        rules = settings.falco
        policy = Policy(
            rules.minimum_priority,
            rules.urgent_priority,
            tuple(rules.drop_rules),
            rules.other_lines == "ship",
            rules.storm_limit,
            tuple(rules.storm_keys),
        )
        self._processor = Processor(policy, node=settings.node_name, cluster=settings.cluster_name)
        self._started_ns = time.time_ns()
        self._numbers = itertools.count(1)
        namespace = settings.tail.namespace
        self._own_namespace = "" if set(namespace) & set("*?[") else namespace
        """What stands for `{namespace}` in the names of group and stream for events of our own: Falco's."""
        self._rules_with_series: set[str] = set()
        self._counts: dict[Kind, tuple[Callable[[float], None], ...]] = {}
        self.last_alerts: deque[tuple[str, str, float]] = deque(maxlen=10)
        """Priority, rule and time of arrival of the last kinds of alert, for a person to look at."""
        self.gaps = 0
        self.gap_bytes = 0
        self._pending_events: dict[str, PendingEvent] = {}

    async def convey(self, chunk: Chunk) -> None:
        """A chunk's records into their lanes. Waits only for pods that are not known yet, briefly."""
        result = self._process(chunk, self._enricher.fragment)
        if result.unknown:
            await self._enricher.appear(result.unknown, self._settings.enrich.wait_seconds)
            result = self._process(chunk, self._fragment_now)
        for fold, records in result.folded.items():
            fold.hold(chunk.entry, records)
        if result.oversized:
            await self._bury_oversized(chunk, result)
        self._count(result)
        self._notices.read(result.notices)
        held = 0
        filtered = result.filtered.total()
        for lane, span in result.spans.items():
            if len(span):
                span.entry, span.file, span.read_at = chunk.entry, chunk.file_id, chunk.entry.read_at
                held += span.held_bytes
                self._shipper.accept(lane, chunk.namespace, span)
        self._budget.adjust(held - chunk.cost_bytes)
        if filtered:
            chunk.entry.settle(filtered)

    def announce(self, gap: Gap) -> None:
        """Says in CloudWatch, in the log and in a metric that bytes were lost, which and why."""
        lost = gap.end - gap.start
        self.gaps += 1
        self.gap_bytes += lost
        self._telemetry.gap_bytes.inc(lost)
        fields: dict[str, object] = {
            "file": gap.file,
            "path": gap.path,
            "from": gap.start,
            "to": gap.end,
            "bytes": lost,
            "why": gap.why,
            "at_least": gap.at_least,
        }
        least = "at least " if gap.at_least else ""
        log.error("bytes were lost before they could be read", extra=fields)
        self._insist(
            self._event(OwnEvent("gap", "Critical", f"{least}{lost} bytes of {gap.path} were lost: {gap.why}", fields))
        )

    def say(self, own_event: OwnEvent) -> None:
        """Ships an event of our own, shaped as Falco shapes an alert. It is in no file, so not in the books."""
        self._send(self._event(own_event), own_event.kind, own_event.lane, own_event.stands_for)

    def tell_again(self, pending_events: Iterable[PendingEvent]) -> None:
        """What a life before this one had to say of lost bytes, and may not have been able to."""
        for event in pending_events:
            self._insist(event)

    @property
    def pending_events(self) -> list[PendingEvent]:
        """Gaps that CloudWatch has not acknowledged; for the checkpoint."""
        return list(self._pending_events.values())

    def _insist(self, event: PendingEvent) -> None:
        """Ships word of a gap, and keeps it until that is acknowledged: it has to outlive a crash."""
        self._pending_events[event.id] = event
        self._send(event, "gap", Lane.URGENT, _Insisting(self._pending_events, event.id))

    def _event(self, own_event: OwnEvent) -> PendingEvent:
        settings, time_ms = self._settings, int(time.time() * 1000)
        event_id = f"self:{self._started_ns}:{next(self._numbers)}"
        text = message(
            own_event, event_id=event_id, time_ms=time_ms, node=settings.node_name, cluster=settings.cluster_name
        )
        return PendingEvent(event_id, time_ms, text.decode())

    def _send(self, event: PendingEvent, kind: str, lane: Lane, stands_for: Settles | None) -> None:
        span = Span(stands_for, own=kind, read_at=time.monotonic())
        span.append(event.time_ms, event.message.encode(), 0)
        self._budget.adjust(span.held_bytes)
        self._shipper.accept(lane, self._own_namespace, span)

    def tell_storms(self, *, at_once: bool = False) -> None:
        """Ships one event for each fold that is over; `at_once`: for those that are not, too."""
        storms = self._processor.storm
        if storms is None:
            return
        for fold in storms.take_all() if at_once else storms.take(int(time.time() * 1000)):
            place = self._fragment_now(fold.pod, fold.last_ms).plain if fold.pod is not None else b""
            self.say(storm(fold, storms.values(fold), place, self._telemetry))

    @property
    def held_by_storms(self) -> int:
        """Records that wait for the end of their minute."""
        return 0 if self._processor.storm is None else self._processor.storm.held_records

    def _process(self, chunk: Chunk, find: FindFragment) -> ProcessingResult:
        return self._processor.process(
            chunk.records,
            file=chunk.file_id,
            line_format=chunk.line_format,
            now_ms=int(time.time() * 1000),
            find=find,
            settled=chunk.settled,
        )

    def _fragment_now(self, key: PodKey, time_ms: int) -> Fragment:
        """The second look: whoever is still unknown ships as the alert itself names it."""
        return self._enricher.fragment(key, time_ms) or self._enricher.unknown(key, "late")

    def _count(self, result: ProcessingResult) -> None:
        telemetry = self._telemetry
        for kind, seen in result.seen:
            for count in self._counts.get(kind) or self._learn(kind):
                count(seen)
            if kind.source == "internal":
                telemetry.falco_internal.labels(kind.rule).inc(seen)
            self.last_alerts.append((kind.priority, kind.rule, time.time()))
        for reason, records in result.filtered.items():
            telemetry.records_filtered.labels(reason).inc(records)
        for label, alerts in result.enriched.items():
            telemetry.enrichment.labels(label).inc(alerts)

    def _learn(self, kind: Kind) -> tuple[Callable[[float], None], ...]:
        """What counts alerts of that kind: to look a labelled series up costs four times what adding to it does."""
        if len(self._counts) >= MOST_KINDS:
            self._counts.clear()
        alerts = self._telemetry.alerts.labels(kind.priority, kind.source)
        by_rule = self._telemetry.alerts_by_rule.labels(self._series(kind))
        counts = self._counts[kind] = (alerts.inc, by_rule.inc)
        return counts

    def _series(self, kind: Kind) -> str:
        if kind.rule in self._rules_with_series:
            return kind.rule
        if len(self._rules_with_series) >= LARGEST_RULE_COUNT:
            return "other"
        self._rules_with_series.add(kind.rule)
        return kind.rule

    async def _bury_oversized(self, chunk: Chunk, result: ProcessingResult) -> None:
        """Their shrunk events are on the way; the bytes they had are kept here."""
        now = datetime.now(UTC)
        destination = Destination("", "")
        letters = [
            dead_letter(
                record.payload,
                reason="truncated",
                file=chunk.file_id,
                offset=record.offset,
                destination=destination,
                timestamp_ms=int(now.timestamp() * 1000),
                now=now,
            )
            for record in result.oversized
        ]
        await bury(self._dead_letters, letters, self._telemetry)


class _Insisting:
    """Forgets an event once it is acknowledged."""

    def __init__(self, pending_events: dict[str, PendingEvent], event_id: str) -> None:
        self._pending_events = pending_events
        self._id = event_id

    def settle(self, records: int) -> None:
        del self._pending_events[self._id]
