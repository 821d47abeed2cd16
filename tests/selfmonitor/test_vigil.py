"""What the agent says on its own: heartbeat, silence, gap, storm; how each looks, and that the books stay the books."""

import os
import re
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from agent.app import Agent
from agent.core.reading.pod_paths import Selection
from agent.core.values import Lane
from agent.enrich.pod import Container, Pod
from agent.enrich.workload import Workload
from agent.local.emulator import EmbeddedCloudWatch, Fault
from agent.selfmonitor import OwnEvent
from agent.selfmonitor.liveness import REPLACED_WITHIN_SECONDS
from agent.tail.types import Gap
from agent.vigil import beat, look_for_falco, watch_drift, watch_storms
from tests.process.driver import alert, append, container, cri
from tests.selfmonitor.whole_agent import NOWHERE, aws_environment, built, running, until

FALCO = Selection("falco", "falco-*", "falco")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    aws_environment(monkeypatch, tmp_path)


def said(agent: Agent, lane: Lane | None = None) -> list[dict[str, Any]]:
    """The events of our own that wait to be shipped."""
    return [
        orjson.loads(message)
        for queue in agent.shipper.queues
        if lane in (None, queue.lane)
        for span in queue.waiting
        if span.own
        for message in span.messages
    ]


def look(agent: Agent, now: float, *pods: Pod) -> None:
    look_for_falco(agent.reader, pods, agent.silence, agent.pipeline, FALCO, now)


def pod(name: str = "falco-x2x9t", *, namespace: str = "falco", age_seconds: float = 0.0, uid: str = "a-uid") -> Pod:
    created_ms = int((time.time() - age_seconds) * 1000)
    containers = (Container("falco", "", "", ()), Container("falcoctl-artifact-follow", "", "", ()))
    return Pod(namespace, name, uid, "", created_ms, "node-a", "", Workload("", ""), {}, {}, 0, 0, containers)


async def test_a_heartbeat_carries_the_books_their_text_and_a_sequence_number(tmp_path: Path) -> None:
    append(container(tmp_path) / "0.log", cri(alert(1)), cri(b""))
    async with built(tmp_path, NOWHERE) as agent, running(agent.reader.run()):
        await until(lambda: agent.reader.in_flight)
        agent.pipeline.announce(Gap("f00", "/var/log/pods/x", 10, 30, "deleted", False))
        async with running(beat(0.01, lambda: agent.status.report().books, agent.pipeline)):
            await until(lambda: len(said(agent, Lane.ROUTINE)) >= 2)

        first, second = said(agent, Lane.ROUTINE)[:2]
        assert first["rule"] == "Falcowatch: heartbeat"
        assert first["source"] == "falcowatch"
        assert first["priority"] == "Informational"
        assert first["hostname"] == "node-a"
        assert first["output"] == "read 2, shipped 0, filtered 1, rejected 0, in flight 1, gaps 1"
        assert first["output_fields"] == {
            "books.read": 2,
            "books.shipped": 0,
            "books.filtered": 1,
            "books.rejected": 0,
            "books.in_flight": 1,
            "gap.count": 1,
            "gap.bytes": 20,
            "heartbeat.sequence": 1,
        }
        assert second["output_fields"] == {**first["output_fields"], "heartbeat.sequence": 2}


