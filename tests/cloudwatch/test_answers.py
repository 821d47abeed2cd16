"""Answers as an adversary: redirects, endless bodies, foreign pages, wrong types. Each is an outcome."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import orjson
import pytest
from aiohttp import web

from agent.cloudwatch.client import LogsClient, open_cloudwatch
from agent.cloudwatch.http_session import MOST_BODY_BYTES, MOST_PAGE_BYTES
from agent.core.values import Destination
from agent.errors import PutError, Unavailable
from agent.settings.model import CloudWatch
from tests.cloudwatch.clients import client_of
from tests.cloudwatch.scripted_endpoint import JSON, Answer, ScriptedEndpoint, scripted_endpoint
from tests.cloudwatch.test_put import events

HERE = Destination("falco", "node-1")
SLACK_BYTES = 16 * 1024 * 1024
"""What the kernel's socket buffers may hold beside what the client has read."""


@dataclass
class RawServer:
    """Answers each request with a head and then a piece of body, again and again."""

    head: bytes
    piece: bytes = b""
    pause_seconds: float = 0.0
    requests: list[bytes] = field(default_factory=list)
    sent_bytes: int = 0
    url: str = ""
    handlers: set[asyncio.Task[None]] = field(default_factory=set)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.handlers.add(task)
        self.writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.head)
            while self.piece:
                writer.write(self.piece)
                await writer.drain()
                self.sent_bytes += len(self.piece)
                await asyncio.sleep(self.pause_seconds)
            await writer.drain()
        writer.transport.abort() if self.piece else writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def raw_server(head: bytes, piece: bytes = b"", pause_seconds: float = 0.0) -> AsyncIterator[RawServer]:
    served = RawServer(head.replace(b"\n", b"\r\n"), piece, pause_seconds)
    server = await asyncio.start_server(served.answer, "127.0.0.1", 0)
    served.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        server.close()
        for _ in range(2):  # a connection that was just accepted has no handler yet
            await asyncio.sleep(0)
        for handler in served.handlers:
            handler.cancel()
        await asyncio.gather(*served.handlers, return_exceptions=True)
        for writer in served.writers:
            writer.transport.abort()
        await asyncio.sleep(0)


def endless(status: str) -> bytes:
    return f"HTTP/1.1 {status}\nContent-Type: {JSON}\nx-amzn-RequestId: 1\nConnection: close\n\n".encode()


async def calls(client: LogsClient) -> list[tuple[str, PutError]]:
    """The errors of every kind of call."""
    failed = []

    async def read_back() -> None:
        async for _ in client.read_back(HERE, 0, 1):
            pass

    for name, call in {
        "put": client.put(HERE, events("one")),
        "create": client.create(HERE),
        "drift": client.drift("falco"),
        "read_back": read_back(),
    }.items():
        try:
            await call
        except PutError as error:
            failed.append((name, error))
    return failed


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed_and_none_is_an_acknowledgement(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret-token")
    async with scripted_endpoint() as elsewhere:
        head = f"HTTP/1.1 {status} Moved\nLocation: {elsewhere.url}/\nContent-Length: 0\nConnection: close\n\n"
        async with raw_server(head.encode()) as server, client_of(server) as client:
            failed = await calls(client)

    assert [name for name, _ in failed] == ["put", "create", "drift", "read_back"]
    assert elsewhere.requests == []


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "500 Internal Server Error", "302 Found"])
async def test_an_endless_answer_is_read_up_to_a_bound(status: str) -> None:
    async with raw_server(endless(status), b"{" * 65536) as server, client_of(server) as client:
        failed = await calls(client)

    assert [name for name, _ in failed] == ["put", "create", "drift", "read_back"]
    assert server.sent_bytes < 4 * (MOST_BODY_BYTES + SLACK_BYTES) + MOST_PAGE_BYTES


async def test_an_answer_that_never_ends_and_trickles_ends_by_the_deadline() -> None:
    async with raw_server(endless("200 OK"), b" ", 0.05) as server, client_of(server, timeout_seconds=0.5) as client:
        failed = await calls(client)

    assert {error.reason for _, error in failed} == {"timeout"}
    assert len(failed) == 4


@pytest.mark.parametrize("page", [
    Answer(200, b"", JSON),
    Answer(200, b"{}", JSON),
    Answer(200, b" ", JSON),
    Answer(200, b'{"status":"ok"}', "application/json"),
    Answer(200, b'{"events":[]}', JSON),
    Answer(204, b"", JSON),
    Answer(201, b'{"id":1}', JSON),
])  # fmt: skip
async def test_an_empty_or_foreign_success_is_no_acknowledgement(page: Answer) -> None:
    async with scripted_endpoint(page) as endpoint, client_of(endpoint) as client:
        with pytest.raises(Unavailable, match="not CloudWatch Logs") as refusal:
            await client.put(HERE, events("one"))

    assert refusal.value.reason == "unexpected"


async def test_an_empty_object_with_a_request_id_is_an_acknowledgement() -> None:
    head = f"HTTP/1.1 200 OK\nContent-Type: {JSON}\nx-amzn-RequestId: 1\nContent-Length: 2\nConnection: close\n\n{{}}"
    async with raw_server(head.encode()) as server, client_of(server) as client:
        reply = await client.put(HERE, events("one"))

    assert reply.too_old_end is None


