"""`falcowatch check` tries whether events can be read back, which `cloudwatch.resume: exact` needs after a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.check import probes
from agent.core.values import Destination
from agent.local.emulator import EmbeddedCloudWatch, Fault
from agent.settings import Settings
from agent.web.report import Probe
from tests.cloudwatch.clients import client_of
from tests.selfmonitor.whole_agent import aws_environment

STREAM = Destination("falco", "node-a")
UNSUPPORTED = Fault("error", operation="GetLogEvents", status=400, code="InvalidOperationException")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    aws_environment(monkeypatch, tmp_path)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")


async def exact_resume(place: Path, *faults: Fault, has_stream: bool = True, **cloudwatch_settings: str) -> Probe:
    (place / "pods").mkdir()
    async with EmbeddedCloudWatch(data_dir=place / "cloudwatch") as cloudwatch:
        if has_stream:
            async with client_of(cloudwatch) as client:
                await client.create(STREAM)
        cloudwatch.requests.clear()
        for fault in faults:
            cloudwatch.faults.add(fault)
        settings = Settings.model_validate(
            {
                "node_name": "node-a",
                "state_dir": place / "state",
                "tail": {"root": place / "pods"},
                "enrich": {"mode": "none"},
                "cloudwatch": {"endpoint_url": cloudwatch.url, "region": "eu-central-1", "resume": "exact"}
                | cloudwatch_settings,
            }
        )
        found = [probe async for probe in probes(settings)]
        assert not cloudwatch.requests.operations() & {"PutLogEvents", "CreateLogGroup", "CreateLogStream"}
    (probe,) = [probe for probe in found if probe.name == "exact resume"]
    return probe


async def test_a_stream_that_can_be_read_back_is_fine(tmp_path: Path) -> None:
    probe = await exact_resume(tmp_path, log_class="INFREQUENT_ACCESS")

    assert (probe.ok, probe.detail) == (True, "events can be read back from node-a")


async def test_a_class_without_this_operation_is_a_warning_that_names_the_consequence(tmp_path: Path) -> None:
    probe = await exact_resume(tmp_path, UNSUPPORTED, log_class="INFREQUENT_ACCESS")

    assert (probe.ok, probe.required) == (False, False)
    assert "some may arrive twice after a crash" in probe.detail
    assert "check the group's class" in probe.detail


async def test_a_missing_permission_is_a_warning_that_names_it(tmp_path: Path) -> None:
    probe = await exact_resume(tmp_path, Fault("denied", operation="GetLogEvents"))

    assert (probe.ok, probe.required) == (False, False)
    assert "GetLogEvents" in probe.detail


async def test_without_a_stream_only_the_class_infrequent_access_is_a_warning(tmp_path: Path) -> None:
    for log_class, is_fine in (("STANDARD", True), ("INFREQUENT_ACCESS", False)):
        place = tmp_path / log_class
        place.mkdir()
        probe = await exact_resume(place, has_stream=False, log_class=log_class)

        assert (probe.ok, probe.required) == (is_fine, is_fine)
        assert ("run this check again" in probe.detail) != is_fine
