"""Checks the history of one node, and returns what the report says about it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from agent.audit.chains import SealedTime, check_chains, check_ending, sealed_time
from agent.audit.files import FileCheck, FileTotals
from agent.audit.findings import Findings
from agent.audit.history import Copy, HeldSeal, NodeHistory, OpenHeartbeat
from agent.audit.kinds import Kind
from agent.web.figures import count, moment, plural


class Macs(Protocol):
    """Checks the codes of seals. `core.proof` and `kms_macs` have the two kinds."""

    def holds(self, seal: HeldSeal, message: bytes) -> bool | None:
        """None: the seal carries no code of this kind."""
        ...


class SealedHeads(Protocol):
    """The seals of a node that Prometheus saw."""

    def check(self, node: str, time: SealedTime, until_ms: int, findings: Findings) -> None: ...


@dataclass(slots=True)
class NodeResult:
    """One line of the report, and its findings."""

    node: str
    findings: Findings
    from_ms: int | None = None
    """The time of the first seal in the data."""
    proved_to_ms: int | None = None
    """The time of the last seal up to which everything is right."""
    seals: int = 0
    seal_copies: int = 0
    events: int = 0
    proved: int = 0
    duplicates: int = 0
    filtered: Mapping[str, int] = field(default_factory=dict)
    rejected: int = 0
    gaps: int = 0
    gap_bytes: int = 0


def audit_node(
    history: NodeHistory,
    until_ms: int,
    *,
    macs: Macs | None = None,
    heads: SealedHeads | None = None,
    seals_from_ms: int = 0,
    advance: Callable[[int], None] = lambda events: None,
) -> NodeResult:
    """`until_ms`: the time at which the data ends. `seals_from_ms`: older seals are not in the data.

    `advance` is told of each few thousand events that were read.
    """
    findings = Findings(history.node)
    seals = history.seals()
    time = sealed_time(seals)
    if seals:
        check_chains(seals, findings, has_key=macs is not None)
        check_ending(time, until_ms, findings)
        _check_macs(history, seals, macs, findings)
    if heads is not None:
        heads.check(history.node, time, until_ms, findings)
    _check_heartbeats(history, time, until_ms, findings)
    for odd in history.odd():
        findings.add(
            Kind.ID_MALFORMED, odd.why, plural(odd.number, "event"), stream=odd.stream, at_ms=odd.time_ms,
            count=odd.number,
        )  # fmt: skip
    result = _check_files(history, time, until_ms, findings, advance)
    if not seals:
        _report_no_seals(history, result, time, until_ms, seals_from_ms)
    if seals:
        result.from_ms = seals[0].time_ms
        result.proved_to_ms = _proved_to(seals, findings)
    result.seals, result.seal_copies = len(seals), history.seal_copies
    return result


def _check_files(
    history: NodeHistory, time: SealedTime, until_ms: int, findings: Findings, advance: Callable[[int], None]
) -> NodeResult:
    result = NodeResult(history.node, findings)
    filtered: Counter[str] = Counter()
    rejected: set[str] = set()
    for file in history.files():
        totals: FileTotals = FileCheck(history, file, time, until_ms, findings).run(advance)
        result.events += totals.events
        result.proved += totals.proved
        result.duplicates += totals.duplicates
        result.gaps += totals.gaps
        result.gap_bytes += totals.gap_bytes
        filtered.update(totals.filtered)
        rejected |= totals.rejected
    result.filtered, result.rejected = dict(sorted(filtered.items())), len(rejected)
    return result


def _check_macs(history: NodeHistory, seals: list[HeldSeal], macs: Macs | None, findings: Findings) -> None:
    if macs is None:
        if signed := sum(bool(seal.mac) for seal in seals):
            findings.add(Kind.MACS_NOT_CHECKED, plural(signed, "seal"))
        return
    for seal in seals:
        holds = macs.holds(seal, history.message(seal))
        if not holds:
            kind = Kind.MAC_MISSING if holds is None else Kind.MAC_WRONG
            where = f"chain {seal.chain}, seal {count(seal.number)}"
            findings.add(kind, where, f"of {moment(seal.time_ms / 1000)}", stream=seal.stream, at_ms=seal.time_ms)


def _check_heartbeats(history: NodeHistory, time: SealedTime, until_ms: int, findings: Findings) -> None:
    """Heartbeats without a seal that no seal lists."""
    for heartbeat in history.heartbeats():
        kind = Kind.SEAL_UNREADABLE if heartbeat.why else Kind.HEARTBEAT_FORGED
        if not heartbeat.why:
            if not time.seals:
                continue  # an agent without seals: its events are reported
            if heartbeat.seen_ms > time.seals[-1].seen_ms or not time.is_old(heartbeat.seen_ms, until_ms):
                kind = Kind.NOT_SEALED_YET
            elif heartbeat.seen_ms < time.seals[0].started_ms:
                kind = Kind.BEFORE_THE_SEALS
        detail = f"of {moment(heartbeat.time_ms / 1000)}" + (f": {heartbeat.why}" if heartbeat.why else "")
        findings.add(kind, heartbeat.id, detail, stream=heartbeat.stream, at_ms=heartbeat.time_ms)


def _report_no_seals(
    history: NodeHistory, result: NodeResult, time: SealedTime, until_ms: int, seals_from_ms: int
) -> None:
    """All events of the node may be too young to be sealed, or so old that their seals are not in the data. One in
    between makes it a problem.
    """
    events = (copy for file in history.files() for copy in history.copies(file))
    newest: Copy | OpenHeartbeat | None = None
    for one in _either(history.heartbeats(), events):
        if one.seen_ms < seals_from_ms:
            result.findings.add(Kind.BEFORE_THE_DATA, history.node, f"of {_at(one)}", stream=one.stream)
        elif time.is_old(one.seen_ms, until_ms):
            detail = f"{plural(result.events, 'event')} of files"
            result.findings.add(Kind.NO_SEALS, history.node, detail, stream=one.stream, at_ms=one.time_ms)
            return
        else:
            newest = one
    if newest is not None:
        result.findings.add(Kind.NODE_RUNNING, history.node, "no seal has arrived yet", stream=newest.stream)


def _at(one: Copy | OpenHeartbeat) -> str:
    return moment(one.seen_ms / 1000)


def _either(heartbeats: Iterable[OpenHeartbeat], events: Iterable[Copy]) -> Iterator[OpenHeartbeat | Copy]:
    yield from heartbeats
    yield from events


def _proved_to(seals: list[HeldSeal], findings: Findings) -> int | None:
    first_problem = findings.first_problem_ms
    times = [seal.time_ms for seal in seals if first_problem is None or seal.time_ms < first_problem]
    return max(times, default=None)
