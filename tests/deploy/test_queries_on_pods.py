"""Saved queries and queries for Fluent Bit have the same rows with the default metadata as with all metadata.

Two agents ship the same captured alerts about pods, one with the default settings and one with every field and label.
The embedded CloudWatch stores what they ship and runs the queries.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from agent.app import run_agent
from agent.core.pod_metadata import DEFAULT_FIELDS, DEFAULT_LABELS, FIELDS, selected
from agent.enrich.fragment import pod_fragment
from agent.enrich.pod import Selection, decode_pod
from agent.local.emulator import EmbeddedCloudWatch
from agent.local.emulator.insights import Row, run_query
from agent.local.emulator.store import StoredEvent
from agent.local.player import Player, captured_alerts
from agent.settings import Settings
from tests.deploy.agent_at_work import GROUP, made_up_credentials
from tests.deploy.test_aws_queries import QUERIES
from tools.appended import CONTAINER_ID, FALCOWATCH, POD, appended_keys

PAGE = Path(__file__).parents[2] / "docs/appended.md"
ALERTS = 3 * len(captured_alerts())
NODE, CLUSTER = "ip-10-0-1-7", "eks-managed-cluster"

OF_FLUENT_BIT = {
    "namespace_name",
    "pod_name",
    "pod_id",
    "host",
    "container_name",
    "container_image",
    "labels.team",
    "labels.app.kubernetes.io/name",
}
"""Fluent Bit's kubernetes filter gives these names (manual of Fluent Bit, read 2026-11)."""

