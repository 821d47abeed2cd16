"""The proof at the end of a scenario: written records and announced gaps are compared with the events that arrived."""

import asyncio
import time
from collections import Counter

import orjson

from agent.local.emulator import EmbeddedCloudWatch
from tests.faults.audit import audit_group
from tests.faults.node import PATIENCE_SECONDS, Node
from tests.faults.scenario import ANSWER_IS_LOST
from tests.faults.writers import LEAVES_NO_TRACE

QUIET_SECONDS = 2.5
"""More than two scans, so that the agent has found all files that exist."""


async def settled(node: Node) -> float:
    """Wait until everything is read and shipped for `QUIET_SECONDS`. Returns the monotonic time when that began."""
    quiet_since = time.monotonic()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while time.monotonic() - quiet_since < QUIET_SECONDS:
            await asyncio.sleep(0.2)
            counts = await node.metrics()
            balance = sum(counts.get(f"records_{fate}_total", 0) for fate in ("shipped", "filtered", "rejected"))
            balance += counts["records_in_flight"]
            if counts["records_read_total"] != balance:
                node.outcome.problems.append(
                    f"counters: read {counts['records_read_total']:.0f}, accounted {balance:.0f}"
                )
            if counts["records_in_flight"] or counts["lag_bytes"]:
                quiet_since = time.monotonic()
    return quiet_since


async def prove(node: Node) -> None:
    """Compare written records and gaps with the events that arrived. Adds to the outcome's counts and problems."""
    outcome, scenario = node.outcome, node.scenario
    outcome.written = node.writer.written
    arrived: Counter[int] = Counter()
    owner: dict[str, int] = {}
    sizes: dict[int, int] = {}
    async with EmbeddedCloudWatch(node.place / "cloudwatch") as arrivals:
        outcome.problems += audit_group(arrivals, "falco")
        for event in arrivals.events("falco"):
            entry = orjson.loads(event.message)
            if entry.get("rule") == "Falcowatch: gap":
                outcome.gaps += 1
                outcome.gap_bytes += entry["output_fields"]["bytes"]
            fields = entry.get("output_fields", {})
            if "evt.n" in fields:
                number = fields["evt.n"]
                arrived[number] += 1
                sizes[number] = len(event.message)
                if owner.setdefault(entry["falcowatch"]["id"], number) != number:
                    outcome.problems.append(f"id {entry['falcowatch']['id']} belongs to two records")
    outcome.lost = [number for number in range(outcome.written) if not arrived[number]]
    outcome.duplicated = sum(count - 1 for count in arrived.values())
    outcome.duplicated_bytes = sum((count - 1) * sizes[number] for number, count in arrived.items())
    if unknown := set(arrived) - set(range(outcome.written)):
        outcome.problems.append(f"arrived, but never written: {sorted(unknown)[:5]}")
    if outcome.lost and not (scenario.may_lose and (outcome.gaps or scenario.writer in LEAVES_NO_TRACE)):
        outcome.problems.append(f"lost without a gap event: {len(outcome.lost)}, first {outcome.lost[:5]}")
    if outcome.gaps and not scenario.may_lose:
        outcome.problems.append(f"false gap of {outcome.gap_bytes} bytes: nothing was deleted")
    resends = scenario.kills or scenario.terminations or ANSWER_IS_LOST & set(scenario.cloudwatch_faults)
    if outcome.duplicated and not resends:
        outcome.problems.append(f"sent twice without a fault that explains it: {outcome.duplicated}")
