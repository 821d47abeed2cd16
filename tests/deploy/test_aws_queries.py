"""The saved queries: in the language of Logs Insights, over fields that the agent's events really have."""

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
WORDS = {"as", "by", "and", "or", "in", "asc", "desc", "ispresent", "count", "count_distinct", "latest"}
"""Of the query language (CloudWatch Logs Insights language reference, read 2026-11)."""

OF_INSIGHTS = {"@timestamp"}
OF_ENRICHED_ALERTS = {"kubernetes.namespace_name", "kubernetes.pod_name", "kubernetes.workload_name"}
"""Only alerts about a pod have them; the names are the public interface, and enrichment's tests hold it to them."""

OF_FALCO_IN_A_CONTAINER = {"output_fields.k8s.ns.name", "output_fields.k8s.pod.name"}


def queries() -> dict[str, str]:
    saved = {one["Name"]: one["QueryString"] for one in STACK.of_type("AWS::Logs::QueryDefinition").values()}
    for widget in json.loads(STACK.resources["Dashboard"]["DashboardBody"])["widgets"]:
        if widget["type"] == "log":
            _, _, query = widget["properties"]["query"].partition(" | ")
            saved[f"widget {widget['properties']['title']}"] = query
    return saved


QUERIES = queries()


def steps(query: str) -> list[tuple[str, str]]:
    """The commands of a query with their arguments, texts blanked."""
    without_texts = re.sub(r'"[^"]*"', '""', query)
    found = [step.split(maxsplit=1) for step in without_texts.split("|")]
    return [(words[0], words[1] if len(words) > 1 else "") for words in found]


def fields_of(query: str) -> set[str]:
    aliases = set(re.findall(r"\bas (\w+)", query))
    names = {name for _, rest in steps(query) for name in re.findall(r"@?[a-z_][\w.]*", rest)}
    return names - WORDS - aliases


def flattened(value: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The names under which Insights discovers the fields of a JSON event."""
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from flattened(inner, f"{prefix}{key}.")
        yield f"{prefix}{key}"


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_a_query_uses_commands_of_the_language_only(name: str):
    assert {command for command, _ in steps(QUERIES[name])} <= COMMANDS


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_nothing_but_a_limit_follows_a_dedup(name: str):
    commands = [command for command, _ in steps(QUERIES[name])]

    after = commands[commands.index("dedup") + 1 :] if "dedup" in commands else []

    assert set(after) <= {"limit"}


async def test_every_field_that_a_query_names_is_in_the_agents_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made_up_credentials(monkeypatch)
    async with agent_at_work(tmp_path) as at_work:
        events = [orjson.loads(event.message) for event in at_work.cloudwatch.events(GROUP)]
    known = {name for event in events for name in flattened(event)}

    unknown = {
        name: missing
        for name, query in QUERIES.items()
        if (missing := fields_of(query) - known - OF_INSIGHTS - OF_ENRICHED_ALERTS - OF_FALCO_IN_A_CONTAINER)
    }

    assert unknown == {}


async def test_the_agents_events_count_in_the_metrics_meant_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from tests.deploy.test_aws_stack import metrics_of

    made_up_credentials(monkeypatch)
    async with agent_at_work(tmp_path) as at_work:
        events = [orjson.loads(event.message) for event in at_work.cloudwatch.events(GROUP)]

    counted = {event["rule"]: metrics_of(STACK, event) for event in events}

    assert counted == {
        "Drop and execute new binary in container": {"Critical", "Urgent", "AnyAlert"},
        "Falcowatch: heartbeat": {"Heartbeat"},
    }


async def test_the_heartbeats_text_says_how_many_were_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made_up_credentials(monkeypatch)
    async with agent_at_work(tmp_path) as at_work:
        events = [orjson.loads(event.message) for event in at_work.cloudwatch.events(GROUP)]

    (heartbeat,) = [event for event in events if event["rule"] == "Falcowatch: heartbeat"]

    assert ", rejected 0, " in heartbeat["output"], "the metric filter on rejects reads this"
