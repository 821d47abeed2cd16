"""A Falco that goes silent, restarts, disappears or is replaced becomes an event; over real log files."""

import os
import shutil
import time
from pathlib import Path

import orjson
import pytest
from msgspec.structs import replace

from agent.app import Agent
from agent.core.values import Lane
from agent.enrich.pod import Container, Pod
from agent.enrich.workload import Workload
from agent.local.emulator import EmbeddedCloudWatch
from agent.selfmonitor.liveness import REPLACED_WITHIN_SECONDS
from tests.process.driver import alert, append, container, cri
from tests.selfmonitor.whole_agent import NOWHERE, built, own_events, running, until


def look(agent: Agent, now: float, *pods: Pod) -> None:
    replace(agent.parts.falco_watch, pods=lambda: pods).look(now)


def pod(name: str = "falco-x2x9t", *, namespace: str = "falco", age_seconds: float = 0.0, uid: str = "a-uid") -> Pod:
    created_ms = int((time.time() - age_seconds) * 1000)
    containers = (Container("falco", "", "", ()), Container("falcoctl-artifact-follow", "", "", ()))
    return Pod(namespace, name, uid, "", created_ms, "node-a", "", Workload("", ""), {}, {}, 0, 0, (), containers)


async def test_silence_and_its_end_are_urgent_events(tmp_path: Path) -> None:
    live = container(tmp_path) / "0.log"
    append(live, cri(alert(1)))
    async with built(tmp_path, NOWHERE) as agent, running(agent.parts.reader.run()):
        await until(lambda: agent.parts.reader.in_flight)
        began = time.monotonic()
        look(agent, began)
        assert own_events(agent) == []

        look(agent, began + 1000)
        assert agent.parts.telemetry.value("falco_silent") == 1
        assert agent.parts.telemetry.value("falco_silent_seconds") > 0
        append(live, cri(alert(2)))
        look(agent, time.monotonic())

        silent, back = own_events(agent, Lane.URGENT)
        assert silent["rule"] == "Falcowatch: Falco is silent"
        assert silent["priority"] == "Critical"
        fields = silent["output_fields"]
        assert (fields["falco.pod"], fields["falco.state"]) == ("falco/falco-x2x9t", "silent")
        assert fields["falco.silent_seconds"] >= 1000
        assert "falco.found_at_start" not in fields
        assert (back["rule"], back["priority"]) == ("Falcowatch: Falco is back", "Notice")
        assert back["output"] == "Falco writes again in falco/falco-x2x9t"
        assert agent.parts.telemetry.value("falco_silent") == 0


async def test_a_silence_that_began_before_the_agent_started_has_its_true_age(tmp_path: Path) -> None:
    live = container(tmp_path) / "0.log"
    append(live, cri(alert(1)))
    os.utime(live, (time.time() - 7200, time.time() - 7200))
    async with built(tmp_path, NOWHERE) as agent, running(agent.parts.reader.run()):
        await until(lambda: agent.parts.reader.in_flight)

        look(agent, time.monotonic())

        [event] = own_events(agent)
        assert event["output_fields"]["falco.silent_seconds"] == pytest.approx(7200, abs=60)
        assert event["output_fields"]["falco.found_at_start"] is True
        assert str(event["output"]).endswith("as found when the agent started")


async def test_a_log_that_grows_while_the_budget_is_exhausted_is_not_silent(tmp_path: Path) -> None:
    live = container(tmp_path) / "0.log"
    append(live, cri(alert(1)))
    async with built(tmp_path, NOWHERE) as agent, running(agent.parts.reader.run()):
        await until(lambda: agent.parts.reader.in_flight)
        agent.parts.budget.adjust(agent.parts.budget.limit_bytes)
        look(agent, time.monotonic())
        noted = {source.path: at for source, at in agent.parts.reader.sightings}

        append(live, cri(alert(2)))

        assert agent.parts.reader.in_flight == 1
        assert {source.path: at for source, at in agent.parts.reader.sightings}[live] > noted[live]


