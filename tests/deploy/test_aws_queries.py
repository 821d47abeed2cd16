"""The saved queries use the commands of Logs Insights, and fields that the agent's events contain."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.deploy.agent_at_work import GROUP, agent_at_work, made_up_credentials
from tests.deploy.cloudformation import Stack

ROOT = Path(__file__).parents[2]
STACK = Stack(ROOT / "manifests/aws/stack.yaml", AgentIdentity="none")

COMMANDS = {"fields", "filter", "stats", "sort", "dedup", "limit"}
WORDS = {
    "as",
    "by",
    "and",
    "or",
    "in",
    "asc",
    "desc",
    "ispresent",
    "count",
    "count_distinct",
    "latest",
    "sum",
    "strlen",
}
WORDS |= {"now", "toMillis"}
"""Keywords of the query language (CloudWatch Logs Insights language reference, read 2026-11)."""

OF_INSIGHTS = {"@timestamp", "@ingestionTime", "@message"}
OF_LATER_HEARTBEATS = {"output_fields.falco.state"}
"""The first heartbeat is sent before the agent has looked for Falco."""
OF_ENRICHED_ALERTS = {
    "kubernetes.namespace_name",
    "kubernetes.pod_name",
    "kubernetes.workload_name",
    "kubernetes.container_image",
}
"""Only alerts about a pod have these fields. The tests of enrichment check their names."""
OF_SOME_SEALS = {"seal.begins", "seal.leaving", "seal.files.0.file", "seal.files.0.to", "seal.files.0.shipped"}
"""Only some seals have these fields. test_aws_seals_query.py runs the query on a whole chain."""


def queries() -> dict[str, str]:
    saved = {
        one["Name"]: one["QueryString"]
        for one in STACK.of_type("AWS::Logs::QueryDefinition").values()
        if one.get("QueryLanguage", "CWLI") == "CWLI"
    }
    for name, alarm in STACK.of_type("AWS::CloudWatch::LogAlarm").items():
        saved[f"alarm {name}"] = alarm["ScheduledQueryConfiguration"]["QueryString"]
    for widget in json.loads(STACK.resources["Dashboard"]["DashboardBody"])["widgets"]:
        if widget["type"] == "log":
            _, _, query = widget["properties"]["query"].partition(" | ")
            saved[f"widget {widget['properties']['title']}"] = query
    return saved


QUERIES = queries()


def steps(query: str) -> list[tuple[str, str]]:
    """Returns the commands of a query with their arguments. String literals are emptied."""
    without_strings = re.sub(r'"[^"]*"', '""', query)
    found = [step.split(maxsplit=1) for step in without_strings.split("|")]
    return [(words[0], words[1] if len(words) > 1 else "") for words in found]


def fields_of(query: str) -> set[str]:
    aliases = set(re.findall(r"\bas (\w+)", query))
    names = {name for _, rest in steps(query) for name in re.findall(r"@?[a-z_][\w.]*", rest)}
    return names - WORDS - aliases


def flattened(value: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yields the names under which Logs Insights discovers the fields of a JSON event."""
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from flattened(inner, f"{prefix}{key}.")
        yield f"{prefix}{key}"


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_a_query_uses_only_commands_of_the_language(name: str):
    assert {command for command, _ in steps(QUERIES[name])} <= COMMANDS


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_only_a_limit_follows_a_dedup(name: str):
    commands = [command for command, _ in steps(QUERIES[name])]

    after = commands[commands.index("dedup") + 1 :] if "dedup" in commands else []

    assert set(after) <= {"limit"}


async def test_every_field_of_a_query_is_in_the_agents_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made_up_credentials(monkeypatch)
    async with agent_at_work(tmp_path) as at_work:
        events = [orjson.loads(event.message) for event in at_work.cloudwatch.events(GROUP)]
    known = {name for event in events for name in flattened(event)}

    unknown = {
        name: missing
        for name, query in QUERIES.items()
        if (
            missing := fields_of(query) - known - OF_INSIGHTS - OF_ENRICHED_ALERTS - OF_SOME_SEALS - OF_LATER_HEARTBEATS
        )
    }

    assert unknown == {}


@pytest.mark.parametrize("name", ["Mkdir binary dirs", "Read sensitive file untrusted"])
def test_the_queries_of_the_article_name_the_pod_by_kubernetes_fields(name: str):
    for query in (QUERIES[f"Falco/eks-managed-cluster/{name}"], QUERIES[f"widget {name}"]):
        assert {"kubernetes.namespace_name", "kubernetes.pod_name"} <= fields_of(query)


async def test_the_queries_in_sql_and_ppl_use_fields_of_the_agents_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    found = {
        one["QueryLanguage"]: one
        for one in STACK.of_type("AWS::Logs::QueryDefinition").values()
        if "QueryLanguage" in one
    }
    made_up_credentials(monkeypatch)
    async with agent_at_work(tmp_path) as at_work:
        events = [orjson.loads(event.message) for event in at_work.cloudwatch.events(GROUP)]
    known = {name for event in events for name in flattened(event)}

    assert found.keys() == {"SQL", "PPL"}
    assert "LogGroupNames" not in found["SQL"], "SQL names the log group in the query"
    names = set(re.findall(r"`([^`]+)`", found["SQL"]["QueryString"]))
    assert names - known == {"/falco/eks-managed-cluster"}
    assert {"source", "rule", "priority"} <= known & set(re.findall(r"\w+", found["PPL"]["QueryString"]))


async def test_each_event_of_the_agent_counts_in_the_right_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from tests.deploy.test_aws_stack import metrics_of

    made_up_credentials(monkeypatch)
    async with agent_at_work(tmp_path) as at_work:
        events = [orjson.loads(event.message) for event in at_work.cloudwatch.events(GROUP)]

    counted = {event["rule"]: metrics_of(STACK, event) for event in events}

    assert counted == {
        "Drop and execute new binary in container": {"Critical", "Urgent", "AnyAlert"},
        "Falcowatch: heartbeat": {"Heartbeat"},
    }


async def test_the_text_of_a_heartbeat_contains_the_number_of_rejected_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made_up_credentials(monkeypatch)
    async with agent_at_work(tmp_path) as at_work:
        events = [orjson.loads(event.message) for event in at_work.cloudwatch.events(GROUP)]

    (heartbeat,) = [event for event in events if event["rule"] == "Falcowatch: heartbeat"]

    assert ", rejected 0, " in heartbeat["output"], "the metric filter on rejects reads this text"
