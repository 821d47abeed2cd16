"""The embedded CloudWatch as a process, used as benchmarks, users and the AWS CLI use it."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from agent.local.emulator import EmbeddedCloudWatch

from .conftest import connected

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The process and its URL. It is killed if the test did not end it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent.local.emulator", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            line = (await process.stdout.readline()).decode()
        yield process, line.removeprefix("listening on ").strip()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_prints_its_address_and_stops_cleanly_on_a_signal(tmp_path, number: signal.Signals):
    async with started("--data", str(tmp_path)) as (process, url):
        async with aiohttp.ClientSession() as http, http.get(url + "/_stats") as reply:
            assert reply.status == 200
        process.send_signal(number)
        async with asyncio.timeout(30):
            explained, errors = await process.communicate()

    assert process.returncode == 0
    assert f"export AWS_ENDPOINT_URL={url}" in explained.decode()
    assert errors == b""


async def test_accepted_events_survive_a_kill(tmp_path):
    now_ms = int(time.time() * 1000)
    async with started("--data", str(tmp_path)) as (process, url):
        async with connected(url) as client:
            await client.create_log_group(logGroupName="falco")
            await client.create_log_stream(logGroupName="falco", logStreamName="node")
            for number in range(10):
                await client.put_log_events(
                    logGroupName="falco",
                    logStreamName="node",
                    logEvents=[{"timestamp": now_ms, "message": f"alert {number}"}],
                )
        process.kill()
        await process.wait()

    async with EmbeddedCloudWatch(tmp_path) as again:
        assert [event.message.decode() for event in again.events("falco")] == [f"alert {n}" for n in range(10)]


async def test_faults_can_be_given_on_the_command_line(tmp_path):
    async with (
        started("--fault", '{"kind": "throttle", "count": 2}') as (_, url),
        aiohttp.ClientSession() as http,
        http.get(url + "/_faults") as reply,
    ):
        assert [(fault["kind"], fault["count"]) for fault in await reply.json()] == [("throttle", 2)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port", "{port}"], "choose another port"),
        (["--data", "{data}"], "choose another data directory"),
        (["--fault", '{"kind": "fire"}'], "'fire' is not a kind of fault"),
        (["--fault", "fire"], "--fault"),
        (["--data", "/dev/null/x"], "/dev/null/x"),
    ],
)
async def test_a_failed_start_prints_the_reason_in_one_line(tmp_path, arguments: list[str], says: str):
    async with EmbeddedCloudWatch(tmp_path) as running:
        given = [text.replace("{port}", str(running.port)).replace("{data}", str(tmp_path)) for text in arguments]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agent.local.emulator", *given),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await process.communicate()

    assert process.returncode == 1
    assert says in errors.decode()
    assert len(errors.decode().splitlines()) == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes the certificate, is not installed")
async def test_the_process_serves_https_with_a_given_certificate(tmp_path):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    trusting = ssl.create_default_context(cafile=str(certificate))

    async with (
        EmbeddedCloudWatch(tmp_path / "data", tls=(certificate, key)) as cloudwatch,
        aiohttp.ClientSession() as http,
        http.get(cloudwatch.url + "/_stats", ssl=trusting) as reply,
    ):
        assert cloudwatch.url.startswith("https://")
        assert reply.status == 200


@pytest.mark.skipif(shutil.which("aws") is None, reason="the AWS CLI is not installed")
async def test_the_aws_cli_can_list_groups_and_read_events(logs, cloudwatch: EmbeddedCloudWatch):
    now_ms = int(time.time() * 1000)
    alert = '{"priority":"Critical","rule":"ü"}'
    await logs.put_log_events(
        logGroupName="falco",
        logStreamName="node",
        logEvents=[{"timestamp": now_ms, "message": '{"priority":"Notice"}'}, {"timestamp": now_ms, "message": alert}],
    )

    async def aws(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *("aws", "--endpoint-url", cloudwatch.url, "--region", "eu-central-1", "logs", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "PYTHONUTF8": "1"},
        )
        out, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return out.decode()

    in_falco = ("--log-group-name", "falco")
    groups = json.loads(await aws("describe-log-groups", "--output", "json"))
    streams = json.loads(await aws("describe-log-streams", *in_falco, "--output", "json"))
    read = json.loads(await aws("get-log-events", *in_falco, "--log-stream-name", "node", "--output", "json"))
    found = json.loads(
        await aws("filter-log-events", *in_falco, "--filter-pattern", '{ $.priority = "Critical" }', "--output", "json")
    )

    assert [group["logGroupName"] for group in groups["logGroups"]] == ["falco"]
    assert [stream["logStreamName"] for stream in streams["logStreams"]] == ["node"]
    assert [event["message"] for event in read["events"]] == ['{"priority":"Notice"}', alert]
    assert [event["message"] for event in found["events"]] == [alert]
