"""Audits events as the command does, without the command: the store on disk, and every node."""

from collections.abc import Iterable

from agent.audit.heads import Heads
from agent.audit.history import RawEvent
from agent.audit.kinds import Kind, Weight
from agent.audit.report import AuditResult
from agent.audit.store import Store
from agent.audit.verify import Macs, audit_node


def audited(
    events: Iterable[RawEvent],
    until_ms: int,
    *,
    macs: Macs | None = None,
    heads: Heads | None = None,
    from_ms: int | None = None,
) -> AuditResult:
    with Store(seals_from_ms=from_ms or 0) as store:
        store.add(event for event in events if from_ms is None or event.time_ms >= from_ms)
        if heads is not None:
            store.expect_nodes(heads.nodes)
        store.complete()
        nodes = [
            audit_node(history, until_ms, macs=macs, heads=heads, seals_from_ms=from_ms or 0)
            for history in store.nodes()
        ]
        return AuditResult(["test"], from_ms, until_ms, nodes, store.events, store.other_events)


def problems(result: AuditResult) -> dict[Kind, list[str]]:
    """The problems that were found: kind → where."""
    found: dict[Kind, list[str]] = {}
    for node in result.nodes:
        for finding in node.findings:
            if finding.kind.weight is Weight.PROBLEM:
                found.setdefault(finding.kind, []).append(finding.where)
    return found


def kinds(result: AuditResult) -> set[Kind]:
    return {kind for node in result.nodes for kind in node.findings.counts}


def shown(result: AuditResult) -> list[str]:
    """For the message of a failed test."""
    return [f"{one.kind.title}: {one.where}: {one.detail}" for node in result.nodes for one in node.findings]
