"""One event stands for the identical alerts that were not shipped one by one."""

from pathlib import Path

import orjson
import pytest

from agent.local.emulator import EmbeddedCloudWatch
from tests.process.driver import alert, append, container, cri
from tests.selfmonitor.whole_agent import built, running, until


async def test_a_group_is_published_in_the_routine_lane_with_its_pod_and_the_books_balance(tmp_path: Path) -> None:
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
        running(agent.parts.reader.run(), agent.parts.shipper.run(), agent.parts.duplicates.run()),
    ):
        await until(lambda: agent.parts.telemetry.total("records_shipped_total") == 7)
        [file] = agent.parts.reader.files
        held = agent.status.report().books
        committed = file.ledger.committed
        if agent.parts.duplicates.held_records:  # else its minute ended meanwhile
            assert (held.in_flight, held.filtered, held.balanced, committed) == (8, 0, True, 0)
        agent.parts.duplicates.publish(at_once=True)
        await until(lambda: not agent.parts.reader.in_flight)

        books = agent.status.report().books
        assert (books.read, books.shipped, books.filtered, books.balanced) == (15, 7, 8, True)
        assert agent.parts.telemetry.value("records_filtered_total", reason="folded") == 8
        assert agent.parts.telemetry.value("alerts_by_rule_total", rule="Terminal shell in container") == 15
        assert file.ledger.committed == file.position.size
        events = [orjson.loads(event.message) for event in cloudwatch.events("/falco/here", "node-a")]
        published = [event for event in events if event["rule"] == "Falcowatch: storm"]
        assert sum(event["output_fields"]["storm.count"] for event in published) == 8
        event = published[0]
        assert event["priority"] == "Notice"
        assert event["output_fields"]["storm.rule"] == "Terminal shell in container"
        assert event["output_fields"]["proc.name"] == "sh"
        assert event["output_fields"]["storm.first"] <= event["output_fields"]["storm.last"]
        assert event["kubernetes"]["pod_name"] == "web"
        ids = [identity for event in published for identity in event["output_fields"]["storm.ids"]]
        shipped = [event["falcowatch"]["id"] for event in events if event not in published]
        assert len(set(ids) | set(shipped)) == 10


@pytest.mark.parametrize(
    "value",
    [b'"\xff\xfe"', b'"' + b"x" * 4000 + b'"', b'{"deep":' + b"[" * 400 + b"]" * 400 + b"}", b'"\\ud800"', b"1e999"],
)
async def test_odd_values_of_identical_alerts_are_published_and_settled(tmp_path: Path, value: bytes) -> None:
    storms = {"storm_limit": 1, "storm_keys": ["proc.name"]}
    fields = b'"output_fields":{"container.id":"host",'
    one = alert(0).replace(fields, b'"output_fields":{"container.id":"host","proc.name":%b,' % value)
    append(container(tmp_path) / "0.log", *[cri(one)] * 4)
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url, falco=storms) as agent,
        running(agent.parts.reader.run(), agent.parts.shipper.run()),
    ):
        await until(lambda: agent.parts.telemetry.total("records_shipped_total"))
        agent.parts.duplicates.publish(at_once=True)
        await until(lambda: not agent.parts.reader.in_flight)

        assert agent.status.books().balanced
        assert agent.parts.telemetry.total("defects_total") == 0
        assert agent.parts.telemetry.total("dead_letters_total") == 0


async def test_alerts_of_rules_with_long_names_are_all_settled_and_no_own_event_is_long(tmp_path: Path) -> None:
    storms = {"storm_limit": 1, "storm_keys": ["container.id"]}
    append(container(tmp_path) / "0.log", *[cri(alert(0, rule="r" * 900_000))] * 3)
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        built(tmp_path, cloudwatch.url, falco=storms) as agent,
        running(agent.parts.reader.run(), agent.parts.shipper.run()),
    ):
        await until(lambda: agent.parts.telemetry.total("records_shipped_total"))
        agent.parts.duplicates.publish(at_once=True)
        await until(lambda: not agent.parts.reader.in_flight)

        events = [orjson.loads(event.message) for event in cloudwatch.events("/falco/here", "node-a")]
        own = [event for event in events if event["rule"] == "Falcowatch: storm"]
        assert all(len(event["output_fields"]["storm.rule"]) < 10_000 for event in own)
        assert len(events) - len(own) + sum(event["output_fields"]["storm.count"] for event in own) == 3
        assert agent.parts.telemetry.total("dead_letters_total") == 0
