"""Audits the events that a scenario has stored, in two ways that have to agree.

The first way is `agent.audit`, which users run. The second is the verifier that was written from docs/proof.md alone.
"""

from collections.abc import Collection
from pathlib import Path

from agent.audit.history import RawEvent
from agent.audit.kinds import Kind, Weight
from agent.local.emulator import EmbeddedCloudWatch
from tests.audit.audited import audited, kinds, problems
from tests.proof.reference import problems as problems_of_the_reference

MOST_SHOWN = 5


def audit_group(
    stored: EmbeddedCloudWatch, group: str, *, running: bool = False, expected: Collection[Kind] = ()
) -> list[str]:
    """Why the events of a group are not proved, and where the two verifiers disagree; empty if all is proved.

    `running`: the agent was killed at the end, so its newest events have no seal. `expected`: problems that the
    scenario causes on purpose; the audit has to find at least one of them.
    """
    events = [RawEvent(one.stream, one.timestamp, one.ingested, one.message) for one in stored.events(group)]
    if not events:
        return []
    result = audited(events, max(event.ingested_ms for event in events))
    found = problems(result)
    if expected:
        unexpected = kinds(result) - set(expected)
        lines = [] if set(found) & set(expected) else [f"audit: found none of {[kind.title for kind in expected]}"]
        return lines + [f"audit: {kind.title}: {found[kind][0]}" for kind in unexpected if kind in found]
    by_reference = problems_of_the_reference([event.message.decode() for event in events], running=running)
    lines = [f"audit: {kind.title}: {', '.join(places[:MOST_SHOWN])}" for kind, places in found.items()]
    lines += [f"reference: {problem}" for problem in by_reference[:MOST_SHOWN]]
    if bool(found) != bool(by_reference):
        lines.append(f"the audit and the reference disagree: {len(found)} and {len(by_reference)} problems")
    if not running and not lines and result.weight is not Weight.NOTE:
        lines.append(f"audit: {result.verdict} {sorted(kind.title for kind in kinds(result))}")
    return lines


async def audit_stored(place: Path, *, expected: Collection[Kind] = ()) -> list[str]:
    """Audit every group that a scenario has stored below `place`. The embedded CloudWatch must have ended."""
    found = []
    for data in sorted(place.rglob("cloudwatch")):
        async with EmbeddedCloudWatch(data) as stored:
            for group in stored.groups():
                found += audit_group(stored, group, running=True, expected=expected)
    return found
