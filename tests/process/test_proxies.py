"""A proxy that refuses everything: it is told as the proxy, and an address in a CIDR of NO_PROXY does not go there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.cloudwatch.client import open_cloudwatch
from agent.core.values import Destination
from agent.enrich.kube_api import connect
from agent.errors import KubernetesError, PutError
from agent.local.emulator import EmbeddedCloudWatch
from agent.settings import CloudWatch
from tests.enrich.cluster import NODE, serving, write_kubeconfig

STATUSES = [403, 407]


@pytest.fixture(params=STATUSES)
async def proxy(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[list[bytes]]:
    """The requests that the proxy has refused."""
    refused: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        refused.append(await reader.readuntil(b"\r\n"))
        body = b"<html>refused by the proxy</html>"
        writer.write(
            b"HTTP/1.1 %d Refused\r\nContent-Type: text/html\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
            % (request.param, len(body), body)
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, url)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "172.20.0.0/16")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFALCOWATCHTESTS0")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    yield refused
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "https://127.0.0.1:9"])
async def test_cloudwatch_behind_a_proxy_that_refuses(proxy: list[bytes], endpoint: str) -> None:
    settings = CloudWatch(endpoint_url=endpoint, region="eu-west-1")
    async with open_cloudwatch(settings) as client:
        with pytest.raises(PutError, match="a proxy refuses the connection, not IAM") as error:
            await client.drift("falco")

    assert proxy
    assert error.value.reason == "proxy"
    assert "40" in str(error.value), "the status of the proxy"
    assert "IAM policy" not in str(error.value)


async def test_cloudwatch_in_a_cidr_of_no_proxy(proxy: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "172.20.0.0/16,127.0.0.0/8")
    async with (
        EmbeddedCloudWatch() as cloudwatch,
        open_cloudwatch(CloudWatch(endpoint_url=cloudwatch.url, region="eu-west-1")) as client,
    ):
        await client.create(Destination("falco", "node-a"))

    assert proxy == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "https://127.0.0.1:9"])
async def test_the_api_server_behind_a_proxy_that_refuses(proxy: list[bytes], tmp_path: Path, url: str) -> None:
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", url, tmp_path / "token")
    async with connect(NODE, kubeconfig) as api:
        with pytest.raises(KubernetesError, match=r"proxy.*NO_PROXY") as error:
            [piece async for piece in api.list_pods()]

    assert proxy
    assert "service account" not in str(error.value)


async def test_the_api_server_in_a_cidr_of_no_proxy(
    proxy: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
    async with serving() as (_, url):
        kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", url, tmp_path / "token")
        async with connect(NODE, kubeconfig) as api:
            assert b"PodList" in b"".join([bytes(piece) async for piece in api.list_pods()])

    assert proxy == []
