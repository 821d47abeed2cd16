"""The parts of the end-to-end test that need no cluster: its objects are valid, and its checks find every loss."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time

import orjson
import pytest
from prometheus_client import generate_latest

from agent.core.processing.alert import decode_leniently
from agent.local.emulator import EmbeddedCloudWatch
from agent.local.player import stamped
from agent.telemetry import Telemetry
from tests.deploy.conftest import documents, helm, validate_strictly  # noqa: F401 # helm: a fixture
from tests.e2e.play import STEP_NS
from tests.e2e.proof import Accounting, accounting_in, judge, stored_messages
from tests.e2e.run import GROUP, HERE, NAMESPACE, RELEASE, falco_pod, manifest
from tools.chart.generate import CHART

FIRST_NS = 1_795_470_605_000_000_000
IMAGE = "registry.example/falcowatch:1"


def message(number: int, identity: str) -> bytes:
    alert = {"rule": "A rule", "time": stamped(FIRST_NS + number * STEP_NS).decode()}
    return orjson.dumps(alert | {"falcowatch": {"id": identity}})


def test_every_object_is_valid():
    objects = documents(manifest("cluster.yaml", IMAGE=IMAGE)) + documents(falco_pod(IMAGE, FIRST_NS, 10, 5))

    validate_strictly(objects)
    assert "$" not in manifest("cluster.yaml", IMAGE=IMAGE).partition("apiVersion")[2]


def test_the_agent_reads_the_log_of_the_pod_and_the_pod_runs_the_program():
    (pod,) = documents(falco_pod(IMAGE, FIRST_NS, 10, 5))

    (container,) = pod["spec"]["containers"]
    assert (pod["metadata"]["namespace"], container["name"]) == ("falco", "falco")
    assert container["command"][2] == (HERE / "play.py").read_text()
    assert container["env"][0] == {"name": "FIRST_NS", "value": str(FIRST_NS)}


def test_the_chart_accepts_the_values(helm):  # noqa: F811
    done = helm("template", RELEASE, CHART, "-n", NAMESPACE, "--values", HERE / "values.yaml")

    assert done.returncode == 0, done.stderr
    assert "/var/lib/falcowatch-e2e" in done.stdout


def test_the_player_prints_captured_alerts_with_consecutive_times():
    environment = os.environ | {"FIRST_NS": str(FIRST_NS), "ALERTS": "300", "ALERTS_PER_SECOND": "100000"}

    done = subprocess.run([sys.executable, HERE / "play.py"], capture_output=True, check=True, env=environment)

    lines = done.stdout.splitlines()
    assert [decode_leniently(line).time for line in lines] == [
        stamped(FIRST_NS + number * STEP_NS).decode() for number in range(300)
    ]
    assert all(decode_leniently(line).rule for line in lines)


def test_resent_alerts_are_recognised_by_their_id():
    arrived = [message(0, "a:0"), message(1, "a:1"), message(1, "a:1"), b'{"time":"2026-11-23T00:00:00Z"}']

    verdict = judge(FIRST_NS, 2, arrived)

    assert (verdict.arrived, verdict.lost, verdict.resent, verdict.unrecognised) == (2, 0, 1, 0)
    assert verdict.holds


@pytest.mark.parametrize(
    "arrived",
    [
        pytest.param([message(0, "a:0")], id="an alert is missing"),
        pytest.param([message(0, "a:0"), message(1, "a:1"), message(1, "b:9")], id="a resend has another id"),
    ],
)
def test_the_verdict_is_negative_if(arrived):
    assert not judge(FIRST_NS, 2, arrived).holds


def test_the_accounting_is_read_from_the_agents_metrics():
    telemetry = Telemetry("test")
    telemetry.records_read.inc(10)
    telemetry.records_shipped.labels("routine").inc(6)
    telemetry.records_shipped.labels("urgent").inc(1)
    telemetry.records_filtered.labels("rule").inc(2)
    telemetry.records_in_flight.set(1)
    text = generate_latest(telemetry.registry).decode()
    telemetry.gap_bytes.inc(5)

    accounting = accounting_in(text)

    assert accounting == Accounting(read=10, shipped=7, filtered=2, rejected=0, in_flight=1, gap_bytes=0)
    assert accounting.complete
    assert not accounting_in(generate_latest(telemetry.registry).decode()).complete


async def test_stored_events_are_read_by_the_api():
    async with EmbeddedCloudWatch() as cloudwatch, asyncio.timeout(30):
        await _put(cloudwatch.url, [message(number, f"a:{number}") for number in range(5)])

        verdict = judge(FIRST_NS, 5, [each async for each in stored_messages(cloudwatch.url, GROUP)])

    assert verdict.holds


async def _put(url: str, messages: list[bytes]) -> None:
    from aiobotocore.session import get_session

    credentials = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "eu-central-1"}
    async with get_session().create_client("logs", endpoint_url=url, **credentials) as client:
        await client.create_log_group(logGroupName=GROUP)
        await client.create_log_stream(logGroupName=GROUP, logStreamName="node-1")
        now_ms = time.time_ns() // 1_000_000
        events = [{"timestamp": now_ms, "message": each.decode()} for each in messages]
        await client.put_log_events(logGroupName=GROUP, logStreamName="node-1", logEvents=events)
