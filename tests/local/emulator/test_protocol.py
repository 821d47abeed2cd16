"""The responses to requests that no SDK, or only few clients, would send."""

import gzip
import time
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import aiohttp
import orjson
import pytest
from botocore.exceptions import ClientError

from agent.local.emulator import EmbeddedCloudWatch, Fault

from .conftest import Client, connected

HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Date": "NOW",
    "X-Amz-Target": "Logs_20140328.DescribeLogGroups",
    "Authorization": "AWS4-HMAC-SHA256 Credential=local/TODAY/eu-central-1/logs/aws4_request, "
    f"SignedHeaders=host;x-amz-date;x-amz-target, Signature={'0' * 64}",
}


@pytest.fixture
async def http(cloudwatch: EmbeddedCloudWatch) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cloudwatch.url) as session:
        yield session


def stamp(ahead_seconds: int = 0) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + ahead_seconds))


async def post(http: aiohttp.ClientSession, body: bytes | BytesIO = b"{}", **headers: Any) -> tuple[int, str]:
    merged = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
    now = stamp()
    sent = {
        name: value.replace("NOW", now).replace("TODAY", now[:8]) for name, value in merged.items() if value is not None
    }
    async with http.post("/", data=body, headers=sent, skip_auto_headers=["Content-Type"]) as reply:
        assert reply.headers["x-amzn-RequestId"]
        decoded = orjson.loads(await reply.read() or b"{}")
        return reply.status, decoded.get("__type", "")


async def test_a_well_formed_request_is_answered(http):
    assert await post(http) == (200, "")


@pytest.mark.parametrize(("ahead_seconds", "taken"), [(-400, False), (-200, True), (200, True), (400, False)])
async def test_a_signature_is_valid_for_five_minutes_around_its_time(http, ahead_seconds, taken):
    date = stamp(ahead_seconds)
    authorization = HEADERS["Authorization"].replace("TODAY", date[:8])

    answer = await post(http, X_Amz_Date=date, Authorization=authorization)

    assert answer == ((200, "") if taken else (400, "InvalidSignatureException"))


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Authorization": None}, "MissingAuthenticationTokenException"),
        ({"Authorization": "Bearer token"}, "IncompleteSignatureException"),
        ({"Authorization": HEADERS["Authorization"][:-1]}, "IncompleteSignatureException"),
        ({"Authorization": HEADERS["Authorization"].replace("host;", "")}, "IncompleteSignatureException"),
        ({"X_Amz_Date": None}, "IncompleteSignatureException"),
        ({"X_Amz_Date": "20261122T101112Z"}, "IncompleteSignatureException"),
        ({"Authorization": HEADERS["Authorization"].replace("/logs/", "/s3/")}, "InvalidSignatureException"),
        ({"X_Amz_Date": "TODAY, about noon"}, "IncompleteSignatureException"),
        ({"X_Amz_Target": "Logs_20140328.StartQuery"}, "UnknownOperationException"),
        ({"X_Amz_Target": "PutLogEvents"}, "UnknownOperationException"),
        ({"X_Amz_Target": None}, "UnknownOperationException"),
    ],
)
async def test_a_request_without_signature_or_known_operation_is_refused(http, headers: dict[str, Any], code: str):
    assert await post(http, **headers) == (400, code)


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b'{"limit":"5"}', b'{"logGroupNamePrefix":5}', b"\xff"])
async def test_a_body_that_is_not_a_json_object_is_a_serialization_error(http, body: bytes):
    assert await post(http, body) == (400, "SerializationException")


async def test_a_gzipped_body_is_accepted(http, logs, cloudwatch: EmbeddedCloudWatch):
    now_ms = int(time.time() * 1000)
    put = {"logGroupName": "falco", "logStreamName": "node", "logEvents": [{"timestamp": now_ms, "message": "zipped"}]}

    reply = await post(
        http,
        gzip.compress(orjson.dumps(put)),
        X_Amz_Target="Logs_20140328.PutLogEvents",
        Content_Encoding="gzip",
    )

    assert reply == (200, "")
    assert [event.message for event in cloudwatch.events("falco")] == [b"zipped"]


async def test_a_body_that_is_declared_gzip_and_is_not_is_refused(http):
    assert await post(http, b'{"limit":5}', Content_Encoding="gzip") == (400, "SerializationException")


async def test_a_body_of_many_megabytes_is_refused(http):
    assert await post(http, BytesIO(b" " * (16 * 1024 * 1024 + 1))) == (413, "RequestEntityTooLargeException")


async def test_sts_returns_the_identity_of_the_caller(cloudwatch: EmbeddedCloudWatch):
    async with connected(cloudwatch.url, "sts") as sts:
        identity = await sts.get_caller_identity()

    assert identity["Account"] == "123456789012"
    assert identity["Arn"] == "arn:aws:iam::123456789012:user/falcowatch"


async def test_faults_hit_sts_operations_too(cloudwatch: EmbeddedCloudWatch):
    cloudwatch.faults.add(Fault("expired_token", operation="GetCallerIdentity"))

    async with connected(cloudwatch.url, "sts") as sts:
        with pytest.raises(ClientError) as refused:
            await sts.get_caller_identity()
        with pytest.raises(ClientError) as unknown:
            await sts.get_session_token()

    assert refused.value.response["Error"]["Code"] == "ExpiredTokenException"
    assert unknown.value.response["Error"]["Code"] == "InvalidAction"
    assert cloudwatch.requests.operations() == {"sts:GetCallerIdentity", "-"}


async def test_a_role_can_be_assumed(cloudwatch: EmbeddedCloudWatch):
    async with connected(cloudwatch.url, "sts") as sts:
        reply = await sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/any", RoleSessionName="node")

    assert reply["Credentials"]["AccessKeyId"].startswith("ASIA")
    assert reply["Credentials"]["Expiration"].timestamp() > time.time()


async def test_every_request_is_logged_and_counted(http, logs: Client, cloudwatch: EmbeddedCloudWatch):
    now_ms = int(time.time() * 1000)
    await logs.put_log_events(
        logGroupName="falco", logStreamName="node", logEvents=[{"timestamp": now_ms, "message": "x"}] * 3
    )
    await post(http, X_Amz_Target="Logs_20140328.DeleteLogGroup")

    async with http.get("/_requests") as reply:
        records = orjson.loads(await reply.read())
    async with http.get("/_stats") as reply:
        statistics = orjson.loads(await reply.read())

    assert [(record["operation"], record["status"], record["events"]) for record in records] == [
        ("CreateLogGroup", 200, 0),
        ("CreateLogStream", 200, 0),
        ("PutLogEvents", 200, 3),
        ("DeleteLogGroup", 400, 0),
    ]
    assert records[2]["group"] == "falco"
    assert records[2]["stream"] == "node"
    assert statistics["operations"]["PutLogEvents"] == {"ok": 1}
    assert statistics["operations"]["DeleteLogGroup"] == {"InvalidParameterException": 1}
    assert statistics["accepted_events"] == 3
    assert statistics["peak_puts_per_second"] == 1
    assert statistics["groups"]["falco"]["node"] == {"events": 3, "batches": 1, "bytes": 3}
    assert cloudwatch.requests.operations() >= {"PutLogEvents", "CreateLogGroup"}


async def test_the_request_log_can_be_cleared(http, logs, cloudwatch: EmbeddedCloudWatch):
    async with http.delete("/_requests") as reply:
        assert reply.status == 200

    assert len(cloudwatch.requests) == 0
    assert cloudwatch.requests.statistics()["requests"] == 0
