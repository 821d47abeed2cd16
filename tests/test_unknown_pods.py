"""Alerts about pods that are not known yet wait for their own pod; no other alert waits with them."""

import asyncio
from pathlib import Path

import orjson
import pytest

from agent.app import Agent
from agent.enrich.enricher import PodEnricher
from agent.enrich.source import PodSink
from agent.local.emulator import EmbeddedCloudWatch
from tests.process.driver import alert, append, container, cri
from tests.selfmonitor.test_falco_watch import pod
from tests.selfmonitor.whole_agent import aws_environment, built, running, until


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    aws_environment(monkeypatch, tmp_path)


class Cluster:
    """A source of pods, to which the test adds some."""

    def __init__(self, name: str) -> None:
        self._added = asyncio.Queue[str]()
        self.add(name)

    def add(self, name: str) -> None:
        self._added.put_nowait(name)

    async def run(self, sink: PodSink) -> None:
        sink.pods_listed([])
        while True:
            name = await self._added.get()
            sink.pod_changed(pod(name, namespace="shop", age_seconds=60, uid=f"uid-of-{name}"))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    source = Cluster("web-1")
    monkeypatch.setattr(
        "agent.parts.build_enricher", lambda settings, telemetry: PodEnricher(source, 3600.0, telemetry)
    )
    return source


def about(pod: str, number: int, *, priority: str = "Notice") -> bytes:
    host = b'"output_fields":{"container.id":"host",'
    fields = b'"output_fields":{"k8s.ns.name":"shop","k8s.pod.name":"%b",' % pod.encode()
    return cri(alert(number, priority=priority).replace(host, fields))


def numbers(cloudwatch: EmbeddedCloudWatch, stream: str = "node-a") -> list[int]:
    return [int(orjson.loads(event.message)["output"]) for event in cloudwatch.events("/falco/here", stream)]


def books_balance(agent: Agent) -> bool:
    return agent.status.books().balanced


async def test_a_flood_of_unknown_pods_delays_neither_a_critical_nor_a_routine_alert_of_a_known_pod(
    tmp_path: Path, cluster: Cluster
) -> None:
    """All alerts of known pods arrive while every alert of an unknown pod still waits, however slow the machine is."""
    live = container(tmp_path) / "0.log"
    enrich = {"wait_seconds": 30.0}
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url, enrich=enrich, memory_budget_bytes=64 * 1024 * 1024) as agent,
    ):
        stop = asyncio.Event()
        task = asyncio.create_task(agent.run(stop))
        await until(lambda: agent.parts.telemetry.value("kube_pods"))
        for second in range(3):
            append(live, *(about(f"new-{second}-{number}", number) for number in range(1000)))
            append(live, about("web-1", 10_000 + second, priority="Critical"), about("web-1", 20_000 + second))
            await until(lambda: 10_000 + second in numbers(cloudwatch, "node-a/urgent"))  # noqa: B023
            await until(lambda: 20_000 + second in numbers(cloudwatch))  # noqa: B023
        await until(lambda: agent.status.books().shipped >= 6)
        held, shipped = agent.parts.pod_wait.records, agent.status.books().shipped
        assert books_balance(agent)
        stop.set()  # the drain waits for no pod
        await task

        assert (held, shipped) == (3000, 6)
        assert agent.status.books().shipped == 3006
        assert books_balance(agent)
        assert sorted(n for n in numbers(cloudwatch) if n < 10_000) == sorted([*range(1000)] * 3)
        assert agent.parts.telemetry.value("enrichment_total", result="late") == 3000
        assert agent.parts.telemetry.value("enrichment_total", result="hit") == 6
        assert agent.parts.budget.used_bytes == 0


async def test_a_record_ships_with_its_pod_as_soon_as_the_pod_appears(tmp_path: Path, cluster: Cluster) -> None:
    enrich = {"wait_seconds": 30.0}
    append(container(tmp_path) / "0.log", about("web-2", 1), about("web-1", 2), about("never", 3))
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url, enrich=enrich) as agent,
    ):
        stop = asyncio.Event()
        task = asyncio.create_task(agent.run(stop))
        await until(lambda: numbers(cloudwatch) == [2] and agent.parts.reader.in_flight == 2)
        [file] = agent.parts.reader.files
        assert (agent.parts.reader.in_flight, file.ledger.committed) == (2, 0)
        cluster.add("web-2")
        await until(lambda: sorted(numbers(cloudwatch)) == [1, 2])
        stop.set()  # the drain waits for no pod
        await task

        assert sorted(numbers(cloudwatch)) == [1, 2, 3]
        events = [orjson.loads(event.message) for event in cloudwatch.events("/falco/here", "node-a")]
        assert {event["output"]: event["kubernetes"].get("status") for event in events} == {
            "1": None, "2": None, "3": "unknown",
        }  # fmt: skip


async def test_what_waits_for_pods_is_bounded_and_everything_arrives(tmp_path: Path, cluster: Cluster) -> None:
    enrich = {"wait_seconds": 0.3}
    live = container(tmp_path) / "0.log"
    append(live, *(about(f"new-{number}", number) for number in range(10_000)))
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url, enrich=enrich, memory_budget_bytes=4 * 1024 * 1024) as agent,
        running(agent.run(asyncio.Event())),
    ):
        most = 0

        def shipped() -> bool:
            nonlocal most
            most = max(most, agent.parts.pod_wait.size_bytes)
            assert books_balance(agent)
            return agent.status.books().shipped == 10_000

        await until(shipped)

        share, chunk = 512 * 1024, 256 * 1024
        assert share // 2 < most < share + 2 * chunk
        assert sorted(numbers(cloudwatch)) == [*range(10_000)]
