"""The pod of `helm test`: the agent reads its log, it prints an alert like Falco's, and it passes only after delivery.

The program runs here as it runs in the pod. An HTTP server answers with the agent's metrics. A list of steps changes
the metrics between two scrapes.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
import yaml
from prometheus_client import generate_latest

from agent.core.processing.alert import decode_leniently
from agent.settings.model import Settings
from agent.telemetry.metrics import Telemetry
from tests.deploy.agent_at_work import GROUP, agent_at_work, made_up_credentials
from tests.deploy.conftest import Runner, documents
from tools.chart.generate import CHART
from tools.chart.render import RELEASE

Steps = list[Callable[[Telemetry], object]]

RULE = "Falcowatch helm test"


def read(telemetry: Telemetry) -> None:
    telemetry.alerts_by_rule.add((RULE,), 1)
    telemetry.oldest_unacknowledged.labels("routine").set(0.5)


def shipped(telemetry: Telemetry) -> None:
    telemetry.records_shipped.labels("routine").inc()
    telemetry.oldest_unacknowledged.labels("routine").set(0)


def another_shipped(telemetry: Telemetry) -> None:
    """Another record was acknowledged, and a record that is older than the alert still waits."""
    telemetry.records_shipped.labels("routine").inc()
    telemetry.oldest_unacknowledged.labels("routine").set(3600)


def rejected(telemetry: Telemetry) -> None:
    shipped(telemetry)
    telemetry.records_rejected.labels("too_old").inc()


def no_change(telemetry: Telemetry) -> None:
    """Nothing has changed since the last scrape."""


def test_an_alert_that_is_read_and_acknowledged_passes():
    done = run_against([no_change, no_change, read, shipped])

    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("acknowledged ")


def test_the_alert_has_the_format_of_falco():
    first_line = run_against([no_change, read, shipped]).stdout.splitlines()[0]

    alert = decode_leniently(first_line.encode())
    fields = json.loads(first_line)
    assert (alert.rule, alert.priority, alert.source) == (RULE, "Notice", "syscall")
    assert list(fields) == sorted(fields)
    assert alert.output_fields is not None
    assert (alert.output_fields.namespace, alert.output_fields.pod) == ("falco", "falco-falcowatch-test")
    assert fields["time"].endswith("Z")
    assert len(fields["time"]) == len("2026-11-23T07:37:03.796250642Z")
    assert first_line == json.dumps(fields, separators=(",", ":"))


def test_an_alert_that_is_never_read_fails():
    done = run_against([no_change], timeout_seconds=0)

    assert done.returncode == 1
    assert "did not read the alert" in done.stdout


def test_an_acknowledgement_of_other_records_does_not_pass():
    done = run_against([no_change, read, another_shipped], timeout_seconds=0)

    assert done.returncode == 1
    assert "CloudWatch has not acknowledged the alert" in done.stdout


def test_a_rejected_record_fails():
    done = run_against([no_change, read, rejected])

    assert done.returncode == 1
    assert "rejected" in done.stdout


def test_an_agent_that_does_not_answer_fails_with_the_name_of_its_node():
    done = run_program("http://127.0.0.1:9/metrics", timeout_seconds=0)

    assert done.returncode == 1
    assert "no agent answers on node node-1" in done.stdout


@pytest.mark.parametrize("values", ["default", "eks", "docker", "non-root", "tuned", "falco-in-default"])
def test_the_agent_reads_the_log_of_the_pod(helm, values):
    done = helm(
        "template", RELEASE[0], CHART, *RELEASE[1:], "--values", CHART / "ci" / f"{values}-values.yaml",
    )  # fmt: skip
    objects = documents(done.stdout)

    (pod,) = [item for item in objects if item["kind"] == "Pod"]
    (config,) = [item["data"]["config.yaml"] for item in objects if "config.yaml" in item.get("data", {})]
    tail = Settings.model_validate(yaml.safe_load(config)).tail
    (container,) = pod["spec"]["containers"]
    assert fnmatchcase(pod["metadata"]["namespace"], tail.namespace)
    assert fnmatchcase(pod["metadata"]["name"], tail.pod)
    assert fnmatchcase(container["name"], tail.container)
    assert container["command"][:2] == ["python", "-c"]
    assert container["command"][2].split() == (CHART / "files" / "helm_test.py").read_text().split()


@pytest.mark.parametrize(
    ("priority", "urgent", "lane"),
    [("Notice", "critical", "routine"), ("Critical", "critical", "urgent"), ("Error", "Warning", "urgent")],
)
def test_the_pod_reads_the_metrics_of_the_lane_of_its_alert(helm: Runner, priority, urgent, lane):
    done = helm(
        "template", RELEASE[0], CHART, *RELEASE[1:],
        "--set", f"test.priority={priority}", "--set", f"config.falco.urgent_priority={urgent}",
    )  # fmt: skip

    (pod,) = [item for item in documents(done.stdout) if item["kind"] == "Pod"]
    variables = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
    assert variables["LANE"] == lane


@pytest.mark.parametrize(
    ("minimum", "priority"),
    [("debug", "Notice"), ("notice", "Notice"), ("warning", "Warning"), ("CRITICAL", "Critical"), ("info", "Notice")],
)
def test_the_alert_takes_a_priority_that_the_agent_ships(helm: Runner, minimum: str, priority: str):
    done = helm("template", RELEASE[0], CHART, *RELEASE[1:], "--set", f"config.falco.minimum_priority={minimum}")

    (pod,) = [item for item in documents(done.stdout) if item["kind"] == "Pod"]
    variables = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
    assert variables["PRIORITY"] == priority


async def test_a_real_agent_delivers_the_alert(tmp_path, monkeypatch):
    """The test writes the output of the program to a log file in kubelet's format, which a running agent reads."""
    made_up_credentials(monkeypatch)
    log = tmp_path / "pods/falco_falco-falcowatch-test_0f0e0d0c-0b0a-4000-8000-000000000002/falco/0.log"

    async with agent_at_work(tmp_path) as at_work, asyncio.timeout(60):
        log.parent.mkdir(parents=True)
        program = await asyncio.create_subprocess_exec(
            *command(), env=environment(f"{at_work.url}/metrics", timeout_seconds=30), stdout=asyncio.subprocess.PIPE
        )
        assert program.stdout is not None
        printed = []
        async for line in program.stdout:
            printed.append(line.decode())
            with log.open("a") as file:
                file.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ} stdout F {line.decode()}")
        code = await program.wait()
        arrived = [event.message for event in at_work.cloudwatch.events(GROUP) if RULE.encode() in event.message]

    assert (code, printed[-1].split()[0]) == (0, "acknowledged")
    assert [message.startswith(printed[0].rstrip()[:-1].encode()) for message in arrived] == [True]


