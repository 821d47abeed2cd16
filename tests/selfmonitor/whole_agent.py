"""A whole agent in this process, over real files and whatever CloudWatch it is pointed at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import orjson
import pytest

from agent.app import Agent
from agent.cloudwatch.client import open_cloudwatch
from agent.core.batching.span import Span
from agent.core.values import Lane
from agent.settings import Settings
from agent.tail.checkpoint import Checkpoint
from tests.process.driver import PATIENCE_SECONDS

_published: WeakKeyDictionary[Agent, list[tuple[Lane, Span]]] = WeakKeyDictionary()

NOWHERE = "http://127.0.0.1:9"


def aws_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """AWS settings that do not depend on the machine."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFALCOWATCHTESTS0")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))


@asynccontextmanager
async def built(place: Path, url: str, **changes: object) -> AsyncIterator[Agent]:
    """An agent whose tasks are not running."""
    (place / "pods").mkdir(exist_ok=True)
    plain: dict[str, object] = {
        "node_name": "node-a",
        "cluster_name": "here",
        "state_dir": place / "state",
        "heartbeat_seconds": 0,
        "tail": {"root": place / "pods"},
        "enrich": {"mode": "none"},
        "cloudwatch": {"endpoint_url": url, "region": "eu-central-1"},
    }
    settings = Settings.model_validate(plain | changes)
    checkpoint = Checkpoint(settings.state_dir)
    restored = checkpoint.open()
    try:
        async with open_cloudwatch(settings.cloudwatch) as client:
            agent = Agent(settings, client, checkpoint, restored)
            _record_own_events(agent)
            try:
                yield agent
            finally:
                agent.parts.reader.close()
    finally:
        checkpoint.close()


@asynccontextmanager
async def running(*work: Awaitable[None]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(reached: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not reached():
            await asyncio.sleep(0.01)


def own_events(agent: Agent, lane: Lane | None = None) -> list[dict[str, Any]]:
    """The own events that the agent has published, in this order."""
    return [
        orjson.loads(message)
        for published_in, span in _published[agent]
        if lane in (None, published_in)
        for message in span.messages
    ]


def published(agent: Agent) -> list[tuple[Lane, Span]]:
    """Lane and span of each own event that the agent has published, in this order."""
    return list(_published[agent])


def acknowledge_everything(agent: Agent) -> None:
    """As if CloudWatch had accepted every own event that was published."""
    for _, span in _published[agent]:
        if span.entry is not None:
            span.entry.settle(len(span))


def _record_own_events(agent: Agent) -> None:
    published: list[tuple[Lane, Span]] = []
    accept = agent.parts.shipper.accept

    def record(lane: Lane, namespace: str, span: Span) -> None:
        published.append((lane, span))
        accept(lane, namespace, span)

    agent.parts.outbox._accept = record
    _published[agent] = published
