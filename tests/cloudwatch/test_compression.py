"""Compressed bodies over real HTTP, and plain bodies for an endpoint that does not read compressed ones."""

import gzip

import orjson
import pytest

from agent.core.values import Destination
from agent.errors import Denied, Invalid, Unavailable
from agent.local.emulator import EmbeddedCloudWatch
from tests.cloudwatch.clients import client_of
from tests.cloudwatch.scripted_endpoint import Answer, ScriptedEndpoint, scripted_endpoint
from tests.cloudwatch.test_put import events

HERE = Destination("falco", "node-1/urgent")
WRONG_SIGNATURE = Answer.error("InvalidSignatureException", status=403)
FAILED = Answer(500, b"Internal Server Error", "text/html")


def encodings(endpoint: ScriptedEndpoint) -> list[str | None]:
    return [request.headers.get("Content-Encoding") for request in endpoint.requests]


async def test_a_compressed_body_says_so_and_holds_the_batch():
    batch = events("x" * 10_000)
    async with scripted_endpoint() as endpoint, client_of(endpoint) as client:
        await client.put(HERE, batch)

    [request] = endpoint.requests
    assert request.headers["Content-Encoding"] == "gzip"
    assert len(request.body) < 1000
    assert orjson.loads(gzip.decompress(request.body))["logEvents"] == orjson.loads(b"".join(batch))


async def test_a_compressed_batch_arrives():
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch) as client:
        await client.create(HERE)
        await client.put(HERE, events("one", "två"))

        assert [event.message.decode() for event in cloudwatch.events("falco")] == ["one", "två"]


@pytest.mark.parametrize("refusal", [
    Answer.error("SerializationException", message="not JSON"),
    Answer(415, b"", "text/html"),
    Answer(400, b"", "text/html"),
])  # fmt: skip
async def test_an_endpoint_that_refuses_compressed_bodies_gets_them_plain_from_then_on(refusal: Answer, caplog):
    batch = events("one", "two")
    async with scripted_endpoint(refusal) as endpoint, client_of(endpoint) as client:
        await client.put(HERE, batch)
        await client.put(HERE, batch)

    compressed, *plain = endpoint.requests
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert [orjson.loads(request.body)["logEvents"] for request in plain] == [orjson.loads(b"".join(batch))] * 2
    assert not any("Content-Encoding" in request.headers for request in plain)
    assert [record.message for record in caplog.records] == ["compressed put refused, plain ones are taken"]


@pytest.mark.parametrize("page", [Answer(200, b"<html>log in</html>", "text/html"), Answer(404, b"", "text/html")])
async def test_what_a_proxy_says_of_any_request_is_no_refusal_of_compressed_bodies(page: Answer):
    batch = events("one")
    async with scripted_endpoint(page) as endpoint, client_of(endpoint) as client:
        with pytest.raises(Unavailable):
            await client.put(HERE, batch)
        await client.put(HERE, batch)

    assert [request.headers.get("Content-Encoding") for request in endpoint.requests] == ["gzip", "gzip"]


async def test_a_batch_that_is_refused_plain_as_well_is_the_batchs_own_fault():
    refusal = Answer.error("InvalidParameterException")
    async with scripted_endpoint(refusal, refusal) as endpoint, client_of(endpoint) as client:
        with pytest.raises(Invalid):
            await client.put(HERE, events("bad"))
        await client.put(HERE, events("good"))

    encodings = [request.headers.get("Content-Encoding") for request in endpoint.requests]
    assert encodings == ["gzip", None, "gzip"]


async def test_an_endpoint_that_decompresses_bodies_before_it_checks_the_signature_gets_plain_bodies():
    async with scripted_endpoint(WRONG_SIGNATURE) as endpoint, client_of(endpoint) as client:
        await client.put(HERE, events("one"))
        await client.put(HERE, events("two"))

    assert encodings(endpoint) == ["gzip", None, None]


async def test_a_wrong_secret_key_is_no_refusal_of_compressed_bodies():
    async with scripted_endpoint(WRONG_SIGNATURE, WRONG_SIGNATURE) as endpoint, client_of(endpoint) as client:
        with pytest.raises(Denied):
            await client.put(HERE, events("one"))
        await client.put(HERE, events("one"))

    assert encodings(endpoint) == ["gzip", None, "gzip"]


async def test_an_endpoint_that_has_accepted_compressed_bodies_is_not_doubted_for_errors_of_other_kinds():
    errors = [WRONG_SIGNATURE, *[FAILED] * 10]
    async with scripted_endpoint(Answer(), *errors) as endpoint, client_of(endpoint) as client:
        await client.put(HERE, events("one"))
        for _ in errors:
            with pytest.raises((Denied, Unavailable)):
                await client.put(HERE, events("two"))
        await client.put(HERE, events("two"))

    assert set(encodings(endpoint)) == {"gzip"}


async def test_an_endpoint_that_fails_on_every_compressed_body_gets_plain_bodies_from_the_fourth_failure_on():
    async with scripted_endpoint(*[FAILED] * 4) as endpoint, client_of(endpoint) as client:
        for _ in range(3):
            with pytest.raises(Unavailable):
                await client.put(HERE, events("one"))
        await client.put(HERE, events("one"))
        await client.put(HERE, events("two"))

    assert encodings(endpoint) == ["gzip", "gzip", "gzip", "gzip", None, None]


async def test_an_outage_at_the_start_of_the_agent_does_not_end_the_compression():
    outage = [FAILED] * 3 + [FAILED, FAILED] * 3
    async with scripted_endpoint(*outage) as endpoint, client_of(endpoint) as client:
        while endpoint.script:
            with pytest.raises(Unavailable):
                await client.put(HERE, events("one"))
        await client.put(HERE, events("one"))

    assert encodings(endpoint)[-1] == "gzip"
