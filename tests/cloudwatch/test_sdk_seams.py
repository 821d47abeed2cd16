"""The undocumented parts of the SDK that we use: which part a new version breaks, and the fallback for each."""

import gzip
import inspect
import time

import aiobotocore.credentials
import orjson
import pytest
from aiobotocore import utils as sdk_utils
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.awsrequest import AWSPreparedRequest

from agent.cloudwatch import credentials, put_request
from agent.cloudwatch.connection import Connector
from agent.cloudwatch.http_session import BoundedSession, bound_credential_endpoints
from agent.cloudwatch.put_request import DirectPuts
from agent.core.values import Destination
from agent.errors import Throttled, Unavailable
from agent.local.emulator import EmbeddedCloudWatch, Fault
from agent.settings.model import CloudWatch
from tests.cloudwatch.clients import client_of
from tests.cloudwatch.scripted_endpoint import Answer, scripted_endpoint
from tests.cloudwatch.test_put import events

HERE = Destination("falco", "node-1")
ROLE = "arn:aws:iam::123456789012:role/falcowatch"


async def captured_request() -> DirectPuts:
    connector = Connector(CloudWatch(endpoint_url="http://127.0.0.1:1"), user_agent_extra="test")
    try:
        direct = (await connector.current()).puts.direct
    finally:
        await connector.renew()
    assert direct is not None, "the SDK no longer emits before-call with a request that can be kept (put_request)"
    return direct


async def test_the_event_before_a_call_hands_over_the_request_and_its_signer():
    direct = await captured_request()

    assert direct.request["url"] == "http://127.0.0.1:1/", "the kept request has no url"
    assert direct.request["headers"]["X-Amz-Target"] == "Logs_20140328.PutLogEvents", "the kept request has no headers"
    for name in ("get_auth_instance", "signing_name", "region_name", "signature_version"):
        assert hasattr(direct.signer, name), f"the signer has no {name}"
    for name in ("output_shape", "service_model"):
        assert hasattr(direct.model, name), f"the operation model has no {name}"


async def test_the_signer_signs_a_request_of_ours():
    request = await (await captured_request()).signed(b"{}")

    assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256"), "the signer does not sign an AWSRequest"


def test_a_prepared_request_and_the_http_session_have_the_arguments_that_we_pass():
    prepared = list(inspect.signature(AWSPreparedRequest).parameters)

    assert prepared[:5] == ["method", "url", "headers", "body", "stream_output"], "AWSPreparedRequest has changed"
    assert list(inspect.signature(AIOHTTPSession.send).parameters) == ["self", "request"], "send has changed"


def test_credentials_that_are_renewed_when_used_take_a_function_and_a_name():
    made = aiobotocore.credentials.AioDeferredRefreshableCredentials(None, "assume-role")

    assert made.method == "assume-role", "AioDeferredRefreshableCredentials has changed (credentials)"


async def test_each_session_of_the_sdk_is_bounded():
    bound_credential_endpoints()

    assert hasattr(AIOHTTPSession, "_get_session"), "AIOHTTPSession has no _get_session (http_session)"
    for fetcher in (sdk_utils.AioIMDSFetcher, sdk_utils.AioContainerMetadataFetcher):
        assert issubclass(fetcher._ref_counted_session_cls, BoundedSession), f"{fetcher} takes no session class of ours"
        assert list(inspect.signature(fetcher).parameters).count("session") == 1
    session = AioSession()
    session.set_default_client_config(AioConfig(http_session_cls=BoundedSession))
    async with session.create_client("sts", region_name="eu-west-1") as sts:
        assert isinstance(sts._endpoint.http_session, BoundedSession), (
            "STS does not use the session class of the config"
        )


async def test_without_the_private_parts_a_warning_is_logged_and_a_followed_redirect_is_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(BoundedSession, "_get_session", AIOHTTPSession._get_session)
    monkeypatch.delattr(sdk_utils, "_RefCountedSessionMixin")
    async with scripted_endpoint() as elsewhere, scripted_endpoint() as endpoint, client_of(endpoint) as client:
        await client.put(HERE, events("one"))
        endpoint.otherwise = Answer(307, location=f"{elsewhere.url}/")
        with pytest.raises(Unavailable):
            await client.put(HERE, events("two"))

    assert "answers are not bounded in size" in caplog.text


@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_without_the_event_before_a_call_puts_go_through_the_client(
    compression: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(put_request, "_BEFORE_CALL", "an-event-that-is-never-emitted")
    monkeypatch.setattr(put_request.SessionRecorder, "only_session", property(missing_part))

    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch, compression=compression) as client:
        await client.create(HERE)
        await client.put(HERE, events("one", "två"))

        assert [event.message.decode() for event in cloudwatch.events("falco")] == ["one", "två"]
    assert "puts go through the ordinary call of the SDK" in caplog.text


async def test_a_signer_that_has_changed_is_noticed_at_the_first_put(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(DirectPuts, "signed", missing_part)

    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch) as client:
        await client.create(HERE)
        await client.put(HERE, events("one"))
        await client.put(HERE, events("two"))

        assert [event.message for event in cloudwatch.events("falco")] == [b"one", b"two"]
    assert [record.getMessage() for record in caplog.records if record.name.endswith("put_request")] == [
        "puts go through the ordinary call of the SDK, which costs more CPU; this SDK version is not a checked one"
    ]


async def test_the_ordinary_call_reports_replies_and_errors_in_the_same_way(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(DirectPuts, "signed", missing_part)
    old = orjson.dumps([{"timestamp": int(time.time() * 1000) - 20 * 86_400_000, "message": "old"}])

    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch) as client:
        await client.create(HERE)
        reply = await client.put(HERE, [old])
        cloudwatch.faults.add(Fault("throttle", operation="PutLogEvents", count=1))
        with pytest.raises(Throttled):
            await client.put(HERE, events("one"))

    assert reply.too_old_end == 1


async def test_without_renewable_credentials_the_role_is_assumed_once_for_each_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(credentials, "_renewed_when_used", missing_part)
    async with EmbeddedCloudWatch() as cloudwatch:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", cloudwatch.url)
        async with client_of(cloudwatch, role_arn=ROLE) as client:
            await client.create(HERE)
            await client.put(HERE, events("one"))
            identity = await client.identity()
            await client.reopen()
            await client.put(HERE, events("two"))

        assert cloudwatch.requests.count("sts:AssumeRole") == 2
    assert identity.provider == "assume-role"
    assert "the assumed role is not renewed ahead of time" in caplog.text


async def test_a_scripted_endpoint_sees_the_same_body_from_both_ways(monkeypatch: pytest.MonkeyPatch):
    batch = [b'[{"timestamp":1,"message":"one"}]']
    async with scripted_endpoint() as endpoint:
        async with client_of(endpoint) as client:
            await client.put(HERE, batch, token="49")
        monkeypatch.setattr(DirectPuts, "signed", missing_part)
        async with client_of(endpoint) as client:
            await client.put(HERE, batch, token="49")

    direct, ordinary = endpoint.requests
    # The SDK's own call sends plain bodies only.
    assert orjson.loads(gzip.decompress(direct.body)) == orjson.loads(ordinary.body)
    assert ordinary.signature_is_valid(endpoint.url, "local")


def missing_part(*arguments: object, **named: object) -> None:
    raise AttributeError("this part of the SDK is missing")