async def test_a_log_that_is_empty_after_a_rotation_has_not_vanished(tmp_path: Path) -> None:
    directory = container(tmp_path)
    append(directory / "0.log", cri(alert(1)))
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url, tail={"root": tmp_path / "pods", "scan_seconds": 0.02}) as agent,
        running(agent.parts.reader.run(), agent.parts.shipper.run()),
    ):
        await until(lambda: agent.parts.telemetry.total("records_shipped_total"))
        began = time.monotonic()
        look(agent, began)
        (directory / "0.log").rename(directory / "0.log.20261123-100000")
        (directory / "0.log").touch()
        await until(lambda: not list(agent.parts.reader.files))

        look(agent, began + 10)
        look(agent, began + 20 + REPLACED_WITHIN_SECONDS)

        assert own_events(agent) == []
        assert agent.parts.telemetry.value("falco_silent") == 0


async def test_a_restarted_container_and_a_vanished_pod_become_events(tmp_path: Path) -> None:
    directory = container(tmp_path)
    append(directory / "0.log", cri(alert(1)))
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url, tail={"root": tmp_path / "pods", "scan_seconds": 0.02}) as agent,
        running(agent.parts.reader.run(), agent.parts.shipper.run()),
    ):
        await until(lambda: agent.parts.telemetry.total("records_shipped_total") == 1)
        began = time.monotonic()
        look(agent, began)
        append(directory / "1.log", cri(alert(2)))
        await until(lambda: agent.parts.telemetry.total("records_shipped_total") == 2)
        look(agent, began + 5)
        shutil.rmtree(directory.parent)
        await until(lambda: not list(agent.parts.reader.sightings))
        look(agent, began + 10)
        look(agent, began + 10 + REPLACED_WITHIN_SECONDS)
        await until(lambda: cloudwatch.count("/falco/here", "node-a/urgent") == 2)

        rules = [orjson.loads(event.message)["rule"] for event in cloudwatch.events("/falco/here", "node-a/urgent")]
        assert sorted(rules) == ["Falcowatch: Falco restarted", "Falcowatch: Falco vanished"]


async def test_an_upgrade_of_falco_is_a_routine_notice(tmp_path: Path) -> None:
    directory = container(tmp_path)
    append(directory / "0.log", cri(alert(1)))
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url, tail={"root": tmp_path / "pods", "scan_seconds": 0.02}) as agent,
        running(agent.parts.reader.run(), agent.parts.shipper.run()),
    ):
        await until(lambda: agent.parts.telemetry.total("records_shipped_total") == 1)
        began = time.monotonic()
        look(agent, began)
        shutil.rmtree(directory.parent)
        append(container(tmp_path, "falco_falco-b4c5d_11111111-d9cb-469f-a165-70867728950e") / "0.log", cri(alert(2)))
        await until(lambda: agent.parts.telemetry.total("records_shipped_total") == 2)
        await until(lambda: len(list(agent.parts.reader.sightings)) == 1)
        look(agent, began + 60)
        await until(lambda: cloudwatch.count("/falco/here", "node-a") == 3)

        [*_, event] = [orjson.loads(event.message) for event in cloudwatch.events("/falco/here", "node-a")]
        assert (event["rule"], event["priority"]) == ("Falcowatch: Falco was replaced", "Notice")
        assert event["output"] == "Falco in falco/falco-x2x9t was replaced by falco/falco-b4c5d"
        assert event["output_fields"]["falco.successor"] == "falco/falco-b4c5d"
        assert cloudwatch.count("/falco/here", "node-a/urgent") == 0


