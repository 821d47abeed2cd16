"""Sequence tokens as AWS enforced them before 2023, on request."""

import time

import pytest
from botocore.exceptions import ClientError

from agent.local.emulator import EmbeddedCloudWatch

from .conftest import connected


async def put(client, message: str, token: str | None = None) -> str:
    tokens = {} if token is None else {"sequenceToken": token}
    now_ms = 1_800_000_000_000
    reply = await client.put_log_events(
        logGroupName="falco", logStreamName="node", logEvents=[{"timestamp": now_ms, "message": message}], **tokens
    )
    next_token: str = reply["nextSequenceToken"]
    return next_token


async def refusal(awaitable) -> tuple[str, str | None]:
    with pytest.raises(ClientError) as raised:
        await awaitable
    return raised.value.response["Error"]["Code"], raised.value.response.get("expectedSequenceToken")


async def test_each_put_needs_the_token_of_the_previous_put(tmp_path):
    async with (
        EmbeddedCloudWatch(tmp_path, sequence_tokens=True, now=lambda: 1_800_000_000.0) as cloudwatch,
        connected(cloudwatch.url) as client,
    ):
        await client.create_log_group(logGroupName="falco")
        await client.create_log_stream(logGroupName="falco", logStreamName="node")

        assert await refusal(put(client, "a", "invented")) == ("InvalidSequenceTokenException", None)
        first = await put(client, "a")
        assert await refusal(put(client, "b")) == ("InvalidSequenceTokenException", first)
        assert await refusal(put(client, "a")) == ("DataAlreadyAcceptedException", first)
        second = await put(client, "b", first)
        assert await refusal(put(client, "b", first)) == ("DataAlreadyAcceptedException", second)
        assert await refusal(put(client, "c", first)) == ("InvalidSequenceTokenException", second)

        assert [event.message for event in cloudwatch.events("falco")] == [b"a", b"b"]

    async with (
        EmbeddedCloudWatch(tmp_path, sequence_tokens=True, now=lambda: 1_800_000_000.0) as cloudwatch,
        connected(cloudwatch.url) as client,
    ):
        assert await refusal(put(client, "c", first)) == ("InvalidSequenceTokenException", second)
        await put(client, "c", second)


async def test_by_default_tokens_are_ignored(logs):
    for token in (None, "wrong", "wrong"):
        tokens = {} if token is None else {"sequenceToken": token}
        event = {"timestamp": int(time.time() * 1000), "message": "x"}

        await logs.put_log_events(logGroupName="falco", logStreamName="node", logEvents=[event], **tokens)
