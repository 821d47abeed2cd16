"""Fixtures: the embedded CloudWatch over real HTTP, and a client from the AWS SDK."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from agent.local.emulator import EmbeddedCloudWatch

# The SDK's clients have no static types.
Client = Any
Connect = Callable[[str], AbstractAsyncContextManager[Client]]


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-aws-credentials"))


@asynccontextmanager
async def connected(url: str, service: str = "logs", **config: Any) -> AsyncIterator[Client]:
    """A client that does not validate and does not retry, so that a test sees the endpoint's own response."""
    settings = {"parameter_validation": False, "retries": {"mode": "standard", "total_max_attempts": 1}, **config}
    async with get_session().create_client(
        service,
        region_name="eu-central-1",
        endpoint_url=url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=AioConfig(**settings),
    ) as client:
        yield client


@pytest.fixture
async def cloudwatch(tmp_path: Path) -> AsyncIterator[EmbeddedCloudWatch]:
    async with EmbeddedCloudWatch(tmp_path / "cloudwatch") as endpoint:
        yield endpoint


@pytest.fixture
async def logs(cloudwatch: EmbeddedCloudWatch) -> AsyncIterator[Client]:
    """A client; group `falco` and stream `node` exist."""
    async with connected(cloudwatch.url) as client:
        await client.create_log_group(logGroupName="falco")
        await client.create_log_stream(logGroupName="falco", logStreamName="node")
        yield client
