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

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from agent.core.batch import Settles, Span
from agent.core.sift import MOST_KINDS, Sieve
from agent.core.sifted import FindFragment, Kind, Policy, Sifted
from agent.core.values import Destination, Fragment, Lane, PodKey
from agent.enrich import Enricher
from agent.errors import StateUnwritable
from agent.flow import Budget
from agent.settings import Settings
from agent.ship.burial import bury
from agent.ship.deadletter import DeadLetters, dead_letter
from agent.ship.journal import Journal
from agent.ship.shipper import Shipper
from agent.tail.checkpoint import Checkpoint, Untold
from agent.tail.reader import Reader
from agent.tail.tailer import Chunk, Gap
from agent.telemetry import Telemetry
from agent.telemetry.metrics import LARGEST_RULE_COUNT
from agent.watch import Notices, Saying
from agent.watch.saying import message, storm

SAVE_SECONDS = 0.25
"""Between two checkpoints. More often would only save duplicates after a crash, at an fsync each."""

SAVE_ANYHOW_SECONDS = 30.0
"""So often also when nothing seems to have moved: what hundreds of files stand at is not gathered in vain."""

URGENT_BUDGET_SHARE = 8
"""One part in so many of the budget is only for the urgent lane."""

SaveReport = Callable[[str | None], None]
"""Told after each save: None, or why it failed."""

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
        self._sieve = Sieve(policy, node=settings.node_name, cluster=settings.cluster_name)
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
        self._untold: dict[str, Untold] = {}

    async def convey(self, chunk: Chunk) -> None:
        """A chunk's records into their lanes. Waits only for pods that are not known yet, briefly."""
        sifted = self._sift(chunk, self._enricher.fragment)
        if sifted.unknown:
            await self._enricher.appear(sifted.unknown, self._settings.enrich.wait_seconds)
            sifted = self._sift(chunk, self._fragment_now)
        for fold, records in sifted.folded.items():
            fold.hold(chunk.entry, records)
        if sifted.oversized:
            await self._bury_oversized(chunk, sifted)
        self._count(sifted)
        self._notices.read(sifted.notices)
        held = 0
        filtered = sifted.filtered.total()
        for lane, span in sifted.spans.items():
            if len(span):
                span.entry, span.file, span.read_at = chunk.entry, chunk.file.id, chunk.entry.read_at
                held += span.held_bytes
                self._shipper.accept(lane, chunk.file.source.namespace, span)
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
            self._event(Saying("gap", "Critical", f"{least}{lost} bytes of {gap.path} were lost: {gap.why}", fields))
        )

    def say(self, saying: Saying) -> None:
        """Ships an event of our own, shaped as Falco shapes an alert. It is in no file, so not in the books."""
        self._send(self._event(saying), saying.kind, saying.lane, saying.stands_for)

    def tell_again(self, untold: Iterable[Untold]) -> None:
        """What a life before this one had to say of lost bytes, and may not have been able to."""
        for event in untold:
            self._insist(event)

    @property
    def untold(self) -> list[Untold]:
        """Gaps that CloudWatch has not acknowledged; for the checkpoint."""
        return list(self._untold.values())

    def _insist(self, event: Untold) -> None:
        """Ships word of a gap, and keeps it until that is acknowledged: it has to outlive a crash."""
        self._untold[event.id] = event
        self._send(event, "gap", Lane.URGENT, _Insisting(self._untold, event.id))

    def _event(self, saying: Saying) -> Untold:
        settings, time_ms = self._settings, int(time.time() * 1000)
        event_id = f"self:{self._started_ns}:{next(self._numbers)}"
        text = message(
            saying, event_id=event_id, time_ms=time_ms, node=settings.node_name, cluster=settings.cluster_name
        )
        return Untold(event_id, time_ms, text.decode())

    def _send(self, event: Untold, kind: str, lane: Lane, stands_for: Settles | None) -> None:
        span = Span(stands_for, own=kind, read_at=time.monotonic())
        span.append(event.time_ms, event.message.encode(), 0)
        self._budget.adjust(span.held_bytes)
        self._shipper.accept(lane, self._own_namespace, span)

    def tell_storms(self, *, at_once: bool = False) -> None:
        """Ships one event for each fold that is over; `at_once`: for those that are not, too."""
        storms = self._sieve.storm
        if storms is None:
            return
        for fold in storms.take_all() if at_once else storms.take(int(time.time() * 1000)):
            place = self._fragment_now(fold.pod, fold.last_ms).plain if fold.pod is not None else b""
            self.say(storm(fold, storms.values(fold), place, self._telemetry))

    @property
    def held_by_storms(self) -> int:
        """Records that wait for the end of their minute."""
        return 0 if self._sieve.storm is None else self._sieve.storm.held_records

    def _sift(self, chunk: Chunk, find: FindFragment) -> Sifted:
        return self._sieve.sift(
            chunk.records,
            file=chunk.file.id,
            grammar=chunk.file.joiner.grammar,
            now_ms=int(time.time() * 1000),
            find=find,
            settled=chunk.file.islands,
        )

    def _fragment_now(self, key: PodKey, time_ms: int) -> Fragment:
        """The second look: whoever is still unknown ships as the alert itself names it."""
        return self._enricher.fragment(key, time_ms) or self._enricher.unknown(key, "late")

    def _count(self, sifted: Sifted) -> None:
        telemetry = self._telemetry
        for kind, seen in sifted.seen:
            for count in self._counts.get(kind) or self._learn(kind):
                count(seen)
            if kind.source == "internal":
                telemetry.falco_internal.labels(kind.rule).inc(seen)
            self.last_alerts.append((kind.priority, kind.rule, time.time()))
        for reason, records in sifted.filtered.items():
            telemetry.records_filtered.labels(reason).inc(records)
        for result, alerts in sifted.enriched.items():
            telemetry.enrichment.labels(result).inc(alerts)

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

    async def _bury_oversized(self, chunk: Chunk, sifted: Sifted) -> None:
        """Their shrunk events are on the way; the bytes they had are kept here."""
        now = datetime.now(UTC)
        destination = Destination("", "")
        letters = [
            dead_letter(
                record.payload,
                reason="truncated",
                file=chunk.file.id,
                offset=record.offset,
                destination=destination,
                timestamp_ms=int(now.timestamp() * 1000),
                now=now,
            )
            for record in sifted.oversized
        ]
        await bury(self._dead_letters, letters, self._telemetry)


