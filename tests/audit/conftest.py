"""An AWS environment that does not depend on the machine, and an embedded CloudWatch whose clock a test sets."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.local.emulator import EmbeddedCloudWatch
from tests.audit.cloudwatch import Clock


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "FALCOWATCH_")) or "_proxy" in name.lower()]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFALCOWATCHTESTS0")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def cloudwatch(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[EmbeddedCloudWatch]:
    """The embedded CloudWatch Logs and KMS, to which the command's settings point."""
    async with EmbeddedCloudWatch(tmp_path / "cloudwatch", now=clock) as endpoint:
        monkeypatch.setenv("FALCOWATCH_CLOUDWATCH__ENDPOINT_URL", endpoint.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", endpoint.url)
        yield endpoint
