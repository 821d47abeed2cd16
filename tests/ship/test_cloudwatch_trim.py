"""The trimmed models: everything the client does works with them, and they are small."""

import time
from pathlib import Path

import pytest

from agent.cloudwatch.client import open_cloudwatch
from agent.core.values import Destination
from agent.errors import WrongToken
from agent.local.emulator import EmbeddedCloudWatch
from agent.settings.model import CloudWatch
from agent.ship.aws.trim import write_trimmed_models
from tests.cloudwatch.clients import client_of
from tests.cloudwatch.test_put import events

HERE = Destination("falco", "node-1")
ROLE = "arn:aws:iam::123456789012:role/falcowatch"


async def test_every_call_works_with_the_trimmed_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_trimmed_models(tmp_path / "models")
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path / "models"))
    now_ms = int(time.time() * 1000)
    async with EmbeddedCloudWatch(sequence_tokens=True) as cloudwatch:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", cloudwatch.url)
        wanted = {"retention_days": 30, "deletion_protection": True, "tags": {"a": "b"}, "role_arn": ROLE}
        async with client_of(cloudwatch, **wanted) as client:
            await client.create(HERE)
            reply = await client.put(HERE, events("one", at_ms=now_ms))
            with pytest.raises(WrongToken) as refusal:
                await client.put(HERE, events("two"))
            found = [event async for event in client.read_back(HERE, now_ms, now_ms + 1)]
            drift = await client.drift("falco")
            identity = await client.identity()

    assert refusal.value.expected == reply.next_token
    assert found == [(now_ms, "one")]
    assert drift == []
    assert identity.arn is not None


async def test_the_endpoint_of_a_region_is_the_same_with_the_trimmed_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_trimmed_models(tmp_path / "models")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")

    for region in ("eu-central-1", "us-gov-west-1", "cn-north-1", "ap-southeast-7"):
        monkeypatch.delenv("AWS_DATA_PATH", raising=False)
        whole = await endpoint_of(region)
        monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path / "models"))
        assert await endpoint_of(region) == whole


def test_the_trimmed_models_are_small(tmp_path: Path):
    write_trimmed_models(tmp_path)

    assert sum(path.stat().st_size for path in tmp_path.rglob("*.json")) < 150_000


async def endpoint_of(region: str) -> str:
    async with open_cloudwatch(CloudWatch(region=region)) as client:
        return (await client.identity()).endpoint
