"""The state of the agent at one moment: the gauges, the report behind the status page, health and readiness.

This module only reads the other parts, and no other part knows it. Health concerns this process alone: the event loop
runs, and records move. An outage of CloudWatch is no reason to restart a fleet, so it never makes the agent unhealthy.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from agent.core.falco_state import FalcoState
from agent.core.values import Lane
from agent.flow.ticks import next_tick
from agent.parts import Parts
from agent.tail.descriptor_turns import REMEDY
from agent.tail.reader import Reader
from agent.tail.tracked_file import TrackedFile
from agent.web.figures import plural
from agent.web.report import Alert, Books, Enrichment, Falco, FileReport, LaneReport, Probe, Report

STUCK_SECONDS: Final = 60.0
"""While CloudWatch answers, an acknowledgement takes seconds."""

LOOK_SECONDS: Final = 1.0

LATE_SECONDS: Final = 10.0
"""An event loop that is late by this much does not run."""


class Status:
    """Reads the parts: when asked, and once a second to measure how long nothing has moved."""

    def __init__(self, parts: Parts, version: str) -> None:
        self._parts = parts
        self._version = version
        self._started_at = time.time()
        self._idle_at = self._looked_at = time.monotonic()
        self._stuck_seconds = 0.0
        # A hanging put fails after timeout_seconds. Two in a row show that CloudWatch does not answer.
        self._stuck_limit_seconds = max(STUCK_SECONDS, 2 * parts.settings.cloudwatch.timeout_seconds)
        self._saved_at: float | None = None
        self._save_problem: str | None = None
        self._waited_seconds = 0.0
        self._bind_gauges()

    async def run(self) -> None:
        """Looks once a second, until cancelled."""
        while True:
            # Contained here, not by a restart: a pause of the looks would look like an event loop that does not run.
            with self._parts.telemetry.defects.contained("selfmonitor"):
                self.look(time.monotonic())
            await next_tick(LOOK_SECONDS)

    def look(self, now: float) -> None:
        """Measures for how long records wait though no put was acknowledged, refused or timed out."""
        parts, shipper = self._parts, self._parts.shipper
        self._looked_at = now
        waiting = self._in_flight() - parts.duplicates.held_records - parts.pod_wait.records
        if shipper.troubled or not (waiting or parts.budget.has_waiters):
            self._idle_at = now
        answered_at = max(shipper.last_acknowledged_at or 0.0, shipper.last_failed_at or 0.0)
        self._stuck_seconds = now - max(self._idle_at, answered_at)
        waited = parts.budget.waited_seconds
        parts.telemetry.backpressure_seconds.inc(max(0.0, waited - self._waited_seconds))
        self._waited_seconds = waited

    def saved(self, problem: str | None) -> None:
        """The checkpoint was written (None), or why it was not."""
        self._save_problem = problem
        if problem is None:
            self._saved_at = time.monotonic()

    def health(self) -> Sequence[Probe]:
        """For /healthz."""
        late_seconds = time.monotonic() - self._looked_at
        stuck_seconds = self._stuck_seconds
        moves = stuck_seconds < self._stuck_limit_seconds
        return (
            Probe("event-loop", late_seconds < LATE_SECONDS, f"last ran {late_seconds:.1f} s ago"),
            Probe(
                "pipeline",
                moves,
                "moving"
                if moves
                else f"records are in flight, CloudWatch answers, and none was acknowledged for {stuck_seconds:.0f} s",
            ),
        )

    def readiness(self) -> Sequence[Probe]:
        """For /readyz: whether the agent can read, can save its progress, and has credentials; then its warnings."""
        reader, denied = self._parts.reader, self._parts.shipper.denied
        state_dir = self._parts.settings.state_dir
        files = sum(1 for _ in reader.files)
        return (
            Probe("read", reader.looked and reader.problem is None, reader.problem or plural(files, "open log file")),
            Probe("checkpoint", self._save_problem is None, self._save_problem or f"{state_dir} is writable"),
            Probe("credentials", denied is None, denied or "accepted, or not yet refused"),
            *self._falco(),
            *self._warnings(),
        )

    def _warnings(self) -> Iterator[Probe]:
        """What works less well than it should: a finding that does not make the agent unready."""
        dead_letters, defects = self._parts.dead_letters, self._parts.telemetry.defects
        if waiting := self._parts.reader.waiting_files:
            detail = f"{waiting} log files wait for a free file descriptor and are read in turn; {REMEDY}"
            yield Probe("descriptors", False, detail, required=False)
        if (problem := self._parts.enricher.problem) is not None:
            yield Probe("enrichment", False, problem, required=False)
        if lost := dead_letters.lost.total():
            yield Probe(
                "dead-letters",
                False,
                f"{lost} dead letters could not be kept ({dead_letters.problem or 'the disk accepts writes again'})",
                required=False,
            )
        elif dead_letters.problem is not None:
            yield Probe("dead-letters", False, dead_letters.problem, required=False)
        now = time.monotonic()
        for defect in defects.recent:
            yield Probe(
                f"{defect.part}-defects",
                False,
                f"{defect.count} unforeseen exceptions, the last one {now - defect.noted_at:.0f} s ago: "
                f"{defect.reason}; please report it with the traceback in the agent's log",
                required=False,
            )

    def _falco(self) -> Iterator[Probe]:
        """A node without Falco is no reason to take the agent out of service, so this probe is not required."""
        view = self._parts.falco_watch.view
        if view is not None:
            is_fine = not view.is_blind and view.state is not FalcoState.SILENT
            yield Probe("falco", is_fine, f"{view.state.value}: {view.detail}", required=False)

    def books(self) -> Books:
        pipeline, shipper = self._parts.pipeline.counts, self._parts.shipper.counts
        return Books(
            pipeline.read,
            shipper.shipped.total(),
            pipeline.filtered.total(),
            shipper.rejected.total(),
            self._in_flight(),
        )

    def heartbeat_fields(self) -> dict[str, object]:
        """How far this node is behind, and whether its parts work: for `falcowatch fleet`."""
        parts = self._parts
        fields: dict[str, object] = {
            "falcowatch.version": self._version,
            "heartbeat.seconds": parts.settings.heartbeat_seconds,
            "lag.bytes": self._lag_bytes(),
            "lag.seconds": round(self._lag_seconds(), 1),
            "unacknowledged.seconds": round(max(map(self._oldest_seconds, Lane)), 1),
            "falco.syscall_drops": int(parts.notices.syscall_drops),
        }
        # Absent in the ordinary case, as the defects are.
        if warnings := [probe.name for probe in self.readiness() if not probe.ok]:
            fields["warnings"] = warnings
        return fields | parts.falco_watch.heartbeat_fields()

    def report(self) -> Report:
        parts, now = self._parts, time.monotonic()
        counts, shipping = parts.pipeline.counts, parts.shipper.counts
        acknowledged = parts.shipper.last_acknowledged_at
        return Report(
            version=self._version,
            node=parts.settings.node_name,
            cluster=parts.settings.cluster_name,
            group=parts.group,
            started_at=self._started_at,
            now=time.time(),
            books=self.books(),
            lanes=[
                LaneReport(
                    queue.lane,
                    queue.destination.stream,
                    queue.records,
                    0.0 if queue.oldest_read_at is None else now - queue.oldest_read_at,
                    shipping.shipped[queue.lane],
                )
                for queue in parts.shipper.queues
            ],
            files=[
                FileReport(_path(parts.reader, file), file.id, file.known_size, file.ledger.committed, _state(file))
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
            puts=dict(shipping.puts),
            throttled=shipping.throttled,
            last_acknowledged_at=None if acknowledged is None else time.time() - (now - acknowledged),
            gaps=parts.gaps.count,
            gap_bytes=parts.gaps.bytes,
            dead_letters=dict(parts.dead_letters.written),
            filtered=dict(counts.filtered),
            checkpoint_age_seconds=None if self._saved_at is None else now - self._saved_at,
            last_alerts=[Alert(alert.time, alert.priority, alert.rule, alert.pod) for alert in counts.last_alerts],
            falco=Falco(
                silent_seconds=parts.liveness.silent_seconds(now),
                silent=parts.liveness.any_silent,
                versions=self._falco_versions(),
                view=parts.falco_watch.view,
                syscall_drops=int(parts.notices.syscall_drops),
                alerts_by_priority=dict(counts.alerts),
            ),
            enrichment=Enrichment(parts.settings.enrich.mode, parts.enricher.pod_count, dict(counts.enriched)),
        )

    def _bind_gauges(self) -> None:
        """Has the gauges read the parts whenever /metrics is scraped."""
        parts, telemetry = self._parts, self._parts.telemetry
        telemetry.records_in_flight.set_function(self._in_flight)
        telemetry.lag_bytes.set_function(self._lag_bytes)
        telemetry.lag_seconds.set_function(self._lag_seconds)
        telemetry.files_waiting.set_function(lambda: parts.reader.waiting_files)
        telemetry.files_open.set_function(lambda: sum(1 for _ in parts.reader.files))
        telemetry.budget_bytes.set(parts.budget.limit_bytes)
        telemetry.budget_used_bytes.set_function(lambda: parts.budget.used_bytes)
        telemetry.backpressure_active.set_function(lambda: float(parts.budget.has_waiters))
        telemetry.send_slots.set_function(lambda: parts.shipper.slots.limit)
        telemetry.send_slots_used.set_function(lambda: parts.shipper.slots.used)
        telemetry.checkpoint_age.set_function(
            lambda: 0.0 if self._saved_at is None else time.monotonic() - self._saved_at
        )
        telemetry.falco_silent_seconds.set_function(lambda: parts.liveness.silent_seconds(time.monotonic()) or 0.0)
        telemetry.falco_silent.set_function(lambda: float(parts.liveness.any_silent))
        telemetry.records_spilled.set_function(lambda: sum(queue.spilled_records for queue in parts.shipper.queues))
        for lane in Lane:
            telemetry.lane_records.labels(lane).set_function(partial(self._lane_records, lane))
            telemetry.oldest_unacknowledged.labels(lane).set_function(partial(self._oldest_seconds, lane))

    def _falco_versions(self) -> Sequence[str]:
        view, noticed = self._parts.falco_watch.view, self._parts.notices.version
        return (view.versions if view is not None else ()) or ((noticed,) if noticed else ())

    def _in_flight(self) -> int:
        return self._parts.reader.in_flight

    def _lag_bytes(self) -> int:
        reader = self._parts.reader
        unsettled = sum(max(0, file.known_size - file.ledger.committed) for file in reader.files)
        return unsettled + reader.waiting_bytes

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


def _path(reader: Reader, file: TrackedFile) -> str:
    """The name that the file has now: a rotated file does not keep the name of the live one."""
    return f"{file.path} (deleted)" if file.deleted else str(reader.path_of(file))


def _state(file: TrackedFile) -> str:
    if file.replaced:
        return "truncated"
    if file.deleted:
        return "deleted, still held"
    return "rotated" if file.ended else "open"
