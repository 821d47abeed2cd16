"""The agent as a process: heartbeat, silence, deduplication, and a kill while alerts are being deduplicated."""

import asyncio
import re
import signal
import time

import orjson
import pytest

from agent.local.emulator import EmbeddedCloudWatch
from tests.process.driver import PATIENCE_SECONDS, agent, alert, append, container, cri


@pytest.fixture
async def cloudwatch(tmp_path):
    async with EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as endpoint:
        yield endpoint


def events(cloudwatch, stream=None):
    return [orjson.loads(event.message) for event in cloudwatch.events("falco", stream)]


def own_events(cloudwatch, kind):
    return [event for event in events(cloudwatch) if event.get("rule") == f"Falcowatch: {kind}"]


def falco_alerts(cloudwatch):
    return [event for event in events(cloudwatch) if event.get("source") != "falcowatch"]


async def until(cloudwatch, reached):
    async with asyncio.timeout(PATIENCE_SECONDS):
        await cloudwatch.until(reached)


def identical(count):
    """Alerts that differ in their text only, of a minute that will not be over before the test is."""
    later = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 90)).encode()
    first = re.sub(rb'"time":"[^.]+', b'"time":"' + later, alert(0))
    return [cri(first.replace(b'"output":"0"', b'"output":"%d"' % number)) for number in range(count)]


async def metrics_once(running, reached):
    """The metrics, as soon as they show that."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            status, text = await running.get("/metrics")
            assert status == 200
            metrics = {name: float(value) for name, value in re.findall(r"^falcowatch_(.+) (\S+)$", text, re.MULTILINE)}
            if reached(metrics):
                return metrics
            await asyncio.sleep(0.05)


def total(metrics, name):
    return sum(value for key, value in metrics.items() if key.partition("{")[0] == name)


async def test_heartbeat_and_silence_arrive_the_probes_answer_and_the_books_balance(tmp_path, cloudwatch):
    live = container(tmp_path) / "0.log"
    append(live, *(cri(alert(number)) for number in range(20)), cri(alert(20, priority="Critical")), cri(b""))

    async with agent(tmp_path, cloudwatch.url, heartbeat_seconds="0.2", falco__silent_seconds="3") as running:
        await until(
            cloudwatch, lambda: len(falco_alerts(cloudwatch)) == 21 and len(own_events(cloudwatch, "heartbeat")) >= 3
        )
        await until(cloudwatch, lambda: own_events(cloudwatch, "Falco is silent"))
        assert (await running.get("/healthz"))[0] == 200
        assert (await running.get("/readyz"))[0] == 200
        series = 'records_synthetic_total{kind="Falco is silent"}'
        metrics = await metrics_once(running, lambda metrics: metrics.get(series) == 1)
        append(live, cri(alert(21)))
        await until(cloudwatch, lambda: own_events(cloudwatch, "Falco is back"))
        assert await running.terminate() == 0

    assert metrics["records_read_total"] == 22
    assert total(metrics, "records_shipped_total") == 21
    assert total(metrics, "records_filtered_total") == 1
    assert metrics["records_in_flight"] == 0
    assert metrics['records_synthetic_total{kind="heartbeat"}'] >= 3
    assert metrics["falco_silent"] == 1
    assert metrics["falco_silent_seconds"] >= 3
    heartbeats = own_events(cloudwatch, "heartbeat")
    assert [heartbeat["output_fields"]["heartbeat.sequence"] for heartbeat in heartbeats] == list(
        range(1, len(heartbeats) + 1)
    )
    last = heartbeats[-1]["output_fields"]
    assert last["books.read"] == sum(last[f"books.{way}"] for way in ("shipped", "filtered", "rejected", "in_flight"))
    urgent = events(cloudwatch, "node-a/urgent")
    [silent] = [event for event in urgent if event["rule"] == "Falcowatch: Falco is silent"]
    assert silent["output_fields"]["falco.pod"] == "falco/falco-x2x9t"
    ids = [event["falcowatch"]["id"] for event in events(cloudwatch)]
    assert len(ids) == len(set(ids))


async def test_identical_alerts_become_one_event_at_the_latest_when_the_agent_drains(tmp_path, cloudwatch):
    append(container(tmp_path) / "0.log", *identical(50))

    async with agent(tmp_path, cloudwatch.url, falco__storm_limit="5", falco__storm_keys='["container.id"]') as running:
        await until(cloudwatch, lambda: len(falco_alerts(cloudwatch)) == 5)
        assert (await running.get("/healthz"))[0] == 200
        metrics = await metrics_once(running, lambda metrics: total(metrics, "records_shipped_total") == 5)
        assert await running.terminate() == 0

    assert metrics["records_read_total"] == 50
    settled = sum(total(metrics, f"records_{way}_total") for way in ("shipped", "filtered", "rejected"))
    assert settled + metrics["records_in_flight"] == 50
    assert sum(event["output_fields"]["storm.count"] for event in own_events(cloudwatch, "storm")) == 45
    checkpoint = orjson.loads((tmp_path / "state" / "checkpoint.json").read_bytes())
    [position] = checkpoint["files"].values()
    assert position["offset"] == (container(tmp_path) / "0.log").stat().st_size


@pytest.mark.parametrize("resume", ["at_least_once", "exact"])
async def test_after_a_kill_during_deduplication_every_alert_is_shipped_or_in_a_group(tmp_path, cloudwatch, resume):
    append(container(tmp_path) / "0.log", *identical(50))
    storms = {"cloudwatch__resume": resume, "falco__storm_limit": "5", "falco__storm_keys": '["container.id"]'}

    async with agent(tmp_path, cloudwatch.url, **storms) as first:
        await until(cloudwatch, lambda: len(falco_alerts(cloudwatch)) == 5)
        first.process.send_signal(signal.SIGKILL)
        await first.process.wait()
    async with agent(tmp_path, cloudwatch.url, **storms) as second:
        # What was shipped before the kill may come twice, under the same ids; grouped alerts are read again.
        await metrics_once(second, lambda metrics: metrics["records_read_total"] == 50)
        assert await second.terminate() == 0

    shipped = [event["falcowatch"]["id"] for event in falco_alerts(cloudwatch)]
    grouped = [
        identity for event in own_events(cloudwatch, "storm") for identity in event["output_fields"]["storm.ids"]
    ]
    counted = sum(event["output_fields"]["storm.count"] for event in own_events(cloudwatch, "storm"))
    assert len(set(shipped)) + counted == 50
    assert not set(grouped) & set(shipped)
    if resume == "exact":
        # What was shipped before is not even counted again, so as many more may ship one by one.
        assert len(shipped) == len(set(shipped)) == 10