async def test_the_first_heartbeat_is_at_the_start_and_zero_seconds_mean_never(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        await beat(0, lambda: agent.status.report().books, agent.pipeline)
        assert said(agent) == []

        async with running(beat(1e6, lambda: agent.status.report().books, agent.pipeline)):
            await until(lambda: said(agent))
        assert len(said(agent)) == 1


async def test_an_event_of_our_own_has_the_keys_of_an_alert_and_an_id_of_its_own(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        for _ in range(2):
            agent.pipeline.say(OwnEvent("gap", "Critical", "lost", {"bytes": 1}))

        first, second = said(agent, Lane.URGENT)
        assert list(first) == [
            "hostname",
            "output",
            "output_fields",
            "priority",
            "rule",
            "source",
            "time",
            "falcowatch",
        ]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", str(first["time"]))
        assert first["falcowatch"]["node"] == "node-a"
        assert first["falcowatch"]["cluster"] == "here"
        assert re.fullmatch(r"self:\d{19}:1", first["falcowatch"]["id"])
        assert second["falcowatch"]["id"] == first["falcowatch"]["id"][:-1] + "2"


async def test_without_a_cluster_name_there_is_no_cluster_in_it(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE, cluster_name="") as agent:
        agent.pipeline.say(OwnEvent("gap", "Critical", "lost", {}))

        [event] = said(agent)
        assert "cluster" not in event["falcowatch"]


async def test_a_gap_is_told_urgently_under_its_name(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        agent.pipeline.announce(Gap("f00", "/var/log/pods/x", 10, 30, "deleted", False))

        [event] = said(agent, Lane.URGENT)
        assert (event["rule"], event["priority"]) == ("Falcowatch: gap", "Critical")
        assert event["output"] == "20 bytes of /var/log/pods/x were lost: deleted"
        assert (agent.pipeline.gaps, agent.pipeline.gap_bytes) == (1, 20)


async def test_events_of_our_own_are_counted_when_accepted_and_never_in_the_books(tmp_path: Path) -> None:
    append(container(tmp_path) / "0.log", cri(alert(1)))
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url) as agent,
    ):
        agent.pipeline.say(OwnEvent("heartbeat", "Informational", "", {}, Lane.ROUTINE))
        assert agent.telemetry.value("records_synthetic_total", kind="heartbeat") == 0
        async with running(agent.reader.run(), agent.shipper.run()):
            await until(lambda: agent.telemetry.total("records_shipped_total"))
            await until(lambda: agent.telemetry.value("records_synthetic_total", kind="heartbeat"))

        books = agent.status.report().books
        assert agent.telemetry.value("records_synthetic_total", kind="heartbeat") == 1
        assert (books.read, books.shipped, books.balanced) == (1, 1, True)
        # Falco's alerts and ours share the way into a stream: where tokens count, two ways would quarrel.
        assert [queue.destination.stream for queue in agent.shipper.queues] == ["node-a"]
        assert cloudwatch.count("/falco/here", "node-a") == 2


async def test_an_event_of_our_own_that_is_refused_is_not_counted_as_accepted(tmp_path: Path) -> None:
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch", now=lambda: time.time() + 30 * 24 * 3600) as cloudwatch,
        built(tmp_path, cloudwatch.url) as agent,
        running(agent.shipper.run()),
    ):
        agent.pipeline.say(OwnEvent("heartbeat", "Informational", "", {}, Lane.ROUTINE))
        await until(lambda: agent.telemetry.total("dead_letters_total"))
        await agent.shipper.drain()

        assert agent.telemetry.total("records_synthetic_total") == 0
        assert agent.telemetry.total("records_rejected_total") == 0
        assert agent.status.report().books.balanced


async def test_a_falco_that_goes_silent_and_comes_back_is_told_urgently(tmp_path: Path) -> None:
    live = container(tmp_path) / "0.log"
    append(live, cri(alert(1)))
    async with built(tmp_path, NOWHERE) as agent, running(agent.reader.run()):
        await until(lambda: agent.reader.in_flight)
        began = time.monotonic()
        look(agent, began)
        assert said(agent) == []

        look(agent, began + 1000)
        assert agent.telemetry.value("falco_silent") == 1
        assert agent.telemetry.value("falco_silent_seconds") > 0
        append(live, cri(alert(2)))
        look(agent, time.monotonic())

        silent, back = said(agent, Lane.URGENT)
        assert silent["rule"] == "Falcowatch: Falco is silent"
        assert silent["priority"] == "Critical"
        fields = silent["output_fields"]
        assert (fields["falco.pod"], fields["falco.state"]) == ("falco/falco-x2x9t", "silent")
        assert fields["falco.silent_seconds"] >= 1000
        assert "falco.found_at_start" not in fields
        assert (back["rule"], back["priority"]) == ("Falcowatch: Falco is back", "Notice")
        assert back["output"] == "Falco writes again in falco/falco-x2x9t"
        assert agent.telemetry.value("falco_silent") == 0


async def test_a_falco_that_was_silent_before_the_agent_came_is_told_with_its_true_age(tmp_path: Path) -> None:
    live = container(tmp_path) / "0.log"
    append(live, cri(alert(1)))
    os.utime(live, (time.time() - 7200, time.time() - 7200))
    async with built(tmp_path, NOWHERE) as agent, running(agent.reader.run()):
        await until(lambda: agent.reader.in_flight)

        look(agent, time.monotonic())

        [event] = said(agent)
        assert event["output_fields"]["falco.silent_seconds"] == pytest.approx(7200, abs=60)
        assert event["output_fields"]["falco.found_at_start"] is True
        assert str(event["output"]).endswith("as found when the agent started")


async def test_a_log_that_grows_while_the_budget_is_spent_is_no_silence(tmp_path: Path) -> None:
    live = container(tmp_path) / "0.log"
    append(live, cri(alert(1)))
    async with built(tmp_path, NOWHERE) as agent, running(agent.reader.run()):
        await until(lambda: agent.reader.in_flight)
        agent.budget.adjust(agent.budget.limit_bytes)
        look(agent, time.monotonic())
        noted = {source.path: at for source, at in agent.reader.sightings}

        append(live, cri(alert(2)))

        assert agent.reader.in_flight == 1
        assert {source.path: at for source, at in agent.reader.sightings}[live] > noted[live]


