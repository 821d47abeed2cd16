"""Judges a report: one headline for the operator, and a finding with its remedy for each problem.

The headline is that of the worst finding. Lost data comes first, then a node that is blind, then late alerts, then
conditions that may lead to any of these. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from agent.web.figures import count, duration, plural, share, size
from agent.web.findings import FALCO_PROBE, blindness, falco_hints, worst
from agent.web.findings import Finding as Finding
from agent.web.findings import Level as Level
from agent.web.report import Probe, Report

LATE_SECONDS = 60.0
"""An alert that waits longer is late. Lingering, a few retries and a busy quota take less than ten seconds."""


HEADLINES: Final = {
    "read": "The log files cannot be read",
    "checkpoint": "Progress cannot be saved",
    "credentials": "AWS refuses the credentials",
    "event-loop": "The agent does not respond in time",
    "pipeline": "Records do not move",
    "descriptors": "Log files wait for a file descriptor",
    "enrichment": "Pod metadata cannot be read",
    "dead-letters": "Rejected records cannot be kept",
}
"""The problem behind a failed check, in a few words."""


class Verdict(Struct, frozen=True):
    level: Level
    headline: str
    explanation: str
    findings: Sequence[Finding]


def judge(report: Report, probes: Sequence[Probe] = ()) -> Verdict:
    """The verdict on a report. Failed probes are findings, too."""
    unsorted = (
        *_losses(report),
        *blindness(report.falco),
        *_delays(report),
        *_failed(probes),
        *falco_hints(report.falco),
        *_hints(report),
    )
    findings = sorted(unsorted, key=lambda finding: finding.level is not Level.TROUBLE)
    headline = findings[0].headline if findings else "Nothing is lost"
    return Verdict(worst(findings), headline, _explanation(report), findings)


def _losses(report: Report) -> Iterator[Finding]:
    if not report.books.balanced:
        missing = report.books.unaccounted
        yield Finding(
            Level.TROUBLE,
            f"{plural(abs(missing), 'record')} {'not accounted for' if missing > 0 else 'counted twice'}.",
            "This is a defect of the agent. Please report it together with the content of /status.",
            "Not every record is accounted for",
        )
    if report.gap_bytes or report.gaps:
        yield Finding(
            Level.TROUBLE,
            f"{size(report.gap_bytes)} of log were deleted before the agent could read them.",
            "The gap events in the log group name the files. To keep logs longer, raise kubelet's containerLogMaxSize "
            "and containerLogMaxFiles; with Docker, max-size and max-file.",
            "Log data was lost",
        )


def _failed(probes: Sequence[Probe]) -> Iterator[Finding]:
    # The same probe may be in health and in readiness.
    for probe in dict.fromkeys(probe for probe in probes if not probe.ok and probe.name != FALCO_PROBE):
        level = Level.TROUBLE if probe.required else Level.ATTENTION
        what = f"The check {probe.name} failed"
        yield Finding(level, f"{what}.", probe.detail, HEADLINES.get(probe.name, what))


def _delays(report: Report) -> Iterator[Finding]:
    late = [lane for lane in report.lanes if lane.oldest_seconds >= LATE_SECONDS]
    for lane in late:
        quiet = report.last_acknowledged_at is None or report.now - report.last_acknowledged_at >= LATE_SECONDS
        yield Finding(
            Level.TROUBLE if quiet else Level.ATTENTION,
            f"The oldest record of the {lane.name} lane has waited {duration(lane.oldest_seconds)} for CloudWatch; "
            f"{plural(lane.waiting, 'record waits', 'records wait')}.",
            "The reason is in the agent's log. Also run falcowatch check on this node.",
            "CloudWatch accepts no alerts" if quiet else "Alerts are late",
        )
    if report.lag_seconds >= LATE_SECONDS and not late:
        yield Finding(
            Level.ATTENTION,
            f"The oldest record that CloudWatch has not acknowledged is {duration(report.lag_seconds)} old; "
            f"{size(report.lag_bytes)} of log are not yet acknowledged.",
            "This is normal after an outage, while the agent catches up. The number of bytes should fall.",
            "Alerts are late",
        )


def _hints(report: Report) -> Iterator[Finding]:
    if report.backpressure:
        yield Finding(
            Level.ATTENTION,
            f"Reading waits, because {size(report.budget_used_bytes)} of the memory budget of "
            f"{size(report.budget_bytes)} are in use.",
            "CloudWatch accepts alerts more slowly than Falco writes them; the log files hold the rest. If requests "
            "are throttled, ask AWS for a higher PutLogEvents quota; otherwise raise memory_budget_bytes.",
            "Reading waits for CloudWatch",
        )
    if dead_letters := sum(report.dead_letters.values()):
        reasons = ", ".join(
            f"{count(number)} {reason.replace('_', ' ')}" for reason, number in report.dead_letters.items()
        )
        yield Finding(
            Level.ATTENTION,
            f"{plural(dead_letters, 'record')} could not be delivered and became dead letters: {reasons}.",
            "Their bytes are kept in the state directory. To see them, run falcowatch dead-letters list.",
            f"{plural(dead_letters, 'record')} became dead letters",
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
