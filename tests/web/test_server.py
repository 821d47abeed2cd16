"""The HTTP server over real HTTP: the answer of each path, and the requests that it refuses."""

import asyncio
import errno
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import pytest

from agent.errors import PortUnavailable
from agent.settings import Http
from agent.web import Probe
from agent.web.listen import both_families
from agent.web.server import MOST_CONNECTIONS
from tests.web.conftest import ServedPages


async def test_metrics_come_in_the_format_that_prometheus_asks_for(pages):
    pages.telemetry.records_read.inc(7)

    async with pages.get("/metrics") as plain:
        assert plain.content_type == "text/plain"
        assert "falcowatch_records_read_total 7.0" in await plain.text()
    async with pages.get("/metrics", Accept="application/openmetrics-text; version=1.0.0") as opened:
        assert opened.content_type == "application/openmetrics-text"
        body = await opened.text()
        assert "falcowatch_records_read_total 7.0" in body
        assert body.endswith("# EOF\n")


async def test_metrics_can_be_requested_by_name(pages):
    body = await pages.text("/metrics?name[]=falcowatch_records_read_total")

    assert "falcowatch_records_read_total 0.0" in body
    assert "falcowatch_files_open" not in body


@pytest.mark.parametrize(("path", "attribute"), [("/healthz", "health"), ("/readyz", "readiness")])
async def test_probes_that_pass_are_a_200_and_a_failed_probe_is_a_503_with_its_remedy(pages, path, attribute):
    setattr(pages, attribute, (Probe("state", True, "can be written"),))
    async with pages.get(path) as response:
        assert (response.status, await response.text()) == (200, "ok state: can be written\n")

    setattr(pages, attribute, (Probe("state", True, "fine"), Probe("credentials", False, "none found;\nset a role")))
    async with pages.get(path) as response:
        assert response.status == 503
        assert await response.text() == "ok state: fine\nfailed credentials: none found; set a role\n"


async def test_a_failed_probe_that_is_not_required_is_a_warning_in_a_200(pages):
    pages.readiness = (Probe("enrichment", False, "403; grant `list`", required=False),)

    async with pages.get("/readyz") as response:
        assert (response.status, await response.text()) == (200, "warning enrichment: 403; grant `list`\n")


@pytest.mark.parametrize(("path", "status"), [("/", 500), ("/status", 500), ("/healthz", 200), ("/readyz", 200)])
async def test_a_defect_of_a_page_is_counted_and_neither_ends_nor_restarts_the_agent(pages, monkeypatch, path, status):
    def broken():
        raise ValueError("broken")

    monkeypatch.setattr(pages, "health_now", broken)

    async with pages.get(path) as response:
        assert response.status == status
        assert "Traceback" not in await response.text()
    assert pages.telemetry.value("defects_total", part="http") == 1
    async with pages.get("/metrics") as response:
        assert response.status == 200


async def test_a_path_that_does_not_exist_is_no_defect(pages):
    async with pages.get("/nothing") as response:
        assert response.status == 404
    assert pages.telemetry.value("defects_total", part="http") == 0


async def test_health_does_not_look_at_readiness(pages):
    pages.readiness = (Probe("credentials", False, "expired"),)

    async with pages.get("/healthz") as response:
        assert response.status == 200


async def test_status_is_the_report_as_json_with_derived_values(pages):
    async with pages.get("/status") as response:
        assert response.content_type == "application/json"
        status = await response.json()

    assert status["verdict"]["level"] == "calm"
    assert status["books"] == {
        "read": 1000, "shipped": 960, "filtered": 10, "rejected": 0, "in_flight": 30,
        "unaccounted": 0, "balanced": True,
    }  # fmt: skip
    assert status["files"][0]["behind"] == 2048
    assert status["last_alerts"][0]["rule"] == "Mkdir binary dirs"
    assert status["readiness"][1] == {
        "name": "credentials", "ok": True, "detail": "web identity", "required": True,
    }  # fmt: skip