async def test_a_log_that_is_empty_after_a_rotation_has_not_vanished(tmp_path: Path) -> None:
    directory = container(tmp_path)
    append(directory / "0.log", cri(alert(1)))
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url, tail={"root": tmp_path / "pods", "scan_seconds": 0.02}) as agent,
        running(agent.reader.run(), agent.shipper.run()),
    ):
        await until(lambda: agent.telemetry.total("records_shipped_total"))
        began = time.monotonic()
        look(agent, began)
        (directory / "0.log").rename(directory / "0.log.20261123-100000")
        (directory / "0.log").touch()
        await until(lambda: not list(agent.reader.files))

        look(agent, began + 10)
        look(agent, began + 20 + REPLACED_WITHIN_SECONDS)

        assert said(agent) == []
        assert agent.telemetry.value("falco_silent") == 0


async def test_a_restarted_container_and_a_vanished_pod_are_told(tmp_path: Path) -> None:
    directory = container(tmp_path)
    append(directory / "0.log", cri(alert(1)))
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url, tail={"root": tmp_path / "pods", "scan_seconds": 0.02}) as agent,
        running(agent.reader.run(), agent.shipper.run()),
    ):
        await until(lambda: agent.telemetry.total("records_shipped_total") == 1)
        began = time.monotonic()
        look(agent, began)
        append(directory / "1.log", cri(alert(2)))
        await until(lambda: agent.telemetry.total("records_shipped_total") == 2)
        look(agent, began + 5)
        for log in directory.iterdir():
            log.unlink()
        await until(lambda: not list(agent.reader.sightings))
        look(agent, began + 10)
        look(agent, began + 10 + REPLACED_WITHIN_SECONDS)
        await until(lambda: cloudwatch.count("/falco/here", "node-a/urgent") == 2)

        rules = [orjson.loads(event.message)["rule"] for event in cloudwatch.events("/falco/here", "node-a/urgent")]
        assert rules == ["Falcowatch: Falco restarted", "Falcowatch: Falco vanished"]


async def test_an_upgrade_of_falco_is_a_routine_note(tmp_path: Path) -> None:
    directory = container(tmp_path)
    append(directory / "0.log", cri(alert(1)))
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url, tail={"root": tmp_path / "pods", "scan_seconds": 0.02}) as agent,
        running(agent.reader.run(), agent.shipper.run()),
    ):
        await until(lambda: agent.telemetry.total("records_shipped_total") == 1)
        began = time.monotonic()
        look(agent, began)
        (directory / "0.log").unlink()
        append(container(tmp_path, "falco_falco-b4c5d_11111111-d9cb-469f-a165-70867728950e") / "0.log", cri(alert(2)))
        await until(lambda: agent.telemetry.total("records_shipped_total") == 2)
        await until(lambda: len(list(agent.reader.sightings)) == 1)
        look(agent, began + 60)
        await until(lambda: cloudwatch.count("/falco/here", "node-a") == 3)

        [*_, event] = [orjson.loads(event.message) for event in cloudwatch.events("/falco/here", "node-a")]
        assert (event["rule"], event["priority"]) == ("Falcowatch: Falco was replaced", "Notice")
        assert event["output"] == "Falco in falco/falco-x2x9t was replaced by falco/falco-b4c5d"
        assert event["output_fields"]["falco.successor"] == "falco/falco-b4c5d"
        assert cloudwatch.count("/falco/here", "node-a/urgent") == 0


