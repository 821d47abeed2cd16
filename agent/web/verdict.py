"""Judges a report: one headline for the operator, and a finding with its remedy for each problem.

Lost data comes first, then late alerts, then conditions that may lead to either. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from agent.web.figures import count, duration, plural, share, size
from agent.web.report import Probe, Report

LATE_SECONDS = 60.0
"""An alert that waits longer is late. Lingering, a few retries and a busy quota take less than ten seconds."""


class Level(StrEnum):
    CALM = "calm"
    ATTENTION = "attention"
    TROUBLE = "trouble"


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Verdict:
    level: Level
    headline: str
    explanation: str
    findings: Sequence[Finding]


def judge(report: Report, probes: Sequence[Probe] = ()) -> Verdict:
    """The verdict on a report. Failed probes are findings, too."""
    losses = list(_losses(report))
    failures = list(_failed(probes))
    delays = list(_delays(report))
    hints = [*_degraded(probes), *_hints(report)]
    findings = sorted([*losses, *failures, *delays, *hints], key=lambda finding: finding.level is not Level.TROUBLE)
    level = _worst(findings)
    if losses:
        headline = "Log data was lost" if report.books.balanced else "Not every record is accounted for"
    elif _worst(delays) is Level.TROUBLE:
        headline = "Nothing is lost, but CloudWatch accepts no alerts"
    elif failures:
        headline = "Nothing is lost, but a check failed"
    elif delays:
        headline = "Nothing is lost, but alerts are late"
    else:
        headline = "Nothing is lost"
    return Verdict(level, headline, _explanation(report), findings)


def _losses(report: Report) -> Iterator[Finding]:
    if not report.books.balanced:
        missing = report.books.unaccounted
        yield Finding(
            Level.TROUBLE,
            f"{plural(abs(missing), 'record')} {'not accounted for' if missing > 0 else 'counted twice'}.",
            "This is a defect of the agent. Please report it together with the content of /status.",
        )
    if report.gap_bytes or report.gaps:
        yield Finding(
            Level.TROUBLE,
            f"{size(report.gap_bytes)} of log were deleted before the agent could read them.",
            "The gap events in the log group name the files. To keep logs longer, raise kubelet's containerLogMaxSize "
            "and containerLogMaxFiles; with Docker, max-size and max-file.",
        )


def _failed(probes: Sequence[Probe]) -> Iterator[Finding]:
    # The same probe may be in health and in readiness.
    for name, detail in dict.fromkeys((probe.name, probe.detail) for probe in probes if not probe.ok):
        yield Finding(Level.TROUBLE, f"The check {name} failed.", detail)


def _degraded(probes: Sequence[Probe]) -> Iterator[Finding]:
    degraded = ((probe.name, probe.detail) for probe in probes if probe.ok and probe.degraded)
    for name, detail in dict.fromkeys(degraded):
        yield Finding(Level.ATTENTION, f"{name} works less well than it should.", detail)


def _delays(report: Report) -> Iterator[Finding]:
    late = [lane for lane in report.lanes if lane.oldest_seconds >= LATE_SECONDS]
    for lane in late:
        quiet = report.last_acknowledged_at is None or report.now - report.last_acknowledged_at >= LATE_SECONDS
        yield Finding(
            Level.TROUBLE if quiet else Level.ATTENTION,
            f"The oldest record of the {lane.name} lane has waited {duration(lane.oldest_seconds)} for CloudWatch; "
            f"{plural(lane.waiting, 'record waits', 'records wait')}.",
            "The reason is in the agent's log. Also run falcowatch check on this node.",
        )
    if report.lag_seconds >= LATE_SECONDS and not late:
        yield Finding(
            Level.ATTENTION,
            f"The oldest record that CloudWatch has not acknowledged is {duration(report.lag_seconds)} old; "
            f"{size(report.lag_bytes)} of log are not yet acknowledged.",
            "This is normal after an outage, while the agent catches up. The number of bytes should fall.",
        )


def _hints(report: Report) -> Iterator[Finding]:
    if report.falco.silent:
        yield Finding(
            Level.ATTENTION,
            f"Falco has written nothing for {duration(report.falco.silent_seconds or 0)}.",
            "Check that Falco's pod on this node is running: kubectl -n falco get pods -o wide; kubectl -n falco logs.",
        )
    if report.falco.syscall_drops:
        yield Finding(
            Level.ATTENTION,
            f"Falco missed {plural(report.falco.syscall_drops, 'system call')} because its buffers were full.",
            "Raise engine.modern_ebpf.buf_size_preset in Falco's chart values, or give its pod more CPU.",
        )
    if report.backpressure:
        yield Finding(
            Level.ATTENTION,
            f"Reading waits, because {size(report.budget_used_bytes)} of the memory budget of "
            f"{size(report.budget_bytes)} are in use.",
            "CloudWatch accepts alerts more slowly than Falco writes them; the log files hold the rest. If requests "
            "are throttled, ask AWS for a higher PutLogEvents quota; otherwise raise memory_budget_bytes.",
        )
    if dead_letters := sum(report.dead_letters.values()):
        reasons = ", ".join(
            f"{count(number)} {reason.replace('_', ' ')}" for reason, number in report.dead_letters.items()
        )
        yield Finding(
            Level.ATTENTION,
            f"{plural(dead_letters, 'record')} could not be delivered and became dead letters: {reasons}.",
            "Their bytes are kept in the state directory. To see them, run falcowatch dead-letters list.",
        )


def _explanation(report: Report) -> str:
    books = report.books
    if not books.read:
        return "No record has been read yet."
    if not books.balanced:
        return f"{plural(books.read, 'record')} read; the numbers below do not add up to this number."
    in_flight = count(books.in_flight) if books.in_flight else "none"
    accounted = "Every record that was read is accounted for" if report.gap_bytes else "Every record is accounted for"
    shipped = f"{share(books.shipped, books.read)} shipped, {in_flight} in flight"
    return f"{plural(books.read, 'record')} read, {shipped}. {accounted}."


def _worst(findings: Sequence[Finding]) -> Level:
    if any(finding.level is Level.TROUBLE for finding in findings):
        return Level.TROUBLE
    return Level.ATTENTION if findings else Level.CALM
