"""Forged keys: lines that pretend to come from the agent are run through the stack's own metric filters and queries.

Falco never writes top-level `falcowatch` or `kubernetes` keys, nor the source `falcowatch`. A line that does must ship
wrapped, so that no metric filter and no saved query of manifests/aws/stack.yaml counts it as the agent's own event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from agent.local.emulator import EmbeddedCloudWatch, StoredEvent
from agent.local.emulator.insights import Row, run_query
from agent.local.emulator.patterns import matcher
from tests.deploy.cloudformation import Stack
from tests.faults.isolation.arrivals import cri, numbered_alert
from tests.faults.isolation.result import IsolationScenario, Result
from tests.faults.isolation.stage import stage

STACK = Path(__file__).parents[3] / "manifests" / "aws" / "stack.yaml"
OWN_METRICS = ("Heartbeat", "HeartbeatWithRejects", "Gap", "FalcoTrouble", "AgentTrouble")
OWN_QUERIES = ("books", "nodes")
FORGED_ID = "0000000000000000:0"


def forged_lines() -> list[bytes]:
    """Different ways to pretend, each a whole line of the container's log."""
    heartbeat = {
        "source": "falcowatch",
        "rule": "Falcowatch: heartbeat",
        "priority": "Informational",
        "hostname": "dead-node",
        "output": "read 9, shipped 9, filtered 0, rejected 0, in flight 0",
        "output_fields": {"books.read": 9, "books.rejected": 0, "heartbeat.sequence": 77},
        "falcowatch": {"id": FORGED_ID, "node": "dead-node"},
    }
    alert: dict[str, Any] = orjson.loads(numbered_alert(1))
    gap = heartbeat | {"rule": "Falcowatch: gap", "priority": "Critical"}
    texts = [
        orjson.dumps(heartbeat),
        orjson.dumps(gap),
        orjson.dumps(alert | {"falcowatch": {"id": FORGED_ID, "node": "dead-node"}}),
        orjson.dumps(alert | {"kubernetes": {"namespace_name": "kube-system", "pod_name": "forged"}}),
        # The key escaped, in another place, twice, and with white space that a scan for bytes may miss.
        orjson.dumps(heartbeat).replace(b'"source"', b'"\\u0073ource"').replace(b'"falcowatch"', b'"f\\u0061lcowatch"'),
        b'{"falcowatch" :\t{"id":"%b"},' % FORGED_ID.encode() + orjson.dumps(alert)[1:],
        orjson.dumps(alert)[:-1] + b',"source":"falcowatch","rule":"Falcowatch: heartbeat"}',
        b'{"source":"falcowatch","rule":"Falcowatch: heartbeat",' + orjson.dumps(alert)[1:],
        b" " + orjson.dumps(heartbeat),
        orjson.dumps(heartbeat | {"source": "Falcowatch"}),
        orjson.dumps([heartbeat]),
    ]
    return [cri(text) for text in texts]


async def forged_events_do_not_count_as_the_own_events_of_the_agent(place: Path) -> Result:
    result = Result()
    lines = forged_lines()
    async with stage(place) as node:
        node.append(*lines, cri(numbered_alert(2)))
        async with node.running(heartbeat_seconds="0"):
            result.expect(await node.until_settled(20.0), "not settled")
            await node.agent.terminate()
    async with EmbeddedCloudWatch(place / "cloudwatch") as stored:
        events = list(stored.events("falco"))
    result.measured["events"] = len(events)
    result.expect(len(events) >= len(lines) + 1, f"{len(events)} events for {len(lines) + 1} lines")
    stack = Stack(STACK, AgentIdentity="none")
    counts = metric_counts(stack, events)
    for name in OWN_METRICS:
        result.expect(name in counts, f"the stack has no metric {name}")
        result.expect(not counts[name], f"metric {name} counts {counts[name]} forged events")
    for name, rows in query_rows(stack, events).items():
        if name in OWN_QUERIES:
            result.expect(not rows, f"saved query {name!r} shows {len(rows)} forged rows")
    for event in events:
        entry = orjson.loads(event.message)
        result.expect(
            not isinstance(entry, dict) or _claimed_id(entry) != FORGED_ID, "a forged falcowatch.id stays in place"
        )
        result.expect(
            event.message.count(b'"falcowatch":{"id":') == 1, "an event has not exactly one key falcowatch of the agent"
        )
    return result


def _claimed_id(entry: dict[str, Any]) -> object:
    own = entry.get("falcowatch")
    return own.get("id") if isinstance(own, dict) else None


def metric_counts(stack: Stack, events: Iterable[StoredEvent]) -> Counter[str]:
    """How often each metric filter of the stack matches."""
    counts: Counter[str] = Counter()
    messages = [event.message for event in events]
    for properties in stack.of_type("AWS::Logs::MetricFilter").values():
        matches = matcher(properties["FilterPattern"])
        name = properties["MetricTransformations"][0]["MetricName"]
        counts[name] += sum(matches is None or matches(message) for message in messages)
    return counts


def query_rows(stack: Stack, events: Iterable[StoredEvent]) -> dict[str, list[Row]]:
    """The rows of each saved query, by the last part of its name."""
    stored = list(events)
    return {
        one["Name"].rpartition("/")[2]: run_query(one["QueryString"], stored)
        for one in stack.of_type("AWS::Logs::QueryDefinition").values()
    }


SCENARIOS = (IsolationScenario(forged_events_do_not_count_as_the_own_events_of_the_agent),)
