"""Putting over real HTTP: the bytes on the wire, and what each answer becomes."""

import time

import orjson
import pytest

from agent.cloudwatch.entity import cluster_entity
from agent.core.values import Destination, PutReply
from agent.errors import Invalid, Missing, PutError, Refused, Unavailable, WrongToken
from agent.local.emulator import EmbeddedCloudWatch
from tests.cloudwatch.clients import client_of
from tests.cloudwatch.scripted_endpoint import JSON, Answer, scripted_endpoint

HERE = Destination("falco", "node-1/urgent")
DAY_MS = 86_400_000


def events(*messages: str, at_ms: int | None = None) -> list[bytes]:
    stamp = int(time.time() * 1000) if at_ms is None else at_ms
    return [orjson.dumps([{"timestamp": stamp, "message": message} for message in messages])]


async def test_the_body_is_made_of_our_bytes_and_signed():
    batch = [b'[{"timestamp":1,', b'"message":"spaces  and \\u00e9 kept as written"}]']
    async with scripted_endpoint() as endpoint, client_of(endpoint, compression="none") as client:
        await client.put(HERE, batch, token="49", entity={"keyAttributes": {"Type": "Service", "Name": "falco"}})

    [request] = endpoint.requests
    assert request.body == (
        b'{"logGroupName":"falco","logStreamName":"node-1/urgent","sequenceToken":"49",'
        b'"entity":{"keyAttributes":{"Type":"Service","Name":"falco"}},"logEvents":' + b"".join(batch) + b"}"
    )
    assert request.signature_is_valid(endpoint.url, "local")
    assert request.headers["X-Amz-Target"] == "Logs_20140328.PutLogEvents"
    assert "falcowatch" in request.headers["User-Agent"]


@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_the_same_batch_goes_out_as_the_same_bytes_each_time(compression: str):
    batch = events(*(f"alert {number}" for number in range(1000)))
    failures = [Answer.error("ThrottlingException"), Answer(503, b"", "text/html"), Answer(cut=True)]
    async with scripted_endpoint(*failures) as endpoint, client_of(endpoint, compression=compression) as client:
        for _ in failures:
            with pytest.raises(PutError):
                await client.put(HERE, batch)
        await client.put(HERE, batch)

    assert len({request.body for request in endpoint.requests}) == 1
    assert len(endpoint.requests) == 4
    assert all(request.signature_is_valid(endpoint.url, "local") for request in endpoint.requests)


@pytest.mark.parametrize("status", [300, 304, 404])
async def test_an_answer_that_is_neither_success_nor_an_error_of_aws_is_tried_again(status: int):
    async with scripted_endpoint(Answer(status, b"{}")) as endpoint, client_of(endpoint) as client:
        with pytest.raises(Unavailable) as refusal:
            await client.put(HERE, events("one"))

    assert refusal.value.reason == "unexpected"


async def test_rejected_indices_inside_a_200_are_reported():
    now_ms = int(time.time() * 1000)
    old = {"timestamp": now_ms - 20 * DAY_MS, "message": "old"}
    new = {"timestamp": now_ms + DAY_MS // 8, "message": "new"}
    batch = [orjson.dumps([old, old, {"timestamp": now_ms, "message": "fine"}, new, new])]
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch) as client:
        await client.create(HERE)
        reply = await client.put(HERE, batch)

    assert (reply.too_old_end, reply.expired_end, reply.too_new_start) == (2, None, 3)


async def test_events_older_than_the_retention_are_reported():
    batch = events("kept for three days only", at_ms=int(time.time() * 1000) - 5 * DAY_MS)
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch, retention_days=3) as client:
        await client.create(HERE)
        reply = await client.put(HERE, batch)

    assert reply.expired_end == 1


async def test_a_refused_entity_is_reported_and_the_events_are_taken():
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch) as client:
        await client.create(HERE)
        reply = await client.put(HERE, events("one"), entity={"keyAttributes": {"Type": "Nonsense", "Name": "x"}})

        assert reply.entity_error is not None
        assert cloudwatch.count("falco") == 1


@pytest.mark.parametrize("cluster", ["production", ""])
async def test_the_entity_of_a_cluster_is_accepted(cluster: str):
    entity = cluster_entity(cluster_name=cluster, node_name="node-1", namespace="falco")
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch) as client:
        await client.create(HERE)
        reply = await client.put(HERE, events("one"), entity=entity)

    assert reply.entity_error is None


