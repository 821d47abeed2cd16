"""The way a put takes is that of every other call: endpoint, proxy, credentials."""

import asyncio

import pytest

from agent.cloudwatch.client import open_cloudwatch
from agent.core.values import Destination
from agent.errors import Unavailable
from agent.settings.model import CloudWatch
from tests.cloudwatch.clients import client_of
from tests.cloudwatch.scripted_endpoint import scripted_endpoint
from tests.cloudwatch.test_put import events

HERE = Destination("falco", "node-1")


async def asked_of_a_proxy(monkeypatch: pytest.MonkeyPatch, **settings: object) -> list[str]:
    """The request lines that a proxy gets when a batch is put and when a stream is created; it refuses both."""
    lines = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append((await reader.readline()).decode().strip())
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        url = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.setenv("HTTPS_PROXY", url)
        async with open_cloudwatch(CloudWatch.model_validate(settings)) as client:
            for call in (client.put(HERE, events("one")), client.create(HERE)):
                with pytest.raises(Unavailable):
                    await call
    return lines


async def test_a_put_goes_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch):
    put, create = await asked_of_a_proxy(monkeypatch, endpoint_url="http://logs.example.test")

    assert put == create == "POST http://logs.example.test/ HTTP/1.1"


@pytest.mark.parametrize(("variable", "host"), [
    ("AWS_REGION", "logs.eu-west-1.amazonaws.com"),
    ("AWS_USE_FIPS_ENDPOINT", "logs-fips.eu-west-1.amazonaws.com"),
    ("AWS_USE_DUALSTACK_ENDPOINT", "logs.eu-west-1.api.aws"),
])  # fmt: skip
async def test_a_put_goes_to_the_endpoint_of_the_region(monkeypatch: pytest.MonkeyPatch, variable: str, host: str):
    monkeypatch.setenv(variable, "eu-west-1" if variable == "AWS_REGION" else "true")

    put, create = await asked_of_a_proxy(monkeypatch, region="eu-west-1")

    assert put == create == f"CONNECT {host}:443 HTTP/1.1"


async def test_a_put_is_signed_with_the_session_token_of_temporary_credentials(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    async with scripted_endpoint() as endpoint, client_of(endpoint) as client:
        await client.put(HERE, events("one"))

    [request] = endpoint.requests
    assert request.headers["X-Amz-Security-Token"] == "token"
    assert "x-amz-security-token" in request.headers["Authorization"]
    assert request.signature_is_valid(endpoint.url, "secret")
