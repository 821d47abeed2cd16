"""Groups and streams: creating, changing, listing and deleting them, and refusals."""

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from agent.local.emulator import CorruptDataError, DataInUseError, EmbeddedCloudWatch
from agent.local.emulator.parameters import RETENTION_DAYS

from .conftest import Client, connected

ARN = "arn:aws:logs:eu-central-1:123456789012:log-group:falco"
DAY_SECONDS = 86_400


async def code_of(awaitable) -> str:
    with pytest.raises(ClientError) as raised:
        await awaitable
    code: str = raised.value.response["Error"]["Code"]
    return code


async def described(logs: Client) -> dict[str, Any]:
    (group,) = (await logs.describe_log_groups(logGroupNamePrefix="falco"))["logGroups"]
    assert isinstance(group, dict)
    return group


async def test_a_group_is_described_with_the_settings_of_its_creation(logs):
    await logs.create_log_group(
        logGroupName="falco/2",
        kmsKeyId="arn:aws:kms:eu-central-1:123456789012:key/1",
        tags={"team": "security"},
        logGroupClass="INFREQUENT_ACCESS",
        deletionProtectionEnabled=True,
    )

    (group,) = (await logs.describe_log_groups(logGroupNamePrefix="falco/2"))["logGroups"]
    tags = await logs.list_tags_for_resource(resourceArn=ARN + "/2")

    assert group["arn"] == ARN + "/2:*"
    assert group["logGroupArn"] == ARN + "/2"
    assert group["kmsKeyId"].endswith("key/1")
    assert group["logGroupClass"] == "INFREQUENT_ACCESS"
    assert group["deletionProtectionEnabled"] is True
    assert tags["tags"] == {"team": "security"}


@pytest.mark.parametrize("name", ["g*:bad name", "aws/x", "", "x" * 513, "ü"])
async def test_a_bad_group_name_is_refused(logs, name: str):
    assert await code_of(logs.create_log_group(logGroupName=name)) == "InvalidParameterException"


@pytest.mark.parametrize("name", ["a:b", "a*", "", "x" * 513])
async def test_a_bad_stream_name_is_refused(logs, name: str):
    assert (
        await code_of(logs.create_log_stream(logGroupName="falco", logStreamName=name)) == "InvalidParameterException"
    )


@pytest.mark.parametrize("name", ["../../etc/passwd", "node/urgent", ".", "日本語 🦅", "x" * 512])
async def test_any_other_stream_name_is_kept_on_disk(tmp_path, name: str):
    async with EmbeddedCloudWatch(tmp_path / "data") as cloudwatch, connected(cloudwatch.url) as client:
        await client.create_log_group(logGroupName="g" * 512)
        await client.create_log_stream(logGroupName="g" * 512, logStreamName=name)

    async with EmbeddedCloudWatch(tmp_path / "data") as cloudwatch:
        assert cloudwatch.groups() == {"g" * 512: [name]}
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


async def test_an_existing_group_or_stream_cannot_be_created_again(logs):
    assert await code_of(logs.create_log_group(logGroupName="falco")) == "ResourceAlreadyExistsException"
    assert (
        await code_of(logs.create_log_stream(logGroupName="falco", logStreamName="node"))
        == "ResourceAlreadyExistsException"
    )


async def test_a_stream_cannot_be_created_in_a_missing_group(logs):
    assert (
        await code_of(logs.create_log_stream(logGroupName="absent", logStreamName="node"))
        == "ResourceNotFoundException"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"tags": {}},
        {"tags": {str(number): "" for number in range(51)}},
        {"tags": {"k" * 129: ""}},
        {"tags": {"key": "v" * 257}},
        {"tags": {"key": "semi;colon"}},
        {"tags": {"aws:key": ""}},
        {"logGroupClass": "CHEAP"},
        {"kmsKeyId": "k" * 257},
    ],
)
async def test_a_group_with_an_invalid_setting_is_not_created(logs, cloudwatch: EmbeddedCloudWatch, arguments):
    assert await code_of(logs.create_log_group(logGroupName="bad", **arguments)) == "InvalidParameterException"
    assert "bad" not in cloudwatch.groups()


async def test_retention_accepts_only_the_documented_numbers_of_days(logs):
    for days in sorted(RETENTION_DAYS):
        await logs.put_retention_policy(logGroupName="falco", retentionInDays=days)
        assert (await described(logs))["retentionInDays"] == days

    for days in (0, -1, 2, 13, 3654):
        refused = logs.put_retention_policy(logGroupName="falco", retentionInDays=days)
        assert await code_of(refused) == "InvalidParameterException"

    await logs.delete_retention_policy(logGroupName="falco")
    assert "retentionInDays" not in await described(logs)


