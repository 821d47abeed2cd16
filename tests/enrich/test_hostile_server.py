"""The API server as an adversary: each answer has an outcome in bounded time and memory, and the token stays here."""

from __future__ import annotations

import asyncio
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from agent.core.values import PodKey
from agent.enrich.enricher import PodEnricher
from agent.enrich.kube_api import connect
from agent.enrich.kube_watch import PodWatch
from agent.enrich.pod import Selection
from agent.telemetry.metrics import Telemetry
from tests.enrich.cluster import NODE, write_kubeconfig
from tests.enrich.objects import pod_object
from tests.enrich.running import WEB, now_ms

MIB = 1024 * 1024

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
Writer = asyncio.StreamWriter
Answer = Callable[[Writer], Awaitable[None]]


def list_of(*pods: dict[str, Any]) -> bytes:
    return orjson.dumps({"metadata": {"resourceVersion": "7"}, "items": pods})


def whole(body: bytes, head: bytes = OK) -> Answer:
    async def answer(writer: Writer) -> None:
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    return answer


async def gzip_bomb(writer: Writer) -> None:
    # Compressed piece by piece, because the test measures the memory of this process too.
    compressor = zlib.compressobj(wbits=31)
    pieces = [compressor.compress(b"x" * MIB) for _ in range(50)]
    await whole(b"".join([*pieces, compressor.flush()]), OK + b"Content-Encoding: gzip\r\n")(writer)