async def test_a_falco_pod_that_never_wrote_a_log_is_silent_once_it_is_old_enough(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent, running(agent.reader.run()):
        await until(lambda: agent.reader.looked)
        others = pod("nginx", namespace="default", age_seconds=9999, uid="b"), pod("web", age_seconds=9999, uid="c")

        look(agent, time.monotonic(), pod(age_seconds=10), *others)
        assert said(agent) == []

        look(agent, time.monotonic() + 1000, pod(age_seconds=1010), *others)
        [event] = said(agent)
        assert event["rule"] == "Falcowatch: Falco is silent"
        assert event["output_fields"]["falco.pod"] == "falco/falco-x2x9t"


async def test_the_log_and_the_api_server_tell_of_one_falco(tmp_path: Path) -> None:
    append(container(tmp_path) / "0.log", cri(alert(1)))
    uid = "0f8fad5b-d9cb-469f-a165-70867728950e"
    async with built(tmp_path, NOWHERE) as agent, running(agent.reader.run()):
        await until(lambda: agent.reader.in_flight)

        look(agent, time.monotonic(), pod(age_seconds=99_999, uid=uid))

        assert said(agent) == []


async def test_nothing_is_said_of_falco_while_the_log_root_cannot_be_listed(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE, tail={"root": tmp_path / "later"}) as agent, running(agent.reader.run()):
        await until(lambda: agent.reader.problem)

        look(agent, time.monotonic(), pod(age_seconds=9999))

        assert said(agent) == []


async def test_a_storm_is_told_in_the_routine_lane_with_the_pod_and_the_books_balance(tmp_path: Path) -> None:
    storms = {"storm_limit": 2, "storm_keys": ["proc.name", "k8s.pod.name"]}
    fields = b'"output_fields":{"container.id":"host",'
    about = b'"output_fields":{"k8s.ns.name":"shop","k8s.pod.name":"web","proc.name":"sh",'
    one = alert(0).replace(fields, about)  # all of one minute
    lines = [cri(one)] * 10
    urgent = [cri(one.replace(b'"Notice"', b'"Critical"'))] * 5
    append(container(tmp_path) / "0.log", *lines, *urgent)
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url, falco=storms) as agent,
        running(agent.reader.run(), agent.shipper.run(), watch_storms(agent.pipeline)),
    ):
        await until(lambda: agent.telemetry.total("records_shipped_total") == 7)
        [file] = agent.reader.files
        held = agent.status.report().books
        committed = file.ledger.committed
        if agent.pipeline.held_by_storms:  # else its minute ended meanwhile
            assert (held.in_flight, held.filtered, held.balanced, committed) == (8, 0, True, 0)
        agent.pipeline.tell_storms(at_once=True)
        await until(lambda: not agent.reader.in_flight)

        books = agent.status.report().books
        assert (books.read, books.shipped, books.filtered, books.balanced) == (15, 7, 8, True)
        assert agent.telemetry.value("records_filtered_total", reason="folded") == 8
        assert agent.telemetry.value("alerts_by_rule_total", rule="Terminal shell in container") == 15
        assert file.ledger.committed == file.position.size
        events = [orjson.loads(event.message) for event in cloudwatch.events("/falco/here", "node-a")]
        told = [event for event in events if event["rule"] == "Falcowatch: storm"]
        assert sum(event["output_fields"]["storm.count"] for event in told) == 8
        event = told[0]
        assert event["priority"] == "Notice"
        assert event["output_fields"]["storm.rule"] == "Terminal shell in container"
        assert event["output_fields"]["proc.name"] == "sh"
        assert event["output_fields"]["storm.first"] <= event["output_fields"]["storm.last"]
        assert event["kubernetes"]["pod_name"] == "web"
        ids = [identity for event in told for identity in event["output_fields"]["storm.ids"]]
        shipped = [event["falcowatch"]["id"] for event in events if event not in told]
        assert len(set(ids) | set(shipped)) == 10


async def test_a_group_that_differs_from_the_configuration_is_reported(tmp_path: Path) -> None:
    async with EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch:
        plain = {"endpoint_url": cloudwatch.url, "region": "eu-central-1"}
        async with built(tmp_path, "", cloudwatch=plain) as agent, running(agent.shipper.run()):
            agent.pipeline.say(OwnEvent("heartbeat", "Informational", "", {}, Lane.ROUTINE))
            await agent.shipper.drain()
        async with (
            built(tmp_path, "", cloudwatch=plain | {"retention_days": 7}) as agent,
            running(watch_drift(agent.settings.cloudwatch, agent.client, agent.group, agent.telemetry)),
        ):
            await until(lambda: agent.telemetry.value("settings_drift", setting="retention_days"))


async def test_a_plain_file_of_falco_is_watched_by_its_path(tmp_path: Path) -> None:
    plain = tmp_path / "falco.jsonl"
    append(plain, alert(1) + b"\n")
    async with built(tmp_path, NOWHERE, tail={"root": None, "paths": [str(plain)]}) as agent:
        async with running(agent.reader.run()):
            await until(lambda: agent.reader.in_flight)

            look(agent, time.monotonic() + 1000)

        [event] = said(agent)
        assert event["output_fields"]["falco.pod"] == str(plain)


async def test_a_group_that_may_not_be_described_is_left_alone(tmp_path: Path) -> None:
    async with EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch:
        cloudwatch.faults.add(Fault("denied", operation="DescribeLogGroups"))
        plain = {"endpoint_url": cloudwatch.url, "region": "eu-central-1", "retention_days": 7}
        async with (
            built(tmp_path, "", cloudwatch=plain) as agent,
            running(watch_drift(agent.settings.cloudwatch, agent.client, agent.group, agent.telemetry)),
        ):
            await until(lambda: cloudwatch.requests.count("DescribeLogGroups"))

        assert agent.telemetry.total("settings_drift") == 0
