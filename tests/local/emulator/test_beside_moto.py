"""The same requests to the embedded CloudWatch and to moto's server: where both agree, and where moto differs from AWS.

Each difference is asserted for both servers, so that a test fails when a new version of moto becomes correct. The
expected responses are those of the API reference (PutLogEvents, CreateLogGroup, PutRetentionPolicy; read 2026-11).
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from .conftest import Client, connected

DAY_MS = 86_400_000
OLD_MS, NEW_MS = -15 * DAY_MS, 3 * 3_600_000


class OneServerHeader(MotoRequestHandler):
    """moto sends the Server header twice, which aiohttp refuses in asyncio's debug mode."""

    def send_response(self, code: int, message: str | None = None) -> None:
        self.send_response_only(code, message)


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=OneServerHeader)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
async def moto(moto_url: str) -> AsyncIterator[Client]:
    async with connected(moto_url) as client:
        await client.create_log_group(logGroupName="falco")
        await client.create_log_stream(logGroupName="falco", logStreamName="node")
        yield client
        await client.delete_log_group(logGroupName="falco")


def events(*offsets_ms: int, message: str = "x") -> list[dict[str, Any]]:
    now_ms = int(time.time() * 1000)
    return [{"timestamp": now_ms + offset, "message": message} for offset in offsets_ms]


async def said(answer: Awaitable[dict[str, Any]]) -> object:
    """The error code, or the members of the reply that a shipper reads."""
    try:
        reply = await answer
    except ClientError as error:
        return error.response["Error"]["Code"]
    shown = {name: reply[name] for name in ("rejectedLogEventsInfo", "rejectedEntityInfo") if name in reply}
    return shown or "ok"


async def put(client: Client, log_events: list[dict[str, Any]], **arguments: Any) -> object:
    where = {"logGroupName": "falco", "logStreamName": "node"} | arguments
    return await said(client.put_log_events(logEvents=log_events, **where))


Step = Callable[[Client], Awaitable[object]]

AGREED: dict[str, tuple[Step, object]] = {
    "a put": (lambda client: put(client, events(0)), "ok"),
    "a made-up sequence token": (lambda client: put(client, events(0), sequenceToken="49"), "ok"),
    "no such group": (lambda client: put(client, events(0), logGroupName="no"), "ResourceNotFoundException"),
    "no such stream": (lambda client: put(client, events(0), logStreamName="no"), "ResourceNotFoundException"),
    "out of order": (lambda client: put(client, events(0, -1)), "InvalidParameterException"),
    "the group exists": (
        lambda client: said(client.create_log_group(logGroupName="falco")),
        "ResourceAlreadyExistsException",
    ),
    "the stream exists": (
        lambda client: said(client.create_log_stream(logGroupName="falco", logStreamName="node")),
        "ResourceAlreadyExistsException",
    ),
}


@pytest.mark.parametrize("step", AGREED)
async def test_moto_agrees(logs: Client, moto: Client, step: str):
    ask, expected = AGREED[step]

    assert await ask(logs) == expected
    assert await ask(moto) == expected


INVALID = "InvalidParameterException"
ENTITY = {"keyAttributes": {"Type": "Potato", "Name": "falco"}}