def endless(piece: bytes, start: bytes = b"", head: bytes = OK) -> Answer:
    async def answer(writer: Writer) -> None:
        writer.write(head + b"\r\n" + start)
        for _ in range(200 * MIB // len(piece)):
            writer.write(piece)
            await writer.drain()

    return answer


def raw(data: bytes) -> Answer:
    async def answer(writer: Writer) -> None:
        writer.write(data)
        await writer.drain()

    return answer


@asynccontextmanager
async def served(tmp_path: Path, answer: Answer) -> AsyncIterator[tuple[PodEnricher, list[bytes]]]:
    """An enricher whose API server gives this answer to every request, and the requests."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: Writer) -> None:
        try:
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            await answer(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", url, tmp_path / "token")
        telemetry = Telemetry("test")
        watch = PodWatch(partial(connect, NODE, kubeconfig), Selection(["*"], ["*"]), telemetry)
        enricher = PodEnricher(watch, 3600, telemetry)
        task = asyncio.create_task(enricher.run())
        try:
            yield enricher, requests
            assert not task.done(), "the enricher ended"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


DEEP = b"[" * 100_000
LONG = "x" * MIB

ANSWERS = {
    "endless error": endless(b"x" * 65536, head=b"HTTP/1.1 500 Oh\r\n"),
    "endless text": endless(b"x" * 65536),
    "endless line of a pod": endless(b"x" * 65536, b'{"type":"ADDED","object":{"metadata":{"name":"'),
    "endless items": endless(b'{"metadata":{"name":1}},' * 2_000, b'{"items":['),
    "endless spaces": endless(b" " * 65536),
    "endless newlines": endless(b"\n" * 65536),
    "endless header": endless(b"X: y\r\n" * 10_000, head=b"HTTP/1.1 200 OK"),
    "gzip bomb": gzip_bomb,
    "deep json": whole(DEEP),
    "deep event": whole(b'{"type":"ADDED","object":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}\n"),
    "deep item": whole(b'{"metadata":{"resourceVersion":"7"},"items":[' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001),
    "nul": whole(b"\0" * 1000),
    "wrong types": whole(b'{"metadata":7,"items":{"a":[]}}'),
    "items that are no pods": whole(b'{"metadata":{"resourceVersion":"7"},"items":[1,"x",[],{},null]}'),
    "version of a megabyte": whole(orjson.dumps({"metadata": {"resourceVersion": LONG}, "items": []})),
    "token of a megabyte": whole(orjson.dumps({"metadata": {"continue": LONG}, "items": []})),
    "the same page for ever": whole(orjson.dumps({"metadata": {"continue": "x"}, "items": []})),
    "error event of a megabyte": whole(b'{"type":"ERROR","object":{"reason":"' + LONG.encode() + b'"}}\n'),
    "status text": whole(b"<html>" + LONG.encode(), b"HTTP/1.1 503 " + b"x" * 4000 + b"\r\n"),
    "status 99": raw(b"HTTP/1.1 099 What\r\n\r\n"),
    "two lengths": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}"),
    "negative chunk": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"),
    "nothing": raw(b""),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
async def test_a_hostile_answer_is_a_problem_in_bounded_memory(tmp_path, answer):
    tracemalloc.start()
    try:
        async with served(tmp_path, answer) as (enricher, requests):
            async with asyncio.timeout(20):
                while not requests or (enricher.problem is None and len(requests) < 3):
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)
            peak = tracemalloc.get_traced_memory()[1]
            fragment = enricher.fragment(WEB, now_ms() - 3_600_000)
    finally:
        tracemalloc.stop()

    assert fragment is None or fragment.result == "miss"
    # The server of the test and the agent share this process; the largest answer of the server is 1 MiB.
    assert peak < 24 * MIB
    assert enricher.problem is None or len(enricher.problem) < 2_000
    assert len(requests) < 200


@pytest.mark.parametrize("location", ["http://127.0.0.1:{port}/other", "//127.0.0.1:{port}/", "http://", "file:///etc"])
async def test_a_redirect_is_not_followed_and_the_token_stays(tmp_path, location):
    elsewhere: list[bytes] = []

    async def other_host(reader: asyncio.StreamReader, writer: Writer) -> None:
        elsewhere.append(await reader.read(4096))
        writer.close()

    async with await asyncio.start_server(other_host, "127.0.0.1", 0) as other:
        target = location.format(port=other.sockets[0].getsockname()[1])
        answer = raw(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode())
        async with served(tmp_path, answer) as (enricher, requests):
            async with asyncio.timeout(10):
                while enricher.problem is None:
                    await asyncio.sleep(0.05)

    assert b"sesame" in requests[0]
    assert elsewhere == []
    assert enricher.problem is not None
    assert "answered 302" in enricher.problem


@pytest.mark.looptime
async def test_a_server_that_sends_a_byte_a_second_is_given_up_in_bounded_time(tmp_path):
    async def drip(writer: Writer) -> None:
        writer.write(OK + b"\r\n")
        for byte in b'{"metadata":{"resourceVersion":"7"},"items":[' + b" " * 100_000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(1)

    async with served(tmp_path, drip) as (enricher, requests):
        await asyncio.sleep(3_600)

    # One minute for the initial events and five for the list, again and again.
    assert enricher.problem is not None
    assert 8 < len(requests) < 60


async def test_odd_pods_do_not_harm_the_others(tmp_path):
    odd = [
        pod_object(LONG, uid="u1"),
        pod_object("web-2", uid=LONG),
        pod_object("a\0b", uid="u3"),
        pod_object("web-4", uid="u4", labels={LONG: "x", "app": LONG, "ok": "yes"}, annotations={"a": LONG}),
        pod_object("web-5", uid="u5", containers={f"c{number}-{'x' * 500}": None for number in range(2_000)}),
        pod_object("", uid=""),
        pod_object("web-6", uid="u6", owner=("ReplicaSet", LONG)),
    ]
    async with served(tmp_path, whole(list_of(*odd, pod_object("web-1", uid="u9")))) as (enricher, _):
        await enricher.appear([WEB], 10)
        known = enricher.fragment(WEB, now_ms())
        labelled = enricher.fragment(PodKey("shop", "web-4", None, None), now_ms())
        cost = sum(pod.cost_bytes for pod in enricher.living())

    assert known is not None
    assert known.result == "hit"
    assert labelled is not None
    assert len(labelled.plain) <= 4096
    fields = orjson.loads(labelled.plain.removeprefix(b',"kubernetes":'))
    assert (fields["labels"], fields["labels_dropped"], fields["annotations_dropped"]) == ({"ok": "yes"}, 2, 1)
    assert fields["dropped"] == ["labels.app", "annotations.a"]
    assert cost < MIB // 4
