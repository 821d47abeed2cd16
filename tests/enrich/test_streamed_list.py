"""The list as a watch that begins with the existing pods, and the fallback to an ordinary list."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from agent.core.values import PodKey
from tests.enrich.objects import pod_object
from tests.enrich.running import WEB, running

pytestmark = pytest.mark.looptime


async def test_one_watch_brings_the_existing_pods_and_then_the_changes(tmp_path):
    async with running(tmp_path, pod_object("web-1")) as agent:
        agent.cluster.streams_lists = True
        existing = await agent.sees(WEB)
        await agent.settled()
        await agent.cluster.put(pod_object("web-2"))
        new = await agent.sees(PodKey("shop", "web-2", None, None))

    assert (existing["pod_name"], new["pod_name"]) == ("web-1", "web-2")
    [request] = agent.cluster.requests
    assert 240 <= int(request.pop("timeoutSeconds")) <= 360
    assert request == {
        "fieldSelector": "spec.nodeName=node-1",
        "watch": "true",
        "resourceVersion": "0",
        "allowWatchBookmarks": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
    }


async def test_a_pod_that_is_missing_from_the_initial_events_is_deleted(tmp_path):
    async with running(tmp_path, pod_object("web-1", uid="u1"), pod_object("web-2", uid="u2")) as agent:
        agent.cluster.streams_lists = True
        await agent.sees(WEB)
        await agent.settled()
        del agent.cluster.pods["u2"]
        agent.cluster.watch_answers = [(410, b"")]
        await agent.cluster.end_watches()
        await asyncio.sleep(30)

        assert [pod.uid for pod in agent.enricher.living()] == ["u1"]
    assert sum("sendInitialEvents" in request for request in agent.cluster.requests) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>maintenance</html>\n",
        orjson.dumps({"type": "ADDED", "object": pod_object("web-9")}) + b"\n",
        b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"no watch cache"}}\n',
    ],
    ids=["nothing", "html", "no end of the initial events", "an error event"],
)
async def test_initial_events_that_do_not_end_are_followed_by_an_ordinary_list(tmp_path, body):
    async with running(tmp_path, pod_object("web-1")) as agent:
        agent.cluster.streams_lists = True
        agent.cluster.watch_answers = [(200, body)]
        found = await agent.sees(WEB, 60)
        await agent.settled()

        assert [pod.name for pod in agent.enricher.living()] == ["web-1"]
    assert found["pod_name"] == "web-1"
    assert len(agent.cluster.lists) == 1
    assert agent.enricher.problem is None


async def test_a_list_in_several_pages_is_read_to_its_end(tmp_path):
    first = {"metadata": {"resourceVersion": "100", "continue": "next"}, "items": [pod_object("web-1", uid="u1")]}
    second = {"metadata": {"resourceVersion": "100"}, "items": [pod_object("web-2", uid="u2")]}
    async with running(tmp_path) as agent:
        agent.cluster.list_answers = [(200, orjson.dumps(first)), (200, orjson.dumps(second))]
        await agent.sees(WEB)
        await agent.settled()

        assert sorted(pod.uid for pod in agent.enricher.living()) == ["u1", "u2"]
    assert [query.get("continue") for query in agent.cluster.lists] == [None, "next"]


async def test_a_list_that_breaks_off_deletes_no_pod(tmp_path):
    async with running(tmp_path, pod_object("web-1", uid="u1"), pod_object("web-2", uid="u2")) as agent:
        await agent.sees(WEB)
        broken = orjson.dumps({"metadata": {"resourceVersion": "100"}, "items": [pod_object("web-1", uid="u1")]})[:-2]
        agent.cluster.list_answers = [(200, broken)] * 5
        agent.cluster.expire_history()
        await agent.cluster.end_watches()
        agent.cluster.expire_history()
        await asyncio.sleep(3)

        assert sorted(pod.uid for pod in agent.enricher.living()) == ["u1", "u2"]


async def test_a_version_that_no_watch_accepts_does_not_lead_to_a_busy_loop(tmp_path):
    async with running(tmp_path, pod_object("web-1")) as agent:
        agent.cluster.oldest_version = 1 << 40
        await asyncio.sleep(600)

    assert len(agent.cluster.lists) < 300