ODD_REPLIES: list[object] = [
    {"rejectedLogEventsInfo": [1]},
    {"rejectedLogEventsInfo": "all"},
    {"rejectedLogEventsInfo": {"tooOldLogEventEndIndex": "1"}},
    {"rejectedLogEventsInfo": {"tooOldLogEventEndIndex": -1}},
    {"rejectedLogEventsInfo": {"tooNewLogEventStartIndex": -1}},
    {"rejectedLogEventsInfo": {"tooNewLogEventStartIndex": 1.5}},
    {"rejectedLogEventsInfo": {"expiredLogEventEndIndex": True}},
    {"rejectedLogEventsInfo": {"expiredLogEventEndIndex": [0]}},
    {"rejectedEntityInfo": 5},
    {"rejectedEntityInfo": {"errorType": {"a": 1}}},
    {"nextSequenceToken": 5},
    {"nextSequenceToken": ["49"]},
    {"events": 5, "logGroups": 5, "nextForwardToken": 5, "nextSequenceToken": {}},
    {"events": [1, 2], "logGroups": ["x"], "nextSequenceToken": {}},
    {"events": [{"timestamp": "x", "message": 1}], "logGroups": [{"logGroupName": 1}], "nextSequenceToken": {}},
]


@pytest.mark.parametrize("reply", ODD_REPLIES, ids=orjson.dumps)
async def test_a_success_with_values_of_the_wrong_type_is_an_outcome(reply: object) -> None:
    async with scripted_endpoint() as endpoint, client_of(endpoint) as client:
        endpoint.otherwise = Answer(200, orjson.dumps(reply))
        failed = dict(await calls(client))

    assert isinstance(failed["put"], Unavailable)
    assert failed["put"].reason == "unexpected"


async def test_events_without_a_message_are_left_out_when_a_stream_is_read_back() -> None:
    page = {"events": [{"timestamp": 1}, {"message": "no time"}, {}], "nextForwardToken": "t"}
    async with scripted_endpoint() as endpoint, client_of(endpoint) as client:
        endpoint.otherwise = Answer(200, orjson.dumps(page))
        found = [event async for event in client.read_back(HERE, 7, 9)]

    assert found == [(7, "no time")] * 2


async def test_pages_without_an_end_are_read_up_to_a_bound() -> None:
    number = iter(range(1_000_000))

    class Endless(ScriptedEndpoint):
        async def answer(self, request: web.Request) -> web.Response:
            await request.read()
            body = orjson.dumps({"events": [], "nextForwardToken": f"t{next(number)}"})
            return web.Response(body=body, headers={"Content-Type": JSON})

    async with scripted_endpoint(make=Endless) as endpoint, client_of(endpoint) as client:
        assert [event async for event in client.read_back(HERE, 0, 9)] == []

    assert next(number) == 200


@pytest.mark.parametrize("depth", [400, 990, 1020, 1100, 100_000])
@pytest.mark.parametrize("status", [200, 400, 500])
async def test_deeply_nested_json_is_an_outcome(depth: int, status: int) -> None:
    nested = b'{"logGroups":' * depth + b"1" + b"}" * depth
    async with scripted_endpoint() as endpoint, client_of(endpoint) as client:
        endpoint.otherwise = Answer(status, nested)
        failed = dict(await calls(client))

    assert isinstance(failed["put"], Unavailable)


@pytest.mark.parametrize("status", [400, 403, 500, 503])
@pytest.mark.parametrize("error", [
    {"__type": 503}, {"__type": ["a"]}, {"__type": {"a": 1}}, {"__type": None}, {"message": 5}, {"message": {"a": 1}},
    {"__type": "InvalidSequenceTokenException", "expectedSequenceToken": 5},
    {"__type": "InvalidSequenceTokenException", "expectedSequenceToken": ["49"]},
    {"__type": "DataAlreadyAcceptedException", "expectedSequenceToken": {"a": 1}},
    {"__type": ":::#"}, {"code": 5}, {"Error": "x"}, {"Error": {"Code": 5}}, {"rejectedLogEventsInfo": [1]},
], ids=orjson.dumps)  # fmt: skip
async def test_an_error_with_values_of_the_wrong_type_is_an_outcome(status: int, error: object) -> None:
    async with scripted_endpoint() as endpoint, client_of(endpoint) as client:
        endpoint.otherwise = Answer(status, orjson.dumps(error))
        failed = dict(await calls(client))

    if error != {"__type": "DataAlreadyAcceptedException", "expectedSequenceToken": {"a": 1}}:
        assert isinstance(failed["put"], PutError)


@pytest.mark.parametrize("variable", ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_EC2_METADATA_SERVICE_ENDPOINT"])
@pytest.mark.parametrize("status", ["200 OK", "302 Found", "500 Internal Server Error"])
async def test_an_endless_answer_of_a_credential_endpoint_is_read_up_to_a_bound(
    variable: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    async with raw_server(endless(status), b"x" * 65536) as server, scripted_endpoint() as endpoint:
        monkeypatch.setenv(variable, server.url)
        settings = CloudWatch.model_validate({"endpoint_url": endpoint.url, "timeout_seconds": 5})
        async with open_cloudwatch(settings) as client:
            with pytest.raises(PutError):
                await client.put(HERE, events("one"))

    assert endpoint.requests == []
    assert server.sent_bytes < (len(server.requests) + 1) * (MOST_BODY_BYTES + SLACK_BYTES)


async def test_a_credential_endpoint_that_trickles_ends_by_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with raw_server(endless("200 OK"), b" ", 0.05) as server, scripted_endpoint() as endpoint:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url)
        async with client_of(endpoint, timeout_seconds=0.5) as client:
            with pytest.raises(PutError) as refusal:
                await client.put(HERE, events("one"))

    assert refusal.value.reason in ("credentials", "timeout")
