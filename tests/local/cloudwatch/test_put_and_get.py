"""What is put is what is read, over real HTTP with the real SDK."""

import time
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError

from agent.local.cloudwatch import EmbeddedCloudWatch

NOW_MS = int(time.time() * 1000)


def events(*messages: str, at: int = NOW_MS) -> list[dict[str, object]]:
    return [{"timestamp": at + number, "message": message} for number, message in enumerate(messages)]


async def put(logs, *messages: str, at: int = NOW_MS, stream: str = "node"):
    return await logs.put_log_events(logGroupName="falco", logStreamName=stream, logEvents=events(*messages, at=at))


async def test_what_was_put_is_read_back_byte_for_byte(logs, cloudwatch: EmbeddedCloudWatch):
    messages = ['{"rule":"Ünï\\"code"}', "two\nlines", "日本語 🦅", " ", "\x00\x1f", "plain"]

    await put(logs, *messages)
    reply = await logs.get_log_events(logGroupName="falco", logStreamName="node", startFromHead=True)

    assert [event["message"] for event in reply["events"]] == messages
    assert [event["timestamp"] for event in reply["events"]] == [NOW_MS + number for number in range(6)]
    assert [event.message.decode() for event in cloudwatch.events("falco")] == messages


async def test_batches_that_overlap_in_time_are_read_in_order_of_time(logs):
    await put(logs, "b1", "b2", "b3", at=NOW_MS + 10)
    await put(logs, "a1", at=NOW_MS)
    await put(logs, "c1", at=NOW_MS + 11)

    reply = await logs.get_log_events(logGroupName="falco", logStreamName="node", startFromHead=True)

    assert [event["message"] for event in reply["events"]] == ["a1", "b1", "b2", "c1", "b3"]


async def read_forward(logs, **arguments) -> list[list[str]]:
    """Pages until the endpoint returns the token it was given."""
    pages: list[list[str]] = []
    token: dict[str, str] = {}
    while True:
        reply = await logs.get_log_events(
            logGroupName="falco", logStreamName="node", startFromHead=True, **arguments, **token
        )
        pages.append([event["message"] for event in reply["events"]])
        if token.get("nextToken") == reply["nextForwardToken"]:
            return pages
        token = {"nextToken": reply["nextForwardToken"]}


async def test_forward_pages_end_when_the_token_stays_the_same(logs):
    await put(logs, *"abcde")

    pages = await read_forward(logs, limit=2)

    assert pages == [["a", "b"], ["c", "d"], ["e"], []]


async def test_the_last_forward_token_finds_what_arrives_later(logs):
    empty = await logs.get_log_events(logGroupName="falco", logStreamName="node")
    await put(logs, "later")

    reply = await logs.get_log_events(
        logGroupName="falco", logStreamName="node", nextToken=empty["nextForwardToken"], startFromHead=True
    )

    assert [event["message"] for event in reply["events"]] == ["later"]


async def test_without_a_token_the_newest_events_come_and_the_backward_token_leads_to_older_ones(logs):
    await put(logs, *"abcde")

    newest = await logs.get_log_events(logGroupName="falco", logStreamName="node", limit=2)
    older = await logs.get_log_events(
        logGroupName="falco", logStreamName="node", limit=2, nextToken=newest["nextBackwardToken"]
    )

    assert [event["message"] for event in newest["events"]] == ["d", "e"]
    assert [event["message"] for event in older["events"]] == ["b", "c"]


async def test_a_page_holds_no_more_than_a_megabyte(logs):
    for number in range(3):
        await put(logs, *["x" * 1000] * 900, at=NOW_MS + number * 1000)

    pages = await read_forward(logs)

    assert [len(page) for page in pages] == [1022, 1022, 656, 0]


async def test_start_is_inclusive_and_end_exclusive(logs):
    await put(logs, *"abcd")

    pages = await read_forward(logs, startTime=NOW_MS + 1, endTime=NOW_MS + 3)

    assert pages == [["b", "c"], []]


async def test_a_search_reads_all_streams_in_order_of_time_page_by_page(logs):
    await logs.create_log_stream(logGroupName="falco", logStreamName="node/urgent")
    await put(logs, "a", "c", "e", "g")
    await put(logs, "b", "d", at=NOW_MS, stream="node/urgent")

    found: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        reply = await logs.filter_log_events(logGroupName="falco", limit=4, **token)
        found += reply["events"]
        if "nextToken" not in reply:
            break
        token = {"nextToken": reply["nextToken"]}

    assert sorted(event["message"] for event in found) == list("abcdeg")
    assert all(a["timestamp"] <= b["timestamp"] for a, b in pairwise(found))
    assert len({event["eventId"] for event in found}) == 6


async def test_a_search_by_a_json_condition_finds_only_those_alerts(logs):
    await put(logs, '{"priority":"Critical","n":1}', '{"priority":"Notice","n":2}', "not json")

    reply = await logs.filter_log_events(
        logGroupName="falco", filterPattern='{ $.priority = "Crit*" && ($.n >= 1 || $.n = 7) }'
    )

    assert [event["message"] for event in reply["events"]] == ['{"priority":"Critical","n":1}']


@pytest.mark.parametrize(("group", "stream"), [("other", "node"), ("falco", "other")])
async def test_a_missing_group_or_stream_is_named(logs, group: str, stream: str):
    with pytest.raises(ClientError) as refusal:
        await logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events("x"))

    assert refusal.value.response["Error"]["Code"] == "ResourceNotFoundException"
