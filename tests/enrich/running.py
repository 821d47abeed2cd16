"""Runs the enricher against the small API server, over real HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from agent.core.values import Fragment, PodKey
from agent.enrich.enricher import PodEnricher
from agent.enrich.kube_api import connect
from agent.enrich.kube_watch import PodWatch
from agent.enrich.pod import Selection
from agent.telemetry.metrics import Telemetry
from tests.enrich.cluster import NODE, Cluster, serving, write_kubeconfig

WEB = PodKey("shop", "web-1", None, None)


class Agent:
    """An enricher at work against a cluster."""

    def __init__(self, cluster: Cluster, enricher: PodEnricher, telemetry: Telemetry, token_file: Path) -> None:
        self.cluster = cluster
        self.enricher = enricher
        self.telemetry = telemetry
        self.token_file = token_file

    async def sees(self, key: PodKey, seconds: float = 5.0) -> dict[str, Any]:
        await self.enricher.appear([key], seconds)
        return said(self.enricher.fragment(key, now_ms()))

    async def settled(self) -> None:
        """Lets what is under way on loopback arrive."""
        await asyncio.sleep(1.0)


@asynccontextmanager
async def running(tmp_path: Path, *pods: dict[str, Any]) -> AsyncIterator[Agent]:
    async with serving() as (cluster, url):
        for pod in pods:
            await cluster.put(pod)
        token_file = tmp_path / "token"
        kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", url, token_file)
        telemetry = Telemetry("test")
        watch = PodWatch(partial(connect, NODE, kubeconfig), Selection(["*"], []), telemetry)
        enricher = PodEnricher(watch, 3600, telemetry)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(enricher.run())
            yield Agent(cluster, enricher, telemetry, token_file)
            task.cancel()


def said(fragment: Fragment | None) -> dict[str, Any]:
    assert fragment is not None
    assert fragment.plain.startswith(b',"kubernetes":')
    loaded: dict[str, Any] = orjson.loads(fragment.plain.removeprefix(b',"kubernetes":'))
    return loaded


def now_ms() -> int:
    return int(time.time() * 1000)
