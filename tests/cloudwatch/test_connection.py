"""The connection: deadlines, resets, faults of the way, reopening, and what failing costs in memory."""

import asyncio
import gc
import shutil
import socket
import tracemalloc
from collections.abc import Awaitable
from pathlib import Path

import pytest

from agent.cloudwatch.client import open_cloudwatch
from agent.core.values import Destination, PutReply
from agent.errors import Denied, PutError, SettingsError, Throttled, Unavailable
from agent.local.emulator import EmbeddedCloudWatch, Fault
from agent.settings.model import CloudWatch
from tests.cloudwatch.clients import client_of
from tests.cloudwatch.scripted_endpoint import Answer, scripted_endpoint
from tests.cloudwatch.test_put import events

HERE = Destination("falco", "node-1")


@pytest.mark.parametrize(("fault", "kind", "reason"), [
    (Fault("throttle"), Throttled, "throttled"),
    (Fault("error", status=500), Unavailable, "unavailable"),
    (Fault("error", status=502), Unavailable, "unavailable"),
    (Fault("error", status=503), Unavailable, "unavailable"),
    (Fault("error", status=504), Unavailable, "unavailable"),
    (Fault("reset"), Unavailable, "reset"),
    (Fault("reset", accepted=True), Unavailable, "reset"),
    (Fault("hang"), Unavailable, "timeout"),
    (Fault("slow", seconds=30), Unavailable, "timeout"),
    (Fault("denied"), Denied, "denied"),
    (Fault("expired_token"), Denied, "expired"),
    (Fault("invalid_token"), Denied, "unknown_key"),
])  # fmt: skip
async def test_a_fault_is_told_by_its_class_and_tried_once(fault: Fault, kind: type[PutError], reason: str):
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch, timeout_seconds=0.5) as client:
        await client.create(HERE)
        cloudwatch.faults.replace(fault)

        with pytest.raises(kind) as refusal:
            await client.put(HERE, events("one"))
        tried = cloudwatch.faults.hits()
        cloudwatch.faults.clear()
        await client.put(HERE, events("one"))

    assert type(refusal.value) is kind
    assert refusal.value.reason == reason
    assert tried == 1


async def test_an_endpoint_where_nobody_listens_refuses():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: the kernel refuses
        async with open_cloudwatch(CloudWatch(endpoint_url=f"http://127.0.0.1:{taken.getsockname()[1]}")) as client:
            with pytest.raises(Unavailable) as refusal:
                await client.put(HERE, events("one"))

    assert refusal.value.reason == "refused"


async def test_a_peer_that_takes_no_bytes_ends_by_the_deadline():
    with socket.create_server(("127.0.0.1", 0), backlog=1) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        async with open_cloudwatch(CloudWatch(endpoint_url=url, timeout_seconds=0.5)) as client:
            with pytest.raises(Unavailable) as refusal:
                await client.put(HERE, events("x" * 1_000_000, "y" * 10_000_000))

    assert refusal.value.reason == "timeout", repr(refusal.value.__cause__)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
async def test_a_certificate_must_be_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    certificate, key = await self_signed(tmp_path)
    async with EmbeddedCloudWatch(tls=(certificate, key)) as cloudwatch:
        async with client_of(cloudwatch) as client:
            with pytest.raises(Unavailable, match="AWS_CA_BUNDLE") as refusal:
                await client.create(HERE)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        async with client_of(cloudwatch) as client:
            await client.create(HERE)

    assert refusal.value.reason == "tls"


async def test_no_region_is_said_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_REGION")

    with pytest.raises(SettingsError, match=r"cloudwatch\.region.*AWS_REGION"):
        async with open_cloudwatch(CloudWatch(endpoint_url="http://127.0.0.1:1")):
            pass


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
async def test_the_region_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, variable: str):
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv(variable, "ap-south-1")

    async with scripted_endpoint() as endpoint, client_of(endpoint) as client:
        await client.put(HERE, events("one"))

    assert "/ap-south-1/logs/" in endpoint.requests[0].headers["Authorization"]


async def test_the_configured_region_goes_before_the_environment():
    async with scripted_endpoint() as endpoint, client_of(endpoint, region="eu-west-3") as client:
        await client.put(HERE, events("one"))

    assert "/eu-west-3/logs/" in endpoint.requests[0].headers["Authorization"]


async def test_reopening_leaves_calls_under_way_alone_and_looks_for_credentials_anew(monkeypatch: pytest.MonkeyPatch):
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch) as client:
        await client.create(HERE)
        cloudwatch.faults.replace(Fault("slow", seconds=0.5, count=1))
        under_way = asyncio.create_task(client.put(HERE, events("slow")))
        await arrived(cloudwatch)

        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAROTATEDSINCETHEN")
        await client.reopen()
        await client.put(HERE, events("new"))
        identity = await client.identity()
        await under_way

        assert identity.access_key == "AKIA…THEN"
        assert cloudwatch.count("falco") == 2


async def test_a_put_that_is_cancelled_leaves_the_client_usable():
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch) as client:
        await client.create(HERE)
        cloudwatch.faults.replace(Fault("hang", count=1))
        under_way = asyncio.create_task(client.put(HERE, events("cancelled")))
        await arrived(cloudwatch)

        under_way.cancel()
        with pytest.raises(asyncio.CancelledError):
            await under_way
        await client.put(HERE, events("after"))

        assert [event.message for event in cloudwatch.events("falco")] == [b"after"]


@pytest.mark.parametrize(
    "answer", [Answer(cut=True), Answer.error("ThrottlingException"), Answer(200, b"", "text/html")]
)
async def test_a_failed_put_lets_go_of_its_body_without_the_collector(answer: Answer):
    batch = events("x" * 1_000_000)
    async with scripted_endpoint() as endpoint, client_of(endpoint) as client:
        endpoint.otherwise = answer
        held_errors = [await failure(client.put(HERE, batch))]
        endpoint.requests.clear()
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            for _ in range(10):
                held_errors.append(await failure(client.put(HERE, batch)))
                endpoint.requests.clear()
            held_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()

    assert len(held_errors) == 11
    assert held_bytes < 3_000_000  # of the 10 MB that ten bodies would hold


async def arrived(cloudwatch: EmbeddedCloudWatch) -> None:
    """Until a fault holds a call."""
    async with asyncio.timeout(10):
        while not cloudwatch.faults.hits():
            await asyncio.sleep(0)


async def failure(call: Awaitable[PutReply]) -> PutError:
    """Without pytest.raises, whose own record of the error is a cycle."""
    try:
        await call
    except PutError as error:
        return error.with_traceback(None)
    raise AssertionError("the put did not fail")


async def self_signed(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    process = await asyncio.create_subprocess_exec(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", str(key), "-out", str(certificate),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0
    return certificate, key
