"""Decides, from the heartbeats of two windows of time, the findings about each node, and which need a person. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.fleet.heartbeats import Heartbeat

MISSED_HEARTBEATS: Final = 2.5
"""A node is silent after this many intervals: one heartbeat may be late by the time that a busy stream takes."""

LATE_SECONDS: Final = 300.0
"""A backlog, or a record that CloudWatch has not acknowledged, is a problem when it is older."""

BLIND: Final = frozenset({"none", "elsewhere", "text", "silent"})
"""States of Falco in which its alerts are not read, or are read as text."""


@dataclass(frozen=True, slots=True)
class Finding:
    text: str
    needs_a_person: bool


@dataclass(frozen=True, slots=True)
class Node:
    """One line of the table."""

    last: Heartbeat
    gone: bool
    """It was heard in the window before this one, and not in this one."""
    findings: Sequence[Finding]
    window: Counter[str] = field(default_factory=Counter)
    """How much was read, shipped, … in the window."""

    @property
    def needs_a_person(self) -> bool:
        return any(finding.needs_a_person for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Fleet:
    nodes: Sequence[Node]
    """Nodes with a problem first."""
    missing: int
    """How many nodes fewer are there than expected. A node that has stopped in an orderly way is not there."""
    totals: Counter[str]

    @property
    def needs_a_person(self) -> bool:
        return bool(self.missing) or any(node.needs_a_person for node in self.nodes)


def judged(heartbeats: Iterable[Heartbeat], *, from_ms: int, now_ms: int, expected: int | None = None) -> Fleet:
    """The window begins at `from_ms`; heartbeats before it are those of the window before."""
    by_node: dict[str, list[Heartbeat]] = {}
    for heartbeat in heartbeats:
        by_node.setdefault(heartbeat.node, []).append(heartbeat)
    lasts = {node: max(some, key=lambda one: one.time_ms) for node, some in by_node.items()}
    usual_version = _usual(last.version for last in lasts.values())
    usual_settings = _usual(last.settings for last in lasts.values())
    nodes = [
        _judge(sorted(some, key=lambda one: one.time_ms), from_ms, now_ms, usual_version, usual_settings)
        for some in by_node.values()
    ]
    nodes.sort(key=lambda node: (not node.needs_a_person, not node.findings, node.last.node))
    present = sum(not node.gone and not node.last.leaving for node in nodes)
    totals: Counter[str] = Counter()
    for node in nodes:
        totals.update(node.window)
    return Fleet(nodes, max(0, (expected or 0) - present), totals)


def _judge(some: Sequence[Heartbeat], from_ms: int, now_ms: int, version: str, settings: str) -> Node:
    last = some[-1]
    gone = last.time_ms < from_ms
    window = _growth(some, from_ms)
    findings = [*_silence(last, gone, now_ms)]
    if not gone and not last.leaving:
        findings += _state(last, window)
    if last.version != version and last.version:
        findings.append(Finding(f"version {last.version}, most nodes have {version}", needs_a_person=False))
    if last.settings != settings and last.settings:
        findings.append(Finding(f"settings {last.settings}, most nodes have {settings}", needs_a_person=False))
    return Node(last, gone, findings, window)


def _silence(last: Heartbeat, gone: bool, now_ms: int) -> Iterable[Finding]:
    silent_seconds = (now_ms - last.time_ms) / 1000
    if last.leaving:
        yield Finding("stopped in an orderly way", needs_a_person=False)
    elif gone or silent_seconds > MISSED_HEARTBEATS * last.interval_seconds:
        yield Finding("silent: no heartbeat, and the agent did not say that it stops", needs_a_person=True)


def _state(last: Heartbeat, window: Counter[str]) -> Iterable[Finding]:
    if last.falco_state in BLIND:
        yield Finding(f"Falco: {last.falco_state}", needs_a_person=True)
    for name, text in (
        ("gaps", "gaps: bytes of alerts were lost"),
        ("rejected", "records were rejected by CloudWatch"),
        ("syscall_drops", "system calls that Falco missed"),
        ("defects", "unforeseen exceptions"),
    ):
        if window[name]:
            yield Finding(f"{window[name]:,} {text}", needs_a_person=True)
    if last.warnings:
        yield Finding(f"warnings: {', '.join(last.warnings)}", needs_a_person=True)
    if last.unacknowledged_seconds > LATE_SECONDS:
        yield Finding(f"unacknowledged for {last.unacknowledged_seconds:,.0f} s", needs_a_person=True)
    elif last.lag_seconds > LATE_SECONDS:
        yield Finding(f"{last.lag_seconds:,.0f} s behind", needs_a_person=True)


_TOTALS: Final[dict[str, Callable[[Heartbeat], int]]] = {
    "read": lambda one: one.read,
    "shipped": lambda one: one.shipped,
    "filtered": lambda one: one.filtered,
    "rejected": lambda one: one.rejected,
    "gaps": lambda one: one.gaps,
    "syscall_drops": lambda one: one.syscall_drops,
    "defects": lambda one: one.defects,
}


def _growth(some: Sequence[Heartbeat], from_ms: int) -> Counter[str]:
    """How much each total has grown in the window. Totals begin at 0 when the agent starts."""
    growth: Counter[str] = Counter()
    known: Heartbeat | None = None
    for one in some:
        if one.time_ms >= from_ms:
            for name, total in _TOTALS.items():
                growth[name] += _grown(known, one, total, from_ms)
        known = one
    return +growth


def _grown(known: Heartbeat | None, one: Heartbeat, total: Callable[[Heartbeat], int], from_ms: int) -> int:
    if known is None:
        # The first heartbeat there is. Without the one before, only a start within the window says what is new.
        return total(one) if one.started_ms >= from_ms else 0
    restarted = known.started_ms != one.started_ms or total(one) < total(known)
    return total(one) if restarted else total(one) - total(known)


def _usual(values: Iterable[str]) -> str:
    counted = Counter(value for value in values if value)
    return counted.most_common(1)[0][0] if counted else ""
