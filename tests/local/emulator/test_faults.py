"""Faults: which calls they hit, and what the client sees."""

import asyncio
import time

import aiohttp
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from agent.local.emulator import EmbeddedCloudWatch, Fault, Faults
from agent.local.emulator.faults import FaultError, fault_of

from .conftest import connected


async def put(client, message: str = "x", stream: str = "node"):
    now_ms = int(time.time() * 1000)
    return await client.put_log_events(
        logGroupName="falco", logStreamName=stream, logEvents=[{"timestamp": now_ms, "message": message}]
    )


async def outcome(client, stream: str = "node") -> str:
    try:
        await put(client, stream=stream)
    except ClientError as error:
        return f"{error.response['ResponseMetadata']['HTTPStatusCode']} {error.response['Error']['Code']}"
    return "ok"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("throttle"), "400 ThrottlingException"),
        (Fault("error"), "503 ServiceUnavailableException"),
        (Fault("error", status=500), "500 InternalFailure"),
        (Fault("error", status=400, code="OperationAbortedException"), "400 OperationAbortedException"),
        (Fault("denied"), "400 AccessDeniedException"),
        (Fault("expired_token"), "400 ExpiredTokenException"),
        (Fault("invalid_token"), "400 UnrecognizedClientException"),
    ],
)
async def test_a_fault_that_answers_sends_the_error_code_of_aws(logs, cloudwatch, fault: Fault, expected: str):
    cloudwatch.faults.add(fault)

    assert await outcome(logs) == expected
    assert cloudwatch.count("falco") == 0


@pytest.mark.parametrize(("kind", "seen"), [("reset", EndpointConnectionError), ("close", ConnectionClosedError)])
async def test_a_connection_cut_before_the_put_takes_effect_loses_the_put(
    logs, cloudwatch, kind: str, seen: type[Exception]
):
    cloudwatch.faults.add(Fault(kind, count=1))

    with pytest.raises(seen):
        await put(logs)

    assert cloudwatch.count("falco") == 0
    assert cloudwatch.requests.count("PutLogEvents", status=0) == 1
    assert await outcome(logs) == "ok"


@pytest.mark.parametrize("kind", ["reset", "close", "error", "throttle"])
async def test_a_put_with_a_fault_after_acceptance_is_stored(logs, cloudwatch, kind: str):
    cloudwatch.faults.add(Fault(kind, accepted=True))

    with pytest.raises((EndpointConnectionError, ConnectionClosedError, ClientError)):
        await put(logs)

    assert cloudwatch.count("falco") == 1


@pytest.mark.parametrize(("accepted", "kept"), [(False, 0), (True, 1)])
async def test_a_request_that_the_client_abandons_is_recorded(cloudwatch, logs, accepted: bool, kept: int):
    cloudwatch.faults.add(Fault("hang", operation="PutLogEvents", accepted=accepted))

    async with connected(cloudwatch.url, read_timeout=0.2) as impatient:
        with pytest.raises(ReadTimeoutError):
            await put(impatient)

    async with asyncio.timeout(5):
        await cloudwatch.until(lambda: cloudwatch.requests.count("PutLogEvents") == 1)
    assert cloudwatch.count("falco") == kept
    assert [(record.status, record.events, record.fault) for record in cloudwatch.requests][-1] == (0, kept, "hang")


async def test_the_endpoint_stops_in_spite_of_a_hanging_call(tmp_path):
    async with EmbeddedCloudWatch(tmp_path) as cloudwatch, connected(cloudwatch.url) as client:
        cloudwatch.faults.add(Fault("hang"), Fault("slow", seconds=3600))
        async with asyncio.TaskGroup() as group:
            call = group.create_task(outcome_of_create(client))
            async with asyncio.timeout(5):
                await cloudwatch.until(lambda: cloudwatch.faults.hits("hang") == 1)
            await cloudwatch.stop()

    assert call.result() == "EndpointConnectionError"


