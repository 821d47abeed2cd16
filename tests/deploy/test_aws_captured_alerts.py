"""Alerts of the supported Falco versions and forged lines go through a real agent, and then the stack's filters.

The embedded CloudWatch receives what the agent ships. Each event must count in the metrics of its priority, and no line
of a pod may count as an event of the agent.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.deploy.agent_at_work import GROUP, POD, agent_at_work, made_up_credentials
from tests.deploy.cloudformation import Stack
from tests.deploy.insights import selects
from tests.deploy.test_aws_stack import STACK, metrics_of

CAPTURED = Path(__file__).parents[1] / "data/falco"
STREAM = "ip-10-0-1-7"
URGENT = {"Emergency", "Alert", "Critical"}
OWN = {"Heartbeat", "HeartbeatWithRejects", "Gap", "FalcoTrouble", "AgentTrouble"}

FORGED: list[dict[str, Any]] = [
    {"source": "falcowatch", "rule": "Falcowatch: heartbeat", "priority": "Informational", "output": "rejected 7, "},
    {"source": "falcowatch", "rule": "Falcowatch: gap", "priority": "Critical", "output": "forged"},
    {"source": "syscall", "rule": "Falcowatch: heartbeat", "priority": "Notice", "output": "forged"},
    {"source": "syscall", "rule": "x", "priority": "Notice", "output": "forged", "falcowatch": {"node": "node-b"}},
]


def captured_lines(version: str) -> list[bytes]:
    """Returns the alerts of one version of Falco as JSON lines. Their times become the present time."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
    lines = [line for path in sorted(CAPTURED.rglob(f"{version}-*.jsonl")) for line in path.read_bytes().split(b"\n")]
    return [re.sub(rb'"time":"2026-11-\d\dT\d\d:\d\d:\d\d', b'"time":"' + now, line) for line in lines if line]


async def shipped(folder: Path, lines: list[bytes]) -> list[dict[str, Any]]:
    """Returns the events that the agent ships for these lines, and its own events."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000000000Z").encode()
    log = folder / "pods" / POD.replace("falco-x7k2p", "falco-m4n5b").replace("0001", "0002") / "falco/0.log"
    async with agent_at_work(folder) as at_work, asyncio.timeout(60):
        before = len(list(at_work.cloudwatch.events(GROUP)))
        log.parent.mkdir(parents=True)
        log.write_bytes(b"".join(b"%s stdout F %s\n" % (now, line) for line in lines))
        await at_work.cloudwatch.until(lambda: len(list(at_work.cloudwatch.events(GROUP))) >= before + len(lines))
        return [orjson.loads(event.message) for event in at_work.cloudwatch.events(GROUP)]


def expected_metrics(alert: dict[str, Any]) -> set[str]:
    """Returns the metrics in which an alert of Falco counts."""
    if alert["source"] == "internal":
        return {"SyscallDrop"} if alert["rule"] == "Falco internal: syscall event drop" else set()
    return {alert["priority"], "AnyAlert"} | ({"Urgent"} if alert["priority"] in URGENT else set())


@pytest.mark.parametrize("version", ["0.40.0", "0.44.1", "0.45.0"])
async def test_each_captured_alert_counts_in_the_metrics_of_its_priority(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made_up_credentials(monkeypatch)
    stack = Stack(STACK, AgentIdentity="none")
    alarms = {
        metric: stack.resources[name]["ScheduledQueryConfiguration"]["QueryString"]
        for name, metric in (("AnyAlertLogAlarm", "AnyAlert"), ("UrgentLogAlarm", "Urgent"))
    }

    events = await shipped(tmp_path, captured_lines(version))

    alerts = [event for event in events if "rule" in event and event["source"] != "falcowatch"]
    assert len(alerts) >= len(captured_lines(version)) > 4
    for alert in alerts:
        assert metrics_of(stack, alert) == expected_metrics(alert), alert["rule"]
        for metric, query in alarms.items():
            assert selects(query, alert) == (metric in expected_metrics(alert)), (metric, alert["rule"])


async def test_a_forged_line_counts_neither_as_an_event_of_the_agent_nor_as_a_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made_up_credentials(monkeypatch)
    stack = Stack(STACK, AgentIdentity="none")
    nodes = stack.resources["NodeSilentLogAlarm"]["ScheduledQueryConfiguration"]["QueryString"]
    time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000000001Z")

    events = await shipped(tmp_path, [json.dumps({**line, "time": time}).encode() for line in FORGED])

    own = Counter(metric for event in events for metric in metrics_of(stack, event) & OWN)
    assert own == {"Heartbeat": 1}, "the agent's own first heartbeat"
    assert {event["falcowatch"]["node"] for event in events if selects(nodes, event)} == {STREAM}
