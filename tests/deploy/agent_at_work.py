"""Runs an agent that reads one Falco log and ships it to an embedded CloudWatch, for tests of dashboards and rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from agent.app import run_agent
from agent.local.emulator import EmbeddedCloudWatch
from agent.settings import Settings

ALERTS = 5
GROUP = "/falco/eks-managed-cluster"
POD = "falco_falco-x7k2p_0f0e0d0c-0b0a-4000-8000-000000000001"


@dataclass(frozen=True, slots=True)
class AtWork:
    url: str
    cloudwatch: EmbeddedCloudWatch
    settings: Settings


def made_up_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@asynccontextmanager
async def agent_at_work(folder: Path, **cloudwatch_settings: Any) -> AsyncIterator[AtWork]:
    """When the block begins, CloudWatch has received all alerts of the log and the first heartbeat."""
    _write_alerts(folder / "pods" / POD / "falco/0.log")
    async with EmbeddedCloudWatch(data_dir=folder / "cloudwatch") as cloudwatch:
        settings = Settings.model_validate(
            {
                "node_name": "ip-10-0-1-7",
                "cluster_name": "eks-managed-cluster",
                "state_dir": folder / "state",
                "tail": {"root": folder / "pods"},
                "enrich": {"mode": "none"},
                "http": {"host": "127.0.0.1", "port": 0},
                "cloudwatch": {"region": "ap-south-1", "endpoint_url": cloudwatch.url, **cloudwatch_settings},
            }
        )
        stop = asyncio.Event()
        listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run_agent(settings, stop, listening=listening.set_result))
            async with asyncio.timeout(60):
                port = await listening
                await cloudwatch.until(lambda: cloudwatch.count(GROUP, "ip-10-0-1-7/urgent") == ALERTS)
                await cloudwatch.until(lambda: cloudwatch.count(GROUP, "ip-10-0-1-7") > 0)
            try:
                yield AtWork(f"http://127.0.0.1:{port}", cloudwatch, settings)
            finally:
                stop.set()


def _write_alerts(path: Path) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    alert = {
        "hostname": "ip-10-0-1-7",
        "output": "…",
        "output_fields": {"container.id": "host"},
        "priority": "Critical",
        "rule": "Drop and execute new binary in container",
        "source": "syscall",
        "tags": [],
        "time": f"{now}.000000001Z",
    }
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(b"%s.0Z stdout F %s\n" % (now.encode(), orjson.dumps(alert)) for _ in range(ALERTS)))