async def test_status_accepts_any_file_name_and_an_infinite_time(pages):
    file = pages.report.files[0]
    pages.change(files=(type(file)("/var/log/\udcff.log", "1:2", 1, 1),), lag_seconds=float("inf"))

    status = json.loads(await pages.text("/status"))

    assert status["files"][0]["path"] == "/var/log/?.log"
    assert status["lag_seconds"] is None
    assert "/var/log/" in await pages.text("/")


@pytest.mark.parametrize("path", ["/", "/status", "/metrics", "/healthz", "/readyz", "/nowhere"])
async def test_every_answer_forbids_caching_sniffing_and_framing(pages, path):
    async with pages.get(path) as response:
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert "unsafe" not in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_get_and_head_are_accepted(pages, method):
    async with pages.client.request(method, "/status") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET,HEAD"
    assert pages.asked == 0


async def test_head_is_get_without_the_body(pages):
    async with pages.client.head("/status") as response:
        assert response.status == 200
        assert await response.read() == b""


async def test_another_path_is_not_found(pages):
    async with pages.get("/../etc/passwd") as response:
        assert response.status == 404


async def test_an_endless_header_is_refused(pages):
    with pytest.raises(aiohttp.ClientResponseError, match="400") as refused:
        async with pages.client.get("/healthz", headers={"X": "y" * 100_000}, raise_for_status=True):
            pass
    assert refused.value.status == 400


async def test_idle_connections_do_not_keep_a_new_client_out(pages):
    crowd = [await asyncio.open_connection("127.0.0.1", pages.port) for _ in range(2 * MOST_CONNECTIONS)]

    async with pages.get("/healthz") as response:
        assert response.status == 200

    first_reader, _ = crowd[0]
    assert await first_reader.read() == b""
    for _, writer in crowd:
        writer.close()


async def test_a_port_in_use_is_reported_with_the_remedy():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(
            PortUnavailable, match=rf"http.port = {port}: another process uses this port; set http.port"
        ) as error:
            async with ServedPages().serve(Http(host="127.0.0.1", port=port)):
                pass

    assert isinstance(error.value.__cause__, OSError)


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
async def test_a_host_of_another_machine_is_reported_with_the_remedy(host):
    with pytest.raises(PortUnavailable, match=rf"http.host = '{host}'.*; set http.host"):
        async with ServedPages().serve(Http(host=host, port=0)):
            pass


async def test_it_also_listens_on_ipv6():
    pages = ServedPages()
    async with (
        pages.serve(Http(host="::1", port=0)) as port,
        aiohttp.ClientSession() as client,
        client.get(f"http://[::1]:{port}/healthz") as response,
    ):
        assert response.status == 200


async def test_by_default_one_port_serves_both_families():
    async with ServedPages().serve(Http(port=0)) as port, aiohttp.ClientSession() as client:
        for host in ("127.0.0.1", "[::1]"):
            async with client.get(f"http://{host}:{port}/healthz") as response:
                assert response.status == 200


async def test_on_a_machine_without_ipv6_the_default_serves_ipv4(monkeypatch: pytest.MonkeyPatch):
    real = socket.socket

    def without_ipv6(family: int, kind: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, kind)

    monkeypatch.setattr("agent.web.listen.socket.socket", without_ipv6)
    listening = both_families(0)
    monkeypatch.undo()

    assert listening.family is socket.AF_INET
    assert listening.getsockname()[0] == "0.0.0.0"
    listening.close()


async def test_a_port_that_is_in_use_is_reported_for_both_families():
    with real_listener() as port, pytest.raises(PortUnavailable, match="another process uses this port"):
        async with ServedPages().serve(Http(port=port)):
            pass


@contextmanager
def real_listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def test_after_the_block_the_port_is_free_and_connections_are_closed():
    pages = ServedPages()
    async with pages.serve(Http(host="127.0.0.1", port=0)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")

    await reader.read()
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
