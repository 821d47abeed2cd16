"""Each state of Falco on a node, with real files and an API server, seen in every place that shows it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from agent.local.emulator import EmbeddedCloudWatch
from tests.enrich.cluster import NODE, Cluster, serving, write_kubeconfig
from tests.enrich.objects import pod_object
from tests.process.driver import PATIENCE_SECONDS, Agent, agent, alert, append, container, cri, environment

UID = "11111111-d9cb-469f-a165-70867728950e"
TEXT = b"07:53:51.905525426: Warning Sensitive file opened for reading by non-trusted program"
BANNER = b"Mon Nov 23 07:53:51 2026: Falco version: 0.44.1 (x86_64)"
FAST = {"heartbeat_seconds": "0.3", "falco__missing_seconds": "1.2", "node_name": NODE}
STATES = ("reading", "silent", "text", "elsewhere", "none")


@pytest.fixture
async def cloudwatch(tmp_path: Path) -> AsyncIterator[EmbeddedCloudWatch]:
    async with EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as endpoint:
        yield endpoint


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    async with serving() as (cluster, url):
        monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "kubeconfig", url, tmp_path / "token")))
        yield cluster


@dataclass(frozen=True)
class Case:
    """One state: how the node looks, and what each place must show."""

    state: str
    prepare: Callable[[Path], None]
    headline: str
    words: str
    pods: tuple[str, ...]
    announced: bool


def reading(place: Path) -> None:
    append(container(place) / "0.log", cri(BANNER), cri(alert(1)))


def text(place: Path) -> None:
    append(container(place) / "0.log", cri(BANNER), cri(TEXT))


def silent(place: Path) -> None:
    reading(place)
    os.utime(container(place) / "0.log", (time.time() - 7200, time.time() - 7200))


def elsewhere(place: Path) -> None:
    append(container(place, f"default_falco-b4c5d_{UID}") / "0.log", cri(BANNER), cri(alert(1)))


def unreadable(place: Path) -> None:
    """Docker's layout: kubelet's log is a link into Docker's directory."""
    append(place / "x-json.log", alert(1) + b"\n")
    (container(place) / "0.log").symlink_to(place / "x-json.log")


def none(place: Path) -> None:
    append(container(place, f"default_web-1_{UID}", "web") / "0.log", cri(b"hello"))


FALCO = ("falco/falco-x2x9t",)
CASES = [
    Case("reading", reading, "Nothing is lost", "falco/falco-x2x9t is read, version 0.44.1", FALCO, False),
    Case("text", text, "Falco prints text, not JSON", "json_output: true", FALCO, True),
    Case("silent", silent, "Falco is silent", "has written nothing for 72", FALCO, False),
    Case(
        "elsewhere",
        elsewhere,
        "Falco is on this node, but is not read",
        "set tail.namespace = default",
        ("default/falco-b4c5d",),
        True,
    ),
    Case(
        "elsewhere",
        unreadable,
        "Falco is on this node, but is not read",
        "which tail.follow_links_into does not allow",
        FALCO,
        True,
    ),
    Case("none", none, "No Falco is on this node", "no Falco was found on this node", (), True),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.prepare.__name__)
