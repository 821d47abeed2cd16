"""Events are read as they were put, over real HTTP with the AWS SDK."""

import time
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError

from agent.local.emulator import EmbeddedCloudWatch

NOW_MS = int(time.time() * 1000)


def events(*messages: str, at: int = NOW_MS) -> list[dict[str, object]]:
    return [{"timestamp": at + number, "message": message} for number, message in enumerate(messages)]


async def put(logs, *messages: str, at: int = NOW_MS, stream: str = "node"):
    return await logs.put_log_events(logGroupName="falco", logStreamName=stream, logEvents=events(*messages, at=at))


async def test_events_are_read_back_byte_for_byte(logs, cloudwatch: EmbeddedCloudWatch):
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
    """All pages, until the endpoint returns the token of the request."""
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


async def test_the_last_forward_token_returns_events_that_arrive_later(logs):
    empty = await logs.get_log_events(logGroupName="falco", logStreamName="node")
    await put(logs, "later")

    reply = await logs.get_log_events(
        logGroupName="falco", logStreamName="node", nextToken=empty["nextForwardToken"], startFromHead=True
    )

    assert [event["message"] for event in reply["events"]] == ["later"]


async def test_a_read_without_token_returns_the_newest_events_and_a_token_for_older_ones(logs):
    await put(logs, *"abcde")

    newest = await logs.get_log_events(logGroupName="falco", logStreamName="node", limit=2)
    older = await logs.get_log_events(
        logGroupName="falco", logStreamName="node", limit=2, nextToken=newest["nextBackwardToken"]
    )

    assert [event["message"] for event in newest["events"]] == ["d", "e"]
    assert [event["message"] for event in older["events"]] == ["b", "c"]


async def test_a_page_contains_at_most_one_mebibyte(logs):
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
async def test_a_read_of_a_missing_group_or_stream_is_refused(logs, group: str, stream: str):
    with pytest.raises(ClientError) as refusal:
        await logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events("x"))

    assert refusal.value.response["Error"]["Code"] == "ResourceNotFoundException"


async def test_a_follower_returns_each_event_once(logs, cloudwatch: EmbeddedCloudWatch):
    follower = cloudwatch.follow("falco")
    early = list(follower.new_events())
    await put(logs, "a", "b")
    first = [event.message for event in follower.new_events()]
    await put(logs, "c")
    await logs.create_log_stream(logGroupName="falco", logStreamName="node/urgent")
    await put(logs, "d", stream="node/urgent")
    second = [(event.stream, event.message) for event in follower.new_events()]

    assert early == []
    assert first == [b"a", b"b"]
    assert second == [("node", b"c"), ("node/urgent", b"d")]
    assert list(follower.new_events()) == []


async def test_newest_first_is_the_reverse_of_oldest_first(logs):
    await put(logs, *"abcde")

    reply = await logs.filter_log_events(
        logGroupName="falco",
        logStreamNames=["node"],
        startTime=NOW_MS,
        endTime=NOW_MS + 3,
        startFromHead=False,
        limit=3,
    )
    rest = await logs.filter_log_events(logGroupName="falco", nextToken=reply["nextToken"], startTime=NOW_MS)

    assert [event["message"] for event in reply["events"]] == ["d", "c", "b"]  # FilterLogEvents includes the end
    assert [event["message"] for event in rest["events"]] == ["a"]


async def test_backward_pages_end_when_the_token_stays_the_same(logs):
    await put(logs, *"ab")
    where = {"logGroupName": "falco", "logStreamName": "node"}

    newest = await logs.get_log_events(**where, limit=2)
    before = await logs.get_log_events(**where, nextToken=newest["nextBackwardToken"])
    onward = await logs.get_log_events(**where, nextToken=before["nextForwardToken"], startFromHead=True)

    assert before["events"] == []
    assert before["nextBackwardToken"] == newest["nextBackwardToken"]
    assert [event["message"] for event in onward["events"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("get_log_events", {"logGroupIdentifier": "falco"}),
        ("get_log_events", {"logGroupName": None}),
        ("get_log_events", {"nextToken": "invented"}),
        ("get_log_events", {"nextToken": "x/WzEsMSwieCIsMV0="}),
        ("get_log_events", {"limit": 10_001}),
        ("get_log_events", {"startTime": -1}),
        ("filter_log_events", {"logStreamNamePrefix": "n", "logStreamNames": ["node"]}),
        ("filter_log_events", {"logStreamName": None, "logStreamNames": []}),
        ("filter_log_events", {"startTime": 2, "endTime": 1}),
        ("filter_log_events", {"startFromHead": False}),
        ("filter_log_events", {"filterPattern": "{ $.a"}),
    ],
)
async def test_a_read_with_bad_parameters_is_refused(logs, operation: str, arguments: dict[str, Any]):
    given: dict[str, Any] = {"logGroupName": "falco"} | arguments
    if operation == "get_log_events":
        given["logStreamName"] = "node"
    given = {name: value for name, value in given.items() if value is not None}

    with pytest.raises(ClientError) as refusal:
        await getattr(logs, operation)(**given)

    assert refusal.value.response["Error"]["Code"] == "InvalidParameterException"


async def test_a_file_damaged_at_run_time_makes_the_stream_unavailable(logs, tmp_path):
    await put(logs, "x")
    (path,) = (tmp_path / "cloudwatch").rglob("*.events")
    path.write_bytes(b"#" * path.stat().st_size)

    with pytest.raises(ClientError) as refusal:
        await logs.filter_log_events(logGroupName="falco")

    assert refusal.value.response["Error"]["Code"] == "ServiceUnavailableException"


async def test_a_put_on_a_full_disk_is_refused_and_accepted_events_stay(logs, cloudwatch: EmbeddedCloudWatch, tmp_path):
    await put(logs, "before")
    (path,) = (tmp_path / "cloudwatch").rglob("*.events")
    path.rename(path.with_suffix(".kept"))
    path.symlink_to("/dev/full")

    with pytest.raises(ClientError) as refusal:
        await put(logs, "refused")
    path.unlink()
    path.with_suffix(".kept").rename(path)
    await put(logs, "after")

    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert [event.message for event in cloudwatch.events("falco")] == [b"before", b"after"]