FLUENT_BIT_QUERIES = re.findall(r"^```\n((?:fields|filter) .*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)

SAVED = {name: query for name, query in QUERIES.items() if not re.search(r"\bnow\(\)", query)}
"""Without the alarms that select by the time of arrival: it differs between the two agents."""

NOT_COMPARED = {"@message", "@ingestionTime", "dollars", "kubernetes.labels.pod-template-hash"}
NOT_COMPARED |= {f"kubernetes.{field}" for field in set(FIELDS) - selected(FIELDS, DEFAULT_FIELDS)}
"""A query that names no columns returns all fields of an event."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """What an agent shipped, and its own metrics after that."""

    events: list[StoredEvent]
    metrics: str

    @property
    def alerts(self) -> list[StoredEvent]:
        """Without the heartbeats, whose times and counts differ between two agents."""
        return [event for event in self.events if b'"source":"falcowatch"' not in event.message]


@dataclass(frozen=True, slots=True)
class Both:
    everything: Shipped
    """With every field and label."""
    default: Shipped


async def ship(folder: Path, logs: Path, **enrich: Any) -> Shipped:
    with as_file(files("agent.local") / "data/pods.json") as pods:
        async with EmbeddedCloudWatch(data_dir=folder / "cloudwatch") as cloudwatch, asyncio.timeout(60):
            settings = Settings.model_validate(
                {
                    "node_name": NODE,
                    "cluster_name": CLUSTER,
                    "state_dir": folder / "state",
                    "tail": {"root": logs},
                    "enrich": {"file": pods, **enrich},
                    "http": {"host": "127.0.0.1", "port": 0},
                    "cloudwatch": {"region": "ap-south-1", "endpoint_url": cloudwatch.url},
                }
            )
            stop = asyncio.Event()
            listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as http:
                tasks.create_task(run_agent(settings, stop, listening=listening.set_result))
                # The heartbeat and all alerts.
                await cloudwatch.until(lambda: cloudwatch.count(GROUP) > ALERTS)
                async with http.get(f"http://127.0.0.1:{await listening}/metrics") as answer:
                    metrics = await answer.text()
                stop.set()
            return Shipped([*cloudwatch.events(GROUP)], metrics)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("queries")
    player = Player(folder / "pods")
    player.play(ALERTS)
    player.close()
    with pytest.MonkeyPatch.context() as monkeypatch:
        made_up_credentials(monkeypatch)
        return Both(
            asyncio.run(ship(folder / "everything", folder / "pods", fields=["*"], labels=["*"])),
            asyncio.run(ship(folder / "default", folder / "pods")),
        )


def rows(query: str, events: list[StoredEvent]) -> list[bytes]:
    """All rows of a query, in one order: rows that a query sorts as equal can have any order."""
    found = run_query(without_limit(query), events)
    compared = [{name: value for name, value in row.items() if name not in NOT_COMPARED} for row in found]
    return sorted(orjson.dumps(row, option=orjson.OPT_SORT_KEYS) for row in compared)


def without_limit(query: str) -> str:
    return re.sub(r"\| limit \d+", "", query)


def number(row: Row, name: str) -> float:
    return float(str(row[name]))


@pytest.mark.parametrize("name", sorted(SAVED))
def test_a_saved_query_has_the_same_rows_with_the_default_metadata(name: str, both: Both):
    assert rows(SAVED[name], both.default.alerts) == rows(SAVED[name], both.everything.alerts)
    assert run_query(SAVED[name], both.default.events), "the query finds something"


@pytest.mark.parametrize("query", FLUENT_BIT_QUERIES)
def test_a_documented_query_for_fluent_bit_has_the_same_rows_with_the_default_metadata(query: str, both: Both):
    assert rows(query, both.default.alerts) == rows(query, both.everything.alerts) != []


def test_the_page_has_queries_for_fluent_bit():
    assert len(FLUENT_BIT_QUERIES) >= 4


@pytest.mark.parametrize("name", sorted(OF_FLUENT_BIT))
def test_a_field_of_fluent_bit_can_be_filtered_by_its_name(name: str, both: Both):
    query = f"filter ispresent(`kubernetes.{name}`) | stats count(*) as events by `kubernetes.{name}`"

    assert rows(query, both.default.alerts) == rows(query, both.everything.alerts) != []


def test_the_query_on_cost_states_what_cloudwatch_bills(both: Both):
    query = without_limit(QUERIES["Falco/eks-managed-cluster/what costs money"])

    for shipped in (both.everything, both.default):
        found = run_query(query, shipped.events)

        billed_bytes = sum(len(event.message) + 26 for event in shipped.events)
        assert math.isclose(sum(number(row, "dollars") for row in found), billed_bytes / 1e9 * 0.5, rel_tol=1e-3)
        assert sum(number(row, "events") for row in found) == len(shipped.events)
        images = {row.get("kubernetes.container_image") for row in found}
        assert {"registry.example/nginx2:1.22", None} <= images


def test_the_metric_of_billed_bytes_is_the_sum_over_the_events_of_each_rule(both: Both):
    billed_bytes: Counter[str] = Counter()
    for event in both.default.alerts:
        billed_bytes[orjson.loads(event.message)["rule"]] += len(event.message) + 26

    counted = re.findall(r'^falcowatch_alert_bytes_total\{rule="([^"]+)"\} (\S+)$', both.default.metrics, re.MULTILINE)

    assert {rule: float(value) for rule, value in counted} == billed_bytes


def test_the_agent_appends_at_most_400_bytes_to_an_alert_of_the_demo(both: Both):
    longer_names = 2 * len(NODE) + len(CLUSTER) - 3 * len("demo")
    pods = [event.message for event in both.default.alerts if b',"kubernetes":{' in event.message]

    appended = [len(message) - len(b"}") - message.rfind(b',"kubernetes":{') for message in pods]

    assert max(appended) - longer_names <= 400
    assert len(appended) > ALERTS / 3


@pytest.mark.parametrize("by_default", [True, False])
def test_the_bytes_on_the_page_are_those_of_a_real_event(by_default: bool):
    fields, labels = (DEFAULT_FIELDS, DEFAULT_LABELS) if by_default else (("*",), ("*",))
    pod = decode_pod(orjson.dumps(POD), Selection(labels, []))
    fragment = pod_fragment(pod, pod.containers[0], CONTAINER_ID, wanted=selected(FIELDS, fields)).plain
    end = b',"falcowatch":' + orjson.dumps(FALCOWATCH)

    rows = [row for row in appended_keys() if row.by_default or not by_default]

    assert sum(row.bytes for row in rows) == len(fragment) + len(end)
