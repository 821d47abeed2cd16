"""Own events: their shape, their ids, and that they are no part of the books."""

import re
import time
from pathlib import Path

import orjson
import pytest

from agent.core.batching.span import KeepsRejected
from agent.core.values import Destination, Lane
from agent.local.emulator import EmbeddedCloudWatch
from agent.selfmonitor.events import OwnEvent
from tests.process.driver import alert, append, container, cri
from tests.selfmonitor.whole_agent import NOWHERE, built, own_events, published, running, until


async def test_an_own_event_has_the_keys_of_an_alert_and_a_unique_id(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        for _ in range(2):
            agent.parts.outbox.publish(OwnEvent("gap", "Critical", "lost", {"bytes": 1}))

        first, second = own_events(agent, Lane.URGENT)
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


async def test_without_a_cluster_name_an_own_event_names_no_cluster(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE, cluster_name="") as agent:
        agent.parts.outbox.publish(OwnEvent("gap", "Critical", "lost", {}))

        [event] = own_events(agent)
        assert "cluster" not in event["falcowatch"]


async def test_own_events_are_counted_when_accepted_and_never_in_the_books(tmp_path: Path) -> None:
    append(container(tmp_path) / "0.log", cri(alert(1)))
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url) as agent,
    ):
        agent.parts.outbox.publish(OwnEvent("heartbeat", "Informational", "", {}, Lane.ROUTINE))
        assert agent.parts.telemetry.value("records_synthetic_total", kind="heartbeat") == 0
        async with running(agent.parts.reader.run(), agent.parts.shipper.run()):
            await until(lambda: agent.parts.telemetry.total("records_shipped_total"))
            await until(lambda: agent.parts.telemetry.value("records_synthetic_total", kind="heartbeat"))

        books = agent.status.report().books
        assert agent.parts.telemetry.value("records_synthetic_total", kind="heartbeat") == 1
        assert (books.read, books.shipped, books.balanced) == (1, 1, True)
        # Falco's alerts and ours share the way into a stream: where tokens count, two ways would quarrel.
        assert [queue.destination.stream for queue in agent.parts.shipper.queues] == ["node-a"]
        assert cloudwatch.count("/falco/here", "node-a") == 2


async def test_a_rejected_own_event_is_not_counted_as_accepted(tmp_path: Path) -> None:
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch", now=lambda: time.time() + 30 * 24 * 3600) as cloudwatch,
        built(tmp_path, cloudwatch.url) as agent,
        running(agent.parts.shipper.run()),
    ):
        agent.parts.outbox.publish(OwnEvent("heartbeat", "Informational", "", {}, Lane.ROUTINE))
        await until(lambda: agent.parts.telemetry.total("dead_letters_total"))
        await agent.parts.shipper.drain()

        assert agent.parts.telemetry.total("records_synthetic_total") == 0
        assert agent.parts.telemetry.total("records_rejected_total") == 0
        assert agent.status.report().books.balanced


@pytest.mark.parametrize("namespace", ["falco*", "*", "[a-f]*"])
async def test_under_a_glob_of_namespaces_own_events_have_a_group_and_a_stream(tmp_path: Path, namespace: str) -> None:
    templates = {"log_group": "/{namespace}", "log_stream": "{namespace}/{node}"}
    cloudwatch = {"endpoint_url": NOWHERE, "region": "eu-central-1"} | templates
    tail = {"root": tmp_path / "pods", "namespace": namespace}
    async with built(tmp_path, "", cloudwatch=cloudwatch, tail=tail) as agent:
        agent.parts.outbox.publish(OwnEvent("heartbeat", "Informational", "", {}))

        [queue] = agent.parts.shipper.queues
        assert queue.destination == Destination("/falcowatch", "falcowatch/node-a/urgent")
        assert agent.status.report().group == "/falcowatch"


async def test_an_own_event_stays_small_whatever_its_texts_are(tmp_path: Path) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        long = "ü" * 2_000_000
        agent.parts.outbox.publish(OwnEvent("storm", long, long, {"storm.rule": long, "storm.ids": [long, 1]}))

        [event] = own_events(agent)
        assert len(orjson.dumps(event)) < 100_000
        assert event["output_fields"]["storm.ids"][1] == 1


async def test_a_rejected_seal_that_is_not_kept_any_more_does_not_keep_the_others_from_being_sent(
    tmp_path: Path,
) -> None:
    async with built(tmp_path, NOWHERE) as agent:
        outbox = agent.parts.outbox
        heartbeat = OwnEvent("heartbeat", "Informational", "", {}, Lane.ROUTINE)
        first, second = (outbox.stamped(heartbeat, f"self:seal:{number}", 1) for number in (1, 2))
        for event in (first, second):
            outbox.send(event)
        outbox.hold(second)
        for _, span in published(agent):
            assert isinstance(span.entry, KeepsRejected)
            span.entry.note_rejected()

        assert outbox.send_rejected()
        assert [event["falcowatch"]["id"] for event in own_events(agent)][2:] == ["self:seal:2"]
        assert not outbox.send_rejected()
