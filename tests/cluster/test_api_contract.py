"""The conversation that the agent has with an API server, held against both the small one of our tests and a real one.

The real one is any that $FALCOWATCH_TEST_KUBECONFIG names with the rights of an administrator. A pod is
made there that no kubelet runs (its node does not exist) and a service account without rights; both
are deleted again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import orjson
import pytest
import yaml
from kubernetes_asyncio import config
from kubernetes_asyncio.client import ApiClient, Configuration

from agent.enrich.kube_api import KubernetesApi, connect
from agent.enrich.pod import Pod, Selection
from agent.enrich.responses import Event, Forbidden, PodListReader, Stale, Unauthorized, read_event
from tests.enrich.cluster import NODE, Cluster, serving, write_kubeconfig
from tests.enrich.objects import pod_object

ALL = Selection(["*"], [])
NAME = "falcowatch-contract"
NAMESPACE = "default"
KUBECONFIG = os.environ.get("FALCOWATCH_TEST_KUBECONFIG", "")


class Server(Protocol):
    """What a test needs of either."""

    kubeconfig: Path
    node: str

    async def create(self) -> None: ...

    async def delete(self) -> None: ...

    async def kubeconfig_without_rights(self) -> Path: ...


class Ours:
    """The small server."""

    node = NODE

    def __init__(self, cluster: Cluster, kubeconfig: Path) -> None:
        self._cluster = cluster
        self.kubeconfig = kubeconfig

    async def create(self) -> None:
        await self._cluster.put(pod_object(NAME, namespace=NAMESPACE, uid="u1"))

    async def delete(self) -> None:
        if "u1" in self._cluster.pods:
            await self._cluster.delete("u1")

    async def kubeconfig_without_rights(self) -> Path:
        self._cluster.allowed = False
        return self.kubeconfig


class Real:
    """A real one, through plain requests."""

    node = f"{NAME}-node"

    def __init__(self, client: ApiClient, kubeconfig: Path, directory: Path) -> None:
        self._client = client
        self._directory = directory
        self.kubeconfig = kubeconfig

    async def create(self) -> None:
        body = {
            "metadata": {"name": NAME, "labels": {"app": "web"}},
            "spec": {"nodeName": self.node, "containers": [{"name": "web", "image": "nginx"}]},
        }
        await self._ask("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", body)

    async def delete(self) -> None:
        at_once = {"gracePeriodSeconds": 0}
        await self._ask("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/{NAME}", at_once, missing_is_fine=True)

    async def kubeconfig_without_rights(self) -> Path:
        accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
        await self._ask("POST", accounts, {"metadata": {"name": NAME}})
        answer = await self._ask("POST", f"{accounts}/{NAME}/token", {"spec": {"expirationSeconds": 600}})
        return with_token(self.kubeconfig, self._directory / "without-rights", answer["status"]["token"])

    async def tidy(self) -> None:
        await self.delete()
        account = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{NAME}"
        await self._ask("DELETE", account, {}, missing_is_fine=True)

    async def _ask(self, method: str, path: str, body: dict[str, Any], *, missing_is_fine: bool = False) -> Any:
        response = await self._client.call_api(
            path,
            method,
            body=body,
            header_params={"Content-Type": "application/json"},
            auth_settings=["BearerToken"],
            _preload_content=False,
            _request_timeout=30,
        )
        async with response:
            text = await response.text()
            if response.status >= 300 and not (missing_is_fine and response.status == 404):
                pytest.fail(f"{method} {path} answered {response.status}: {text}")
            return orjson.loads(text)


def with_token(kubeconfig: Path, path: Path, token: str) -> Path:
    """The same kubeconfig with another user."""
    loaded = yaml.safe_load(kubeconfig.read_text())
    for user in loaded["users"]:
        user["user"] = {"token": token}
    path.write_text(yaml.safe_dump(loaded))
    return path


@asynccontextmanager
async def real(directory: Path) -> AsyncIterator[Real]:
    configuration = Configuration()
    await config.load_kube_config(KUBECONFIG, client_configuration=configuration, persist_config=False)
    async with ApiClient(configuration) as client:
        server = Real(client, Path(KUBECONFIG), directory)
        await server.tidy()
        try:
            yield server
        finally:
            await server.tidy()


@pytest.fixture(
    params=[
        pytest.param("ours", marks=pytest.mark.looptime),
        pytest.param(
            "real",
            marks=pytest.mark.skipif(not KUBECONFIG, reason="FALCOWATCH_TEST_KUBECONFIG names no kubeconfig"),
        ),
    ]
)
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    if request.param == "ours":
        async with serving() as (cluster, url):
            cluster.streams_lists = True
            yield Ours(cluster, write_kubeconfig(tmp_path / "kubeconfig", url, tmp_path / "token"))
    else:
        async with real(tmp_path) as found:
            yield found


@pytest.fixture
async def api(server: Server) -> AsyncIterator[KubernetesApi]:
    async with connect(server.node, server.kubeconfig) as connected:
        yield connected


async def events(api: KubernetesApi, version: str, seconds: int) -> list[Event]:
    """A whole watch, to the end that the server makes of it."""
    found = []
    async with asyncio.timeout(seconds + 10), aclosing(api.watch_pods(version, seconds)) as lines:
        async for line in lines:
            event = read_event(line, ALL)
            assert event is not None
            found.append(event)
    return found


async def whole_list(api: KubernetesApi) -> tuple[list[Pod], str]:
    """All pods and the version of the list."""
    pods: list[Pod] = []
    token: str | None = None
    while token != "":
        reader = PodListReader(ALL)
        async with aclosing(api.list_pods(token or "")) as pieces:
            async for piece in pieces:
                pods += reader.feed(piece)
        assert reader.unreadable == 0
        page = reader.end()
        token = page.continue_token
    return pods, page.version


async def version_now(api: KubernetesApi) -> str:
    return (await whole_list(api))[1]


async def test_a_list_has_this_nodes_pods_and_a_version(server: Server, api: KubernetesApi):
    version = await version_now(api)
    await server.create()
    # A list by `resourceVersion=0` comes from a cache, which may be a moment behind: a whole watch lets it catch up.
    await events(api, version, 5)

    [pod], version = await whole_list(api)

    assert (pod.namespace, pod.name, pod.node) == (NAMESPACE, NAME, server.node)
    assert pod.labels["app"] == "web"
    assert pod.created_ms > 0
    assert pod.containers[0].name == "web"
    assert int(version) > 0


async def test_a_list_without_pods_is_a_list(server: Server, api: KubernetesApi):
    pods, version = await whole_list(api)

    assert pods == []
    assert int(version) > 0


async def test_a_watch_reports_a_created_and_a_deleted_pod_and_ends_with_a_bookmark(server: Server, api: KubernetesApi):
    version = await version_now(api)
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(events(api, version, 8))
        await server.create()
        await server.delete()

    told = [event for event in watch.result() if event.pod]
    assert (told[0].kind, told[-1].kind) == ("put", "delete")
    assert {event.pod.name for event in told if event.pod} == {NAME}
    assert watch.result()[-1].kind == "bookmark"
    assert int(watch.result()[-1].version) >= int(told[-1].version) > int(version)


async def test_a_watch_continues_where_the_last_one_ended(server: Server, api: KubernetesApi):
    version = await version_now(api)
    await server.create()
    first = await events(api, version, 5)
    await server.delete()
    second = await events(api, first[-1].version, 5)

    assert [event.kind for event in second if event.pod][-1] == "delete"
    assert not [event for event in second if event.kind == "put" and event.version == first[0].version]


async def test_a_version_too_old_is_stale(server: Server, api: KubernetesApi):
    with pytest.raises(Stale, match="410"):
        await events(api, "1", 5)


async def test_a_future_version_brings_no_event_or_is_stale(server: Server, api: KubernetesApi):
    """In both cases the agent lists again: after a watch without events, or at once."""
    future = str(int(await version_now(api)) + 1_000_000)

    try:
        told = [event for event in await events(api, future, 5) if event.pod]
    except Stale:
        told = []

    assert told == []


async def test_a_watch_begins_with_the_existing_pods_or_is_refused(server: Server, api: KubernetesApi):
    """A server that cannot do it answers with an error, and then the agent lists in the ordinary way."""
    await server.create()
    await events(api, await version_now(api), 5)

    found: list[Event] = []
    with contextlib.suppress(Stale):
        async with asyncio.timeout(15), aclosing(api.watch_pods(None, 5)) as lines:
            async for line in lines:
                event = read_event(line, ALL)
                assert event is not None
                found.append(event)

    if found:
        end = next(number for number, event in enumerate(found) if event.initial_events_end)
        assert [event.pod.name for event in found[:end] if event.pod] == [NAME]
        assert int(found[end].version) > 0


async def test_an_invalid_token_is_unauthorized(server: Server, tmp_path: Path):
    async with connect(server.node, with_token(server.kubeconfig, tmp_path / "other", "none")) as api:
        with pytest.raises(Unauthorized, match="401"):
            await whole_list(api)
        with pytest.raises(Unauthorized, match="401"):
            await events(api, "1", 5)


async def test_missing_rights_are_forbidden(server: Server):
    async with connect(server.node, await server.kubeconfig_without_rights()) as api:
        with pytest.raises(Forbidden, match="403"):
            await whole_list(api)
        with pytest.raises(Forbidden, match="403"):
            await events(api, "1", 5)