async def outcome_of_create(client) -> str:
    try:
        await client.create_log_group(logGroupName="falco")
    except (ConnectionClosedError, EndpointConnectionError) as error:
        return type(error).__name__
    return "ok"


async def test_a_slow_fault_delays_a_correct_answer(logs, cloudwatch):
    cloudwatch.faults.add(Fault("slow", seconds=0.05))
    began = time.monotonic()

    assert await outcome(logs) == "ok"

    assert time.monotonic() - began >= 0.05
    assert cloudwatch.count("falco") == 1


async def test_a_call_can_be_delayed_and_then_refused(logs, cloudwatch):
    cloudwatch.faults.add(Fault("slow", seconds=0.01), Fault("throttle"))

    assert await outcome(logs) == "400 ThrottlingException"
    assert cloudwatch.faults.hits("slow") == cloudwatch.faults.hits("throttle") == 1


async def test_globs_select_the_operations_and_streams_that_a_fault_hits(logs, cloudwatch):
    await logs.create_log_stream(logGroupName="falco", logStreamName="node/urgent")
    cloudwatch.faults.add(Fault("throttle", operation="Put*", stream="*/urgent"))

    assert await outcome(logs) == "ok"
    assert await outcome(logs, "node/urgent") == "400 ThrottlingException"
    await logs.describe_log_groups()


async def test_faults_can_be_set_over_http_at_run_time(logs, cloudwatch):
    async with aiohttp.ClientSession(cloudwatch.url) as http:
        await http.put("/_faults", json={"kind": "throttle", "count": 1, "skip": 1})
        await http.post("/_faults", json=[{"kind": "denied", "operation": "CreateLogGroup"}])
        outcomes = [await outcome(logs) for _ in range(3)]
        async with http.get("/_faults") as reply:
            shown = await reply.json()
        async with http.put("/_faults", json={"kind": "fire"}) as reply:
            refused = reply.status, (await reply.json())["error"]
        await http.delete("/_faults")

    assert outcomes == ["ok", "400 ThrottlingException", "ok"]
    assert [(fault["kind"], fault["hits"]) for fault in shown] == [("throttle", 1), ("denied", 0)]
    assert refused[0] == 400
    assert "'fire' is not a kind of fault" in refused[1]
    assert cloudwatch.faults.as_json() == []


def hits(faults: Faults, times: list[float]) -> list[bool]:
    return [faults.decide("PutLogEvents", "falco", "node", at) is not None for at in times]


def test_a_quota_throttles_only_calls_above_it():
    faults = Faults([Fault("throttle", per_second=2)])

    assert hits(faults, [0, 0, 0, 0.5, 0.5, 10, 10, 10]) == [False, False, True, False, True, False, False, True]


def test_a_quota_below_one_call_a_second_permits_the_first_call():
    faults = Faults([Fault("throttle", per_second=0.5)])

    assert hits(faults, [0, 1, 2, 3, 4]) == [False, True, False, True, False]


def test_the_same_seed_hits_the_same_calls():
    first = hits(Faults([Fault("throttle", probability=0.3)], seed=7), [0.0] * 1000)
    again = hits(Faults([Fault("throttle", probability=0.3)], seed=7), [0.0] * 1000)

    assert first == again
    assert 200 < sum(first) < 400


@pytest.mark.parametrize(
    "values",
    [
        [],
        {},
        {"kind": "fire"},
        {"kind": "slow", "second": 1},
        {"kind": "slow", "seconds": "1"},
        {"kind": "slow", "seconds": -1},
        {"kind": "slow", "count": 0},
        {"kind": "slow", "count": True},
        {"kind": "slow", "per_second": 1},
        {"kind": "throttle", "per_second": 0},
        {"kind": "throttle", "probability": 1.5},
        {"kind": "error", "status": 200},
    ],
)
def test_an_invalid_fault_is_refused_and_the_message_names_the_key(values: object):
    with pytest.raises(FaultError):
        fault_of(values)
