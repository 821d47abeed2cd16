"""From a report to the one sentence an operator wants, and to what to do about each trouble.

Loss comes first, then lateness, then what may become either. Pure: the same report, the same words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from agent.web.figures import count, duration, plural, share, size
from agent.web.report import Probe, Report

LATE_SECONDS = 60.0
"""Beyond it, alerts are late: an order of magnitude over what linger, retries and a busy quota take."""


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
    """What the report amounts to; failed probes are findings too."""
    losses = list(_losses(report))
    failures = list(_failed(probes))
    delays = list(_delays(report))
    hints = list(_hints(report))
    findings = sorted([*losses, *failures, *delays, *hints], key=lambda finding: finding.level is not Level.TROUBLE)
    level = _worst(findings)
    if losses:
        headline = "Log was deleted before it was read" if report.books.balanced else "The books do not balance"
    elif _worst(delays) is Level.TROUBLE:
        headline = "Nothing is lost, but alerts are not getting through"
    elif failures:
        headline = "Nothing is lost, but a check fails"
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
            "This is a defect of the agent. Please report it, with what /status says.",
        )
    if report.gap_bytes or report.gaps:
        yield Finding(
            Level.TROUBLE,
            f"{size(report.gap_bytes)} of log were deleted before they could be read.",
            "Look for events of kind gap in the log group. Give kubelet more room: containerLogMaxSize and "
            "containerLogMaxFiles; for Docker max-size and max-file.",
        )


def _failed(probes: Sequence[Probe]) -> Iterator[Finding]:
    # The same probe may stand in health and in readiness.
    for name, detail in dict.fromkeys((probe.name, probe.detail) for probe in probes if not probe.ok):
        yield Finding(Level.TROUBLE, f"Probe {name} fails.", detail)


def _delays(report: Report) -> Iterator[Finding]:
    late = [lane for lane in report.lanes if lane.oldest_seconds >= LATE_SECONDS]
    for lane in late:
        quiet = report.last_acknowledged_at is None or report.now - report.last_acknowledged_at >= LATE_SECONDS
        yield Finding(
            Level.TROUBLE if quiet else Level.ATTENTION,
            f"The {lane.name} lane has waited {duration(lane.oldest_seconds)} for CloudWatch to accept its "
            f"oldest record; {plural(lane.waiting, 'record waits', 'records wait')}.",
            "See the outcomes of puts below and the agent's log; run falcowatch check on this node.",
        )
    if report.lag_seconds >= LATE_SECONDS and not late:
        yield Finding(
            Level.ATTENTION,
            f"The oldest unsettled record is {duration(report.lag_seconds)} old; {size(report.lag_bytes)} are unread.",
            "Normal while a backlog is worked off after an outage: watch whether it shrinks.",
        )


def _hints(report: Report) -> Iterator[Finding]:
    if report.falco.silent:
        yield Finding(
            Level.ATTENTION,
            f"Falco has been silent for {duration(report.falco.silent_seconds or 0)}.",
            "Is its pod on this node running? kubectl -n falco get pods -o wide; kubectl -n falco logs.",
        )
    if report.falco.syscall_drops:
        yield Finding(
            Level.ATTENTION,
            f"Falco could not see {plural(report.falco.syscall_drops, 'system call')}: it was too busy.",
            "Raise engine.modern_ebpf.buf_size_preset in Falco's values, or give its pod more CPU.",
        )
    if report.backpressure:
        yield Finding(
            Level.ATTENTION,
            f"Reading waits: {size(report.budget_used_bytes)} are in flight, and the budget is "
            f"{size(report.budget_bytes)}.",
            "CloudWatch takes less than Falco writes; the log files hold the rest. If puts are throttled, ask AWS "
            "for a higher PutLogEvents quota; if not, raise memory_budget_bytes.",
        )
    if letters := sum(report.dead_letters.values()):
        reasons = ", ".join(
            f"{count(number)} {reason.replace('_', ' ')}" for reason, number in report.dead_letters.items()
        )
        yield Finding(
            Level.ATTENTION,
            f"{plural(letters, 'record')} in the dead letters: {reasons}.",
            "CloudWatch does not take them as they are; their bytes are kept: falcowatch dead-letters list.",
        )


def _explanation(report: Report) -> str:
    books = report.books
    if not books.read:
        return "No record has been read yet."
    if not books.balanced:
        return f"{plural(books.read, 'record')} read, and the sums below do not add up to that."
    in_flight = count(books.in_flight) if books.in_flight else "none"
    accounted = "Of those, every one is accounted for" if report.gap_bytes else "Every one is accounted for"
    shipped = f"{share(books.shipped, books.read)} shipped, {in_flight} in flight"
    return f"{plural(books.read, 'record')} read, {shipped}. {accounted}."


def _worst(findings: Sequence[Finding]) -> Level:
    if any(finding.level is Level.TROUBLE for finding in findings):
        return Level.TROUBLE
    return Level.ATTENTION if findings else Level.CALM
