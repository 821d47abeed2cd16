"""Report, gauges, readiness, and a health that does not fail for an outage of CloudWatch.

A whole agent over real files and an embedded CloudWatch; where time matters it is an argument.
"""

import asyncio
import re
import time
from pathlib import Path

import pytest

from agent.app import Agent
from agent.local.emulator import EmbeddedCloudWatch, Fault
from agent.status import STUCK_SECONDS
from agent.web.findings import FALCO_PROBE
from agent.web.report import Probe
from agent.web.verdict import HEADLINES, judge
from tests.process.driver import alert, append, container, cri
from tests.selfmonitor.whole_agent import NOWHERE, aws_environment, built, running, until


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    aws_environment(monkeypatch, tmp_path)


def pipeline_probe(agent: Agent) -> Probe:
    [probe] = [probe for probe in agent.status.health() if probe.name == "pipeline"]
    return probe


async def test_health_fails_when_records_wait_and_none_is_shipped(tmp_path: Path) -> None:
    append(container(tmp_path) / "0.log", cri(alert(1)))
    async with built(tmp_path, NOWHERE) as agent, running(agent.parts.reader.run()):
        await until(lambda: agent.parts.reader.in_flight)
        began = time.monotonic()
        agent.status.look(began)

        agent.status.look(began + STUCK_SECONDS - 2)
        assert pipeline_probe(agent).ok

        agent.status.look(began + STUCK_SECONDS + 2)
        assert not pipeline_probe(agent).ok
        assert "none was acknowledged for" in pipeline_probe(agent).detail


async def test_health_stays_good_when_there_is_nothing_to_ship(tmp_path: Path) -> None:
    container(tmp_path)
    async with built(tmp_path, NOWHERE) as agent, running(agent.parts.reader.run()):
        await until(lambda: agent.parts.reader.looked)

        agent.status.look(time.monotonic() + 1e6)

        assert pipeline_probe(agent).ok


@pytest.mark.parametrize("fault", ["unreachable", "throttle", "hang"])
async def test_health_stays_good_when_cloudwatch_is_down(tmp_path: Path, fault: str) -> None:
    append(container(tmp_path) / "0.log", cri(alert(1)))
    async with EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch:
        if fault != "unreachable":
            cloudwatch.faults.add(Fault(fault, operation="PutLogEvents"))
        shipping = {
            "endpoint_url": NOWHERE if fault == "unreachable" else cloudwatch.url,
            "region": "eu-central-1",
            "timeout_seconds": 0.1,
        }
        async with (
            built(tmp_path, "", cloudwatch=shipping) as agent,
            running(agent.parts.reader.run(), agent.parts.shipper.run()),
        ):
            await until(lambda: agent.parts.shipper.last_failed_at)
            failed = agent.parts.shipper.last_failed_at
            assert failed is not None
            agent.status.look(failed)

            # As if it had last been tried just now, again and again; between two tries nothing may be amiss.
            agent.status.look(failed + STUCK_SECONDS - 1)

            assert pipeline_probe(agent).ok
            await until(lambda: (agent.parts.shipper.last_failed_at or 0.0) > failed)


async def test_a_long_put_timeout_lengthens_the_limit(tmp_path: Path) -> None:
    append(container(tmp_path) / "0.log", cri(alert(1)))
    slow = {"endpoint_url": NOWHERE, "region": "eu-central-1", "timeout_seconds": 200.0}
    async with built(tmp_path, "", cloudwatch=slow) as agent, running(agent.parts.reader.run()):
        await until(lambda: agent.parts.reader.in_flight)
        began = time.monotonic()
        agent.status.look(began)

        agent.status.look(began + 390)
        assert pipeline_probe(agent).ok

        agent.status.look(began + 410)
        assert not pipeline_probe(agent).ok


async def test_records_held_by_deduplication_do_not_make_the_pipeline_stuck(tmp_path: Path) -> None:
    storms = {"storm_limit": 1, "storm_keys": ["container.id"]}
    append(container(tmp_path) / "0.log", *(cri(alert(number)) for number in range(3)))
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url, falco=storms) as agent,
        running(agent.parts.reader.run(), agent.parts.shipper.run()),
    ):
        await until(lambda: agent.parts.shipper.last_acknowledged_at and agent.parts.reader.in_flight == 2)

        agent.status.look(time.monotonic() + 1e6)

        assert agent.parts.duplicates.held_records == 2
        assert pipeline_probe(agent).ok


