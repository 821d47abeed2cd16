"""The conversation with the API server: over real HTTP, in fake time, through kubernetes-asyncio."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from agent.core.values import Fragment, PodKey
from agent.enrich.api import connect
from agent.enrich.enricher import PodEnricher
from agent.enrich.projection import Selection
from agent.enrich.watch import PodWatch
from agent.telemetry.metrics import Telemetry
from tests.enrich.cluster import NODE, Cluster, serving, write_kubeconfig
from tests.enrich.objects import container_id, pod_object

pytestmark = pytest.mark.looptime

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


async def test_a_pod_that_runs_is_known_from_the_list(tmp_path):
    async with running(tmp_path, pod_object("web-1")) as agent:
        found = await agent.sees(WEB)

    assert found["pod_name"] == "web-1"
    assert found["workload_name"] == "web"


async def test_a_pod_that_starts_is_known_from_the_watch(tmp_path):
    async with running(tmp_path) as agent:
        await agent.cluster.requested(2)
        await agent.cluster.put(pod_object("web-1"))
        found = await agent.sees(WEB)

    assert found["pod_name"] == "web-1"


async def test_a_change_shows_in_the_next_fragment(tmp_path):
    async with running(tmp_path, pod_object("web-1", labels={"tier": "old"})) as agent:
        before = await agent.sees(WEB)
        await agent.cluster.put(pod_object("web-1", labels={"tier": "new"}))
        await agent.settled()
        after = await agent.sees(WEB)

    assert (before["labels"], after["labels"]) == ({"tier": "old"}, {"tier": "new"})


async def test_a_deleted_pod_stays_known_for_what_it_did(tmp_path):
    async with running(tmp_path, pod_object("web-1", uid="u1")) as agent:
        await agent.sees(WEB)
        while_it_ran = now_ms()
        await agent.cluster.delete("u1")
        await agent.settled()

        assert said(agent.enricher.fragment(WEB, while_it_ran))["pod_id"] == "u1"
        assert agent.enricher.living() == []
        assert agent.telemetry.value("kube_pods") == 1


async def test_only_this_nodes_pods_are_asked_for_by_list_and_watch_alone(tmp_path):
    async with running(tmp_path, pod_object("web-1")) as agent:
        await agent.sees(WEB)
        for number in range(100):
            await agent.sees(PodKey("shop", f"unknown-{number}", None, None), 0.01)
        await asyncio.sleep(600)

    first, *rest = agent.cluster.requests
    assert first == {"fieldSelector": "spec.nodeName=node-1", "resourceVersion": "0"}
    assert 1 <= len(rest) <= 3
    for query in rest:
        assert 240 <= int(query.pop("timeoutSeconds")) <= 360
        assert int(query.pop("resourceVersion")) >= 101
        assert query == {"fieldSelector": "spec.nodeName=node-1", "watch": "true", "allowWatchBookmarks": "true"}
    assert len(agent.cluster.connections) == 1


async def test_a_watch_that_ends_by_its_timeout_is_followed_by_one_from_the_last_bookmark(tmp_path):
    async with running(tmp_path, pod_object("web-1")) as agent:
        await agent.cluster.requested(2)
        await agent.cluster.bookmark()
        await agent.settled()
        await agent.cluster.end_watches()
        await agent.cluster.requested(3)

    assert len(agent.cluster.lists) == 1
    assert agent.cluster.watches[-1]["resourceVersion"] == str(agent.cluster.version)
    assert agent.telemetry.value("kube_watch_restarts_total") == 1


@pytest.mark.parametrize("as_event", [True, False], ids=["as an event in a 200", "as HTTP 410"])
async def test_a_version_too_old_leads_to_a_new_list(tmp_path, as_event):
    async with running(tmp_path, pod_object("web-1", uid="u1")) as agent:
        await agent.sees(WEB)
        agent.cluster.gone_as_event = as_event
        agent.cluster.pods.clear()
        agent.cluster.pods["u2"] = pod_object("web-2", uid="u2")
        agent.cluster.history.clear()
        agent.cluster.expire_history()
        await agent.cluster.end_watches()
        # The bookmark at the end of a watch must not save it: the next one is too old all the same.
        agent.cluster.expire_history()
        found = await agent.sees(PodKey("shop", "web-2", None, None), 60)

    assert found["pod_id"] == "u2"
    assert len(agent.cluster.lists) == 2
    assert [pod.uid for pod in agent.enricher.living()] == ["u2"]


async def test_a_refused_token_is_read_again(tmp_path):
    async with running(tmp_path, pod_object("web-1")) as agent:
        await agent.sees(WEB)
        agent.cluster.token = "rotated"
        agent.token_file.write_text("rotated")
        await agent.cluster.end_watches()
        await agent.cluster.requested(4)
        await agent.cluster.put(pod_object("web-2"))
        found = await agent.sees(PodKey("shop", "web-2", None, None), 60)

    assert found["pod_name"] == "web-2"
    assert len(agent.cluster.lists) == 1


async def test_missing_rights_are_said_clearly_and_no_record_waits(tmp_path, caplog):
    async with running(tmp_path) as agent:
        agent.cluster.allowed = False
        with caplog.at_level(logging.WARNING):
            await asyncio.sleep(300)
        fragment = agent.enricher.fragment(WEB, now_ms())
        asked = len(agent.cluster.requests)
        agent.cluster.allowed = True
        await agent.cluster.put(pod_object("web-1"))
        await asyncio.sleep(1200)
        later = await agent.sees(WEB)

    assert said(fragment) == {"status": "unknown", "namespace_name": "shop", "pod_name": "web-1"}
    [record] = [each for each in caplog.records if each.message == "pod watch failed"]
    assert "403" in record.__dict__["reason"]
    assert "`list` and `watch` on pods" in record.__dict__["reason"]
    assert asked < 30
    assert later["pod_name"] == "web-1"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, b"<html><body>Bad Gateway</body></html>"),
        (200, b"<html>maintenance</html>"),
        (200, b'{"kind":"Status"}'),
        (429, b'{"kind":"Status","message":"too many requests","code":429}'),
        (500, b""),
    ],
)
async def test_a_list_that_is_none_is_asked_for_again(tmp_path, status, body):
    async with running(tmp_path, pod_object("web-1")) as agent:
        agent.cluster.list_answers = [(status, body)] * 3
        await asyncio.sleep(30)
        found = await agent.sees(WEB, 60)

    assert found["pod_name"] == "web-1"
    assert len(agent.cluster.lists) == 4


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, b"<html><body>Bad Gateway</body></html>"),
        (200, b"<html>maintenance</html>\n"),
        (200, b""),
        (200, b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd lost its leader"}}\n'),
        (400, b'{"kind":"Status","message":"invalid resource version","code":400}'),
        (500, b'{"kind":"Status","code":500}'),
    ],
)
async def test_a_watch_that_fails_is_begun_again_and_misses_nothing(tmp_path, status, body):
    async with running(tmp_path, pod_object("web-1")) as agent:
        agent.cluster.watch_answers = [(status, body)] * 3
        await agent.cluster.put(pod_object("web-2"))
        found = await agent.sees(PodKey("shop", "web-2", None, None), 60)
        await asyncio.sleep(30)

    assert found["pod_name"] == "web-2"
    assert len(agent.cluster.watches) == 4


async def test_a_connection_that_breaks_is_made_again_and_misses_nothing(tmp_path):
    async with running(tmp_path, pod_object("web-1")) as agent:
        await agent.cluster.requested(2)
        await agent.settled()
        for transport in agent.cluster.connections:
            transport.abort()
        await agent.cluster.requested(3)
        await agent.cluster.put(pod_object("web-2"))
        found = await agent.sees(PodKey("shop", "web-2", None, None), 60)

    assert found["pod_name"] == "web-2"
    assert len(agent.cluster.lists) == 1
    assert len(agent.cluster.watches) == 2


async def test_an_event_of_several_megabytes_is_read(tmp_path):
    async with running(tmp_path) as agent:
        await agent.cluster.requested(2)
        await agent.cluster.put(pod_object("web-1", annotations={"last-applied": "x" * 6_000_000}))
        found = await agent.sees(WEB)

    assert found["pod_name"] == "web-1"
    assert len(agent.cluster.requests) == 2


async def test_events_of_new_kinds_and_unreadable_pods_are_passed_over(tmp_path):
    async with running(tmp_path) as agent:
        await agent.cluster.requested(2)
        await agent.cluster.send(b'{"type":"SURPRISE","object":{"metadata":{"resourceVersion":"7"}}}')
        await agent.cluster.send(b'{"type":"ADDED","object":{"metadata":{"name":7,"resourceVersion":"8"}}}')
        await agent.cluster.put(pod_object("web-1"))
        found = await agent.sees(WEB)

    assert found["pod_name"] == "web-1"
    assert len(agent.cluster.requests) == 2


async def test_a_watch_without_a_single_word_is_followed_by_a_list(tmp_path):
    """A server restored from a backup keeps a version of its future waiting, and sends no bookmark either."""
    async with running(tmp_path, pod_object("web-1")) as agent:
        await agent.cluster.requested(2)
        agent.cluster.version, agent.cluster.oldest_version = 7, 0
        agent.cluster.history.clear()
        agent.cluster.pods = {"u2": pod_object("web-2", uid="u2")}
        before = len(agent.cluster.lists)
        await asyncio.sleep(400)
        found = await agent.sees(PodKey("shop", "web-2", None, None))

    assert found["pod_name"] == "web-2"
    assert len(agent.cluster.lists) == before + 1


async def test_while_the_api_is_down_for_hours_the_known_pods_serve_on(tmp_path, caplog):
    async with running(tmp_path, pod_object("web-1")) as agent:
        await agent.sees(WEB)
        agent.cluster.list_answers = agent.cluster.watch_answers = [(503, b"")] * 10_000
        await agent.cluster.end_watches()
        began = len(agent.cluster.requests)
        with caplog.at_level(logging.WARNING):
            await asyncio.sleep(3600)
        asked = len(agent.cluster.requests) - began
        known = said(agent.enricher.fragment(WEB, now_ms()))
        other = agent.enricher.fragment(PodKey("shop", "web-2", None, None), now_ms())

    assert known["pod_name"] == "web-1"
    assert said(other)["status"] == "unknown"
    # Full jitter under a ceiling of a minute: two a minute on average.
    assert 60 < asked < 240
    assert len([each for each in caplog.records if each.message == "pod watch failed"]) == 1


async def test_without_any_configuration_the_agent_goes_on_and_says_what_to_mount(tmp_path, caplog):
    watch = PodWatch(partial(connect, NODE, tmp_path / "none"), Selection(["*"], []), Telemetry("test"))
    enricher = PodEnricher(watch, 3600, Telemetry("test"))

    with caplog.at_level(logging.WARNING):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(enricher.run())
            await asyncio.sleep(100)
            task.cancel()

    reasons = [each.__dict__["reason"] for each in caplog.records if each.message == "pod watch failed"]
    assert len(reasons) == 1
    assert "mount a service account token" in reasons[0]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx",
    ],
)
async def test_a_server_that_speaks_nonsense_is_only_trouble(tmp_path, nonsense):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(nonsense)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", url, tmp_path / "token")
        watch = PodWatch(partial(connect, NODE, kubeconfig), Selection(["*"], []), Telemetry("test"))
        enricher = PodEnricher(watch, 3600, Telemetry("test"))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(enricher.run())
            await asyncio.sleep(60)
            task.cancel()

        fragment = enricher.fragment(WEB, now_ms())

    assert said(fragment)["status"] == "unknown"


async def test_the_token_is_never_logged(tmp_path, caplog):
    with caplog.at_level(logging.DEBUG, logger="agent"):
        async with running(tmp_path, pod_object("web-1")) as agent:
            agent.cluster.token = "another"
            await asyncio.sleep(100)

    assert caplog.records
    assert not [record for record in caplog.records if "sesame" in str(record.__dict__)]


async def test_a_container_that_runs_in_a_pod_just_begun_is_found_by_its_id_alone(tmp_path):
    identity = container_id("late")
    key = PodKey(None, None, None, identity[:12])
    async with running(tmp_path, pod_object("web-1", containers={"web": None})) as agent:
        await agent.sees(WEB)
        first = agent.enricher.fragment(key, now_ms())
        await agent.cluster.put(pod_object("web-1", containers={"web": identity}))
        found = await agent.sees(key)

    assert first is None
    assert (found["container_name"], found["docker_id"]) == ("web", identity)


def said(fragment: Fragment | None) -> dict[str, Any]:
    assert fragment is not None
    assert fragment.plain.startswith(b',"kubernetes":')
    loaded: dict[str, Any] = orjson.loads(fragment.plain.removeprefix(b',"kubernetes":'))
    return loaded


def now_ms() -> int:
    return int(time.time() * 1000)
