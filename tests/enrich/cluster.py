"""A small API server over real HTTP, with the answers that a real one gives, and its faults on request.

Held to a real server by tests/cluster/test_api_contract.py. It knows pods and their versions, answers
list and watch of one node, and records every request, so that a test can say that there was no other.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import yaml
from aiohttp import web

TOKEN = "sesame"
NODE = "node-1"


@dataclass
class Cluster:
    """The server's state. A test changes it while the agent looks on."""

    token: str = TOKEN
    version: int = 100
    oldest_version: int = 100
    """A watch from before it is too old."""
    allowed: bool = True
    streams_lists: bool = False
    """Whether a watch may begin with the pods that exist, as servers since Kubernetes 1.32 do; else HTTP 422."""
    gone_as_event: bool = True
    """A version that is too old is refused by an ERROR event inside a 200, as real servers do; else by HTTP 410."""
    list_answers: list[tuple[int, bytes]] = field(default_factory=list)
    """Answers to the next lists, in place of the true ones."""
    watch_answers: list[tuple[int, bytes]] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    history: list[tuple[int, bytes]] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    generation: int = 0
    """Watches of an earlier generation end."""

    @property
    def lists(self) -> list[dict[str, str]]:
        return [query for query in self.requests if "watch" not in query]

    @property
    def watches(self) -> list[dict[str, str]]:
        return [query for query in self.requests if "watch" in query]

    async def put(self, pod: dict[str, Any]) -> None:
        kind = "MODIFIED" if pod["metadata"]["uid"] in self.pods else "ADDED"
        await self._change(kind, pod)
        self.pods[pod["metadata"]["uid"]] = pod

    async def delete(self, uid: str) -> None:
        await self._change("DELETED", self.pods.pop(uid))

    async def send(self, line: bytes) -> None:
        """A line as it is, to every watch."""
        self.version += 1
        async with self.news:
            self.history.append((self.version, line))
            self.news.notify_all()

    async def bookmark(self) -> None:
        self.version += 1
        await self.send(_bookmark(self.version))

    async def end_watches(self) -> None:
        """As their timeout does."""
        async with self.news:
            self.generation += 1
            self.news.notify_all()

    def expire_history(self) -> None:
        """etcd compacts: no watch may begin before now."""
        self.version += 1
        self.oldest_version = self.version

    async def requested(self, count: int) -> None:
        """Returns once there were so many requests."""
        async with self.news:
            await self.news.wait_for(lambda: len(self.requests) >= count)

    async def _change(self, kind: str, pod: dict[str, Any]) -> None:
        self.version += 1
        pod["metadata"]["resourceVersion"] = str(self.version)
        async with self.news:
            self.history.append((self.version, orjson.dumps({"type": kind, "object": pod})))
            self.news.notify_all()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        self.connections.add(request.transport)
        if "sendInitialEvents" in query and not self.streams_lists:
            return _status(422, "Invalid", "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch")
        async with self.news:
            self.requests.append(query)
            self.news.notify_all()
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _status(401, "Unauthorized", "Unauthorized")
        if not self.allowed:
            return _status(403, "Forbidden", 'pods is forbidden: User "x" cannot list resource "pods"')
        if query.get("fieldSelector") != f"spec.nodeName={NODE}":
            return _status(400, "BadRequest", "a test asked for more than its node")
        return await self._watch(request, query) if query.get("watch") == "true" else self._list()

    def _list(self) -> web.Response:
        if self.list_answers:
            status, body = self.list_answers.pop(0)
            return web.Response(status=status, body=body)
        listed = {
            "kind": "PodList",
            "apiVersion": "v1",
            "metadata": {"resourceVersion": str(self.version)},
            "items": list(self.pods.values()) or None,
        }
        return web.Response(body=orjson.dumps(listed), content_type="application/json")

    async def _watch(self, request: web.Request, query: dict[str, str]) -> web.StreamResponse:
        if self.watch_answers:
            status, body = self.watch_answers.pop(0)
            return web.Response(status=status, body=body)
        position = int(query["resourceVersion"])
        if "sendInitialEvents" in query:
            return await self._watch_with_initial_events(request, query)
        if position < self.oldest_version:
            if not self.gone_as_event:
                return _status(410, "Expired", "too old resource version")
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            return web.Response(body=orjson.dumps({"type": "ERROR", "object": gone}) + b"\n")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        return await self._follow(response, query, position)

    async def _watch_with_initial_events(self, request: web.Request, query: dict[str, str]) -> web.StreamResponse:
        assert (query["resourceVersionMatch"], query["resourceVersion"]) == ("NotOlderThan", "0")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        version, pods = self.version, list(self.pods.values())
        for pod in pods:
            await response.write(orjson.dumps({"type": "ADDED", "object": pod}) + b"\n")
        await response.write(_bookmark(version, {"k8s.io/initial-events-end": "true"}) + b"\n")
        return await self._follow(response, query, version)

    async def _follow(self, response: web.StreamResponse, query: dict[str, str], position: int) -> web.StreamResponse:
        generation = self.generation
        try:
            async with asyncio.timeout(float(query["timeoutSeconds"])):
                while generation == self.generation:
                    async with self.news:
                        await self.news.wait_for(partial(self._has_news, generation, position))
                    for version, line in [entry for entry in self.history if entry[0] > position]:
                        await response.write(line + b"\n")
                        position = version
        except TimeoutError:
            pass
        if query.get("allowWatchBookmarks") == "true" and position <= self.version:
            await response.write(_bookmark(self.version) + b"\n")
        return response

    def _has_news(self, generation: int, position: int) -> bool:
        return generation != self.generation or bool(self.history and self.history[-1][0] > position)


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Cluster, str]]:
    """A cluster and its URL."""
    cluster = Cluster()
    app = web.Application()
    app.router.add_get("/api/v1/pods", cluster.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield cluster, f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        await cluster.end_watches()
        await runner.cleanup()


def write_kubeconfig(path: Path, url: str, token_file: Path, authority: Path | None = None) -> Path:
    """A kubeconfig of one cluster, with the token in its own file, like a mounted token."""
    token_file.write_text(TOKEN)
    cluster = {"server": url} | ({"certificate-authority": str(authority)} if authority else {})
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "agent", "user": {"tokenFile": str(token_file)}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "agent"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def _status(code: int, reason: str, message: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason}
    return web.Response(status=code, body=orjson.dumps(body | {"code": code}), content_type="application/json")


def _bookmark(version: int, annotations: dict[str, str] | None = None) -> bytes:
    metadata = {"resourceVersion": str(version), "creationTimestamp": None, "annotations": annotations}
    bare = {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {"containers": None}, "status": {}}
    return orjson.dumps({"type": "BOOKMARK", "object": bare})
