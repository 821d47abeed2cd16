"""Saved queries and queries for Fluent Bit have the same rows with the default metadata as with all metadata.

Two agents ship the same captured alerts about pods, one with the default settings and one with every field and label.
The embedded CloudWatch stores what they ship and runs the queries.
"""

from __future__ import annotations

import asyncio
import re
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

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

Both = tuple[list[StoredEvent], list[StoredEvent]]
"""The events with all metadata, and those with the default settings."""

PAGE = Path(__file__).parents[2] / "docs/appended.md"
ALERTS = 3 * len(captured_alerts())
EVERYTHING = {"fields": ["*"], "labels": ["*"]}
NAMES = {
    "namespace_name",
    "pod_name",
    "pod_id",
    "host",
    "container_name",
    "container_image",
    "labels.team",
    "labels.app.kubernetes.io/name",
}
"""Fluent Bit's kubernetes filter names them so (manual of Fluent Bit 5, read 2026-11)."""

OF_WHOLE_EVENTS = {"@message", "@ingestionTime", "kubernetes.labels.pod-template-hash"}
OF_WHOLE_EVENTS |= {f"kubernetes.{field}" for field in set(FIELDS) - selected(FIELDS, DEFAULT_FIELDS)}

FLUENT_BIT_QUERIES = re.findall(r"^```\n((?:fields|filter) .*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
HAS_NOW = re.compile(r"\bnow\(\)|toMillis")
SAVED = {name: query for name, query in QUERIES.items() if not HAS_NOW.search(query)}
"""Without the alarms that select by the time of arrival: it differs between the two agents."""


async def shipped(folder: Path, logs: Path, **enrich: Any) -> list[StoredEvent]:
    """What an agent ships of these logs."""
    with as_file(files("agent.local") / "data/pods.json") as pods:
        async with EmbeddedCloudWatch(data_dir=folder / "cloudwatch") as cloudwatch:
            settings = Settings.model_validate(
                {
                    "node_name": "ip-10-0-1-7",
                    "cluster_name": "eks-managed-cluster",
                    "state_dir": folder / "state",
                    "tail": {"root": logs},
                    "enrich": {"file": pods, **enrich},
                    "http": {"host": "127.0.0.1", "port": 0},
                    "cloudwatch": {"region": "ap-south-1", "endpoint_url": cloudwatch.url},
                }
            )
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as tasks, asyncio.timeout(60):
                tasks.create_task(run_agent(settings, stop))
                await cloudwatch.until(lambda: cloudwatch.count(GROUP) >= ALERTS)
                await cloudwatch.until(
                    lambda: any(b"Falcowatch: heartbeat" in e.message for e in cloudwatch.events(GROUP))
                )
                stop.set()
            return [*cloudwatch.events(GROUP)]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("queries")
    player = Player(folder / "pods")
    player.play(ALERTS)
    player.close()
    with pytest.MonkeyPatch.context() as monkeypatch:
        made_up_credentials(monkeypatch)
        everything = asyncio.run(shipped(folder / "everything", folder / "pods", **EVERYTHING))
        return everything, asyncio.run(shipped(folder / "default", folder / "pods"))


def alerts(events: list[StoredEvent]) -> list[StoredEvent]:
    """Without the heartbeats, whose times and counts differ between two agents."""
    return [event for event in events if b'"source":"falcowatch"' not in event.message]


def rows(query: str, events: list[StoredEvent]) -> list[Row]:
    """The rows of a query. Insights keeps all fields of an event that the query does not name."""
    whole = {"@message", "@ingestionTime"}
    left_out = (
        "kubernetes.docker_id",
        "kubernetes.container_hash",
        "kubernetes.workload_kind",
        "kubernetes.service_account",
    )
    found = run_query(query, events)
    return [
        {
            name: value
            for name, value in row.items()
            if name not in whole and name not in left_out and not name.startswith("kubernetes.labels.pod-template-hash")
        }
        for row in found
    ]


def in_any_order(found: list[Row]) -> list[bytes]:
    """Rows that a query sorts as equal can have any order."""
    return sorted(orjson.dumps(row, option=orjson.OPT_SORT_KEYS) for row in found)


@pytest.mark.parametrize("name", sorted(SAVED))
def test_a_saved_query_has_the_same_rows_with_the_default_metadata(name: str, both: Both):
    everything, default = (alerts(events) for events in both)
    query = re.sub(r"\| limit \d+", "", SAVED[name])

    assert in_any_order(rows(query, default)) == in_any_order(rows(query, everything))
    assert run_query(query, both[1]), "the query finds something"


@pytest.mark.parametrize("query", FLUENT_BIT_QUERIES)
def test_a_documented_query_for_fluent_bit_has_the_same_rows_with_the_default_metadata(query: str, both: Both):
    everything, default = (alerts(events) for events in both)
    query = re.sub(r"\| limit \d+", "", query)

    assert in_any_order(rows(query, default)) == in_any_order(rows(query, everything)) != []


def test_the_page_has_queries_for_fluent_bit():
    assert len(FLUENT_BIT_QUERIES) >= 4


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_field_of_fluent_bit_can_be_filtered_by_its_name(name: str, both: Both):
    query = f"filter ispresent(`kubernetes.{name}`) | stats count(*) as events by `kubernetes.{name}`"
    everything, default = (alerts(events) for events in both)

    assert in_any_order(run_query(query, default)) == in_any_order(run_query(query, everything)) != []


def test_the_agent_appends_at_most_400_bytes_to_an_alert_of_the_demo(both: Both):
    longer_names = 2 * len("ip-10-0-1-7") + len("eks-managed-cluster") - 3 * len("demo")
    pods = [event.message for event in alerts(both[1]) if b',"kubernetes":{' in event.message]

    appended = [len(message) - len(b"}") - message.rfind(b',"kubernetes":{') for message in pods]

    assert max(appended) - longer_names <= 400
    assert len(appended) > ALERTS / 3


def test_the_bytes_on_the_page_are_those_of_a_real_event():
    for fields, labels, wanted in ((("*",), ("*",), "every"), (DEFAULT_FIELDS, DEFAULT_LABELS, "default")):
        pod = decode_pod(orjson.dumps(POD), Selection(labels, []))
        fragment = pod_fragment(pod, pod.containers[0], CONTAINER_ID, wanted=selected(FIELDS, fields)).plain
        end = b',"falcowatch":' + orjson.dumps(FALCOWATCH)

        rows = [row for row in appended_keys() if row.by_default or wanted == "every"]

        assert sum(row.bytes for row in rows) == len(fragment) + len(end)
