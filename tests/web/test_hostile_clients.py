"""Clients that are slow, greedy or do not speak HTTP: kubelet's probes are answered all the same."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest

from agent.settings import Http
from agent.web.pace import ANSWERS_PER_SECOND, BURST_ANSWERS
from agent.web.server import MOST_CONNECTIONS, STALLED_SECONDS
from tests.web.conftest import ServedPages


async def healthy(pages: ServedPages) -> bool:
    """Whether /healthz answers within two seconds."""
    async with asyncio.timeout(2), pages.get("/healthz") as response:
        return response.status == 200


async def send(pages: ServedPages, data: bytes) -> bytes:
    """The answer to these bytes, up to the end of the connection or one second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", pages.port)
    writer.write(data)
    try:
        async with asyncio.timeout(3):
            return await reader.read(65536)
    except (TimeoutError, ConnectionResetError):
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"G\0T / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n" + b"x" * 100_000,
        b"POST /status HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n" + b"x" * 100_000,
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"GET /metrics?name[]=" + b"a" * 7_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /%00%ff/../../etc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
    ids=range(15),
)
async def test_an_odd_request_has_an_answer_and_harms_nobody(pages, request_bytes):
    answer = await send(pages, request_bytes)

    assert answer == b"" or answer.startswith(b"HTTP/1.")
    assert b"Traceback" not in answer
    assert await healthy(pages)


async def test_clients_that_send_a_byte_at_a_time_keep_nobody_out(pages):
    slow = [await asyncio.open_connection("127.0.0.1", pages.port) for _ in range(MOST_CONNECTIONS)]
    for byte in b"GET /met":
        for _, writer in slow:
            if not writer.is_closing():
                writer.write(bytes([byte]))
        await asyncio.sleep(0.01)

    assert await healthy(pages)
    for _, writer in slow:
        writer.close()


async def test_clients_that_do_not_read_their_answer_keep_nobody_out(pages):
    for number in range(300):
        pages.telemetry.alerts_by_rule.add((f"{number}" + "x" * 120,), 1)
    request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 20
    stalled = []
    for _ in range(2 * MOST_CONNECTIONS):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", pages.port))
        stalled.append(sock)
        await asyncio.get_running_loop().sock_sendall(sock, request)

    assert await healthy(pages)
    for sock in stalled:
        sock.close()


async def test_a_connection_whose_client_stalls_is_closed_by_the_kernel(monkeypatch):
    options: list[int] = []
    create_server = asyncio.get_running_loop().create_server

    async def created(*arguments: Any) -> asyncio.Server:
        server = await create_server(*arguments)
        servers.append(server)
        return server

    servers: list[asyncio.Server] = []
    monkeypatch.setattr(asyncio.get_running_loop(), "create_server", created)
    async with ServedPages().serve(Http(host="127.0.0.1", port=0)):
        options += [each.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) for each in servers[0].sockets]

    assert options == [STALLED_SECONDS * 1000]


@pytest.mark.parametrize("path", ["/metrics", "/status", "/"])
async def test_a_flood_of_requests_is_answered_at_a_bounded_pace_and_probes_are_not_delayed(pages, path):
    async def ask(times: int) -> None:
        for _ in range(times):
            async with pages.get(path) as response:
                await response.read()

    began = time.monotonic()
    flood = [asyncio.create_task(ask(10)) for _ in range(6)]
    await asyncio.sleep(0.2)
    probe_began = time.monotonic()
    assert await healthy(pages)
    probe_seconds = time.monotonic() - probe_began
    await asyncio.gather(*flood)

    assert time.monotonic() - began > (60 - BURST_ANSWERS - 2) / ANSWERS_PER_SECOND
    assert probe_seconds < 1