async def test_each_state_is_seen_in_every_place(tmp_path: Path, cloudwatch: EmbeddedCloudWatch, case: Case) -> None:
    (tmp_path / "pods").mkdir()
    case.prepare(tmp_path)

    async with agent(tmp_path, cloudwatch.url, enrich__mode="none", **FAST) as running:
        status = await status_with(running, case.state)
        await arrives(cloudwatch, lambda: heartbeats(cloudwatch, case.state))
        if case.announced:
            await arrives(cloudwatch, lambda: own_events(cloudwatch, "Falco is not read"))
        status = await status_with(running, case.state, announced=case.announced)
        ready, body = await running.get("/readyz")
        page = (await running.get("/"))[1]
        metrics = (await running.get("/metrics"))[1]
        checked = await check(tmp_path, cloudwatch.url)
        strict = await check(tmp_path, cloudwatch.url, "--strict")

    fine = case.state == "reading"
    # /status and the page
    assert [pod["name"] for pod in status["falco"]["view"]["pods"]] == list(case.pods)
    assert case.words in status["falco"]["view"]["detail"]
    assert status["verdict"]["headline"] == case.headline
    assert f">{case.headline}.</h1>" in page
    assert ("Nothing is lost" in page) == fine
    # /readyz: 200 in every state
    assert ready == 200
    assert re.search(rf"^{'ok' if fine else 'warning'} falco: {case.state}: .*", body, re.MULTILINE)
    # metrics
    for state in STATES:
        assert f'falcowatch_falco_state{{state="{state}"}} {float(state == case.state)}' in metrics
    assert f"falcowatch_falco_not_read {float(case.announced)}" in metrics
    # the heartbeat
    heartbeat = heartbeats(cloudwatch, case.state)[-1]
    assert [pod.split()[0] for pod in heartbeat["output_fields"]["falco.pods"]] == list(case.pods)
    assert heartbeat["output"].endswith(f", Falco {case.state}")
    # the event
    events = own_events(cloudwatch, "Falco is not read")
    assert len(events) == case.announced
    for event in events:
        assert (event["priority"], event["output_fields"]["falco.state"]) == ("Critical", case.state)
        assert case.words in event["output"]
    assert bool(own_events(cloudwatch, "Falco is silent")) == (case.state == "silent")
    # falcowatch check: a log that cannot be opened is an error, the other states are warnings
    assert (checked[0], strict[0]) == (int(case.prepare is unreadable), 0 if fine else 1)
    assert re.search(rf"^  {'ok' if fine else 'warning'} +falco: {case.state}: ", checked[1], re.MULTILINE)


@pytest.mark.parametrize(
    ("labels", "containers", "image", "because"),
    [
        ({"app.kubernetes.io/name": "falco"}, {"engine": None}, "x", "label app.kubernetes.io/name=falco"),
        ({}, {"falco": None}, "x", "container falco"),
        ({}, {"engine": None}, "docker.io/falcosecurity/falco:0.45.0", "image docker.io/falcosecurity/falco:0.45.0"),
    ],
)
async def test_the_api_server_tells_of_a_falco_elsewhere_by_label_container_and_image(
    tmp_path: Path,
    cloudwatch: EmbeddedCloudWatch,
    cluster: Cluster,
    labels: Any,
    containers: Any,
    image: str,
    because: str,
) -> None:
    await cluster.put(
        pod_object(
            "engine-x2x9t",
            namespace="security",
            labels=labels,
            containers=containers,
            image=image,
            owner=("DaemonSet", "engine"),
        )
    )

    async with agent(tmp_path, cloudwatch.url, enrich__mode="api", **FAST) as running:
        status = await status_with(running, "elsewhere", announced=True)
        await arrives(cloudwatch, lambda: own_events(cloudwatch, "Falco is not read"))
        code, out = await check(tmp_path, cloudwatch.url, "--strict", enrich__mode="api", node_name=NODE)

        [pod] = status["falco"]["view"]["pods"]
        assert (pod["name"], pod["state"]) == ("security/engine-x2x9t", "elsewhere")
        assert f"({because})" in pod["detail"]
        assert "tail.namespace = security, tail.pod = engine-*" in pod["detail"]
        assert code == 1
        assert f"({because})" in out

        # The operator removes it: the node has no Falco, which is announced again; then one comes that is read.
        await cluster.delete("uid-of-engine-x2x9t")
        await status_with(running, "none", announced=True)
        reading(tmp_path)
        await status_with(running, "reading")
        await arrives(cloudwatch, lambda: own_events(cloudwatch, "Falco is read"))
    [end] = own_events(cloudwatch, "Falco is read")
    assert end["priority"] == "Notice"


