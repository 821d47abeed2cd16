"""Every Critical event that an agent really ships about itself raises one alarm of the stack; forged copies raise none.

A whole agent runs on real log files, and the embedded CloudWatch receives what it ships and evaluates the stack's
filters. Time is passed to the parts that watch Falco and enrichment.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from agent.app import Agent
from agent.core.dead_letter import dead_letter
from agent.core.values import Destination
from agent.local.emulator import EmbeddedCloudWatch
from agent.local.emulator.insights import run_query
from agent.selfmonitor.enrichment_watch import DOWN_SECONDS
from agent.selfmonitor.liveness import REPLACED_WITHIN_SECONDS
from agent.tail.types import Gap
from tests.deploy.cloudformation import Stack
from tests.deploy.test_aws_queries import QUERIES
from tests.deploy.test_aws_stack import STACK, metrics_of
from tests.process.driver import append, container, cri, recent
from tests.selfmonitor.whole_agent import aws_environment, built, running, until

GROUP = "/falco/here"
KINDS = {
    "Falco restarted": "FalcoTrouble",
    "Falco is silent": "FalcoTrouble",
    "Falco vanished": "FalcoTrouble",
    "Falco is not read": "FalcoTrouble",
    "gap": "Gap",
    "dead letter lost": "AgentTrouble",
    "enrichment down": "AgentTrouble",
}
"""Each Critical event of an agent about itself, and the metric of the stack that counts it."""


def forged(kind: str) -> bytes:
    """An own event of that kind as somebody would write it into Falco's log."""
    return orjson.dumps(
        {
            "hostname": "node-a",
            "output": "forged",
            "output_fields": {},
            "priority": "Critical",
            "rule": f"Falcowatch: {kind}",
            "source": "falcowatch",
            "time": recent(),
            "falcowatch": {"id": f"self:{kind}:1", "node": "node-b"},
        }
    )


async def shipped(place: Path) -> list[Any]:
    """What CloudWatch receives of one agent to which everything happens, beside forged copies of its events."""
    logs = container(place)
    append(logs / "0.log", *(cri(forged(kind)) for kind in KINDS))
    async with (
        EmbeddedCloudWatch(data_dir=place / "cloudwatch") as cloudwatch,
        built(place, cloudwatch.url, tail={"root": place / "pods", "scan_seconds": 0.02}) as agent,
        running(agent.parts.reader.run(), agent.parts.shipper.run()),
    ):
        await until(lambda: agent.parts.telemetry.total("records_shipped_total") == len(KINDS))
        began = time.monotonic()
        agent.parts.falco_watch.look(began)
        append(logs / "1.log", cri(b"Mon Nov 23 07:53:51 2026: Falco version: 0.44.1 (x86_64)"))
        await until(lambda: agent.parts.telemetry.total("records_shipped_total") == len(KINDS) + 1)
        agent.parts.falco_watch.look(began + 5)
        agent.parts.falco_watch.look(began + 1000)
        for log in logs.iterdir():
            log.unlink()
        logs.rmdir()
        logs.parent.rmdir()
        await until(lambda: not list(agent.parts.reader.sightings))
        for later in (1010, 1020 + REPLACED_WITHIN_SECONDS, 2000):
            agent.parts.falco_watch.look(began + later)
        trouble_of_the_agent(agent)
        await until(lambda: len(own_events(cloudwatch)) >= len(KINDS))
        return list(cloudwatch.events(GROUP))


def trouble_of_the_agent(agent: Agent) -> None:
    parts = agent.parts
    parts.gaps.announce(Gap("f00", "/var/log/pods/0.log", 10, 90, "deleted"))
    assert parts.dead_letters.announce is not None
    parts.dead_letters.announce(
        dead_letter(
            b"{}",
            reason="too_old",
            file="f00",
            offset=7,
            destination=Destination(GROUP, "node-a"),
            timestamp_ms=0,
            now=datetime.now(UTC),
        )
    )
    enrichment = replace(parts.enrichment_watch, problem=lambda: "the API server answers 403")
    enrichment.look(0.0)
    enrichment.look(DOWN_SECONDS)


def own_events(cloudwatch: EmbeddedCloudWatch) -> list[dict[str, Any]]:
    events = [orjson.loads(event.message) for event in cloudwatch.events(GROUP)]
    return [event for event in events if str(event.get("rule", "")).startswith("Falcowatch: ")]


async def test_each_critical_own_event_counts_in_one_metric_and_a_forged_one_in_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_environment(monkeypatch, tmp_path)
    stack = Stack(STACK, AgentIdentity="none")

    stored = await shipped(tmp_path)

    events = [orjson.loads(event.message) for event in stored]
    own = {event["rule"].removeprefix("Falcowatch: "): event for event in events if event.get("source") == "falcowatch"}
    assert {kind: metrics_of(stack, event) for kind, event in own.items()} == {
        kind: {metric} for kind, metric in KINDS.items()
    }
    assert {event["priority"] for event in own.values()} == {"Critical"}
    forgeries = [event for event in events if "forged" in str(event.get("log"))]
    assert len(forgeries) == len(KINDS)
    assert [metrics_of(stack, event) for event in forgeries] == [set()] * len(KINDS)

    distress = run_query(QUERIES["Falco/eks-managed-cluster/Falco and agent in distress"], stored)
    assert {row["rule"] for row in distress} == {f"Falcowatch: {kind}" for kind in KINDS}
    for name in ("alarm AnyAlertLogAlarm", "alarm UrgentLogAlarm", "alarm NodeSilentLogAlarm"):
        assert run_query(QUERIES[name], stored) == [], name


def test_every_critical_own_event_that_the_guide_lists_is_tested_here() -> None:
    guide = (STACK.parents[2] / "docs/events.md").read_text()

    assert set(re.findall(r"^\| \[`Falcowatch: ([^`]+)`\]\S+ \| Critical \|", guide, re.MULTILINE)) == KINDS.keys()
