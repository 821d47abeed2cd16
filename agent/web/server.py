"""Serves /metrics, /healthz, /readyz, /status and the status page; accepts only GET and HEAD.

A client that can reach the port cannot exhaust the agent: the number of connections is bounded. When the bound is
reached, a new connection closes the oldest one, so that kubelet's probes are answered however many connections idle.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client.aiohttp import make_aiohttp_handler

from agent.errors import PortUnavailable
from agent.settings import Http
from agent.telemetry import Telemetry
from agent.telemetry.defects import Defects
from agent.web.document import status_document
from agent.web.listen import BOTH_FAMILIES, both_families
from agent.web.pace import Pace
from agent.web.page import CONTENT_SECURITY_POLICY, render
from agent.web.report import Probe, Report

MOST_CONNECTIONS = 64
"""Prometheus, kubelet and a few people need fewer than ten; log files need the rest of the file descriptors."""
KEEP_ALIVE_SECONDS = 75.0
"""Longer than the usual scrape interval of one minute, so that Prometheus keeps its connection."""
LINGERING_SECONDS = 1.0
"""Time to read the rest of a request that was refused, so that the client sees the answer."""
STALLED_SECONDS = 30
"""A client that acknowledges no byte of its answer for this long loses the connection, which holds the answer."""
LARGEST_REQUEST_BYTES = 4096
"""Bound on a request's body; no valid request has one."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

Probes = Callable[[], Sequence[Probe]]


@asynccontextmanager
async def serve(
    settings: Http, telemetry: Telemetry, *, report: Callable[[], Report], health: Probes, readiness: Probes
) -> AsyncIterator[int]:
    """Serves during the block and yields the port. Raises PortUnavailable."""
    application = web.Application(
        client_max_size=LARGEST_REQUEST_BYTES, middlewares=[_defects_middleware(telemetry.defects)]
    )
    application.on_response_prepare.append(_harden)
    pace = Pace()
    application.add_routes(
        [
            web.get("/metrics", pace.paced(make_aiohttp_handler(telemetry.registry))),
            web.get("/healthz", _probe_handler(health, telemetry.defects)),
            web.get("/readyz", _probe_handler(readiness, telemetry.defects)),
            web.get("/status", pace.paced(_status_handler(report, health, readiness))),
            web.get("/", pace.paced(_page_handler(report, health, readiness))),
        ]
    )
    runner = web.AppRunner(
        application,
        access_log=None,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        lingering_time=LINGERING_SECONDS,
        shutdown_timeout=1.0,
        handle_signals=False,
    )
    await runner.setup()
    try:
        server = await _listen(runner, settings)
        try:
            port: int = server.sockets[0].getsockname()[1]
            yield port
        finally:
            server.close()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, settings: Http) -> asyncio.Server:
    protocols = runner.server
    assert protocols is not None, "AppRunner.setup creates the server"

    def connected() -> asyncio.Protocol:
        # Closing the oldest is safe: Prometheus opens a new connection for its next request.
        surplus = max(0, len(protocols.connections) + 1 - MOST_CONNECTIONS)
        for oldest in protocols.connections[:surplus]:
            oldest.force_close()
        return protocols()

    try:
        if settings.host == BOTH_FAMILIES:
            server = await asyncio.get_running_loop().create_server(connected, sock=both_families(settings.port))
        else:
            server = await asyncio.get_running_loop().create_server(connected, settings.host, settings.port)
    except (OSError, OverflowError, ValueError) as error:
        raise PortUnavailable(_explain(error, settings)) from error
    for listening in server.sockets:
        # Connections inherit the option from the listening socket.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_SECONDS * 1000)
    return server


def _explain(error: Exception, settings: Http) -> str:
    values = f"http.host = {settings.host!r}, http.port = {settings.port}: "
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return values + "another process uses this port; set http.port to a free port (0: any)"
    if number in (errno.EACCES, errno.EPERM):
        return values + "not permitted; ports below 1024 need a capability, so set http.port to 1024 or above"
    if isinstance(error, socket.gaierror) or number == errno.EADDRNOTAVAIL:
        return values + "the host is not an address of this machine; set http.host to ::, which serves IPv4 and IPv6"
    return values + f"the agent cannot listen there ({error}); set http.host and http.port to another address"


def _defects_middleware(defects: Defects) -> Middleware:
    """Takes down an unforeseen exception of a handler and answers 500."""

    @web.middleware
    async def contain(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException:
            raise
        except Exception as error:  # noqa: BLE001  # a page that cannot be made must not disturb the rest
            defects.note("http", error)
            return web.Response(text="This page could not be made; the reason is in the agent's log.\n", status=500)

    return contain


def _probe_handler(probes: Probes, defects: Defects) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        found: Sequence[Probe]
        try:
            found = probes()
        except Exception as error:  # noqa: BLE001  # kubelet must not restart a fleet for a defect of the probe itself
            defects.note("http", error)
            found = (Probe("http", False, "the checks could not be made; see the agent's log", required=False),)
        lines = "".join(f"{_outcome(probe)} {probe.name}: {_one_line(probe.detail)}\n" for probe in found)
        passed = all(probe.ok or not probe.required for probe in found)
        return web.Response(text=lines, status=200 if passed else 503)

    return answer


def _outcome(probe: Probe) -> str:
    if probe.ok:
        return "ok"
    return "failed" if probe.required else "warning"


def _one_line(detail: str) -> str:
    return " ".join(detail.split())


def _status_handler(report: Callable[[], Report], health: Probes, readiness: Probes) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(
            body=status_document(report(), health(), readiness()), content_type="application/json", charset="utf-8"
        )

    return answer


def _page_handler(report: Callable[[], Report], health: Probes, readiness: Probes) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=render(report(), health(), readiness()), content_type="text/html")

    return answer


async def _harden(_: web.Request, response: web.StreamResponse) -> None:
    # Runs for every answer, errors included.
    response.headers.update(_HEADERS)
