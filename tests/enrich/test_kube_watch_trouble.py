"""Failures of the API server and the network: the agent continues and logs each kind of failure once."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

import pytest

from agent.core.values import PodKey
from agent.enrich.enricher import PodEnricher
from agent.enrich.kube_api import connect
from agent.enrich.kube_watch import PodWatch
from agent.enrich.pod import Selection
from agent.telemetry.metrics import Telemetry
from tests.enrich.cluster import NODE, write_kubeconfig
from tests.enrich.objects import pod_object
from tests.enrich.running import WEB, now_ms, running, said

pytestmark = pytest.mark.looptime


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
async def test_an_invalid_list_is_requested_again(tmp_path, status, body):
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
async def test_a_failed_watch_is_restarted_and_misses_no_event(tmp_path, status, body):
    async with running(tmp_path, pod_object("web-1")) as agent:
        agent.cluster.watch_answers = [(status, body)] * 3
        await agent.cluster.put(pod_object("web-2"))
        found = await agent.sees(PodKey("shop", "web-2", None, None), 60)
        await asyncio.sleep(30)

    assert found["pod_name"] == "web-2"
    assert len(agent.cluster.watches) == 4


async def test_a_broken_connection_is_opened_again_and_misses_no_event(tmp_path):
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
        await agent.cluster.put(pod_object("web-1", annotations={"last-applied": "x" * 3_000_000}))
        found = await agent.sees(WEB)

    assert found["pod_name"] == "web-1"
    assert len(agent.cluster.requests) == 2


async def test_events_of_unknown_types_and_unreadable_pods_are_skipped(tmp_path):
    async with running(tmp_path) as agent:
        await agent.cluster.requested(2)
        await agent.cluster.send(b'{"type":"SURPRISE","object":{"metadata":{"resourceVersion":"7"}}}')
        await agent.cluster.send(b'{"type":"ADDED","object":{"metadata":{"name":7,"resourceVersion":"8"}}}')
        await agent.cluster.put(pod_object("web-1"))
        found = await agent.sees(WEB)

    assert found["pod_name"] == "web-1"
    assert len(agent.cluster.requests) == 2


async def test_a_watch_without_any_event_is_followed_by_a_list(tmp_path):
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


async def test_known_pods_are_used_while_the_api_server_is_down(tmp_path, caplog):
    async with running(tmp_path, pod_object("web-1")) as agent:
        await agent.sees(WEB)
        agent.cluster.list_answers = agent.cluster.watch_answers = [(503, b"")] * 10_000
        await agent.cluster.end_watches()
        began = len(agent.cluster.requests)
        with caplog.at_level(logging.WARNING):
            await asyncio.sleep(1800)
        asked = len(agent.cluster.requests) - began
        known = said(agent.enricher.fragment(WEB, now_ms()))
        other = agent.enricher.fragment(PodKey("shop", "web-2", None, None), now_ms())

    assert known["pod_name"] == "web-1"
    assert said(other)["status"] == "unknown"
    # Full jitter under a ceiling of ten seconds: twelve a minute on average.
    assert 200 < asked < 600
    assert len([each for each in caplog.records if each.message == "pod watch failed"]) == 1


async def test_without_any_configuration_the_agent_continues_and_logs_the_remedy(tmp_path, caplog):
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
async def test_a_server_that_does_not_speak_http_is_a_failure_and_not_a_crash(tmp_path, nonsense):
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