async def test_a_falco_pod_that_never_wrote_a_log_is_silent_once_it_is_old_enough(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent, running(agent.parts.reader.run()):
        await until(lambda: agent.parts.reader.looked)
        others = pod("nginx", namespace="default", age_seconds=9999, uid="b"), pod("web", age_seconds=9999, uid="c")

        look(agent, time.monotonic(), pod(age_seconds=10), *others)
        assert own_events(agent) == []

        look(agent, time.monotonic() + 1000, pod(age_seconds=1010), *others)
        [event] = own_events(agent)
        assert event["rule"] == "Falcowatch: Falco is silent"
        assert event["output_fields"]["falco.pod"] == "falco/falco-x2x9t"


async def test_a_pod_with_a_log_file_is_one_falco_not_two(tmp_path: Path) -> None:
    append(container(tmp_path) / "0.log", cri(alert(1)))
    uid = "0f8fad5b-d9cb-469f-a165-70867728950e"
    async with built(tmp_path, NOWHERE) as agent, running(agent.parts.reader.run()):
        await until(lambda: agent.parts.reader.in_flight)

        look(agent, time.monotonic(), pod(age_seconds=99_999, uid=uid))

        assert own_events(agent) == []


async def test_a_log_root_that_cannot_be_listed_is_no_vanished_falco_but_a_blind_node(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE, tail={"root": tmp_path / "later"}) as agent, running(agent.parts.reader.run()):
        await until(lambda: agent.parts.reader.problem)

        began = time.monotonic()
        look(agent, began, pod(age_seconds=9999))
        assert own_events(agent) == []
        assert agent.parts.telemetry.value("falco_state", state="none") == 1

        look(agent, began + 301, pod(age_seconds=9999))
        [event] = own_events(agent)
        assert (event["rule"], event["priority"]) == ("Falcowatch: Falco is not read", "Critical")
        assert str(event["output"]).startswith("No log can be read on this node, since 301 s: ")
        assert "cannot be listed" in str(event["output"])
        assert agent.parts.telemetry.value("falco_not_read") == 1


async def test_a_plain_file_of_falco_is_watched_by_its_path(tmp_path: Path) -> None:
    plain = tmp_path / "falco.jsonl"
    append(plain, alert(1) + b"\n")
    async with built(tmp_path, NOWHERE, tail={"root": None, "paths": [str(plain)]}) as agent:
        async with running(agent.parts.reader.run()):
            await until(lambda: agent.parts.reader.in_flight)

            look(agent, time.monotonic() + 1000)

        [event] = own_events(agent)
        assert event["output_fields"]["falco.pod"] == str(plain)


async def test_after_a_test_of_helm_nothing_has_vanished(tmp_path: Path) -> None:
    append(container(tmp_path) / "0.log", cri(alert(1)))
    test = container(tmp_path, "falco_falco-falcowatch-test_11111111-d9cb-469f-a165-70867728950e")
    append(test / "0.log", cri(alert(2, rule="Falcowatch helm test")), cri(b"acknowledged 0.4 s after it was written"))
    async with (
        built(tmp_path, NOWHERE, tail={"root": tmp_path / "pods", "scan_seconds": 0.02}) as agent,
        running(agent.parts.reader.run()),
    ):
        await until(lambda: len(list(agent.parts.reader.sightings)) == 2)
        began = time.monotonic()
        look(agent, began)

        shutil.rmtree(test.parent)
        await until(lambda: len(list(agent.parts.reader.sightings)) == 1)
        for later in (10, 20 + REPLACED_WITHIN_SECONDS):
            look(agent, began + later)

        assert own_events(agent) == []
        assert agent.parts.telemetry.value("falco_silent") == 0
        assert agent.parts.telemetry.value("falco_state", state="reading") == 1


async def test_a_falco_of_a_deployment_that_leaves_is_a_notice_and_the_node_is_not_blind(tmp_path: Path) -> None:
    (tmp_path / "pods").mkdir()
    movable = replace(pod("falco-7d4b9c6f5-x2x9t"), workload=Workload("Deployment", "falco"))
    async with built(tmp_path, NOWHERE) as agent, running(agent.parts.reader.run()):
        await until(lambda: agent.parts.reader.looked)
        began = time.monotonic()
        look(agent, began, movable)
        for later in (10, 10 + REPLACED_WITHIN_SECONDS, 9000):
            look(agent, began + later)

        [event] = own_events(agent)
        assert (event["rule"], event["priority"]) == ("Falcowatch: Falco moved", "Notice")
        assert agent.parts.telemetry.value("falco_silent") == 0
        assert agent.parts.telemetry.value("falco_state", state="none") == 1
        assert agent.parts.telemetry.value("falco_not_read") == 0