async def test_of_several_falcos_the_worst_state_is_the_nodes_and_each_is_listed(
    tmp_path: Path, cloudwatch: EmbeddedCloudWatch
) -> None:
    (tmp_path / "pods").mkdir()
    reading(tmp_path)
    elsewhere(tmp_path)

    async with agent(tmp_path, cloudwatch.url, enrich__mode="none", **FAST) as running:
        status = await status_with(running, "elsewhere", announced=True)

    pods = {pod["name"]: pod["state"] for pod in status["falco"]["view"]["pods"]}
    assert pods == {"default/falco-b4c5d": "elsewhere", "falco/falco-x2x9t": "reading"}
    assert status["verdict"]["headline"] == "A Falco on this node is not read"


async def test_a_node_without_falco_is_calm_when_missing_seconds_is_zero(
    tmp_path: Path, cloudwatch: EmbeddedCloudWatch
) -> None:
    settings = FAST | {"falco__missing_seconds": "0"}
    async with agent(tmp_path, cloudwatch.url, enrich__mode="none", **settings) as running:
        status = await status_with(running, "none")
        assert status["verdict"]["headline"] == "Nothing is lost"
        assert "ok falco: none: " in (await running.get("/readyz"))[1]
        assert (await check(tmp_path, cloudwatch.url, "--strict", falco__missing_seconds="0"))[0] == 0


async def test_a_restart_while_the_agent_was_away_is_told_once(tmp_path: Path, cloudwatch: EmbeddedCloudWatch) -> None:
    append(container(tmp_path) / "0.log", cri(alert(1)))
    async with agent(tmp_path, cloudwatch.url, enrich__mode="none", **FAST) as first:
        await status_with(first, "reading")
        await arrives(cloudwatch, lambda: [one for one in events(cloudwatch) if one.get("source") == "syscall"])
        assert await first.terminate() == 0
    append(container(tmp_path) / "1.log", cri(alert(2)))

    for _ in range(2):
        async with agent(tmp_path, cloudwatch.url, enrich__mode="none", **FAST) as running:
            await status_with(running, "reading")
            await arrives(cloudwatch, lambda: own_events(cloudwatch, "Falco restarted"))
            assert await running.terminate() == 0

    [event] = own_events(cloudwatch, "Falco restarted")
    assert event["output"] == "Falco in falco/falco-x2x9t has restarted while the agent was not running"
    assert event["output_fields"]["falco.found_at_start"] is True


def events(cloudwatch: EmbeddedCloudWatch) -> list[dict[str, Any]]:
    return [orjson.loads(event.message) for event in cloudwatch.events("falco")]


def own_events(cloudwatch: EmbeddedCloudWatch, kind: str) -> list[dict[str, Any]]:
    return [event for event in events(cloudwatch) if event.get("rule") == f"Falcowatch: {kind}"]


def heartbeats(cloudwatch: EmbeddedCloudWatch, state: str) -> list[dict[str, Any]]:
    return [
        event
        for event in own_events(cloudwatch, "heartbeat")
        if event["output_fields"].get("falco.state") == state
    ]  # fmt: skip


async def arrives(cloudwatch: EmbeddedCloudWatch, reached: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await cloudwatch.until(lambda: bool(reached()))


async def status_with(running: Agent, state: str, *, announced: bool | None = None) -> dict[str, Any]:
    """/status, as soon as it shows that state."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            status: dict[str, Any] = orjson.loads((await running.get("/status"))[1])
            falco = status["falco"]
            if falco["state"] == state and announced in (None, falco["view"]["announced"]):
                return status
            await asyncio.sleep(0.05)


async def check(place: Path, endpoint: str, *arguments: str, **settings: str) -> tuple[int, str]:
    """Exit code and output of `falcowatch check`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agent.cli",
        "check",
        *arguments,
        env=environment(place, endpoint, **({"enrich__mode": "none"} | settings)),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()