async def test_a_group_with_deletion_protection_cannot_be_deleted(logs, cloudwatch: EmbeddedCloudWatch):
    await logs.put_log_group_deletion_protection(logGroupIdentifier=ARN, deletionProtectionEnabled=True)

    assert await code_of(logs.delete_log_group(logGroupName="falco")) == "ValidationException"
    assert await code_of(logs.delete_log_stream(logGroupName="falco", logStreamName="node")) == "ValidationException"

    await logs.put_log_group_deletion_protection(logGroupIdentifier="falco", deletionProtectionEnabled=False)
    await logs.delete_log_stream(logGroupName="falco", logStreamName="node")
    assert cloudwatch.groups() == {"falco": []}
    await logs.delete_log_group(logGroupName="falco")
    assert cloudwatch.groups() == {}


async def test_a_stream_that_is_deleted_and_created_again_is_empty(logs, cloudwatch: EmbeddedCloudWatch):
    await logs.put_log_events(
        logGroupName="falco",
        logStreamName="node",
        logEvents=[{"timestamp": int(time.time() * 1000), "message": "gone"}],
    )

    await logs.delete_log_stream(logGroupName="falco", logStreamName="node")
    await logs.create_log_stream(logGroupName="falco", logStreamName="node")

    assert list(cloudwatch.events("falco")) == []


async def test_tags_can_be_added_and_removed(logs):
    await logs.tag_resource(resourceArn=ARN, tags={"a": "1", "b": "2"})
    await logs.untag_resource(resourceArn=ARN, tagKeys=["a"])

    assert (await logs.list_tags_for_resource(resourceArn=ARN))["tags"] == {"b": "2"}
    many = {str(number): "" for number in range(50)}
    assert await code_of(logs.tag_resource(resourceArn=ARN, tags=many)) == "TooManyTagsException"
    assert await code_of(logs.list_tags_for_resource(resourceArn=ARN + "x")) == "ResourceNotFoundException"
    assert await code_of(logs.list_tags_for_resource(resourceArn="falco")) == "InvalidParameterException"


async def test_streams_are_listed_by_name_or_by_last_event_page_by_page(logs):
    now_ms = int(time.time() * 1000)
    for number, name in enumerate(("c", "a", "b")):
        await logs.create_log_stream(logGroupName="falco", logStreamName=name)
        await logs.put_log_events(
            logGroupName="falco", logStreamName=name, logEvents=[{"timestamp": now_ms + number, "message": "x"}]
        )

    async def listed(**arguments) -> list[str]:
        pages = logs.get_paginator("describe_log_streams").paginate(
            logGroupName="falco", PaginationConfig={"PageSize": 2}, **arguments
        )
        return [stream["logStreamName"] async for page in pages for stream in page["logStreams"]]

    assert await listed() == ["a", "b", "c", "node"]
    assert await listed(descending=True) == ["node", "c", "b", "a"]
    assert await listed(orderBy="LastEventTime", descending=True) == ["b", "a", "c", "node"]
    assert await listed(logStreamNamePrefix="n") == ["node"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"limit": 51},
        {"limit": 0},
        {"orderBy": "Size"},
        {"orderBy": "LastEventTime", "logStreamNamePrefix": "n"},
        {"logGroupIdentifier": ARN},
    ],
)
async def test_a_listing_with_invalid_parameters_is_refused(logs, arguments):
    assert await code_of(logs.describe_log_streams(logGroupName="falco", **arguments)) == "InvalidParameterException"


async def test_groups_streams_and_events_survive_a_restart(tmp_path):
    now_ms = int(time.time() * 1000)
    async with EmbeddedCloudWatch(tmp_path) as cloudwatch, connected(cloudwatch.url) as client:
        await client.create_log_group(logGroupName="falco", tags={"a": "1"}, deletionProtectionEnabled=True)
        await client.put_retention_policy(logGroupName="falco", retentionInDays=7)
        await client.create_log_stream(logGroupName="falco", logStreamName="node/urgent")
        for number in range(3):
            await client.put_log_events(
                logGroupName="falco",
                logStreamName="node/urgent",
                logEvents=[{"timestamp": now_ms, "message": f"ü\n{number}"}],
            )
        groups = (await client.describe_log_groups())["logGroups"]
        streams = (await client.describe_log_streams(logGroupName="falco"))["logStreams"]
        events = list(cloudwatch.events("falco"))

    async with EmbeddedCloudWatch(tmp_path) as cloudwatch, connected(cloudwatch.url) as client:
        assert (await client.describe_log_groups())["logGroups"] == groups
        assert (await client.describe_log_streams(logGroupName="falco"))["logStreams"] == streams
        assert (await client.list_tags_for_resource(resourceArn=ARN))["tags"] == {"a": "1"}
        assert list(cloudwatch.events("falco", "node/urgent")) == events
        assert cloudwatch.count("falco") == 3