async def test_an_endpoint_that_enforces_tokens_tells_which_one_it_expects():
    async with EmbeddedCloudWatch(sequence_tokens=True) as cloudwatch, client_of(cloudwatch) as client:
        await client.create(HERE)
        first = await client.put(HERE, events("one"))
        with pytest.raises(WrongToken) as refusal:
            await client.put(HERE, events("two"))
        await client.put(HERE, events("two"), token=refusal.value.expected)

        assert refusal.value.expected == first.next_token
        assert cloudwatch.count("falco") == 2


async def test_a_stale_token_before_the_first_put_expects_none():
    async with EmbeddedCloudWatch(sequence_tokens=True) as cloudwatch, client_of(cloudwatch) as client:
        await client.create(HERE)
        with pytest.raises(WrongToken) as refusal:
            await client.put(HERE, events("one"), token="49000")

    assert refusal.value.expected is None


async def test_data_that_was_already_accepted_counts_as_delivered():
    batch = events("one")
    async with EmbeddedCloudWatch(sequence_tokens=True) as cloudwatch, client_of(cloudwatch) as client:
        await client.create(HERE)
        first = await client.put(HERE, batch)
        again = await client.put(HERE, batch)

        assert again == PutReply(next_token=first.next_token)
        assert cloudwatch.count("falco") == 1


async def test_a_batch_out_of_order_is_invalid_and_its_text_stays_out_of_the_message():
    batch = [orjson.dumps([{"timestamp": 2, "message": "secret"}, {"timestamp": 1, "message": "secret"}])]
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch) as client:
        await client.create(HERE)
        with pytest.raises(Invalid, match="InvalidParameterException") as refusal:
            await client.put(HERE, batch)

    assert "secret" not in str(refusal.value)
    assert refusal.value.__cause__ is not None


async def test_a_missing_stream_is_missing():
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch) as client:
        with pytest.raises(Missing, match="falco node-1/urgent"):
            await client.put(HERE, events("one"))


@pytest.mark.parametrize("page", [
    Answer(200, b"<html>Please log in</html>", "text/html"),
    Answer(200, b"", "text/plain"),
    Answer(200, b"OK", JSON),
    Answer(200, b"[]", JSON),
])  # fmt: skip
async def test_a_200_that_is_not_from_cloudwatch_acknowledges_nothing(page: Answer):
    async with scripted_endpoint(page) as endpoint, client_of(endpoint) as client:
        with pytest.raises(Unavailable, match="not CloudWatch Logs") as refusal:
            await client.put(HERE, events("one"))

    assert refusal.value.reason == "unexpected"


@pytest.mark.parametrize("body", [b"[]", b'"no"', b"null", b"<html>", b"{}", b"{broken"])
async def test_an_error_with_any_body_is_judged_by_its_status(body: bytes):
    async with scripted_endpoint(Answer(404, body)) as endpoint, client_of(endpoint) as client:
        with pytest.raises(Unavailable) as refusal:
            await client.put(HERE, events("one"))

    assert refusal.value.reason == "unexpected"


@pytest.mark.parametrize("destination", [
    Destination("with space", "s"), Destination("aws/mine", "s"), Destination("", "s"),
    Destination("g", "a:b"), Destination("g", ""), Destination("g", "x" * 513),
])  # fmt: skip
async def test_a_name_that_no_put_could_use_is_refused_before_any_batch_is_blamed(destination: Destination):
    async with scripted_endpoint() as endpoint, client_of(endpoint) as client:
        with pytest.raises(Refused, match="not allowed"):
            await client.put(destination, events("one"))
        with pytest.raises(Refused, match="not allowed"):
            await client.create(destination)

    assert endpoint.requests == []


async def test_what_was_put_is_read_back_page_by_page_the_end_excluded():
    now_ms = int(time.time() * 1000)
    batch = [orjson.dumps([{"timestamp": now_ms + number, "message": f"{number} é"} for number in range(3000)])]
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch) as client:
        await client.create(HERE)
        await client.put(HERE, batch)
        found = [event async for event in client.read_back(HERE, now_ms + 10, now_ms + 2990)]
        requests = cloudwatch.requests.count("GetLogEvents")

    assert found == [(now_ms + number, f"{number} é") for number in range(10, 2990)]
    assert requests >= 2


async def test_reading_back_a_stream_that_does_not_exist_is_missing():
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch) as client:
        with pytest.raises(Missing):
            _ = [event async for event in client.read_back(HERE, 0, 1)]
