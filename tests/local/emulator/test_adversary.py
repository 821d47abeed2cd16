"""Hostile answers: every kind reaches the client as described, and ends when the client or the server wants it to."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import orjson
import pytest

from agent.local.emulator import EmbeddedCloudWatch, Fault
from agent.local.emulator.adversary import HOSTILE_KINDS, hostile_answer

ENDLESS = {"endless", "slow_body", "huge_error"}


async def raw_put(cloudwatch: EmbeddedCloudWatch, stream: str = "node") -> tuple[int, bytes, str]:
    """Status, the first bytes of the body, and the Location of the answer to a PutLogEvents."""
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    event = {"timestamp": int(time.time() * 1000), "message": "x"}
    body: dict[str, Any] = {"logGroupName": "falco", "logStreamName": stream, "logEvents": [event]}
    headers = {
        "X-Amz-Date": now,
        "X-Amz-Target": "Logs_20140328.PutLogEvents",
        "Authorization": f"AWS4-HMAC-SHA256 Credential=local/{now[:8]}/eu-central-1/logs/aws4_request, "
        f"SignedHeaders=host;x-amz-date;x-amz-target, Signature={'0' * 64}",
    }
    async with (
        aiohttp.ClientSession() as http,
        http.post(cloudwatch.url, data=orjson.dumps(body), headers=headers, allow_redirects=False) as reply,
    ):
        return reply.status, await reply.content.read(32), reply.headers.get("Location", "")


@pytest.mark.parametrize("kind", [kind for kind in HOSTILE_KINDS if kind not in ENDLESS])
async def test_a_hostile_answer_arrives_with_its_status_and_body(logs, cloudwatch, kind: str):
    cloudwatch.faults.add(Fault(kind))
    expected = hostile_answer(kind)

    status, body, _ = await raw_put(cloudwatch)

    assert status == expected.status
    assert body == next(expected.chunks())[:32]
    assert cloudwatch.count("falco") == 0


@pytest.mark.parametrize("kind", sorted(ENDLESS))
async def test_an_endless_answer_ends_with_the_connection_of_the_client(logs, cloudwatch, kind: str):
    cloudwatch.faults.add(Fault(kind, count=1))

    async with asyncio.timeout(10):
        _, body, _ = await raw_put(cloudwatch)

    assert body
    assert (await raw_put(cloudwatch))[0] == 200


async def test_the_server_stops_during_a_slow_answer(tmp_path):
    async with asyncio.timeout(10), EmbeddedCloudWatch(tmp_path) as cloudwatch:
        cloudwatch.faults.add(Fault("slow_body"))
        now = asyncio.create_task(raw_put(cloudwatch))
        await cloudwatch.until(lambda: len(cloudwatch.requests) > 0)
        await cloudwatch.stop()
        await asyncio.gather(now, return_exceptions=True)


async def test_a_redirect_names_its_target(logs, cloudwatch):
    cloudwatch.faults.add(Fault("redirect", location="http://127.0.0.1:1/elsewhere"))

    assert await raw_put(cloudwatch) == (302, b"", "http://127.0.0.1:1/elsewhere")


async def test_a_hostile_answer_can_follow_an_accepted_put(logs, cloudwatch):
    cloudwatch.faults.add(Fault("empty", accepted=True))

    await raw_put(cloudwatch)

    assert cloudwatch.count("falco") == 1


@pytest.mark.parametrize(
    ("kind", "code"), [("invalid", b"InvalidParameterException"), ("wrong_token", b"InvalidSequenceTokenException")]
)
async def test_a_refusal_can_hit_one_stream_only(logs, cloudwatch, kind: str, code: bytes):
    cloudwatch.faults.add(Fault(kind, stream="node"))
    await logs.create_log_stream(logGroupName="falco", logStreamName="other")

    refused, accepted = await raw_put(cloudwatch), await raw_put(cloudwatch, "other")

    assert refused[0] == 400
    assert code[:10] in refused[1]
    assert accepted[0] == 200


async def test_sts_can_give_a_hostile_answer(cloudwatch):
    cloudwatch.faults.add(Fault("html", operation="AssumeRoleWithWebIdentity"))

    async with (
        aiohttp.ClientSession() as http,
        http.post(cloudwatch.url, data={"Action": "AssumeRoleWithWebIdentity"}) as reply,
    ):
        assert (reply.status, (await reply.read())[:6]) == (200, b"<html>")