class _Insisting:
    """Forgets an event once it is acknowledged."""

    def __init__(self, untold: dict[str, Untold], event_id: str) -> None:
        self._untold = untold
        self._id = event_id

    def settle(self, records: int) -> None:
        del self._untold[self._id]


@dataclass(frozen=True, slots=True)
class Progress:
    """What stands on disk, and how it gets there."""

    reader: Reader
    pipeline: Pipeline
    checkpoint: Checkpoint
    journal: Journal | None
    telemetry: Telemetry
    report: SaveReport

    async def keep(self) -> None:
        """Writes the settled positions down whenever they have moved, and now and then in any case; until cancelled."""
        saved: object = None
        saved_at = -SAVE_ANYHOW_SECONDS
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            moved = (self.reader.progress, self.pipeline.untold)
            if moved == saved and time.monotonic() - saved_at < SAVE_ANYHOW_SECONDS:
                continue
            if await self.save():
                saved, saved_at = moved, time.monotonic()

    async def save(self) -> bool:
        """Writes the settled positions down once; a disk that refuses is counted, and shipping goes on."""
        positions, untold = self.reader.positions(), self.pipeline.untold
        cut = None
        if self.journal is not None:
            cut = self.journal.cut({file: position.offset for file, position in positions.items()})
        try:
            await asyncio.to_thread(self.checkpoint.save, positions, untold)
            if self.journal is not None and cut is not None:
                await self.journal.forget(cut)
        except StateUnwritable as error:
            self.telemetry.checkpoint_errors.inc()
            log.error("checkpoint was not written", extra={"why": str(error)})
            self.report(str(error))
            return False
        self.report(None)
        return True
