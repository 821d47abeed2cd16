"""List and watch against the small API server: over real HTTP, in fake time, through kubernetes-asyncio."""

from __future__ import annotations

import asyncio
import logging

import pytest

from agent.core.values import PodKey
from tests.enrich.objects import container_id, pod_object
from tests.enrich.running import WEB, now_ms, running, said

pytestmark = pytest.mark.looptime


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


async def test_a_deleted_pod_stays_known_for_earlier_alerts(tmp_path):
    async with running(tmp_path, pod_object("web-1", uid="u1")) as agent:
        await agent.sees(WEB)
        while_it_ran = now_ms()
        await agent.cluster.delete("u1")
        await agent.settled()

        assert said(agent.enricher.fragment(WEB, while_it_ran))["pod_id"] == "u1"
        assert agent.enricher.living() == []
        assert agent.telemetry.value("kube_pods") == 1


async def test_only_list_and_watch_of_this_nodes_pods_are_requested(tmp_path):
    async with running(tmp_path, pod_object("web-1")) as agent:
        await agent.sees(WEB)
        for number in range(100):
            await agent.sees(PodKey("shop", f"unknown-{number}", None, None), 0.01)
        await asyncio.sleep(600)

    first, *rest = agent.cluster.requests
    assert first == {"fieldSelector": "spec.nodeName=node-1", "resourceVersion": "0", "limit": "100"}
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


async def test_missing_rights_are_logged_with_the_remedy_and_no_record_waits(tmp_path, caplog):
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


async def test_a_container_of_a_new_pod_is_found_by_its_id_alone(tmp_path):
    identity = container_id("late")
    key = PodKey(None, None, None, identity[:12])
    async with running(tmp_path, pod_object("web-1", containers={"web": None})) as agent:
        await agent.sees(WEB)
        first = agent.enricher.fragment(key, now_ms())
        await agent.cluster.put(pod_object("web-1", containers={"web": identity}))
        found = await agent.sees(key)

    assert first is None
    assert (found["container_name"], found["docker_id"]) == ("web", identity)
