"""Logs Insights queries on stored events, and the stack's own saved queries and metric filters."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from agent.local.emulator.insights import MAX_FIELDS, row_of, run_query
from agent.local.emulator.insights_syntax import parse
from agent.local.emulator.patterns import matcher
from agent.local.emulator.replies import ServiceError
from agent.local.emulator.store import StoredEvent
from tests.deploy.cloudformation import Stack

STACK = Path(__file__).parents[3] / "manifests" / "aws" / "stack.yaml"


def event(at: int = 0, **fields: object) -> StoredEvent:
    return StoredEvent(at, orjson.dumps(fields), at + 1, "node-a")


EVENTS = [
    event(1, rule="A", priority="Notice", source="syscall", hostname="a", falcowatch={"id": "f:0"}),
    event(2, rule="B", priority="Critical", source="syscall", hostname="b", falcowatch={"id": "f:1"}),
    event(3, rule="B", priority="Critical", source="syscall", hostname="b", falcowatch={"id": "f:1"}),
    event(4, rule="Falcowatch: heartbeat", source="falcowatch", hostname="a", output_fields={"books.read": 7}),
    StoredEvent(5, b"plain text", 6, "node-a/falco-log"),
]


def times(query: str) -> list[object]:
    return [row["@timestamp"] for row in run_query(query, EVENTS, now=8.9)]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('rule = "B"', [2, 3]),
        ('rule != "B"', [1, 4, 5]),
        ("ispresent(rule)", [1, 2, 3, 4]),
        ('priority in ["Critical", "Alert"] and source != "falcowatch"', [2, 3]),
        ('(rule = "A" or rule = "B") and not hostname = "b"', [1]),
        ("output_fields.books.read >= 7", [4]),
        ("@message like /plain/", [5]),
        ('rule like "Falcowatch: "', [4]),
        ("toMillis(@ingestionTime) >= now() * 1000 - 7995", [4, 5]),
        ("@timestamp < now() + -6", [1]),
    ],
)
def test_a_filter_selects_rows(condition: str, expected: list[int]):
    assert times(f"filter {condition}") == expected


def test_sort_dedup_and_limit_run_in_the_order_of_the_query():
    query = "filter ispresent(falcowatch.id) | sort @timestamp desc | dedup falcowatch.id | limit 1"

    assert times(query) == [3]


def test_stats_group_rows_and_aggregate_them():
    query = "stats count_distinct(falcowatch.id) as alerts, count(*) as events, latest(@timestamp) as last by hostname"

    assert run_query(query, EVENTS[:4]) == [
        {"hostname": "a", "alerts": 1, "events": 2, "last": 4},
        {"hostname": "b", "alerts": 1, "events": 2, "last": 3},
    ]


def test_fields_can_be_renamed():
    (row,) = run_query('fields output_fields.books.read as read | filter rule = "Falcowatch: heartbeat"', EVENTS)

    assert row["read"] == 7


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("output_fields.books.read", 7),
        ("output_fields.books.read + 26", 33),
        ("output_fields.books.read + 3 * 2", 13),
        ("(output_fields.books.read + 3) * 0.5", 5),
        ("strlen(hostname) * 2", 2),
    ],
)
def test_a_field_can_be_computed(expression: str, expected: float):
    (row,) = run_query(f'fields {expression} as value | filter rule = "Falcowatch: heartbeat"', EVENTS)

    assert row["value"] == expected


@pytest.mark.parametrize("expression", ["missing + 1", "strlen(missing)", "rule * 2"])
def test_a_value_cannot_be_computed_from_a_missing_field_or_a_text(expression: str):
    rows = run_query(f"fields {expression} as value", EVENTS)

    assert len(rows) == len(EVENTS)
    assert not any("value" in row for row in rows)


def test_only_the_first_two_hundred_fields_of_an_event_are_discovered():
    row = row_of(event(0, **{f"field{number}": number for number in range(MAX_FIELDS + 50)}))

    assert f"field{MAX_FIELDS - 1}" in row
    assert f"field{MAX_FIELDS}" not in row


@pytest.mark.parametrize(
    "query",
    [
        "",
        "parse @message",
        "filter rule ~ 1",
        "stats median(x)",
        "filter (rule = 1",
        "fields strlen(rule)",
        "fields rule +",
    ],
)
def test_a_query_with_unknown_syntax_is_refused(query: str):
    with pytest.raises(ServiceError, match="MalformedQueryException"):
        run_query(query, EVENTS)


def test_every_saved_query_and_every_metric_filter_of_the_stack_can_be_evaluated():
    stack = Stack(STACK, AgentIdentity="none")

    definitions = stack.of_type("AWS::Logs::QueryDefinition").values()
    queries = [one["QueryString"] for one in definitions if one.get("QueryLanguage", "CWLI") == "CWLI"]
    for alarm in stack.of_type("AWS::CloudWatch::LogAlarm").values():
        queries.append(alarm["ScheduledQueryConfiguration"]["QueryString"])
    patterns = [one["FilterPattern"] for one in stack.of_type("AWS::Logs::MetricFilter").values()]

    assert len(queries) >= 12
    assert all(parse(query) for query in queries)
    assert len(patterns) >= 15
    assert all(matcher(pattern) is not None for pattern in patterns)