async def test_a_second_endpoint_on_the_same_data_is_refused(tmp_path):
    async with EmbeddedCloudWatch(tmp_path):
        with pytest.raises(DataInUseError, match="choose another data directory"):
            async with EmbeddedCloudWatch(tmp_path):
                pass


async def test_a_temporary_data_directory_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    async with EmbeddedCloudWatch() as cloudwatch, connected(cloudwatch.url) as client:
        await client.create_log_group(logGroupName="falco")
        assert len(list(tmp_path.iterdir())) == 1

    assert list(tmp_path.iterdir()) == []


async def test_ages_follow_the_given_clock_and_expired_events_are_not_returned(tmp_path):
    clock = [1_800_000_000.0]

    async with EmbeddedCloudWatch(tmp_path, now=lambda: clock[0]) as cloudwatch, connected(cloudwatch.url) as client:
        await client.create_log_group(logGroupName="falco")
        await client.put_retention_policy(logGroupName="falco", retentionInDays=1)
        await client.create_log_stream(logGroupName="falco", logStreamName="node")
        put = {
            "logGroupName": "falco",
            "logStreamName": "node",
            "logEvents": [{"timestamp": 1_800_000_000_000, "message": "x"}],
        }

        assert "rejectedLogEventsInfo" not in await client.put_log_events(**put)
        assert len((await client.filter_log_events(logGroupName="falco"))["events"]) == 1
        clock[0] += DAY_SECONDS + 1
        assert (await client.put_log_events(**put))["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}
        assert (await client.filter_log_events(logGroupName="falco"))["events"] == []
        clock[0] += 14 * DAY_SECONDS
        assert (await client.put_log_events(**put))["rejectedLogEventsInfo"] == {
            "tooOldLogEventEndIndex": 1,
            "expiredLogEventEndIndex": 1,
        }
        assert cloudwatch.count("falco") == 1


async def test_discarded_events_are_counted_and_not_stored(tmp_path):
    async with EmbeddedCloudWatch(tmp_path, discard=True) as cloudwatch, connected(cloudwatch.url) as client:
        await client.create_log_group(logGroupName="falco")
        await client.create_log_stream(logGroupName="falco", logStreamName="node")
        await client.put_log_events(
            logGroupName="falco",
            logStreamName="node",
            logEvents=[{"timestamp": int(time.time() * 1000), "message": "x" * 1000}] * 100,
        )

        assert cloudwatch.count("falco") == 100
        assert list(cloudwatch.events("falco")) == []
        assert (await described(client))["storedBytes"] == 100_000
        assert sum(path.stat().st_size for path in tmp_path.rglob("*.events")) < 1000


async def test_groups_are_found_by_prefix_part_class_or_identifier(logs):
    await logs.create_log_group(logGroupName="prod/falco", logGroupClass="INFREQUENT_ACCESS")
    await logs.create_log_group(logGroupName="prod/other")

    async def listed(**arguments) -> list[str]:
        reply = await logs.describe_log_groups(**arguments)
        return [group["logGroupName"] for group in reply["logGroups"]]

    assert await listed() == ["falco", "prod/falco", "prod/other"]
    assert await listed(logGroupNamePrefix="prod/") == ["prod/falco", "prod/other"]
    assert await listed(logGroupNamePattern="falco") == ["falco", "prod/falco"]
    assert await listed(logGroupClass="INFREQUENT_ACCESS") == ["prod/falco"]
    assert await listed(logGroupIdentifiers=["prod/other", ARN]) == ["falco", "prod/other"]
    refused = logs.describe_log_groups(logGroupNamePrefix="a", logGroupNamePattern="b")
    assert await code_of(refused) == "InvalidParameterException"


@pytest.mark.parametrize("contents", [b"{", b"[]", b'{"name": "falco"}'])
async def test_unreadable_group_settings_are_refused_and_the_message_names_the_file(
    logs, cloudwatch, tmp_path, contents: bytes
):
    await cloudwatch.stop()
    (path,) = tmp_path.rglob("group.json")
    path.write_bytes(contents)

    with pytest.raises(CorruptDataError, match=r"group\.json: not the settings of a log group"):
        async with EmbeddedCloudWatch(tmp_path / "cloudwatch"):
            pass