async def test_an_event_loop_that_does_not_run_fails_health(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        agent.status.look(time.monotonic() - 11)

        [probe] = [probe for probe in agent.status.health() if probe.name == "event-loop"]
        assert not probe.ok


async def test_a_defect_of_the_look_does_not_make_the_agent_unhealthy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> int:
        raise ValueError("broken")

    async with built(tmp_path, NOWHERE) as agent:
        monkeypatch.setattr(agent.status, "_in_flight", broken)
        monkeypatch.setattr("agent.status.LOOK_SECONDS", 0.01)
        async with running(agent.status.run()):
            await until(lambda: agent.parts.telemetry.value("defects_total", part="selfmonitor") >= 3)

        assert all(probe.ok for probe in agent.status.health())


async def test_readiness_names_what_is_wrong(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE, tail={"root": tmp_path / "later"}) as agent, running(agent.parts.reader.run()):
        await until(lambda: agent.parts.reader.problem)
        agent.status.saved("the disk is full")
        agent.parts.shipper.condition.denied = "no credentials were found"

        probes = {probe.name: probe for probe in agent.status.readiness()}
        assert not any(probe.ok for probe in probes.values())
        assert str(tmp_path / "later") in probes["read"].detail
        assert probes["checkpoint"].detail == "the disk is full"
        assert probes["credentials"].detail == "no credentials were found"

        (tmp_path / "later").mkdir()
        await until(lambda: agent.parts.reader.problem is None)
        agent.status.saved(None)
        agent.parts.shipper.condition.denied = None
        assert all(probe.ok for probe in agent.status.readiness())


async def test_enrichment_that_does_not_work_is_a_warning_and_leaves_the_agent_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        monkeypatch.setattr(agent.parts.enricher, "problem", "403; grant `list` and `watch` on pods", raising=False)

        probe = next(probe for probe in agent.status.readiness() if probe.name == "enrichment")

    assert (probe.ok, probe.required, probe.detail) == (False, False, "403; grant `list` and `watch` on pods")


async def test_files_that_wait_for_a_descriptor_are_a_warning_and_leave_the_agent_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        monkeypatch.setattr(type(agent.parts.reader), "waiting_files", 3)

        (probe,) = [probe for probe in agent.status.readiness() if probe.name == "descriptors"]

    assert (probe.ok, probe.required) == (False, False)
    assert probe.detail.startswith("3 log files wait for a free file descriptor")


async def test_every_check_has_a_headline_for_its_failure(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent, running(agent.parts.reader.run()):
        await until(lambda: agent.parts.reader.looked)
        agent.parts.falco_watch.look(time.monotonic())
        names = {probe.name for probe in (*agent.status.health(), *agent.status.readiness())}

    assert names - HEADLINES.keys() == {FALCO_PROBE}, "the findings about Falco have headlines of their own"


async def test_defects_and_lost_dead_letters_are_warnings_and_leave_the_agent_ready(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent, running(agent.parts.reader.run()):
        await until(lambda: agent.parts.reader.looked)
        assert all(probe.ok for probe in agent.status.readiness())
        agent.parts.dead_letters.problem = "the disk is full"
        agent.parts.dead_letters.lost["invalid"] += 3
        agent.parts.telemetry.defects.note("enrichment", ValueError("broken"))

        warnings = {probe.name: probe for probe in agent.status.readiness() if not probe.ok}
        assert {name: probe.required for name, probe in warnings.items()} == {
            "dead-letters": False, "enrichment-defects": False,
        }  # fmt: skip
        assert "ValueError: broken" in warnings["enrichment-defects"].detail
        assert warnings["dead-letters"].detail == "3 dead letters could not be kept (the disk is full)"
        verdict = judge(agent.status.report(), agent.status.readiness())
        assert [finding.what for finding in verdict.findings] == [
            "The check dead-letters failed.",
            "The check enrichment-defects failed.",
        ]


async def test_the_report_and_the_gauges_show_the_same_books(tmp_path: Path) -> None:
    live = container(tmp_path) / "0.log"
    append(
        live,
        *(cri(alert(number)) for number in range(20)),
        cri(alert(20, priority="Critical", rule="Urgent")),
        cri(alert(21, priority="Debug")),
        cri(b"text"),
    )
    rules = {"minimum_priority": "notice"}
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url, falco=rules) as agent,
        running(agent.run(asyncio.Event())),
    ):
        await until(lambda: agent.parts.telemetry.total("records_shipped_total") == 22)
        await until(lambda: agent.status.report().checkpoint_age_seconds is not None)
        report = agent.status.report()
        sample = agent.parts.telemetry.snapshot()

    assert report.books.balanced
    assert (report.books.read, report.books.shipped, report.books.filtered) == (23, 22, 1)
    assert (report.node, report.cluster, report.group) == ("node-a", "here", "/falco/here")
    assert {lane.name: (lane.stream, lane.shipped, lane.waiting) for lane in report.lanes} == {
        "routine": ("node-a", 20, 0),
        "urgent": ("node-a/urgent", 1, 0),
        "other": ("node-a/falco-log", 1, 0),
    }
    [file] = report.files
    assert (file.path, file.size, file.committed, file.state) == (
        str(live),
        live.stat().st_size,
        live.stat().st_size,
        "open",
    )
    assert ("Critical", "Urgent") in [(alert.priority, alert.rule) for alert in report.last_alerts]
    assert report.falco.alerts_by_priority == {"Notice": 20, "Critical": 1, "Debug": 1}
    assert report.puts["accepted"] >= 3
    assert (report.gaps, report.lag_bytes, report.backpressure) == (0, 0, False)
    for name, value in {
        "records_in_flight": 0,
        "lag_bytes": 0,
        "files_open": 1,
        "budget_bytes": 16 * 1024 * 1024,
        "budget_used_bytes": 0,
        "backpressure_active": 0,
        "send_slots": 4,
        "send_slots_used": 0,
        "falco_silent": 0,
    }.items():
        assert sample.value(name) == value, name
    assert sample.value("lane_records", lane="routine") == 0


async def test_waiting_records_show_in_lanes_lag_and_budget(tmp_path: Path) -> None:
    live = container(tmp_path) / "0.log"
    append(live, cri(alert(1)), cri(alert(2)))
    async with built(tmp_path, NOWHERE) as agent, running(agent.parts.reader.run()):
        await until(lambda: agent.parts.reader.in_flight == 2)

        sample = agent.parts.telemetry.snapshot()
        report = agent.status.report()

    assert sample.value("records_in_flight") == 2
    assert sample.value("lane_records", lane="routine") == 2
    assert sample.value("lag_bytes") == live.stat().st_size
    assert sample.value("budget_used_bytes") > 0
    assert sample.value("oldest_unacknowledged_seconds", lane="routine") > 0
    assert sample.value("oldest_unacknowledged_seconds", lane="urgent") == 0
    assert report.books.balanced
    assert report.lag_seconds > 0


async def test_files_are_shown_with_their_state(tmp_path: Path) -> None:
    directory = container(tmp_path)
    append(directory / "0.log", cri(alert(1)))
    quick = {"root": tmp_path / "pods", "scan_seconds": 0.02}
    async with built(tmp_path, NOWHERE, tail=quick) as agent, running(agent.parts.reader.run()):

        def states() -> list[str]:
            return [file.state for file in agent.status.report().files]

        await until(lambda: states() == ["open"] and agent.parts.reader.in_flight == 1)
        (directory / "0.log").rename(directory / "0.log.20261123-100000")
        append(directory / "0.log", cri(alert(2)))
        await until(lambda: states() == ["rotated", "open"])
        (directory / "0.log.20261123-100000").unlink()
        await until(lambda: states() == ["deleted, still held", "open"])
        (directory / "0.log").write_bytes(b"")
        await until(lambda: "truncated" in states())


async def test_a_rotated_file_has_another_name_than_the_live_one_and_alerts_have_pod_and_time(tmp_path: Path) -> None:
    directory = container(tmp_path)
    of_a_pod = alert(1).replace(b'"container.id":"host"', b'"k8s.ns.name":"shop","k8s.pod.name":"web-1"')
    append(directory / "0.log", cri(re.sub(rb'"time":"[^"]+"', b'"time":"2026-11-23T07:53:51.905525426Z"', of_a_pod)))
    async with (
        built(tmp_path, NOWHERE, tail={"root": tmp_path / "pods", "scan_seconds": 0.02}) as agent,
        running(agent.parts.reader.run()),
    ):
        await until(lambda: agent.parts.reader.in_flight)
        (directory / "0.log").rename(directory / "0.log.20261123-100000")
        append(directory / "0.log", cri(alert(2)))
        await until(lambda: agent.parts.reader.in_flight == 2)

        report = agent.status.report()

    assert sorted(Path(file.path).name for file in report.files) == ["0.log", "0.log.20261123-100000"]
    newest, oldest = report.last_alerts
    assert (oldest.pod, oldest.time) == ("shop/web-1", 1795420431.905)
    assert newest.pod == ""