def run_against(steps: Steps, *, timeout_seconds: float = 30) -> subprocess.CompletedProcess[str]:
    with metrics_server(steps) as url:
        return run_program(url, timeout_seconds=timeout_seconds)


def run_program(url: str, *, timeout_seconds: float) -> subprocess.CompletedProcess[str]:
    settings = environment(url, timeout_seconds=timeout_seconds)
    return subprocess.run(command(), capture_output=True, text=True, check=False, env=settings)


def command() -> list[str]:
    return [sys.executable, "-I", "-c", (CHART / "files" / "helm_test.py").read_text()]


def environment(url: str, *, timeout_seconds: float) -> dict[str, str]:
    return {
        "METRICS_URL": url,
        "PRIORITY": "Notice",
        "LANE": "routine",
        "TIMEOUT_SECONDS": str(timeout_seconds),
        "POLL_SECONDS": "0.01",
        "NODE_NAME": "node-1",
        "POD_NAMESPACE": "falco",
        "POD_NAME": "falco-falcowatch-test",
    }


@contextmanager
def metrics_server(steps: Steps) -> Iterator[str]:
    """Before it answers, each scrape executes the next step. After the last step, the metrics stay as they are."""
    telemetry = Telemetry("test")
    remaining = iter(steps)

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            next(remaining, no_change)(telemetry)
            body = generate_latest(telemetry.registry)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Prints no request log."""

    with HTTPServer(("127.0.0.1", 0), Metrics) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/metrics"
        finally:
            server.shutdown()
            thread.join()