# The request, the response of AWS (and of the embedded CloudWatch), the response of moto 5.2.
DISAGREED: dict[str, tuple[Step, object, object]] = {
    "the old end is exclusive, the new start is the first": (
        lambda client: put(client, events(OLD_MS, OLD_MS, 0, NEW_MS, NEW_MS)),
        {"rejectedLogEventsInfo": {"tooOldLogEventEndIndex": 2, "tooNewLogEventStartIndex": 3}},
        {"rejectedLogEventsInfo": {"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 4}},
    ),
    "a lone old event ends at one": (
        lambda client: put(client, events(OLD_MS)),
        {"rejectedLogEventsInfo": {"tooOldLogEventEndIndex": 1}},
        {"rejectedLogEventsInfo": {"tooOldLogEventEndIndex": 0}},
    ),
    "events that span more than a day": (lambda client: put(client, events(-DAY_MS - 1000, 0)), INVALID, "ok"),
    "more than ten thousand events": (lambda client: put(client, events(*[0] * 10_001)), INVALID, "ok"),
    "a batch of more than a mebibyte": (
        lambda client: put(client, events(0, 0, message="x" * 524_263)),
        INVALID,
        "ok",
    ),
    "an event of two megabytes": (lambda client: put(client, events(0, message="x" * 2_000_000)), INVALID, "ok"),
    "no events": (lambda client: put(client, []), INVALID, "ok"),
    "an empty message": (lambda client: put(client, events(0, message="")), INVALID, "ok"),
    "an entity of an unknown type": (
        lambda client: put(client, events(0), entity=ENTITY),
        {"rejectedEntityInfo": {"errorType": "InvalidTypeValue"}},
        "ok",
    ),
    "a retention of 13 days": (
        lambda client: said(client.put_retention_policy(logGroupName="falco", retentionInDays=13)),
        INVALID,
        "ok",
    ),
    "a stream name with a colon": (
        lambda client: said(client.create_log_stream(logGroupName="falco", logStreamName="a:b*")),
        INVALID,
        "ok",
    ),
    "a group name with a star": (lambda client: made_and_deleted(client, "g*:bad name"), INVALID, "ok"),
    "a group name reserved for AWS": (lambda client: made_and_deleted(client, "aws/x"), INVALID, "ok"),
    "an event older than the group's retention": (
        lambda client: put_after_retention_of_a_day(client),
        {"rejectedLogEventsInfo": {"expiredLogEventEndIndex": 1}},
        "ok",
    ),
}


async def made_and_deleted(client: Client, name: str) -> object:
    answer = await said(client.create_log_group(logGroupName=name))
    if answer == "ok":
        await client.delete_log_group(logGroupName=name)
    return answer


async def put_after_retention_of_a_day(client: Client) -> object:
    await client.put_retention_policy(logGroupName="falco", retentionInDays=1)
    return await put(client, events(-2 * DAY_MS))


# aiohttp's client warns about bodies above 1 MiB, and tests of the limits need such bodies.
@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
@pytest.mark.parametrize("step", DISAGREED)
async def test_moto_differs_from_aws(logs: Client, moto: Client, step: str):
    ask, aws, by_moto = DISAGREED[step]

    assert await ask(logs) == aws
    assert await ask(moto) == by_moto


async def test_both_return_the_same_events_and_pages(logs: Client, moto: Client):
    log_events = [{"timestamp": int(time.time() * 1000) + n, "message": f'{{"n":{n},"ü":"日本"}}'} for n in range(5)]

    async def conversation(client: Client) -> list[list[tuple[int, str]]]:
        await put(client, log_events[2:])
        await put(client, log_events[:2])
        where = {"logGroupName": "falco", "logStreamName": "node"}
        first = await client.get_log_events(**where, startFromHead=True, limit=3)
        second = await client.get_log_events(**where, startFromHead=True, nextToken=first["nextForwardToken"])
        third = await client.get_log_events(**where, startFromHead=True, nextToken=second["nextForwardToken"])
        found = await client.filter_log_events(logGroupName="falco", filterPattern='"日本"')
        assert third["nextForwardToken"] == second["nextForwardToken"]
        return [
            [(event["timestamp"], event["message"]) for event in reply["events"]]
            for reply in (first, second, third, found)
        ]

    ours, by_moto = await asyncio.gather(conversation(logs), conversation(moto))

    expected = [(event["timestamp"], event["message"]) for event in log_events]
    assert ours == [expected[:3], expected[3:], [], expected]
    assert by_moto == ours


async def test_moto_matches_every_event_with_a_json_pattern(logs: Client, moto: Client):
    async def found(client: Client) -> int:
        await put(client, events(0, message='{"priority":"Critical"}') + events(1, message='{"priority":"Notice"}'))
        reply = await client.filter_log_events(logGroupName="falco", filterPattern='{ $.priority = "Critical" }')
        return len(reply["events"])

    assert await found(logs) == 1
    assert await found(moto) == 2
