"""What the agent is doing at one moment: the gauges, the report behind the status page, and health.

Only looks; the stations do not know that they are looked at. Health is about this process alone: an
event loop that turns and a pipeline that moves. That CloudWatch is down is no reason to restart a fleet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from agent.core.values import Lane
from agent.flow.budget import Budget
from agent.pipeline import Pipeline
from agent.selfmonitor import Liveness, Notices
from agent.settings import Settings
from agent.ship.shipper import Shipper
from agent.tail.reader import Reader
from agent.tail.tracked_file import TrackedFile
from agent.telemetry import Telemetry
from agent.web.report import Alert, Books, Enrichment, Falco, FileReport, LaneReport, Probe, Report

STUCK_SECONDS = 60.0
"""With records in hand and a CloudWatch that answers, an acknowledgement takes seconds."""

TICK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What there is to look at."""

    settings: Settings
    group: str
    """The log group, its name filled in."""
    telemetry: Telemetry
    budget: Budget
    reader: Reader
    pipeline: Pipeline
    shipper: Shipper
    notices: Notices
    silence: Liveness


class Status:
    """Looks at the parts when asked, and once a second for what only time tells."""

    def __init__(self, parts: Parts, version: str) -> None:
        self._parts = parts
        self._version = version
        self._started_at = time.time()
        self._idle_at = self._ticked_at = time.monotonic()
        self._stuck_seconds = 0.0
        # A put that hangs is given up after timeout_seconds, so two of them tell that CloudWatch does not answer.
        self._most_stuck_seconds = max(STUCK_SECONDS, 2 * parts.settings.cloudwatch.timeout_seconds)
        self._saved_at: float | None = None
        self._save_failed: str | None = None
        self._waited_seconds = 0.0
        self._bind()

    async def run(self) -> None:
        """The once-a-second look, until cancelled."""
        while True:
            self.look(time.monotonic())
            await asyncio.sleep(TICK_SECONDS)

    def look(self, now: float) -> None:
        """How long nothing has moved though something should: neither acknowledged, nor refused, nor timed out."""
        parts, shipper = self._parts, self._parts.shipper
        self._ticked_at = now
        waiting = self._in_flight() - parts.pipeline.held_by_storms
        if shipper.troubled or not (waiting or parts.budget.has_waiters):
            self._idle_at = now
        answered_at = max(shipper.last_acknowledged_at or 0.0, shipper.last_failed_at or 0.0)
        self._stuck_seconds = now - max(self._idle_at, answered_at)
        waited = parts.budget.waited_seconds
        parts.telemetry.backpressure_seconds.inc(max(0.0, waited - self._waited_seconds))
        self._waited_seconds = waited

    def saved(self, problem: str | None) -> None:
        """The checkpoint was written, or why it was not."""
        self._save_failed = problem
        if problem is None:
            self._saved_at = time.monotonic()

    def health(self) -> Sequence[Probe]:
        """For /healthz."""
        late = time.monotonic() - self._ticked_at
        stuck = self._stuck_seconds
        moves = stuck < self._most_stuck_seconds
        return (
            Probe("event-loop", late < 10, f"last turned {late:.1f} s ago"),
            Probe(
                "pipeline",
                moves,
                "moving"
                if moves
                else f"records are in flight, CloudWatch answers, and nothing was acknowledged for {stuck:.0f} s",
            ),
        )

    def readiness(self) -> Sequence[Probe]:
        """For /readyz: can read, can save progress, has credentials."""
        reader, denied = self._parts.reader, self._parts.shipper.denied
        state_dir = self._parts.settings.state_dir
        files = sum(1 for _ in reader.files)
        return (
            Probe("read", reader.looked and reader.problem is None, reader.problem or f"{files} log files open"),
            Probe("checkpoint", self._save_failed is None, self._save_failed or f"{state_dir} is writable"),
            Probe("credentials", denied is None, denied or "accepted, or not yet refused"),
        )

    def report(self) -> Report:
        parts, now = self._parts, time.monotonic()
        sample = parts.telemetry.snapshot()
        acknowledged = parts.shipper.last_acknowledged_at
        rejected = sample.total("records_rejected_total")

        def counts(label: str, name: str) -> dict[str, int]:
            return {key: int(value) for key, value in sample.by(label, name).items()}

        shipped = counts("lane", "records_shipped_total")
        return Report(
            version=self._version,
            node=parts.settings.node_name,
            cluster=parts.settings.cluster_name,
            group=parts.group,
            started_at=self._started_at,
            now=time.time(),
            books=Books(
                int(sample.value("records_read_total")),
                sum(shipped.values()),
                int(sample.total("records_filtered_total")),
                int(rejected),
                self._in_flight(),
            ),
            lanes=[
                LaneReport(
                    queue.lane,
                    queue.destination.stream,
                    queue.records,
                    0.0 if queue.oldest_read_at is None else now - queue.oldest_read_at,
                    shipped.get(queue.lane, 0),
                )
                for queue in parts.shipper.queues
            ],
            files=[
                FileReport(str(file.path), file.id, file.known_size, file.ledger.committed, _state(file))
                for file in parts.reader.files
            ],
            lag_bytes=self._lag_bytes(),
            lag_seconds=self._lag_seconds(),
            budget_bytes=parts.budget.limit_bytes,
            budget_used_bytes=parts.budget.used_bytes,
            backpressure=parts.budget.has_waiters,
            backpressure_seconds=parts.budget.waited_seconds,
            send_slots=parts.shipper.slots.limit,
            send_slots_used=parts.shipper.slots.used,
            puts=counts("outcome", "puts_total"),
            throttled=int(sample.value("throttled_total")),
            last_acknowledged_at=None if acknowledged is None else time.time() - (now - acknowledged),
            gaps=parts.pipeline.gaps,
            gap_bytes=int(sample.value("gap_bytes_total")),
            dead_letters=counts("reason", "dead_letters_total"),
            filtered=counts("reason", "records_filtered_total"),
            checkpoint_age_seconds=None if self._saved_at is None else now - self._saved_at,
            last_alerts=[Alert(at, priority, rule) for priority, rule, at in reversed(parts.pipeline.last_alerts)],
            falco=Falco(
                silent_seconds=parts.silence.silent_seconds(now),
                silent=parts.silence.any_silent,
                versions=(parts.notices.version,) if parts.notices.version else (),
                syscall_drops=int(sample.value("falco_syscall_drops_total")),
                alerts_by_priority=counts("priority", "alerts_total"),
            ),
            enrichment=Enrichment(
                parts.settings.enrich.mode, int(sample.value("kube_pods")), counts("result", "enrichment_total")
            ),
        )

    def _bind(self) -> None:
        parts, telemetry = self._parts, self._parts.telemetry
        telemetry.records_in_flight.set_function(self._in_flight)
        telemetry.lag_bytes.set_function(self._lag_bytes)
        telemetry.lag_seconds.set_function(self._lag_seconds)
        telemetry.files_open.set_function(lambda: sum(1 for _ in parts.reader.files))
        telemetry.budget_bytes.set(parts.budget.limit_bytes)
        telemetry.budget_used_bytes.set_function(lambda: parts.budget.used_bytes)
        telemetry.backpressure_active.set_function(lambda: float(parts.budget.has_waiters))
        telemetry.send_slots.set_function(lambda: parts.shipper.slots.limit)
        telemetry.send_slots_used.set_function(lambda: parts.shipper.slots.used)
        telemetry.checkpoint_age.set_function(
            lambda: 0.0 if self._saved_at is None else time.monotonic() - self._saved_at
        )
        telemetry.falco_silent_seconds.set_function(lambda: parts.silence.silent_seconds(time.monotonic()) or 0.0)
        telemetry.falco_silent.set_function(lambda: float(parts.silence.any_silent))
        for lane in Lane:
            telemetry.lane_records.labels(lane).set_function(partial(self._lane_records, lane))
            telemetry.oldest_unacknowledged.labels(lane).set_function(partial(self._oldest_seconds, lane))

    def _in_flight(self) -> int:
        return self._parts.reader.in_flight

    def _lag_bytes(self) -> int:
        return sum(max(0, file.known_size - file.ledger.committed) for file in self._parts.reader.files)

    def _lag_seconds(self) -> float:
        now = time.monotonic()
        since = [file.ledger.oldest_read_at for file in self._parts.reader.files]
        since += [file.caught_up_at for file in self._parts.reader.files if file.unread]
        return max((now - moment for moment in since if moment is not None), default=0.0)

    def _lane_records(self, lane: Lane) -> int:
        return sum(queue.records for queue in self._parts.shipper.queues if queue.lane is lane)

    def _oldest_seconds(self, lane: Lane) -> float:
        times = [queue.oldest_read_at for queue in self._parts.shipper.queues if queue.lane is lane]
        now = time.monotonic()
        return max((now - moment for moment in times if moment is not None), default=0.0)


def _state(file: TrackedFile) -> str:
    if file.replaced:
        return "truncated"
    if file.deleted:
        return "deleted, still held"
    return "rotated" if file.ended else "open"
